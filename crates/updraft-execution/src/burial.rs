//! What becomes of a try whose process ended without saying how.
//!
//! Airflow leaves such a row running until the scheduler finds it, and runs no failure callback for
//! a crash with no tries left. Here the row, its history, the requests for its callbacks and mails
//! and the effects on its run are one transaction, whoever notices first: the worker that saw the
//! child die, or the scheduler that missed its heartbeats.
//!
//! Source: scheduling semantics §7.7.

use jiff::Timestamp;
use tracing::warn;
use updraft_model::dag::Dag;
use updraft_model::dag_run::DagRun;
use updraft_model::serialized::{SerializedDag, Task};
use updraft_model::task_instance::TaskInstance;
use updraft_model::workload::Workload;
use updraft_model::{TaskInstanceId, TaskInstanceState};
use updraft_planning::executor_event::{EventPlan, EventView, ExecutorEvent, plan_executor_event};
use updraft_planning::fail_fast::{Bystander, plan_fail_fast};
use updraft_runtime::Ids;
use updraft_store::{BuriedTry, Error, NewCallbackRequest, NewEventLog, TaskInstanceUpdate, Tx};
use updraft_task_comms::message;

/// Below the callbacks of Dags: those of their tasks.
const TASK_CALLBACK_PRIORITY: i32 = 0;

/// Ends a try that died. `false`: the row had moved on already, and nothing was changed.
pub async fn bury(
    tx: &mut Tx,
    id: TaskInstanceId,
    why: &str,
    ids: &Ids,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(ti) = tx.lock_task_instance(id).await? else {
        return Ok(false);
    };
    let dag = load_dag(tx, &ti).await?;
    let task = dag
        .as_ref()
        .and_then(|dag| dag.find_task(ti.task_id.as_str()));
    let view = EventView {
        state: ti.state,
        try_number: ti.try_number,
        max_tries: ti.max_tries,
        start_date: ti.start_date,
        event_try_number: ti.try_number,
        is_queued_by_other: false,
        is_held_by_executor: false,
        is_resuming: ti.next_method.is_some(),
        task,
        fail_fast: dag.as_ref().is_some_and(|dag| dag.attributes().fail_fast),
    };
    let EventPlan::Mismatch(mismatch) = plan_executor_event(&ExecutorEvent::Failed, &view, now)
    else {
        return Ok(false);
    };
    warn!(dag_id = %ti.dag_id, run_id = %ti.run_id, task_id = %ti.task_id, map_index = %ti.map_index, try_number = ti.try_number, state = %mismatch.state, why, "a task instance died");
    let wanted = WantedCallbacks {
        state: mismatch.state,
        callback: mismatch.callback,
        email: mismatch.email,
    };
    request_callbacks(tx, &ti, task, &wanted, why, now).await?;
    let buried = BuriedTry {
        id,
        from: ti.state,
        state: mismatch.state,
        end_date: mismatch.end_date,
        duration_secs: mismatch.duration.map(|duration| duration.as_secs_f64()),
        successor: mismatch.archive.then(|| TaskInstanceId(ids.uuid())),
    };
    if !tx.bury_try(&buried, now).await? {
        return Ok(false);
    }
    let mut entry = NewEventLog::about(&ti, "state mismatch", now);
    entry.extra = Some(why.to_owned());
    tx.write_event_log(&entry).await?;
    if mismatch.fail_fast
        && let Some(dag) = &dag
    {
        end_others(tx, dag, &ti, now).await?;
    }
    Ok(true)
}

/// Lets a try that was cleared while it ran begin again, now that its process is gone.
pub async fn release_restarting(
    tx: &mut Tx,
    workload: &Workload,
    now: Timestamp,
) -> Result<(), Error> {
    let (dag_id, run_id) = (&workload.dag_id, &workload.run_id);
    let found = tx
        .find_task_instance_of(dag_id, run_id, &workload.task_id, workload.map_index)
        .await?;
    let Some(ti) = found.filter(|ti| ti.state == TaskInstanceState::Restarting) else {
        return Ok(());
    };
    let dag = load_dag(tx, &ti).await?;
    let task = dag
        .as_ref()
        .and_then(|dag| dag.find_task(ti.task_id.as_str()));
    let retries = task.map_or(0, |task| task.retries.count);
    tx.restart_cleared(ti.id, ti.try_number.saturating_add(retries), now)
        .await?;
    Ok(())
}

/// `fail_fast`: a task instance failed, and if its Dag wants it so, everything else in its run
/// ends.
pub async fn fail_fast(tx: &mut Tx, failed: &TaskInstance, now: Timestamp) -> Result<(), Error> {
    let row = tx.find_dag(&failed.dag_id).await?;
    if row.is_some_and(|dag| dag.fail_fast)
        && let Some(dag) = load_dag(tx, failed).await?
    {
        end_others(tx, &dag, failed, now).await?;
    }
    Ok(())
}

pub(crate) async fn end_others(
    tx: &mut Tx,
    dag: &SerializedDag,
    failed: &TaskInstance,
    now: Timestamp,
) -> Result<(), Error> {
    let rows = tx
        .load_slim_task_instances(&failed.dag_id, &failed.run_id)
        .await?;
    let is_teardown = |id: &str| dag.find_task(id).is_some_and(|task| task.is_teardown);
    let others: Vec<Bystander> = rows
        .iter()
        .map(|row| Bystander {
            id: row.id,
            state: row.state,
            is_teardown: is_teardown(row.task_id.as_str()),
        })
        .collect();
    let updates: Vec<TaskInstanceUpdate> = plan_fail_fast(failed.id, &others)
        .into_iter()
        .filter_map(|(id, state)| {
            let row = rows.iter().find(|row| row.id == id)?;
            Some(TaskInstanceUpdate {
                id,
                from: row.state,
                map_index: row.map_index,
                state,
                try_number: row.try_number,
                start_date: row.start_date.or(Some(now)),
                end_date: row.end_date.or(Some(now)),
                duration_secs: row
                    .start_date
                    .map(|start| now.duration_since(start).as_secs_f64()),
                scheduled_dttm: None,
                deferral: None,
            })
        })
        .collect();
    tx.update_task_instances(&updates, now).await?;
    Ok(())
}

async fn load_dag(tx: &mut Tx, ti: &TaskInstance) -> Result<Option<SerializedDag>, Error> {
    let Some(version) = ti.dag_version_id else {
        return Ok(None);
    };
    let stored = tx.find_serialized_dag(version).await?;
    Ok(stored
        .and_then(|stored| serde_json::from_str(&stored.data).ok())
        .and_then(|raw| SerializedDag::parse(raw).ok()))
}

/// What the Dag processor shall do about the end of a try.
pub(crate) struct WantedCallbacks {
    /// `failed` or `up_for_retry`.
    pub(crate) state: TaskInstanceState,
    pub(crate) callback: bool,
    pub(crate) email: bool,
}

/// Requests the callback and the mail that a task has for the end of a try.
pub(crate) async fn request_callbacks(
    tx: &mut Tx,
    ti: &TaskInstance,
    task: Option<&Task>,
    wanted: &WantedCallbacks,
    why: &str,
    now: Timestamp,
) -> Result<(), Error> {
    if !wanted.callback && !wanted.email {
        return Ok(());
    }
    let dag = tx.find_dag(&ti.dag_id).await?;
    let run = tx.find_dag_run(&ti.dag_id, &ti.run_id).await?;
    let (Some(dag), Some(run), Some(child_ti)) = (dag, run, message::TaskInstance::of(ti)) else {
        return Ok(());
    };
    let retries = wanted.state == TaskInstanceState::UpForRetry;
    if wanted.callback {
        let body = message::CallbackRequest::TaskCallbackRequest(message::TaskCallbackRequest {
            filepath: dag.relative_fileloc.clone(),
            bundle_name: dag.bundle_name.to_string(),
            bundle_version: run.bundle_version.clone(),
            msg: Some(why.to_owned()),
            ti: child_ti.clone(),
            task_callback_type: Some(wanted.state.to_string()),
            context_from_server: Some(context_of(&run, ti)),
        });
        tx.request_callback(&request_of(&dag, &run, &body), now)
            .await?;
    }
    let wants_mail = task.is_some_and(|task| {
        if retries {
            task.email_on_retry
        } else {
            task.email_on_failure
        }
    });
    if wanted.email && wants_mail {
        let body = message::CallbackRequest::EmailRequest(message::EmailRequest {
            filepath: dag.relative_fileloc.clone(),
            bundle_name: dag.bundle_name.to_string(),
            bundle_version: run.bundle_version.clone(),
            msg: Some(why.to_owned()),
            ti: child_ti,
            email_type: if retries {
                message::EmailType::Retry
            } else {
                message::EmailType::Failure
            },
            context_from_server: context_of(&run, ti),
        });
        tx.request_callback(&request_of(&dag, &run, &body), now)
            .await?;
    }
    Ok(())
}

fn request_of(dag: &Dag, run: &DagRun, body: &message::CallbackRequest) -> NewCallbackRequest {
    NewCallbackRequest {
        priority_weight: TASK_CALLBACK_PRIORITY,
        bundle_name: dag.bundle_name.clone(),
        bundle_version: run.bundle_version.clone(),
        filepath: dag.relative_fileloc.clone(),
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        body: serde_json::to_value(body).expect("texts, numbers and dates have a JSON form"),
    }
}

fn context_of(run: &DagRun, ti: &TaskInstance) -> message::TIRunContext {
    message::TIRunContext {
        dag_run: message::DagRun::from(run),
        task_reschedule_count: 0,
        max_tries: i64::from(ti.max_tries),
        variables: Vec::new(),
        connections: Vec::new(),
        next_method: None,
        next_kwargs: None,
        xcom_keys_to_clear: Vec::new(),
        should_retry: false,
        start_date: ti.start_date.map(Into::into),
    }
}
