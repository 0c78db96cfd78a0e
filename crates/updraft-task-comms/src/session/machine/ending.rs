//! From the exit status to the conclusion.

use super::{OutcomeProgress, PendingAsk, Phase, Run, TaskSession};
use crate::log_line::Level;
use crate::session::conclusion::signal_name;
use crate::session::{Conclusion, Crash, CrashReason, ExitStatus, Moment, StopReason, StoreCall};

impl TaskSession {
    pub(super) fn on_exited(&mut self, status: ExitStatus, now: Moment) {
        self.exit = Some(status);
        self.phase = Phase::Draining {
            give_up_at: now.elapsed + self.config.drain_timeout,
        };
        match status {
            ExitStatus::Code(0) => {}
            ExitStatus::Code(code) => {
                let fields = [("exit_code", code.into())];
                self.write_log(Level::Error, "Process exited abnormally", &fields, now);
            }
            ExitStatus::Signal(signal) => {
                let fields = [
                    ("signal", signal.into()),
                    ("signal_name", signal_name(signal).into()),
                ];
                self.write_log(Level::Error, "Process terminated by signal", &fields, now);
            }
            ExitStatus::Unknown => self.write_log(Level::Error, "Process is gone", &[], now),
        }
    }

    /// Ends the session once nothing more can come from the child or about its outcome.
    pub(super) fn finish_if_drained(&mut self, now: Moment) {
        let Some(status) = self.exit else { return };
        let waits_for_run = matches!(self.run, Run::Asked);
        if self.is_finished() || waits_for_run || !self.channels.all_closed() {
            return;
        }
        let conclusion = match std::mem::replace(&mut self.outcome, OutcomeProgress::Asked) {
            // The answer comes, and with it this question again.
            OutcomeProgress::Asked => return,
            OutcomeProgress::Unavailable(outcome) => {
                let call = StoreCall::Outcome(outcome.clone());
                return self.ask(PendingAsk::LastOutcome { outcome }, call);
            }
            OutcomeProgress::Accepted { state } => Conclusion::Completed { state, status },
            OutcomeProgress::NotOurs => Conclusion::Superseded { status },
            OutcomeProgress::Undelivered(outcome, failure) => Conclusion::Undelivered {
                outcome: Box::new(outcome),
                failure,
                status,
            },
            OutcomeProgress::Rejected { message } => {
                self.crash(CrashReason::OutcomeRejected { message }, status, now)
            }
            OutcomeProgress::None => self.conclude_without_outcome(status, now),
        };
        self.finish(conclusion);
    }

    fn conclude_without_outcome(&mut self, status: ExitStatus, now: Moment) -> Conclusion {
        let reason = self
            .stop
            .map_or(CrashReason::of_status(status), CrashReason::Stopped);
        match &self.run {
            Run::Refused(failure) => Conclusion::Refused(failure.clone()),
            Run::NotAsked => Conclusion::NotStarted {
                why: reason.to_string(),
            },
            Run::Unstartable { message } => {
                let message = message.clone();
                self.crash(CrashReason::Startup { message }, status, now)
            }
            Run::Asked | Run::Accepted if self.stop == Some(StopReason::Superseded) => {
                Conclusion::Superseded { status }
            }
            Run::Asked | Run::Accepted => self.crash(reason, status, now),
        }
    }

    fn crash(&mut self, reason: CrashReason, status: ExitStatus, now: Moment) -> Conclusion {
        let fields = [("reason", reason.to_string().into())];
        self.write_log(Level::Error, "Task ended without an outcome", &fields, now);
        let should_retry = self.should_retry;
        Conclusion::Crashed(Crash {
            status,
            reason,
            should_retry,
            end_date: now.at,
        })
    }
}
