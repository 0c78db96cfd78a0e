use uuid::Uuid;

use super::*;
use crate::scenario::{NOW, instant};
use TaskInstanceState as S;

fn row(number: u128, state: S) -> MarkView {
    MarkView {
        id: TaskInstanceId(Uuid::from_u128(number)),
        state,
        start_date: Some(instant("2026-03-01T11:59:00Z")),
        end_date: None,
        is_teardown: false,
    }
}

fn states(marked: &MarkedRun) -> Vec<(u128, S)> {
    let states = marked.instances.iter();
    states
        .map(|marked| (marked.id.0.as_u128(), marked.to))
        .collect()
}

#[test]
fn what_runs_gets_the_verdict_and_what_waits_is_skipped() {
    let rows = [
        row(1, S::Running),
        row(2, S::Deferred),
        row(3, S::Queued),
        row(4, S::NoStatus),
        row(5, S::Failed),
    ];
    let marked = plan_mark_run(&rows, RunVerdict::Success, instant(NOW));
    let expected = [
        (1, S::Success),
        (2, S::Success),
        (3, S::Skipped),
        (4, S::Skipped),
    ];
    assert_eq!(states(&marked), expected);
    assert_eq!(marked.state, Some(DagRunState::Success));
    assert_eq!(
        marked.instances[0].duration,
        Some(SignedDuration::from_mins(1))
    );
}

#[test]
fn teardowns_run_before_a_marked_run_ends() {
    let teardown = MarkView {
        is_teardown: true,
        ..row(2, S::NoStatus)
    };
    let rows = [row(1, S::Running), teardown.clone()];
    let marked = plan_mark_run(&rows, RunVerdict::Failed, instant(NOW));
    assert_eq!(states(&marked), [(1, S::Failed)]);
    assert_eq!(marked.state, None);

    let done = MarkView {
        state: S::Success,
        ..teardown
    };
    let marked = plan_mark_run(&[done], RunVerdict::Failed, instant(NOW));
    assert_eq!(marked.state, Some(DagRunState::Failed));
}

#[test]
fn marking_with_the_same_state_changes_nothing() {
    assert_eq!(
        plan_mark_instance(&row(1, S::Success), S::Success, instant(NOW)),
        None
    );
}
