//! The machine: phases, timers, stopping. Requests and the end have files of their own.

mod ending;
mod requests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::channels::OpenChannels;
use super::heartbeat::{Heartbeat, Verdict};
use super::log::LogLines;
use super::{
    AskId, Assignment, Conclusion, Effect, Event, ExitStatus, Failure, HeartbeatAnswer, Moment,
    SessionConfig, Signal, StopReason,
};
use crate::frame::encode_frame;
use crate::json::Json;
use crate::log_line::{Level, own_line};
use crate::masker::SecretsMasker;
use crate::message::{Outcome, StartupDetails, TIRunContext};

/// The id of the unprompted first frame.
const FIRST_FRAME_ID: u64 = 0;

/// One child running one try of one task instance.
#[derive(Debug)]
pub struct TaskSession {
    assignment: Assignment,
    config: SessionConfig,
    masker: SecretsMasker,
    lines: LogLines,
    phase: Phase,
    run: Run,
    channels: OpenChannels,
    asks: BTreeMap<AskId, PendingAsk>,
    asks_made: u64,
    outcome: OutcomeProgress,
    stop: Option<StopReason>,
    exit: Option<ExitStatus>,
    should_retry: bool,
    effects: Vec<Effect>,
}

#[derive(Debug)]
enum Phase {
    Starting,
    Running(Heartbeat),
    Ended {
        overtime_at: Duration,
    },
    /// SIGKILL follows at `kill_at`, or has been sent already.
    Stopping {
        kill_at: Option<Duration>,
    },
    Draining {
        give_up_at: Duration,
    },
    Finished,
}

/// Whether the store lets this child run.
#[derive(Debug)]
enum Run {
    NotAsked,
    Asked,
    Accepted,
    /// Accepted, but the child cannot be told what to run.
    Unstartable {
        message: String,
    },
    Refused(Failure),
}

/// How far the child's outcome got.
#[derive(Debug)]
enum OutcomeProgress {
    None,
    /// The store is being asked, for the first or the last time.
    Asked,
    Accepted {
        state: &'static str,
    },
    /// The store said that it is wrong; another one may follow.
    Rejected {
        message: String,
    },
    /// The store could not be reached; it is asked again when the child is gone.
    Unavailable(Outcome),
    /// It could not be reached then either.
    Undelivered(Outcome, Failure),
    /// The row is not ours any more.
    NotOurs,
}

/// Who waits for an answer of the store.
#[derive(Debug)]
enum PendingAsk {
    /// The frame with this id.
    Request { id: u64 },
    /// The frame with this id, which reported the outcome.
    Outcome { id: u64, outcome: Outcome },
    /// Nobody: the child is gone, and its outcome is asked for once again.
    LastOutcome { outcome: Outcome },
}

impl TaskSession {
    /// A session that waits for its child. `masker` holds what is secret from the start.
    pub fn new(assignment: Assignment, config: SessionConfig, masker: SecretsMasker) -> Self {
        Self {
            assignment,
            config,
            masker,
            lines: LogLines::default(),
            phase: Phase::Starting,
            run: Run::NotAsked,
            channels: OpenChannels::default(),
            asks: BTreeMap::new(),
            asks_made: 0,
            outcome: OutcomeProgress::None,
            stop: None,
            exit: None,
            should_retry: false,
            effects: Vec::new(),
        }
    }

    /// Takes in one event and returns what must be done, in order.
    pub fn on_event(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        if matches!(self.phase, Phase::Finished) {
            return Vec::new();
        }
        match event {
            Event::ForkedChild { pid } => self.on_forked(pid),
            Event::ForkFailed { why } => self.on_fork_failed(why, now),
            Event::RunAccepted(context) => self.on_run_accepted(*context, now),
            Event::RunRefused(failure) => self.on_run_refused(failure),
            Event::Frame(frame) => self.on_frame(frame, now),
            Event::StoreAnswer { ask, answer } => self.on_store_answer(ask, answer, now),
            Event::LogLine(line) => {
                let line = self.lines.log_line(&line, &self.masker, now.at);
                self.effects.extend(line.map(Effect::WriteLog));
            }
            Event::StdLine(output, line) => {
                let line = self.lines.std_line(output, &line, &self.masker, now.at);
                self.effects.extend(line.map(Effect::WriteLog));
            }
            Event::ChannelClosed(channel) => self.channels.close(channel),
            Event::Exited(status) => self.on_exited(status, now),
            Event::HeartbeatAnswer(answer) => self.on_heartbeat_answer(&answer, now),
            Event::StopRequested(reason) => self.on_stop_requested(reason, now),
            Event::Tick => self.on_tick(now),
        }
        self.finish_if_drained(now);
        std::mem::take(&mut self.effects)
    }

    /// When to send [`Event::Tick`], on the clock of [`Moment::elapsed`].
    pub fn next_deadline(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Running(heartbeat) => heartbeat.deadline(),
            Phase::Ended { overtime_at } => Some(*overtime_at),
            Phase::Stopping { kill_at } => *kill_at,
            Phase::Draining { give_up_at } if !self.channels.all_closed() => Some(*give_up_at),
            Phase::Starting | Phase::Draining { .. } | Phase::Finished => None,
        }
    }

    /// Whether the session is over.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Finished)
    }

    fn on_forked(&mut self, pid: u32) {
        self.channels = OpenChannels::of_new_child();
        if self.stop.is_some() {
            self.kill();
        } else {
            self.run = Run::Asked;
            self.effects.push(Effect::StartRun { pid });
        }
    }

    fn on_fork_failed(&mut self, why: String, now: Moment) {
        self.write_log(
            Level::Error,
            "Task process could not be started",
            &[("error", why.as_str().into())],
            now,
        );
        self.finish(Conclusion::NotStarted { why });
    }

    fn on_run_accepted(&mut self, context: TIRunContext, now: Moment) {
        self.run = Run::Accepted;
        self.should_retry = context.should_retry;
        if self.stop.is_some() || self.exit.is_some() {
            return;
        }
        let startup = StartupDetails {
            ti: self.assignment.ti.clone(),
            dag_rel_path: self.assignment.dag_rel_path.clone(),
            bundle_info: self.assignment.bundle_info.clone(),
            start_date: context.start_date.unwrap_or(now.at.into()),
            ti_context: context,
            sentry_integration: self.assignment.sentry_integration.clone(),
        };
        match encode_frame(FIRST_FRAME_ID, Some(&startup), None::<&()>) {
            Ok(frame) => {
                self.send(Effect::Send(frame));
                self.phase = Phase::Running(Heartbeat::starting(now.elapsed, &self.config));
            }
            Err(error) => {
                self.run = Run::Unstartable {
                    message: error.to_string(),
                };
                self.kill();
            }
        }
    }

    fn on_run_refused(&mut self, failure: Failure) {
        self.run = Run::Refused(failure);
        self.kill();
    }

    fn on_heartbeat_answer(&mut self, answer: &HeartbeatAnswer, now: Moment) {
        let Phase::Running(heartbeat) = &mut self.phase else {
            return;
        };
        match heartbeat.on_answer(answer, &self.config) {
            Verdict::GoOn => {}
            Verdict::NotOurs => self.begin_stop(StopReason::Superseded, now),
            Verdict::Lost => self.begin_stop(StopReason::StoreLost, now),
        }
    }

    fn on_stop_requested(&mut self, reason: StopReason, now: Moment) {
        match &self.phase {
            Phase::Starting => {
                self.stop = Some(reason);
                match self.run {
                    // The fork is still under way; its child is killed when it reports.
                    Run::NotAsked => {}
                    Run::Asked | Run::Accepted | Run::Unstartable { .. } | Run::Refused(_) => {
                        self.kill()
                    }
                }
            }
            Phase::Running(_) => self.begin_stop(reason, now),
            // With the outcome stored nothing is left to save by stopping early.
            Phase::Ended { .. } | Phase::Stopping { .. } | Phase::Draining { .. } => {}
            Phase::Finished => {}
        }
    }

    fn on_tick(&mut self, now: Moment) {
        match &mut self.phase {
            Phase::Running(heartbeat) => {
                if heartbeat.is_due(now.elapsed, &self.config) {
                    self.effects.push(Effect::Heartbeat);
                }
            }
            Phase::Ended { overtime_at } if *overtime_at <= now.elapsed => {
                self.begin_stop(StopReason::Overtime, now);
            }
            Phase::Stopping { kill_at: Some(at) } if *at <= now.elapsed => self.kill(),
            Phase::Draining { give_up_at }
                if *give_up_at <= now.elapsed && !self.channels.all_closed() =>
            {
                self.channels.close_all();
                self.effects.push(Effect::CloseChannels);
            }
            Phase::Starting
            | Phase::Ended { .. }
            | Phase::Stopping { .. }
            | Phase::Draining { .. }
            | Phase::Finished => {}
        }
    }

    fn begin_stop(&mut self, reason: StopReason, now: Moment) {
        match self.phase {
            Phase::Starting | Phase::Running(_) | Phase::Ended { .. } => {}
            Phase::Stopping { .. } | Phase::Draining { .. } | Phase::Finished => return,
        }
        let fields = [("reason", reason.to_string().into())];
        self.write_log(Level::Warning, "Stopping the task process", &fields, now);
        self.stop = Some(reason);
        self.effects.push(Effect::Signal(Signal::Terminate));
        self.phase = Phase::Stopping {
            kill_at: Some(now.elapsed + self.config.kill_step),
        };
    }

    fn kill(&mut self) {
        if self.exit.is_none() {
            self.effects.push(Effect::Signal(Signal::Kill));
            self.phase = Phase::Stopping { kill_at: None };
        }
    }

    fn send(&mut self, effect: Effect) {
        if self.channels.requests {
            self.effects.push(effect);
        }
    }

    fn finish(&mut self, conclusion: Conclusion) {
        self.phase = Phase::Finished;
        self.effects.push(Effect::Finish(Box::new(conclusion)));
    }

    fn write_log(
        &mut self,
        level: Level,
        event: &str,
        fields: &[(&'static str, Json<'_>)],
        now: Moment,
    ) {
        let line = own_line(level, event, fields, &self.masker, now.at);
        self.effects.push(Effect::WriteLog(line));
    }
}
