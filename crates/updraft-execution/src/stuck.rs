//! Tries that were queued long ago and that nobody has started.
//!
//! Airflow fails such a try after a few attempts, whatever retries it has left. Here it is a try
//! like any other: what retries are left are used.
//!
//! Source: scheduling semantics §5.6.

use jiff::Timestamp;
use tracing::warn;
use updraft_model::{JobId, TaskInstanceId, TaskInstanceState};
use updraft_runtime::Ids;
use updraft_store::{Error, NewEventLog, Tx};

use crate::burial::{Death, bury};

const REQUEUED: &str = "stuck in queued reschedule";
const GIVEN_UP: &str = "stuck in queued tries exceeded";

/// When a try is stuck, and what is done about it.
#[derive(Clone, Copy, Debug)]
pub struct StuckRules {
    /// The scheduler that answers for the try.
    pub job_id: JobId,
    /// A try that was queued before this moment is stuck.
    pub queued_before: Timestamp,
    /// So often a try is queued again before it ends.
    pub requeues_max: i64,
}

/// What became of a stuck try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstuck {
    /// It was not stuck any more.
    MovedOn,
    /// It will be queued again, as the same try.
    Requeued,
    /// It was queued often enough; the row says that it failed, or that it will be retried.
    GivenUp,
}

/// Gets a stuck try going again, or ends it.
pub async fn free_stuck(
    tx: &mut Tx,
    id: TaskInstanceId,
    rules: &StuckRules,
    ids: &Ids,
    now: Timestamp,
) -> Result<Unstuck, Error> {
    let found = tx.lock_task_instance(id).await?;
    let stuck = found.filter(|ti| {
        ti.state == TaskInstanceState::Queued
            && ti.queued_by_job_id == Some(rules.job_id)
            && ti.queued_dttm.is_some_and(|at| at < rules.queued_before)
    });
    let Some(ti) = stuck else {
        return Ok(Unstuck::MovedOn);
    };
    let requeues = tx.count_log_events(&ti, REQUEUED).await?;
    if requeues >= rules.requeues_max {
        let why = format!(
            "Task was requeued more than {} times and will be failed.",
            rules.requeues_max
        );
        let death = Death {
            event: GIVEN_UP,
            why: &why,
        };
        bury(tx, id, death, ids, now).await?;
        return Ok(Unstuck::GivenUp);
    }
    warn!(dag_id = %ti.dag_id, run_id = %ti.run_id, task_id = %ti.task_id, map_index = %ti.map_index, try_number = ti.try_number, requeues, "a task instance is stuck in queued; it is queued again");
    tx.requeue_stuck(id, now).await?;
    let mut entry = NewEventLog::about(&ti, REQUEUED, now);
    entry.extra = Some(format!(
        "Task was in queued state since before {}; task state will be set back to scheduled.",
        rules.queued_before
    ));
    tx.write_event_log(&entry).await?;
    Ok(Unstuck::Requeued)
}
