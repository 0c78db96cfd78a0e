//! What it means that an executor's process for a task instance has ended.
//!
//! Only the task itself says that it succeeded; a process that ended while its instance still
//! looks alive is a failure, whatever its exit status.
//!
//! Source: §7.7.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use updraft_model::TaskInstanceState;
use updraft_model::serialized::Task;

use crate::retry;

/// What an executor reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutorEvent {
    /// The workload was accepted or started, under this name.
    Underway {
        external_executor_id: Option<String>,
    },
    /// The process ended well.
    Succeeded,
    /// The process ended badly, or never started.
    Failed,
}

/// The instance at the moment of the event.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    pub state: TaskInstanceState,
    pub try_number: i32,
    pub max_tries: i32,
    pub start_date: Option<Timestamp>,
    /// The try that the event is about.
    pub event_try_number: i32,
    /// Another scheduler has queued the instance since.
    pub is_queued_by_other: bool,
    /// The executor has a workload for it again.
    pub is_held_by_executor: bool,
    /// It resumes somewhere: `next_method` is set.
    pub is_resuming: bool,
    /// `None` when the Dag, or the task in it, cannot be found.
    pub task: Option<&'a Task>,
    /// Of the Dag.
    pub fail_fast: bool,
}

/// What follows from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventPlan {
    /// Store the executor's name for the workload.
    Name(Option<String>),
    /// Nothing: the instance has moved on.
    Ignore,
    /// A cleared instance has stopped, and may start again.
    Restart { max_tries: i32 },
    /// The instance is dead without having said so.
    Mismatch(Mismatch),
}

/// How a dead instance is buried. `next_method` and `next_kwargs` are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Failed or up_for_retry.
    pub state: TaskInstanceState,
    pub end_date: Timestamp,
    pub duration: Option<SignedDuration>,
    /// The try goes to the history, and the instance gets a new id.
    pub archive: bool,
    /// Request the task's callback for this outcome.
    pub callback: bool,
    /// Request a mail about this outcome.
    pub email: bool,
    /// End everything else in the run.
    pub fail_fast: bool,
}

/// Decides what an event means.
#[must_use]
pub fn plan_executor_event(
    event: &ExecutorEvent,
    view: &EventView<'_>,
    now: Timestamp,
) -> EventPlan {
    use TaskInstanceState as S;
    if let ExecutorEvent::Underway {
        external_executor_id,
    } = event
    {
        return EventPlan::Name(external_executor_id.clone());
    }
    let looks_alive = view.try_number == view.event_try_number
        && matches!(
            view.state,
            S::Scheduled | S::Queued | S::Running | S::Restarting
        );
    // A deferral ends the process too; its trigger may have put the instance back before we heard.
    let has_resumed =
        view.state == S::Scheduled && *event == ExecutorEvent::Succeeded && view.is_resuming;
    if !looks_alive || view.is_queued_by_other || view.is_held_by_executor || has_resumed {
        return EventPlan::Ignore;
    }
    if view.state == S::Restarting && *event == ExecutorEvent::Succeeded {
        let retries = view.task.map_or(0, |task| task.retries.count);
        return EventPlan::Restart {
            max_tries: view.try_number.saturating_add(retries),
        };
    }
    EventPlan::Mismatch(bury(view, now))
}

fn bury(view: &EventView<'_>, now: Timestamp) -> Mismatch {
    use TaskInstanceState as S;
    let duration = view.start_date.map(|start| now.duration_since(start));
    let Some(task) = view.task else {
        // Airflow takes over the event's state here, even a success. Nothing shows that the task
        // did its work, so we call it failed.
        return Mismatch {
            state: S::Failed,
            end_date: now,
            duration,
            archive: false,
            callback: false,
            email: false,
            fail_fast: false,
        };
    };
    let retries = retry::is_eligible(
        view.state,
        task.retries.count,
        view.try_number,
        view.max_tries,
    );
    Mismatch {
        state: if retries { S::UpForRetry } else { S::Failed },
        end_date: now,
        duration,
        archive: retries && view.state == S::Running,
        callback: task.callbacks.on_retry || task.callbacks.on_failure,
        email: !task.email.is_empty() && (task.email_on_failure || task.email_on_retry),
        fail_fast: !retries && view.fail_fast,
    }
}
