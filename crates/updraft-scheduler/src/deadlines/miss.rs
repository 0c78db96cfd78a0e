//! A deadline passes and its run has not succeeded: its callback is for the triggerer or an
//! executor.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::info;
use updraft_execution::dag_run_responses;
use updraft_model::callback::{CallbackState, CallbackType};
use updraft_rest_api::dag_run::DagRunResponse;
use updraft_store::{DueDeadline, NewCallbackTrigger, Tx};
use updraft_task_comms::json::serde_datetime;
use updraft_task_comms::scalar::UtcDateTime;

use super::{LIMITS_PER_STEP, is_page};
use crate::Error;
use crate::scheduler::Scheduler;

impl Scheduler {
    /// Misses a page of deadlines. Whether there may be more.
    pub(super) async fn miss_deadlines(&mut self, now: Timestamp) -> Result<bool, Error> {
        let mut tx = self.store.write().await?;
        let due = tx.lock_due_deadlines(now, LIMITS_PER_STEP).await?;
        let runs: Vec<_> = due.iter().map(|each| each.run.clone()).collect();
        let responses = dag_run_responses(&mut tx, &runs).await?;
        for (each, run) in due.iter().zip(&responses) {
            miss(&mut tx, each, run, now).await?;
            let (dag_id, run_id) = (&each.run.dag_id, &each.run.run_id);
            info!(%dag_id, %run_id, deadline_id = %each.deadline.id, callback_id = %each.callback.id, "a run missed its deadline");
        }
        tx.commit().await?;
        Ok(is_page(due.len()))
    }
}

async fn miss(
    tx: &mut Tx,
    due: &DueDeadline,
    run: &DagRunResponse,
    now: Timestamp,
) -> Result<(), Error> {
    let mut data = due.callback.data.clone();
    let mut kwargs = match data.remove("kwargs") {
        Some(Value::Object(kwargs)) => kwargs,
        _ => Map::new(),
    };
    kwargs.insert("context".to_owned(), context_of(due, run));
    let state = match due.callback.runs_in {
        CallbackType::Executor => {
            data.insert("deadline_id".to_owned(), due.deadline.id.to_string().into());
            data.insert("dag_run_id".to_owned(), due.run.id.to_string().into());
            data.insert("dag_id".to_owned(), due.run.dag_id.as_str().into());
            CallbackState::Pending
        }
        CallbackType::Triggerer => {
            let arguments = json!({"callback_path": data.get("path"), "callback_kwargs": kwargs});
            let trigger = NewCallbackTrigger {
                callback_id: due.callback.id,
                kwargs: &arguments.to_string(),
                priority_weight: due.callback.priority_weight.into(),
            };
            tx.create_callback_trigger(&trigger, now).await?;
            CallbackState::Queued
        }
    };
    data.insert("kwargs".to_owned(), kwargs.into());
    Ok(tx.miss_deadline(due, &data.into(), state, now).await?)
}

/// What the callback learns of the deadline, in Airflow's serde form.
///
/// Source: runtime protocols §6.1.
fn context_of(due: &DueDeadline, run: &DagRunResponse) -> Value {
    let time = due.deadline.deadline_time.map(|at| {
        let time = serde_datetime(UtcDateTime(at));
        serde_json::from_str::<Value>(time.as_str()).expect("an instant is JSON")
    });
    json!({
        "dag_run": serde_json::to_value(run).expect("texts, numbers and dates have a JSON form"),
        "deadline": {"id": due.deadline.id.to_string(), "deadline_time": time},
    })
}
