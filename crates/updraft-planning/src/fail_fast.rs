//! `fail_fast`: the first failure ends everything else in the run.
//!
//! Source: §4.9.

use updraft_model::{TaskInstanceId, TaskInstanceState};

/// Another instance of the run in which one has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bystander {
    pub id: TaskInstanceId,
    pub state: TaskInstanceState,
    pub is_teardown: bool,
}

/// The state that each of the others gets, if any. To be called when an instance becomes `failed`
/// and its Dag fails fast.
#[must_use]
pub fn plan_fail_fast(
    failed: TaskInstanceId,
    run: &[Bystander],
) -> Vec<(TaskInstanceId, TaskInstanceState)> {
    use TaskInstanceState as S;
    run.iter()
        .filter(|row| row.id != failed && !row.is_teardown)
        .filter_map(|row| match row.state {
            S::Success | S::Failed | S::Skipped => None,
            S::Running => Some((row.id, S::Failed)),
            // Quirk §4.9: also those that had already ended some other way.
            _ => Some((row.id, S::Skipped)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_runs_fails_and_what_waits_is_skipped() {
        use TaskInstanceState as S;
        let id = |number| TaskInstanceId(Uuid::from_u128(number));
        let row = |number, state| Bystander {
            id: id(number),
            state,
            is_teardown: false,
        };
        let mut teardown = row(6, S::NoStatus);
        teardown.is_teardown = true;
        let run = [
            row(1, S::Failed),
            row(2, S::Running),
            row(3, S::Queued),
            row(4, S::Success),
            row(5, S::UpstreamFailed),
            teardown,
        ];
        let plan = plan_fail_fast(id(1), &run);
        assert_eq!(
            plan,
            [(id(2), S::Failed), (id(3), S::Skipped), (id(5), S::Skipped)]
        );
    }
}
