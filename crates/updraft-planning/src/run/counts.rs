//! The instances of one task, added up.

use updraft_model::TaskInstanceState;

use super::trigger_rule::UpstreamCounts;

/// Finished states, in the order of [`TaskCounts::finished`].
const FINISHED: [TaskInstanceState; 5] = [
    TaskInstanceState::Success,
    TaskInstanceState::Failed,
    TaskInstanceState::UpstreamFailed,
    TaskInstanceState::Skipped,
    TaskInstanceState::Removed,
];

/// Counts over the rows of one task. `rows` and `unfinished` are of this moment; `finished` only
/// has the instances that had finished when the pass began, in their state of this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskCounts {
    pub(super) rows: u32,
    pub(super) unfinished: u32,
    finished: [u32; 5],
}

impl TaskCounts {
    pub(super) fn add_finished(&mut self, state: TaskInstanceState) {
        self.finished[slot(state)] += 1;
    }

    pub(super) fn remove_finished(&mut self, state: TaskInstanceState) {
        self.finished[slot(state)] -= 1;
    }

    /// Adds the finished instances to what is known of an upstream.
    pub(super) fn add_to(&self, upstream: &mut UpstreamCounts, is_setup: bool) {
        for (state, count) in FINISHED.into_iter().zip(self.finished) {
            if count > 0 {
                upstream.count_finished(state, count, is_setup);
            }
        }
    }

    pub(super) fn has_finished(&self) -> bool {
        self.finished.iter().any(|count| *count > 0)
    }
}

fn slot(state: TaskInstanceState) -> usize {
    FINISHED
        .iter()
        .position(|finished| *finished == state)
        .expect("only finished states are counted")
}
