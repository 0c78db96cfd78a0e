//! When to tell the store that the task is alive.

use std::time::Duration;

use super::{HeartbeatAnswer, SessionConfig};

/// The heartbeat of a running task: at most one at a time, evenly spaced.
#[derive(Debug)]
pub(super) struct Heartbeat {
    next: Duration,
    waits_for_answer: bool,
    failures_in_a_row: u32,
}

/// What follows from an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    GoOn,
    NotOurs,
    /// Too many in a row had no answer.
    Lost,
}

impl Heartbeat {
    /// Starts when the run was accepted, which is itself a sign of life.
    pub(super) fn starting(elapsed: Duration, config: &SessionConfig) -> Self {
        Self {
            next: elapsed + config.heartbeat_interval,
            waits_for_answer: false,
            failures_in_a_row: 0,
        }
    }

    /// When the next one is due; never while one is under way.
    pub(super) fn deadline(&self) -> Option<Duration> {
        (!self.waits_for_answer).then_some(self.next)
    }

    /// Whether to send one now.
    pub(super) fn is_due(&mut self, elapsed: Duration, config: &SessionConfig) -> bool {
        let due = self.deadline().is_some_and(|next| next <= elapsed);
        if due {
            self.waits_for_answer = true;
            self.next = elapsed + config.heartbeat_interval;
        }
        due
    }

    pub(super) fn on_answer(
        &mut self,
        answer: &HeartbeatAnswer,
        config: &SessionConfig,
    ) -> Verdict {
        self.waits_for_answer = false;
        match answer {
            HeartbeatAnswer::Alive => {
                self.failures_in_a_row = 0;
                Verdict::GoOn
            }
            HeartbeatAnswer::NotOurs => Verdict::NotOurs,
            HeartbeatAnswer::Unavailable => {
                self.failures_in_a_row += 1;
                if self.failures_in_a_row >= config.failed_heartbeats_max {
                    Verdict::Lost
                } else {
                    Verdict::GoOn
                }
            }
        }
    }
}
