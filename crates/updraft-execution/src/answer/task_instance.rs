//! Questions about task instances, and what a try may write about its own run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};
use updraft_model::serialized::SerializedDag;
use updraft_model::{DagId, MapIndex, RunId, TaskId, TaskInstanceId, TaskInstanceState};
use updraft_store::{Liveness, Reader, Store, TaskInstanceQuery, TaskState};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::{
    GetPreviousTI, GetTICount, GetTaskBreadcrumbs, GetTaskRescheduleStartDate, GetTaskStates,
    PreviousTIResponse, PreviousTIResult, Response, SetRenderedFields, SetRenderedMapIndex,
    SkipDownstreamTasks, SkippedTask, TICount, TaskBreadcrumb, TaskBreadcrumbsResult,
    TaskRescheduleStartDate, TaskStatesResult,
};
use updraft_task_comms::session::Failure;

use super::{Outcome, TaskAsker, stored};
use crate::failure::{rejected, superseded};

pub(super) async fn skip_downstream(
    store: &Store,
    asker: &TaskAsker,
    request: SkipDownstreamTasks,
) -> Outcome {
    let tasks: Vec<(TaskId, MapIndex)> = request
        .tasks
        .into_iter()
        .map(|task| match task {
            SkippedTask::Task(id) => (TaskId::from(id), MapIndex::UNMAPPED),
            SkippedTask::Mapped(id, index) => (
                TaskId::from(id),
                MapIndex(i32::try_from(index).unwrap_or(-1)),
            ),
        })
        .collect();
    let mut tx = stored(store.write().await)?;
    let is_live = stored(
        tx.skip_downstream(asker.ti_id, &tasks, asker.options.clock.now())
            .await,
    )?;
    stored(tx.commit().await)?;
    if is_live { Ok(None) } else { Err(superseded()) }
}

pub(super) async fn set_rendered_fields(
    store: &Store,
    asker: &TaskAsker,
    request: SetRenderedFields,
) -> Outcome {
    let mut tx = stored(store.write().await)?;
    let fields = request.rendered_fields.as_str();
    let liveness = stored(tx.set_rendered_fields(asker.ti_id, fields).await)?;
    stored(tx.commit().await)?;
    match liveness {
        // A try that is over may still send them; they are dropped without a word.
        Liveness::Live | Liveness::Superseded => Ok(None),
        Liveness::NotFound => Err(superseded()),
    }
}

pub(super) async fn set_rendered_map_index(
    store: &Store,
    asker: &TaskAsker,
    request: SetRenderedMapIndex,
) -> Outcome {
    let mut tx = stored(store.write().await)?;
    let label = &request.rendered_map_index;
    let is_live = stored(tx.set_rendered_map_index(asker.ti_id, label).await)?;
    stored(tx.commit().await)?;
    if is_live { Ok(None) } else { Err(superseded()) }
}

pub(super) async fn count(store: &Store, request: GetTICount) -> Outcome {
    let mut reader = stored(store.read().await)?;
    let dag_id = DagId::from(request.dag_id);
    let query = TaskInstanceQuery {
        map_index: map_index(request.map_index),
        task_ids: task_ids(
            &mut reader,
            &dag_id,
            request.task_ids,
            request.task_group_id,
        )
        .await?,
        logical_dates: dates(request.logical_dates),
        run_ids: run_ids(request.run_ids),
        states: states(request.states)?,
    };
    let count = stored(reader.count_task_instances(&dag_id, &query).await)?;
    Ok(Some(Response::TICount(TICount { count })))
}

pub(super) async fn task_states(store: &Store, request: GetTaskStates) -> Outcome {
    let mut reader = stored(store.read().await)?;
    let dag_id = DagId::from(request.dag_id);
    let query = TaskInstanceQuery {
        map_index: map_index(request.map_index),
        task_ids: task_ids(
            &mut reader,
            &dag_id,
            request.task_ids,
            request.task_group_id,
        )
        .await?,
        logical_dates: dates(request.logical_dates),
        run_ids: run_ids(request.run_ids),
        states: Vec::new(),
    };
    let found = stored(reader.load_task_states(&dag_id, &query).await)?;
    let task_states = JsonText::from(&by_run(found));
    Ok(Some(Response::TaskStatesResult(TaskStatesResult {
        task_states,
    })))
}

/// `{run id: {task id, or task id and map index: state}}`.
fn by_run(found: Vec<TaskState>) -> Value {
    let mut runs: BTreeMap<RunId, Map<String, Value>> = BTreeMap::new();
    for TaskState {
        run_id,
        task_id,
        map_index,
        state,
    } in found
    {
        let name = if map_index.is_mapped() {
            format!("{task_id}_{map_index}")
        } else {
            task_id.to_string()
        };
        runs.entry(run_id)
            .or_default()
            .insert(name, state.to_nullable().into());
    }
    runs.into_iter()
        .map(|(run_id, tasks)| (run_id.to_string(), Value::Object(tasks)))
        .collect()
}

pub(super) async fn previous(store: &Store, request: GetPreviousTI) -> Outcome {
    let state = request.state.as_deref().map(parse_state).transpose()?;
    let mut reader = stored(store.read().await)?;
    let dag_id = DagId::from(request.dag_id);
    let found = reader
        .find_previous_task_instance(
            &dag_id,
            &TaskId::from(request.task_id),
            map_index(Some(request.map_index)).unwrap_or(MapIndex::UNMAPPED),
            request.logical_date.map(Timestamp::from),
            state,
        )
        .await;
    let Some(ti) = stored(found)? else {
        return Ok(Some(Response::PreviousTIResult(PreviousTIResult {
            task_instance: None,
        })));
    };
    let run = stored(reader.find_dag_run(&dag_id, &ti.run_id).await)?;
    let task_instance = PreviousTIResponse {
        task_id: ti.task_id.to_string(),
        dag_id: ti.dag_id.to_string(),
        run_id: ti.run_id.to_string(),
        logical_date: run.and_then(|run| run.logical_date).map(Into::into),
        start_date: ti.start_date.map(Into::into),
        end_date: ti.end_date.map(Into::into),
        state: ti.state.to_nullable().map(str::to_owned),
        try_number: i64::from(ti.try_number),
        map_index: Some(i64::from(ti.map_index.0)),
        duration: ti.duration_secs,
    };
    Ok(Some(Response::PreviousTIResult(PreviousTIResult {
        task_instance: Some(task_instance),
    })))
}

pub(super) async fn breadcrumbs(store: &Store, request: GetTaskBreadcrumbs) -> Outcome {
    let (dag_id, run_id) = (DagId::from(request.dag_id), RunId::from(request.run_id));
    let found = stored(store.read().await)?
        .load_breadcrumbs(&dag_id, &run_id)
        .await;
    let breadcrumbs = stored(found)?
        .into_iter()
        .map(|crumb| TaskBreadcrumb {
            task_id: crumb.task_id.to_string(),
            map_index: Some(i64::from(crumb.map_index.0)),
            state: crumb.state.to_nullable().map(str::to_owned),
            operator: Some(crumb.operator),
            duration: crumb.duration_secs,
        })
        .collect();
    Ok(Some(Response::TaskBreadcrumbsResult(
        TaskBreadcrumbsResult { breadcrumbs },
    )))
}

pub(super) async fn reschedule_start_date(
    store: &Store,
    request: GetTaskRescheduleStartDate,
) -> Outcome {
    let id = TaskInstanceId(request.ti_id);
    let found = stored(store.read().await)?.find_first_reschedule(id).await;
    let start_date = stored(found)?.map(Into::into);
    Ok(Some(Response::TaskRescheduleStartDate(
        TaskRescheduleStartDate { start_date },
    )))
}

/// The tasks meant: those named, and those of the group.
async fn task_ids(
    reader: &mut Reader,
    dag_id: &DagId,
    named: Option<Vec<String>>,
    group: Option<String>,
) -> Result<Vec<TaskId>, Failure> {
    let mut ids: Vec<TaskId> = named
        .unwrap_or_default()
        .into_iter()
        .map(TaskId::from)
        .collect();
    if let Some(group) = group {
        let unknown = || {
            let message = format!("task group `{group}` does not exist in Dag `{dag_id}`");
            rejected(404, &message)
        };
        let version = stored(reader.find_latest_version(dag_id).await)?.ok_or_else(unknown)?;
        let text = stored(reader.find_serialized_dag(version.id).await)?.ok_or_else(unknown)?;
        let dag = serde_json::from_str(&text.data)
            .ok()
            .and_then(|raw| SerializedDag::parse(raw).ok());
        let dag = dag.ok_or_else(unknown)?;
        let index = dag.find_group(&group).ok_or_else(unknown)?;
        ids.extend(dag.tasks_in_group(index).map(|task| task.task_id.clone()));
    }
    Ok(ids)
}

fn map_index(given: Option<i64>) -> Option<MapIndex> {
    given
        .and_then(|index| i32::try_from(index).ok())
        .map(MapIndex)
}

pub(super) fn dates(given: Option<Vec<updraft_task_comms::scalar::UtcDateTime>>) -> Vec<Timestamp> {
    given
        .unwrap_or_default()
        .into_iter()
        .map(Timestamp::from)
        .collect()
}

pub(super) fn run_ids(given: Option<Vec<String>>) -> Vec<RunId> {
    given
        .unwrap_or_default()
        .into_iter()
        .map(RunId::from)
        .collect()
}

fn states(given: Option<Vec<String>>) -> Result<Vec<TaskInstanceState>, Failure> {
    given
        .unwrap_or_default()
        .iter()
        .map(|name| parse_state(name))
        .collect()
}

/// `null` asks for rows without a state.
fn parse_state(name: &str) -> Result<TaskInstanceState, Failure> {
    if name == "null" {
        return Ok(TaskInstanceState::NoStatus);
    }
    name.parse()
        .map_err(|error| rejected(422, &format!("{error}")))
}
