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
use updraft_model::{TaskInstanceId, TaskInstanceState};
use updraft_planning::executor_event::{ExecutorEvent, Mismatch};
use updraft_planning::fail_fast::{Bystander, plan_fail_fast};
use updraft_runtime::Ids;
use updraft_store::{BuriedTry, Error, NewCallbackRequest, NewEventLog, TaskInstanceUpdate, Tx};
use updraft_task_comms::message;

use crate::executor_event::{Report, Reported, settle};

/// Below the callbacks of Dags: those of their tasks.
const TASK_CALLBACK_PRIORITY: i32 = 0;

/// How a try was found dead.
#[derive(Clone, Copy, Debug)]
pub struct Death<'a> {
    /// What the audit log calls it.
    pub event: &'static str,
    pub why: &'a str,
}

/// Ends a try that died. `false`: the row had moved on already, and nothing was changed.
pub async fn bury(
    tx: &mut Tx,
    id: TaskInstanceId,
    death: Death<'_>,
    ids: &Ids,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(ti) = tx.lock_task_instance(id).await? else {
        return Ok(false);
    };
    let report = Report {
        event: ExecutorEvent::Failed,
        try_number: ti.try_number,
        job_id: None,
        is_held_by_executor: false,
        death,
    };
    let settled = settle(tx, &ti, &report, ids, now).await?;
    Ok(matches!(settled, Reported::Buried(_)))
}

/// Ends a try that has not been heard of since a moment. `false`: it has, or has moved on.
pub async fn bury_silent(
    tx: &mut Tx,
    id: TaskInstanceId,
    since: Timestamp,
    ids: &Ids,
    now: Timestamp,
) -> Result<bool, Error> {
    let found = tx.lock_task_instance(id).await?;
    let runs = found.filter(|ti| {
        matches!(
            ti.state,
            TaskInstanceState::Running | TaskInstanceState::Restarting
        )
    });
    let last = runs.and_then(|ti| ti.last_heartbeat_at);
    let Some(last) = last.filter(|last| *last < since) else {
        return Ok(false);
    };
    let death = Death {
        event: "heartbeat timeout",
        why: &format!("no heartbeat since {last}"),
    };
    bury(tx, id, death, ids, now).await
}

/// Writes down how a dead try ended, with all that follows from it.
pub(crate) async fn write_death(
    tx: &mut Tx,
    ti: &TaskInstance,
    grave: Grave<'_>,
    ids: &Ids,
    now: Timestamp,
) -> Result<bool, Error> {
    let Grave {
        dag,
        mismatch,
        death: Death { event, why },
    } = grave;
    let task = dag.and_then(|dag| dag.find_task(ti.task_id.as_str()));
    warn!(dag_id = %ti.dag_id, run_id = %ti.run_id, task_id = %ti.task_id, map_index = %ti.map_index, try_number = ti.try_number, state = %mismatch.state, why, "a task instance died");
    let buried = BuriedTry {
        id: ti.id,
        from: ti.state,
        state: mismatch.state,
        end_date: mismatch.end_date,
        duration_secs: mismatch.duration.map(|duration| duration.as_secs_f64()),
        successor: mismatch.archive.then(|| TaskInstanceId(ids.uuid())),
    };
    if !tx.bury_try(&buried, now).await? {
        return Ok(false);
    }
    let wanted = WantedCallbacks {
        state: mismatch.state,
        callback: mismatch.callback,
        email: mismatch.email,
    };
    request_callbacks(tx, ti, task, &wanted, why, now).await?;
    let mut entry = NewEventLog::about(ti, event, now);
    entry.extra = Some(why.to_owned());
    tx.write_event_log(&entry).await?;
    tx.write_event_log(&NewEventLog::about(ti, "failed", now))
        .await?;
    if mismatch.fail_fast
        && let Some(dag) = dag
    {
        end_others(tx, dag, ti, now).await?;
    }
    Ok(true)
}

/// What is known of a dead try.
pub(crate) struct Grave<'a> {
    pub dag: Option<&'a SerializedDag>,
    pub mismatch: &'a Mismatch,
    pub death: Death<'a>,
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

pub(crate) async fn load_dag(
    tx: &mut Tx,
    ti: &TaskInstance,
) -> Result<Option<SerializedDag>, Error> {
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
