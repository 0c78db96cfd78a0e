//! Whether a run is planned at the moment at all.
//!
//! Source: §0.4.

use jiff::Timestamp;
use updraft_model::DagRunState;

use crate::Because;

/// What decides about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookView {
    pub state: DagRunState,
    /// The Dag processor no longer finds the Dag.
    pub dag_is_stale: bool,
    pub run_after: Timestamp,
    pub logical_date: Option<Timestamp>,
}

/// What a look at a run is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is queued: it may start, see [`crate::run_start`].
    Start,
    /// It is running, see [`crate::run`].
    Plan,
    /// It is over.
    Ended,
    /// It is running, and left alone.
    Rest(Because),
}

/// Says what to do with a run.
#[must_use]
pub fn look(view: &LookView, now: Timestamp) -> Look {
    match view.state {
        DagRunState::Queued => return Look::Start,
        DagRunState::Success | DagRunState::Failed => return Look::Ended,
        DagRunState::Running => {}
    }
    if view.dag_is_stale {
        return Look::Rest(Because::DagStale);
    }
    if view.run_after > now {
        return Look::Rest(Because::RunNotDue(view.run_after));
    }
    match view.logical_date.filter(|date| *date > now) {
        Some(date) => Look::Rest(Because::LogicalDateAhead(date)),
        None => Look::Plan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{NOW, instant};

    #[test]
    fn a_running_run_is_planned_once_its_time_has_come() {
        let now = instant(NOW);
        let later = instant("2026-03-01T12:00:01Z");
        let due = LookView {
            state: DagRunState::Running,
            dag_is_stale: false,
            run_after: now,
            logical_date: Some(now),
        };
        assert_eq!(look(&due, now), Look::Plan);
        let cases = [
            (
                LookView {
                    state: DagRunState::Queued,
                    ..due
                },
                Look::Start,
            ),
            (
                LookView {
                    state: DagRunState::Failed,
                    ..due
                },
                Look::Ended,
            ),
            (
                LookView {
                    dag_is_stale: true,
                    ..due
                },
                Look::Rest(Because::DagStale),
            ),
            (
                LookView {
                    run_after: later,
                    ..due
                },
                Look::Rest(Because::RunNotDue(later)),
            ),
            (
                LookView {
                    logical_date: Some(later),
                    ..due
                },
                Look::Rest(Because::LogicalDateAhead(later)),
            ),
            (
                LookView {
                    logical_date: None,
                    ..due
                },
                Look::Plan,
            ),
        ];
        for (view, expected) in cases {
            assert_eq!(look(&view, now), expected, "{view:?}");
        }
    }
}
