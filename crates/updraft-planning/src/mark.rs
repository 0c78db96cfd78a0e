//! Marking: a user says what became of a task instance or of a run.
//!
//! Source: §1.6.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use updraft_model::{DagRunState, TaskInstanceId, TaskInstanceState};

/// An instance as far as marking it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkView {
    pub id: TaskInstanceId,
    pub state: TaskInstanceState,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub is_teardown: bool,
}

/// A marked instance. Its id stays: a worker learns from its heartbeat that it must stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkedInstance {
    pub id: TaskInstanceId,
    pub from: TaskInstanceState,
    pub to: TaskInstanceState,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub duration: Option<SignedDuration>,
}

/// A marked run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkedRun {
    pub instances: Vec<MarkedInstance>,
    /// `None` while teardowns are left: they run first, and the run ends by itself.
    pub state: Option<DagRunState>,
}

/// How a user lets a run end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunVerdict {
    Success,
    Failed,
}

/// Gives an instance a state; `None` when it has it already.
#[must_use]
pub fn plan_mark_instance(
    view: &MarkView,
    state: TaskInstanceState,
    now: Timestamp,
) -> Option<MarkedInstance> {
    if view.state == state {
        return None;
    }
    let start_date = view.start_date.unwrap_or(now);
    let end_date = if state.is_finished() {
        Some(view.end_date.unwrap_or(now))
    } else {
        view.end_date
    };
    Some(MarkedInstance {
        id: view.id,
        from: view.state,
        to: state,
        start_date: Some(start_date),
        end_date,
        duration: end_date.map(|end| end.duration_since(start_date)),
    })
}

/// Ends a run: what runs gets the verdict, what waits is skipped, teardowns still do their work.
#[must_use]
pub fn plan_mark_run(rows: &[MarkView], verdict: RunVerdict, now: Timestamp) -> MarkedRun {
    use TaskInstanceState as S;
    let (state, run_state) = match verdict {
        RunVerdict::Success => (S::Success, DagRunState::Success),
        RunVerdict::Failed => (S::Failed, DagRunState::Failed),
    };
    let unfinished = || rows.iter().filter(|row| !row.state.is_finished());
    let instances = unfinished()
        .filter(|row| !row.is_teardown)
        .filter_map(|row| {
            let is_under_way = matches!(
                row.state,
                S::Running | S::Deferred | S::UpForReschedule | S::AwaitingInput
            );
            plan_mark_instance(row, if is_under_way { state } else { S::Skipped }, now)
        });
    MarkedRun {
        instances: instances.collect(),
        state: (!unfinished().any(|row| row.is_teardown)).then_some(run_state),
    }
}
