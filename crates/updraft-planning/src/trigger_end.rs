//! How a task instance ends that its trigger ends, without a worker.
//!
//! Source: §7.4.

use jiff::{SignedDuration, Timestamp};
use updraft_model::TaskInstanceState;
use updraft_model::serialized::Task;

use crate::retry;

/// How a trigger may end its task instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndEvent {
    Success,
    Skipped,
    Failed,
}

/// The deferred instance at the moment of the event.
#[derive(Clone, Copy, Debug)]
pub struct EndView<'a> {
    pub try_number: i32,
    pub max_tries: i32,
    pub start_date: Option<Timestamp>,
    /// `None` when the Dag, or the task in it, cannot be found.
    pub task: Option<&'a Task>,
    /// Of the Dag.
    pub fail_fast: bool,
}

/// What follows from the event. `next_method` and `next_kwargs` are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerEnd {
    /// Success, skipped, failed or up_for_retry.
    pub state: TaskInstanceState,
    pub end_date: Timestamp,
    pub duration: Option<SignedDuration>,
    /// The try goes to the history, and the instance gets a new id.
    pub archive: bool,
    /// The XComs that came with the event are stored.
    pub stores_xcoms: bool,
    /// Request the task's callback for this outcome.
    pub callback: bool,
    /// End everything else in the run.
    pub fail_fast: bool,
}

/// Decides how the task instance ends.
#[must_use]
pub fn plan_trigger_end(event: EndEvent, view: &EndView<'_>, now: Timestamp) -> TriggerEnd {
    use TaskInstanceState as S;
    let retries = view.task.is_some_and(|task| {
        let count = task.retries.count;
        retry::is_eligible(S::Deferred, count, view.try_number, view.max_tries)
    });
    let state = match event {
        EndEvent::Success => S::Success,
        EndEvent::Skipped => S::Skipped,
        EndEvent::Failed if retries => S::UpForRetry,
        EndEvent::Failed => S::Failed,
    };
    // Only these two run in the Dag processor; it ignores any other.
    let callback = view.task.is_some_and(|task| match state {
        S::Failed => task.callbacks.on_failure,
        S::UpForRetry => task.callbacks.on_retry,
        _ => false,
    });
    TriggerEnd {
        state,
        end_date: now,
        duration: view.start_date.map(|start| now.duration_since(start)),
        archive: state == S::UpForRetry,
        stores_xcoms: state != S::UpForRetry,
        callback,
        fail_fast: state == S::Failed && view.fail_fast,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use updraft_model::TaskInstanceState as S;

    use super::{EndEvent, EndView, plan_trigger_end};
    use crate::scenario::dag;

    fn end(event: EndEvent, retries: &str, try_number: i32) -> super::TriggerEnd {
        let dag = dag(&format!("t: {retries}"));
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let view = EndView {
            try_number,
            max_tries: 1,
            start_date: Some("2026-03-01T11:59:00Z".parse().unwrap()),
            task: dag.find_task("t"),
            fail_fast: true,
        };
        plan_trigger_end(event, &view, now)
    }

    #[test]
    fn a_failure_is_tried_again_while_tries_are_left() {
        let first = end(EndEvent::Failed, "retries=1", 1);
        assert_eq!((first.state, first.archive), (S::UpForRetry, true));
        assert!(!first.stores_xcoms && !first.fail_fast);
        let last = end(EndEvent::Failed, "retries=1", 2);
        assert_eq!((last.state, last.archive), (S::Failed, false));
        assert!(last.stores_xcoms && last.fail_fast);
        assert_eq!(end(EndEvent::Failed, "retries=0", 1).state, S::Failed);
    }

    #[test]
    fn success_and_skip_are_final_whatever_the_tries() {
        for (event, state) in [
            (EndEvent::Success, S::Success),
            (EndEvent::Skipped, S::Skipped),
        ] {
            let end = end(event, "retries=1", 1);
            assert_eq!(end.state, state);
            assert_eq!(end.duration.unwrap().as_secs(), 60);
            assert!(end.stores_xcoms && !end.archive && !end.callback && !end.fail_fast);
        }
    }
}
