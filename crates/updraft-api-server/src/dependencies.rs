//! Why a task instance does not run, as far as a look from outside can tell.
//!
//! The scheduler knows more and says it in its plans; this answers the API's question from the rows.

use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagRunState, TaskInstanceState};
use updraft_rest_api::task_instance::TaskDependencyResponse;
use updraft_store::Reader;

use crate::error::ApiError;
use crate::state::ApiState;

/// Unmet dependencies; none for an instance that is beyond waiting.
pub(crate) async fn of(
    state: &ApiState,
    reader: &mut Reader,
    ti: &TaskInstance,
) -> Result<Vec<TaskDependencyResponse>, ApiError> {
    let mut unmet = Vec::new();
    let mut add = |name: &str, reason: String| {
        unmet.push(TaskDependencyResponse {
            name: name.to_owned(),
            reason,
        });
    };
    if !matches!(
        ti.state,
        TaskInstanceState::NoStatus | TaskInstanceState::Scheduled
    ) {
        return Ok(unmet);
    }
    if let Some(dag) = reader.find_dag(&ti.dag_id).await?
        && dag.is_paused
    {
        add(
            "Dag Not Paused",
            format!("Task's Dag '{}' is paused.", ti.dag_id),
        );
    }
    if let Some(run) = reader.find_dag_run(&ti.dag_id, &ti.run_id).await?
        && run.state != DagRunState::Running
    {
        add(
            "Dagrun Running",
            format!(
                "Task instance's dagrun was not in the 'running' state but in the state '{}'.",
                run.state
            ),
        );
    }
    if ti.state == TaskInstanceState::NoStatus
        && let Some(reason) = upstream_reason(state, reader, ti).await?
    {
        add("Trigger Rule", reason);
    }
    Ok(unmet)
}

/// What stands above a task and is not done, with the rule that looks at it.
async fn upstream_reason(
    state: &ApiState,
    reader: &mut Reader,
    ti: &TaskInstance,
) -> Result<Option<String>, ApiError> {
    let Some((_, dag)) = state.dags().latest(state, reader, &ti.dag_id).await? else {
        return Ok(None);
    };
    let Some(task) = dag.find_task(ti.task_id.as_str()) else {
        return Ok(None);
    };
    let upstream: Vec<_> = task
        .upstream
        .iter()
        .map(|index| &dag.task(*index).task_id)
        .collect();
    let rows = reader
        .load_task_instances_of_run(&ti.dag_id, &ti.run_id)
        .await?;
    let unfinished: Vec<String> = rows
        .iter()
        .filter(|row| upstream.contains(&&row.task_id) && !row.state.is_finished())
        .map(|row| row.task_id.to_string())
        .collect();
    if unfinished.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!(
        "Task's trigger rule '{}' looks at upstream tasks that are not done: {}.",
        task.trigger_rule,
        unfinished.join(", ")
    )))
}
