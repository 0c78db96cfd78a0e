//! Trigger rules, as far as the generator must know them to see races coming.
//!
//! Real Airflow decides a task as soon as the outcomes so far allow it. Where that makes the
//! outcome depend on which of two tasks ends first there is nothing to compare, and such Dags are
//! not generated.

/// How a task instance can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Success,
    Failed,
    UpstreamFailed,
    Skipped,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::UpstreamFailed => "upstream_failed",
            Self::Skipped => "skipped",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    AllSuccess,
    AllFailed,
    AllDone,
    OneSuccess,
    OneFailed,
    OneDone,
    NoneFailed,
    NoneFailedMinOneSuccess,
    NoneSkipped,
    AllSkipped,
    AllDoneMinOneSuccess,
    AllDoneSetupSuccess,
    Always,
}

/// The rules that a task may be given; the one of teardowns comes with their role.
pub(super) const RULES: [Rule; 12] = [
    Rule::AllSuccess,
    Rule::AllFailed,
    Rule::AllDone,
    Rule::OneSuccess,
    Rule::OneFailed,
    Rule::OneDone,
    Rule::NoneFailed,
    Rule::NoneFailedMinOneSuccess,
    Rule::NoneSkipped,
    Rule::AllSkipped,
    Rule::AllDoneMinOneSuccess,
    Rule::Always,
];

/// What a task is told by its trigger rule once all its upstream tasks have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Run,
    Becomes(State),
}

/// How many of a task's upstream instances ended how.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    success: usize,
    failed: usize,
    skipped: usize,
    setups: usize,
    setups_success: usize,
    setups_skipped: usize,
    /// Failed itself, not because of its upstream.
    failed_itself: usize,
}

impl Counts {
    pub(super) fn of(states: impl IntoIterator<Item = State>) -> Self {
        let mut counts = Self::default();
        for state in states {
            counts.add(state);
        }
        counts
    }

    pub(super) fn add(&mut self, state: State) {
        match state {
            State::Success => self.success += 1,
            State::Failed => {
                self.failed += 1;
                self.failed_itself += 1;
            }
            State::UpstreamFailed => self.failed += 1,
            State::Skipped => self.skipped += 1,
        }
    }

    /// Counts a setup task among the upstream tasks.
    pub(super) fn add_setup(&mut self, state: State) {
        self.add(state);
        self.setups += 1;
        self.setups_success += usize::from(state == State::Success);
        self.setups_skipped += usize::from(state == State::Skipped);
    }

    fn total(self) -> usize {
        self.success + self.failed + self.skipped
    }
}

impl Rule {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AllSuccess => "all_success",
            Self::AllFailed => "all_failed",
            Self::AllDone => "all_done",
            Self::OneSuccess => "one_success",
            Self::OneFailed => "one_failed",
            Self::OneDone => "one_done",
            Self::NoneFailed => "none_failed",
            Self::NoneFailedMinOneSuccess => "none_failed_min_one_success",
            Self::NoneSkipped => "none_skipped",
            Self::AllSkipped => "all_skipped",
            Self::AllDoneMinOneSuccess => "all_done_min_one_success",
            Self::AllDoneSetupSuccess => "all_done_setup_success",
            Self::Always => "always",
        }
    }

    /// What comes of a task with upstream tasks, whose instances have all ended. There may be none:
    /// a task in a mapped group that is not expanded yet sees none that are.
    pub(super) fn decide(self, counts: Counts) -> Decision {
        if self == Self::Always {
            return Decision::Run;
        }
        if let Some(state) = self.early(counts) {
            return Decision::Becomes(state);
        }
        let becomes = match self {
            Self::AllDoneMinOneSuccess if counts.success == 0 => Some(State::UpstreamFailed),
            Self::OneSuccess | Self::NoneFailedMinOneSuccess if counts.success == 0 => {
                let all_skipped = counts.skipped == counts.total();
                Some(if all_skipped {
                    State::Skipped
                } else {
                    State::UpstreamFailed
                })
            }
            Self::OneFailed if counts.failed == 0 => Some(State::Skipped),
            Self::OneDone if counts.failed_itself + counts.success == 0 => Some(State::Skipped),
            Self::AllDoneSetupSuccess if counts.setups > 0 => {
                if counts.setups_skipped >= counts.setups {
                    Some(State::Skipped)
                } else if counts.setups_success == 0 {
                    Some(State::UpstreamFailed)
                } else {
                    None
                }
            }
            _ => None,
        };
        becomes.map_or(Decision::Run, Decision::Becomes)
    }

    /// The state that some ended upstream instances give a task before the others have ended.
    pub(super) fn early(self, counts: Counts) -> Option<State> {
        match self {
            Self::AllSuccess if counts.failed > 0 => Some(State::UpstreamFailed),
            Self::AllSuccess if counts.skipped > 0 => Some(State::Skipped),
            Self::NoneFailed | Self::NoneFailedMinOneSuccess if counts.failed > 0 => {
                Some(State::UpstreamFailed)
            }
            Self::AllFailed if counts.success + counts.skipped > 0 => Some(State::Skipped),
            Self::AllSkipped if counts.success + counts.failed > 0 => Some(State::Skipped),
            Self::NoneSkipped | Self::AllDoneMinOneSuccess if counts.skipped > 0 => {
                Some(State::Skipped)
            }
            _ => None,
        }
    }

    /// Whether these ended upstream instances let a task run before the others have ended.
    pub(super) fn may_run_on(self, counts: Counts) -> bool {
        match self {
            Self::Always => true,
            Self::OneSuccess => counts.success > 0,
            Self::OneFailed => counts.failed > 0,
            Self::OneDone => counts.success + counts.failed_itself > 0,
            _ => false,
        }
    }

    /// Whether the rule can let a task run before all its upstream tasks have ended.
    pub(super) fn is_hasty(self) -> bool {
        matches!(
            self,
            Self::Always | Self::OneSuccess | Self::OneFailed | Self::OneDone
        )
    }

    /// Whether the order in which the upstream instances end decides what comes of the task.
    pub(super) fn is_order_sensitive(self, counts: Counts) -> bool {
        self == Self::AllSuccess && counts.failed > 0 && counts.skipped > 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Decision, RULES, Rule, State};

    /// What real Airflow makes of a task below two others. S success, F failed, U upstream failed,
    /// K skipped; R runs, u and k are what the task becomes.
    const TABLE: &str = "
        rule                        SS SF SU SK FF FU FK UU UK KK
        all_success                 R  u  u  k  u  u  u  u  u  k
        all_failed                  k  k  k  k  R  R  k  R  k  k
        all_done                    R  R  R  R  R  R  R  R  R  R
        one_success                 R  R  R  R  u  u  u  u  u  k
        one_failed                  k  R  R  k  R  R  R  R  R  k
        one_done                    R  R  R  R  R  R  R  k  k  k
        none_failed                 R  u  u  R  u  u  u  u  u  R
        none_failed_min_one_success R  u  u  R  u  u  u  u  u  k
        none_skipped                R  R  R  k  R  R  k  R  k  k
        all_skipped                 k  k  k  k  k  k  k  k  k  R
        all_done_min_one_success    R  R  R  k  u  u  k  u  k  k
        always                      R  R  R  R  R  R  R  R  R  R
        all_done_setup_success      R  R  R  R  R  R  R  R  R  R
    ";

    fn state(letter: char) -> State {
        match letter {
            'S' => State::Success,
            'F' => State::Failed,
            'U' => State::UpstreamFailed,
            _ => State::Skipped,
        }
    }

    #[test]
    fn two_upstream_tasks_decide_as_in_airflow() {
        let mut rows = TABLE.trim().lines();
        let pairs: Vec<&str> = rows.next().unwrap().split_whitespace().skip(1).collect();
        for row in rows {
            let mut cells = row.split_whitespace();
            let name = cells.next().unwrap();
            let mut rules = RULES.iter().chain(&[Rule::AllDoneSetupSuccess]);
            let rule = rules.find(|rule| rule.name() == name).unwrap();
            for (pair, cell) in pairs.iter().zip(cells) {
                let decided = match rule.decide(Counts::of(pair.chars().map(state))) {
                    Decision::Run => "R",
                    Decision::Becomes(State::UpstreamFailed) => "u",
                    Decision::Becomes(State::Skipped) => "k",
                    Decision::Becomes(other) => panic!("{name} {pair}: {other:?}"),
                };
                assert_eq!(decided, cell, "{name} {pair}");
            }
        }
    }

    #[test]
    fn only_a_failure_beside_a_skip_depends_on_what_comes_first() {
        let mixed = Counts::of([State::Failed, State::Skipped]);
        assert!(Rule::AllSuccess.is_order_sensitive(mixed));
        assert!(!Rule::NoneFailed.is_order_sensitive(mixed));
        let failed = Counts::of([State::Failed, State::UpstreamFailed]);
        assert!(!Rule::AllSuccess.is_order_sensitive(failed));
    }
}
