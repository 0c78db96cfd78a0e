//! Trigger rules: what the states above a task mean for it.
//!
//! Source: §4.4. The state effect and the pass condition are independent of each other.

use std::fmt;
use std::ops::AddAssign;

use updraft_model::{MapIndex, TaskInstanceState, TriggerRule};

use TaskInstanceState as S;

/// The relevant upstream instances of a task instance, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamCounts {
    /// How many there should be.
    pub expected: u32,
    pub success: u32,
    pub failed: u32,
    pub upstream_failed: u32,
    pub skipped: u32,
    pub removed: u32,
    /// How many of the expected ones are setups.
    pub setups_expected: u32,
    pub setups_success: u32,
    pub setups_skipped: u32,
}

impl UpstreamCounts {
    /// How many have finished.
    #[must_use]
    pub fn done(&self) -> u32 {
        self.success + self.failed + self.upstream_failed + self.skipped + self.removed
    }

    /// Counts `instances` finished ones of the same state.
    ///
    /// # Panics
    /// When the state is not a finished one; that would be our bug.
    pub fn count_finished(&mut self, state: TaskInstanceState, instances: u32, is_setup: bool) {
        match state {
            S::Success => self.success += instances,
            S::Failed => self.failed += instances,
            S::UpstreamFailed => self.upstream_failed += instances,
            S::Skipped => self.skipped += instances,
            S::Removed => self.removed += instances,
            _ => unreachable!("{state} is not a finished state"),
        }
        if is_setup && state == S::Success {
            self.setups_success += instances;
        }
        if is_setup && state == S::Skipped {
            self.setups_skipped += instances;
        }
    }

    /// Counts `instances` that should exist.
    pub fn expect(&mut self, instances: u32, is_setup: bool) {
        self.expected += instances;
        if is_setup {
            self.setups_expected += instances;
        }
    }

    fn all_done(&self) -> bool {
        self.done() >= self.expected
    }

    fn any_failure(&self) -> bool {
        self.failed > 0 || self.upstream_failed > 0
    }

    /// How many of the expected ones are left after `accounted` of them; never below zero.
    fn beyond(&self, accounted: u32) -> u32 {
        self.expected.saturating_sub(accounted)
    }

    /// An expanded instance beyond the successful ones, while others were removed: its input has
    /// become shorter.
    fn outgrown(&self, map_index: MapIndex) -> bool {
        let position = u32::try_from(map_index.0);
        self.removed > 0 && self.success > 0 && position.is_ok_and(|index| index >= self.success)
    }
}

impl AddAssign for UpstreamCounts {
    fn add_assign(&mut self, other: Self) {
        self.expected += other.expected;
        self.success += other.success;
        self.failed += other.failed;
        self.upstream_failed += other.upstream_failed;
        self.skipped += other.skipped;
        self.removed += other.removed;
        self.setups_expected += other.setups_expected;
        self.setups_success += other.setups_success;
        self.setups_skipped += other.setups_skipped;
    }
}

impl fmt::Display for UpstreamCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} done", self.done(), self.expected)?;
        let states = [
            (self.success, S::Success),
            (self.failed, S::Failed),
            (self.upstream_failed, S::UpstreamFailed),
            (self.skipped, S::Skipped),
            (self.removed, S::Removed),
        ];
        for (count, state) in states {
            if count > 0 {
                write!(f, ", {count} {state}")?;
            }
        }
        Ok(())
    }
}

/// The state the rule gives an instance at once, if any. It does not wait for every upstream.
#[must_use]
pub fn effect(
    rule: TriggerRule,
    up: &UpstreamCounts,
    map_index: MapIndex,
) -> Option<TaskInstanceState> {
    let all_done = up.all_done();
    let first_of = |cases: &[(bool, S)]| {
        let case = cases.iter().find(|(applies, _)| *applies);
        case.map(|(_, state)| *state)
    };
    match rule {
        TriggerRule::AllSuccess => first_of(&[
            (up.any_failure(), S::UpstreamFailed),
            (up.skipped > 0, S::Skipped),
            (up.outgrown(map_index), S::Removed),
        ]),
        TriggerRule::AllFailed => first_of(&[(up.success > 0 || up.skipped > 0, S::Skipped)]),
        TriggerRule::AllDone | TriggerRule::Always => None,
        TriggerRule::OneSuccess => first_of(&[
            (all_done && up.done() == up.skipped, S::Skipped),
            (all_done && up.success == 0, S::UpstreamFailed),
        ]),
        TriggerRule::OneFailed => first_of(&[(all_done && !up.any_failure(), S::Skipped)]),
        TriggerRule::OneDone => {
            first_of(&[(all_done && up.failed == 0 && up.success == 0, S::Skipped)])
        }
        TriggerRule::NoneFailed => first_of(&[(up.any_failure(), S::UpstreamFailed)]),
        TriggerRule::NoneFailedMinOneSuccess => first_of(&[
            (up.any_failure(), S::UpstreamFailed),
            (up.skipped == up.expected, S::Skipped),
            (all_done && up.success == 0, S::UpstreamFailed),
        ]),
        TriggerRule::NoneSkipped => first_of(&[(up.skipped > 0, S::Skipped)]),
        TriggerRule::AllSkipped => first_of(&[(up.success > 0 || up.any_failure(), S::Skipped)]),
        TriggerRule::AllDoneMinOneSuccess => first_of(&[
            (up.skipped > 0, S::Skipped),
            (all_done && up.success == 0, S::UpstreamFailed),
        ]),
        TriggerRule::AllDoneSetupSuccess => {
            let judged = all_done && up.setups_expected > 0;
            first_of(&[
                (
                    judged && up.setups_skipped >= up.setups_expected,
                    S::Skipped,
                ),
                (judged && up.setups_success == 0, S::UpstreamFailed),
            ])
        }
    }
}

/// Whether the rule allows an instance to run.
#[must_use]
pub fn passes(rule: TriggerRule, up: &UpstreamCounts) -> bool {
    match rule {
        TriggerRule::Always => true,
        TriggerRule::AllSuccess => up.beyond(up.success + up.removed) == 0,
        TriggerRule::AllFailed => up.beyond(up.failed + up.upstream_failed + up.removed) == 0,
        TriggerRule::AllDone => up.all_done(),
        TriggerRule::OneSuccess => up.success > 0,
        TriggerRule::OneFailed => up.any_failure(),
        // An upstream that failed for reasons above it does not count as done.
        TriggerRule::OneDone => up.success > 0 || up.failed > 0,
        TriggerRule::NoneFailed => up.beyond(up.success + up.skipped + up.removed) == 0,
        TriggerRule::NoneFailedMinOneSuccess => {
            up.beyond(up.success + up.skipped + up.removed) == 0 && up.success > 0
        }
        TriggerRule::NoneSkipped => up.all_done() && up.skipped == 0,
        TriggerRule::AllSkipped => up.beyond(up.skipped) == 0,
        TriggerRule::AllDoneMinOneSuccess => {
            let done = up.success + up.failed + up.upstream_failed;
            up.skipped == 0 && up.beyond(done + up.removed) == 0 && up.success > 0
        }
        TriggerRule::AllDoneSetupSuccess => {
            up.all_done() && (up.setups_expected == 0 || up.setups_success > 0)
        }
    }
}

/// The state that setups far above give an instance at once, if any.
#[must_use]
pub fn setup_effect(up: &UpstreamCounts, map_index: MapIndex) -> Option<TaskInstanceState> {
    // The same three cases as for `all_success`: a setup is something the task cannot do without.
    effect(TriggerRule::AllSuccess, up, map_index)
}

/// Whether setups far above allow an instance to run.
#[must_use]
pub fn setups_pass(up: &UpstreamCounts, map_index: MapIndex) -> bool {
    // Quirk §4.4: removed setups are excused for expanded instances only.
    let excused = if map_index.is_mapped() { up.removed } else { 0 };
    up.beyond(up.success + excused) == 0
}
