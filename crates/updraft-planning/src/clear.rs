//! Clearing: a task instance is to run again, whatever became of it.
//!
//! [`selection`] says which tasks are cleared together, [`crate::run::relatives`] which instances
//! of mapped tasks are.
//!
//! Source: §1.5.

pub mod selection;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use updraft_model::{DagRunState, TaskInstanceState};

use crate::run_state::RunTimes;

/// What clearing does to a run that had finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAfterClear {
    /// It is queued again.
    Queued,
    /// It runs again at once.
    Running,
    /// It is left alone, and so is its clear number.
    Untouched,
}

/// What happens to instances that run at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunningInstances {
    /// They are stopped and start again.
    Restart,
    /// Nothing is cleared while there is one.
    Refuse,
}

/// An instance to clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearView {
    pub state: TaskInstanceState,
    pub try_number: i32,
    pub max_tries: i32,
    pub end_date: Option<Timestamp>,
    /// Retries of the task in the chosen version of the Dag; `None` when it lacks the task.
    pub task_retries: Option<i32>,
}

/// A running instance stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task instance is running; stop it first, or allow running tasks to be cleared")]
pub struct StillRunning;

/// What becomes of a cleared instance. It gets a new id in any case, its `task_reschedule` rows go,
/// and start date, end date, duration and `queued_by_job_id` stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearedInstance {
    /// The try that ends here, under the old id; not written when there is one for this try.
    pub history: ClearedTry,
    pub state: TaskInstanceState,
    pub max_tries: i32,
    /// Whether pool, queue, weight and executor are taken from the task again, and the executor's
    /// id and `next_method` are dropped. Not for one that is being stopped.
    pub is_reset: bool,
}

/// A row of `task_instance_history`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearedTry {
    pub state: TaskInstanceState,
    pub end_date: Option<Timestamp>,
}

/// What becomes of the run of a cleared instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearedRun {
    pub state: DagRunState,
    pub times: RunTimes,
    pub clear_number: i64,
    /// Its next pass comes before those of runs that were looked at already.
    pub forget_last_scheduling_decision: bool,
}

/// Clears one instance.
///
/// # Errors
/// [`StillRunning`], when running instances are not to be touched.
pub fn plan_clear_instance(
    view: &ClearView,
    running: RunningInstances,
    now: Timestamp,
) -> Result<ClearedInstance, StillRunning> {
    let is_running = view.state == TaskInstanceState::Running;
    if is_running && running == RunningInstances::Refuse {
        return Err(StillRunning);
    }
    let history = if view.state.is_finished() {
        ClearedTry {
            state: view.state,
            end_date: view.end_date,
        }
    } else {
        ClearedTry {
            state: TaskInstanceState::Failed,
            end_date: view.end_date.or(Some(now)),
        }
    };
    if is_running {
        return Ok(ClearedInstance {
            history,
            state: TaskInstanceState::Restarting,
            max_tries: view.max_tries,
            is_reset: false,
        });
    }
    Ok(ClearedInstance {
        history,
        state: TaskInstanceState::NoStatus,
        max_tries: match view.task_retries {
            Some(retries) => view.try_number.saturating_add(retries),
            None => view.max_tries.max(view.try_number),
        },
        is_reset: true,
    })
}

/// The run of cleared instances; `None` when it is left alone.
#[must_use]
pub fn plan_clear_run(
    state: DagRunState,
    times: RunTimes,
    clear_number: i64,
    after: RunAfterClear,
    now: Timestamp,
) -> Option<ClearedRun> {
    let wanted = match after {
        RunAfterClear::Queued => DagRunState::Queued,
        RunAfterClear::Running => DagRunState::Running,
        RunAfterClear::Untouched => return None,
    };
    let starts_over = state.is_finished();
    let (state, times) = if starts_over {
        (wanted, times.after(Some(state), wanted, now))
    } else {
        (state, times)
    };
    Some(ClearedRun {
        state,
        times: RunTimes {
            // Also while it keeps running: deadlines count from here.
            queued_at: Some(now),
            ..times
        },
        clear_number: clear_number + 1,
        forget_last_scheduling_decision: starts_over && state == DagRunState::Queued,
    })
}
