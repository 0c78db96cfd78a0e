//! Why a task instance does not run: in Airflow's words, and in the scheduler's own.

use std::sync::Arc;

use updraft_execution::{Subject, explain_task_instance, failed_deps_of, version_of};
use updraft_model::TaskInstanceState;
use updraft_model::serialized::SerializedDag;
use updraft_model::task_instance::TaskInstance;
use updraft_rest_api::task_instance::{TaskDependencyResponse, TaskExplanationResponse};
use updraft_rest_api::time::api_time;
use updraft_store::{LockedRun, Reader};

use crate::call::{Answer, Call, ok};
use crate::error::ApiError;
use crate::state::ApiState;
use crate::task_instances::query_map_index;

/// Unmet dependencies; none for an instance that is beyond waiting.
pub(crate) async fn of(
    state: &ApiState,
    reader: &mut Reader,
    ti: TaskInstance,
) -> Result<Vec<TaskDependencyResponse>, ApiError> {
    if !matches!(
        ti.state,
        TaskInstanceState::NoStatus | TaskInstanceState::Scheduled
    ) {
        return Ok(Vec::new());
    }
    let Some(locked) = reader.find_examined_run(&ti.dag_id, &ti.run_id).await? else {
        return Ok(Vec::new());
    };
    let Some(dag) = dag_of(state, reader, &locked).await? else {
        return Ok(Vec::new());
    };
    let subject = Subject {
        locked: &locked,
        dag: &dag,
        task_id: &ti.task_id.clone(),
        map_index: ti.map_index,
    };
    let rules = &state.settings().explain;
    let failed = failed_deps_of(reader, subject, ti, rules, state.clock().now()).await?;
    Ok(failed
        .into_iter()
        .map(|failed| TaskDependencyResponse {
            name: failed.name.to_owned(),
            reason: failed.reason,
        })
        .collect())
}

/// `GET /updraft/v1/…/explanation`.
pub(crate) async fn explain(call: Call) -> Answer {
    let map_index = query_map_index(&call)?;
    let key = call.run_key();
    let mut reader = call.reader().await?;
    let Some(locked) = reader.find_examined_run(&key.dag_id, &key.run_id).await? else {
        return Err(ApiError::not_found(format!(
            "DagRun with dag_id: `{}` and run_id: `{}` was not found",
            key.dag_id, key.run_id
        )));
    };
    let Some(dag) = dag_of(&call.state, &mut reader, &locked).await? else {
        return Err(ApiError::not_found(format!(
            "Dag `{}` was never serialized, so its runs wait until its file is parsed",
            key.dag_id
        )));
    };
    let subject = Subject {
        locked: &locked,
        dag: &dag,
        task_id: &call.task_id(),
        map_index,
    };
    let rules = &call.state.settings().explain;
    let now = call.state.clock().now();
    let explanation = explain_task_instance(&mut reader, subject, rules, now).await?;
    ok(&TaskExplanationResponse {
        dag_id: key.dag_id,
        dag_run_id: key.run_id,
        map_index: map_index.0,
        state: explanation
            .state
            .filter(|state| *state != TaskInstanceState::NoStatus),
        is_waiting: explanation.is_waiting(),
        reason: explanation.to_string(),
        until: api_time(explanation.until()),
        task_id: explanation.task_id,
    })
}

/// The version of its Dag that a run follows.
pub(crate) async fn dag_of(
    state: &ApiState,
    reader: &mut Reader,
    locked: &LockedRun,
) -> Result<Option<Arc<SerializedDag>>, ApiError> {
    let Some(stamp) = version_of(reader, locked).await? else {
        return Ok(None);
    };
    match reader.find_version(stamp.id).await? {
        Some(version) => state.dags().structure(state, reader, &version).await,
        None => Ok(None),
    }
}
