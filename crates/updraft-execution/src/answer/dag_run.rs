//! Dags and Dag runs: questions, and the `TriggerDagRun` operator.

use jiff::Timestamp;
use serde_json::Value;
use tracing::info;
use updraft_dag_run::{Context, InferFrom, Refusal, RunRequest, plan_dag_run};
use updraft_model::serialized::SerializedDag;
use updraft_model::{DagId, DagRunState, DagRunTriggeredBy, DagRunType, RunId, TaskInstanceId};
use updraft_planning::clear::{RunAfterClear, RunningInstances};
use updraft_store::{DagRunQuery, Reader, RunCreation, RunKey, StartedTaskInstance, Store, Tx};
use updraft_task_comms::message::{
    DRCount, DagResult, DagRun, DagRunStateResult, ErrorType, GetDRCount, GetDag, GetDagRun,
    GetDagRunState, GetPrevSuccessfulDagRun, GetPreviousDagRun, PrevSuccessfulDagRunResult,
    PreviousDagRunResult, Response, TriggerDagRun,
};
use updraft_task_comms::session::Failure;

use super::task_instance::{dates, run_ids};
use super::{AnswerOptions, Outcome, TaskAsker, stored};
use crate::PythonSide;
use crate::clearing::{ClearOrder, Clearing};
use crate::failure::rejected;

/// Random characters in the ids of runs that may share an instant.
const RANDOM_CHARS: usize = 8;

pub(super) async fn dag(store: &Store, request: GetDag) -> Outcome {
    let dag_id = DagId::from(request.dag_id);
    let found = stored(store.read().await)?.find_dag(&dag_id).await;
    let dag = stored(found)?.ok_or_else(|| no_dag(&dag_id))?;
    Ok(Some(Response::DagResult(DagResult {
        dag_id: dag.dag_id.to_string(),
        is_paused: dag.is_paused,
        bundle_name: Some(dag.bundle_name.to_string()),
        bundle_version: dag.bundle_version,
        relative_fileloc: Some(dag.relative_fileloc),
        owners: Some(dag.owners),
        tags: dag.tags,
        next_dagrun: dag.next_dagrun.logical_date.map(Into::into),
    })))
}

pub(super) async fn get(store: &Store, request: GetDagRun) -> Outcome {
    let run = require_run(store, request.dag_id, request.run_id).await?;
    Ok(Some(Response::DagRunResult(Box::new(run))))
}

pub(super) async fn state(store: &Store, request: GetDagRunState) -> Outcome {
    let run = require_run(store, request.dag_id, request.run_id).await?;
    Ok(Some(Response::DagRunStateResult(DagRunStateResult {
        state: run.state,
    })))
}

async fn require_run(store: &Store, dag_id: String, run_id: String) -> Result<DagRun, Failure> {
    let (dag_id, run_id) = (DagId::from(dag_id), RunId::from(run_id));
    let found = stored(store.read().await)?
        .find_dag_run(&dag_id, &run_id)
        .await;
    stored(found)?.as_ref().map(DagRun::from).ok_or_else(|| {
        rejected(
            404,
            &format!("Dag run `{run_id}` of `{dag_id}` does not exist"),
        )
    })
}

pub(super) async fn previous(store: &Store, request: GetPreviousDagRun) -> Outcome {
    let state = request.state.as_deref().map(parse_state).transpose()?;
    let before = Timestamp::from(request.logical_date);
    let mut reader = stored(store.read().await)?;
    let dag_id = DagId::from(request.dag_id);
    let found = stored(
        reader
            .find_previous_run_in_state(&dag_id, before, state)
            .await,
    )?;
    let dag_run = found.as_ref().map(|run| Box::new(DagRun::from(run)));
    Ok(Some(Response::PreviousDagRunResult(PreviousDagRunResult {
        dag_run,
    })))
}

pub(super) async fn previous_successful(
    store: &Store,
    request: GetPrevSuccessfulDagRun,
) -> Outcome {
    let id = TaskInstanceId(request.ti_id);
    let found = stored(store.read().await)?
        .find_previous_successful_run(id)
        .await;
    let answer = stored(found)?.map_or_else(PrevSuccessfulDagRunResult::default, |run| {
        PrevSuccessfulDagRunResult {
            data_interval_start: run.data_interval_start.map(Into::into),
            data_interval_end: run.data_interval_end.map(Into::into),
            start_date: run.start_date.map(Into::into),
            end_date: run.end_date.map(Into::into),
        }
    });
    Ok(Some(Response::PrevSuccessfulDagRunResult(answer)))
}

pub(super) async fn count(store: &Store, request: GetDRCount) -> Outcome {
    let names = request.states.unwrap_or_default();
    let query = DagRunQuery {
        logical_dates: dates(request.logical_dates),
        run_ids: run_ids(request.run_ids),
        states: names
            .iter()
            .map(|name| parse_state(name))
            .collect::<Result<_, _>>()?,
    };
    let dag_id = DagId::from(request.dag_id);
    let found = stored(store.read().await)?
        .count_dag_runs(&dag_id, &query)
        .await;
    Ok(Some(Response::DRCount(DRCount {
        count: stored(found)?,
    })))
}

/// Starts a run for a `TriggerDagRun` task.
///
/// Source: scheduling semantics §2.6, runtime protocols §7.3.
pub(super) async fn trigger(store: &Store, asker: &TaskAsker, request: TriggerDagRun) -> Outcome {
    let dag_id = DagId::from(request.dag_id.as_str());
    let mut reader = stored(store.read().await)?;
    let user = stored(reader.find_dag_run(&asker.dag_id, &asker.run_id).await)?
        .and_then(|run| run.triggering_user_name);
    let wants_reset = request.reset_dag_run.unwrap_or_default();
    let run_id = RunId::from(request.run_id.as_str());
    let wanted = RunRequest {
        triggering_user_name: user,
        run_id: Some(request.run_id),
        logical_date: request.logical_date.map(Timestamp::from),
        infer_from: InferFrom::RunAfter,
        run_after: request.run_after.map(Timestamp::from),
        conf: conf(request.conf.as_ref())?,
        note: request.note,
        partition_key: request.partition_key,
        ..RunRequest::new(DagRunType::OperatorTriggered, DagRunTriggeredBy::Operator)
    };
    let wanted = match &asker.options.python {
        Some(python) => {
            let dag = serialized(&mut reader, &dag_id).await?;
            complete(python, wanted, &dag, &asker.options).await?
        }
        None => wanted,
    };
    drop(reader);
    let mut tx = stored(store.write().await)?;
    let exists = stored(tx.find_dag_run(&dag_id, &run_id).await)?.is_some();
    if exists && wants_reset {
        reset(&mut tx, &dag_id, &run_id, &asker.options).await?;
        stored(tx.commit().await)?;
        return Ok(Some(Response::ok()));
    }
    match create(&mut tx, &dag_id, &wanted, &asker.options).await? {
        RunCreation::Created(run) => {
            stored(tx.commit().await)?;
            info!(dag_id = %run.dag_id, run_id = %run.run_id, "a task triggered a Dag run");
            Ok(Some(Response::ok()))
        }
        RunCreation::RunIdTaken | RunCreation::LogicalDateTaken => Ok(Some(Response::error(
            ErrorType::DagRunAlreadyExists,
            &serde_json::json!({ "dag_id": dag_id, "run_id": run_id }),
        ))),
    }
}

/// Asks the user's Python for what only the timetable of the Dag knows.
async fn complete(
    python: &PythonSide,
    wanted: RunRequest,
    dag: &SerializedDag,
    options: &AnswerOptions,
) -> Result<RunRequest, Failure> {
    let now = options.clock.now();
    python
        .plugins()
        .complete_request(wanted, dag, now)
        .await
        .map_err(|error| rejected(400, &error.to_string()))
}

/// Clears the whole run, to be started again.
async fn reset(
    tx: &mut Tx,
    dag_id: &DagId,
    run_id: &RunId,
    options: &AnswerOptions,
) -> Result<(), Failure> {
    let rows = stored(tx.load_task_instances_of_run(dag_id, run_id).await)?;
    let key = RunKey {
        dag_id: dag_id.clone(),
        run_id: run_id.clone(),
    };
    let order = ClearOrder {
        running: RunningInstances::Restart,
        after: RunAfterClear::Queued,
        run_on_latest_version: None,
        rerun_with_latest_version: false,
    };
    let mut clearing = Clearing::new(order, &options.ids);
    stored(clearing.clear(tx, &key, &rows, options.clock.now()).await)?;
    Ok(())
}

async fn create(
    tx: &mut Tx,
    dag_id: &DagId,
    wanted: &RunRequest,
    options: &AnswerOptions,
) -> Result<RunCreation, Failure> {
    let dag = stored(tx.find_dag(dag_id).await)?.ok_or_else(|| no_dag(dag_id))?;
    let version = stored(tx.find_latest_version(dag_id).await)?.ok_or_else(|| no_dag(dag_id))?;
    let serialized = serialized(tx, dag_id).await?;
    let now = options.clock.now();
    let context = Context {
        dag: &dag,
        version: &version,
        serialized: &serialized,
        rules: &options.run_rules,
    };
    let random = options.ids.alphanumeric(RANDOM_CHARS);
    let planned =
        plan_dag_run(wanted, &context, now, &random, || options.ids.uuid()).map_err(refused)?;
    let created = stored(tx.create_dag_run(&planned.run, now).await)?;
    if matches!(created, RunCreation::Created(_)) {
        let rows: Vec<StartedTaskInstance> =
            planned.task_instances.into_iter().map(Into::into).collect();
        stored(tx.create_task_instances(&rows, now).await)?;
    }
    Ok(created)
}

/// The newest structure of a Dag.
async fn serialized(reader: &mut Reader, dag_id: &DagId) -> Result<SerializedDag, Failure> {
    let version = stored(reader.find_latest_version(dag_id).await)?;
    let version = version.ok_or_else(|| no_dag(dag_id))?;
    let text = stored(reader.find_serialized_dag(version.id).await)?;
    let text = text.ok_or_else(|| no_dag(dag_id))?;
    serde_json::from_str(&text.data)
        .map_err(|error| error.to_string())
        .and_then(|raw| SerializedDag::parse(raw).map_err(|error| error.to_string()))
        .map_err(|error| rejected(500, &error))
}

fn conf(
    text: Option<&updraft_task_comms::json::JsonText>,
) -> Result<Option<serde_json::Map<String, Value>>, Failure> {
    let Some(text) = text.filter(|text| !text.is_null()) else {
        return Ok(None);
    };
    match serde_json::from_str(text.as_str()) {
        Ok(Value::Object(conf)) => Ok(Some(conf)),
        Ok(other) => Err(rejected(
            422,
            &format!("conf: expected an object, found `{other}`"),
        )),
        Err(error) => Err(rejected(422, &format!("conf: {error}"))),
    }
}

fn no_dag(dag_id: &DagId) -> Failure {
    rejected(404, &format!("Dag with dag_id: '{dag_id}' not found"))
}

fn refused(refusal: Refusal) -> Failure {
    let status = match refusal {
        Refusal::Stale(_) => 404,
        Refusal::ImportErrors(_)
        | Refusal::RunType { .. }
        | Refusal::RunId(_)
        | Refusal::Params(_)
        | Refusal::PartitionKey(_)
        | Refusal::IntervalWithoutDate
        | Refusal::Timetable(_) => 400,
    };
    rejected(status, &refusal.to_string())
}

fn parse_state(name: &str) -> Result<DagRunState, Failure> {
    name.parse()
        .map_err(|error| rejected(422, &format!("{error}")))
}
