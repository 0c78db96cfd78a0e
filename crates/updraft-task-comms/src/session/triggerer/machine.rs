//! The machine: phases, timers, what runs. What the child asks has a file of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::{Effect, EndReason, Ended, Event, Report, Signal, TriggererConfig};
use crate::frame::encode_frame;
use crate::json::Json;
use crate::line_splitter::Line;
use crate::log_line::{Level, Output, own_line};
use crate::masker::SecretsMasker;
use crate::message::{RunTrigger, StartTriggerer};
use crate::session::channels::OpenChannels;
use crate::session::log::LogLines;
use crate::session::{AskId, ExitStatus, Moment};

/// The id of the unprompted first frame.
const FIRST_FRAME_ID: u64 = 0;

/// What a trigger needs beyond `on_kill_timeout` to end before it is told again.
const CANCEL_MARGIN: Duration = Duration::from_secs(10);

/// One child that runs triggers.
#[derive(Debug)]
pub struct TriggererSession {
    pub(super) config: TriggererConfig,
    pub(super) masker: SecretsMasker,
    lines: LogLines,
    phase: Phase,
    pub(super) channels: OpenChannels,
    /// The frames that wait for the store's answers.
    pub(super) asks: BTreeMap<AskId, u64>,
    pub(super) asks_made: u64,
    /// Triggers that the child has not been told of.
    pub(super) starting: VecDeque<RunTrigger>,
    /// Triggers that the child was told to run.
    pub(super) running: BTreeSet<i64>,
    /// Triggers that the child must be told to stop.
    pub(super) to_cancel: BTreeSet<i64>,
    /// Triggers that were told to stop, and when.
    pub(super) cancelling: BTreeMap<i64, Duration>,
    /// The frame that is answered when what it reported is stored.
    pub(super) unacknowledged: Option<Unacknowledged>,
    /// The frame that is answered when there is something to do.
    pub(super) awaits_orders: Option<u64>,
    last_heard: Duration,
    reason: Option<EndReason>,
    exit: Option<ExitStatus>,
    was_running: bool,
    pub(super) effects: Vec<Effect>,
}

/// A report on its way into the store.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    pub(super) frame: u64,
    pub(super) persist_seqs: Vec<i64>,
}

#[derive(Debug)]
enum Phase {
    Starting,
    Loading {
        give_up_at: Duration,
    },
    Running,
    Blocked {
        kill_at: Duration,
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

impl TriggererSession {
    /// A session that waits for its child. `masker` holds what is secret from the start.
    pub fn new(config: TriggererConfig, masker: SecretsMasker) -> Self {
        Self {
            config,
            masker,
            lines: LogLines::default(),
            phase: Phase::Starting,
            channels: OpenChannels::default(),
            asks: BTreeMap::new(),
            asks_made: 0,
            starting: VecDeque::new(),
            running: BTreeSet::new(),
            to_cancel: BTreeSet::new(),
            cancelling: BTreeMap::new(),
            unacknowledged: None,
            awaits_orders: None,
            last_heard: Duration::ZERO,
            reason: None,
            exit: None,
            was_running: false,
            effects: Vec::new(),
        }
    }

    /// Takes in one event and returns what must be done, in order.
    pub fn on_event(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        if self.is_finished() {
            return Vec::new();
        }
        match event {
            Event::Forked => self.on_forked(now),
            Event::ForkFailed { why } => self.finish(EndReason::NotStarted { why }),
            Event::Start(triggers) => {
                self.starting.extend(triggers);
                self.wake();
            }
            Event::Cancel(ids) => self.on_cancel(&ids),
            Event::Stored => self.on_stored(now),
            Event::Frame(frame) => self.on_frame(frame, now),
            Event::StoreAnswer { ask, answer } => self.on_store_answer(ask, answer),
            Event::LogLine(line) => self.on_log_line(&line, now),
            Event::StdLine(output, line) => self.on_std_line(output, &line, now),
            Event::ChannelClosed(channel) => self.channels.close(channel),
            Event::Exited(status) => self.on_exited(status, now),
            Event::Stop => self.begin_stop(EndReason::Stopped, now),
            Event::Tick => self.on_tick(now),
        }
        self.finish_if_drained();
        std::mem::take(&mut self.effects)
    }

    /// When to send [`Event::Tick`], on the clock of [`Moment::elapsed`].
    pub fn next_deadline(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Loading { give_up_at } => Some(*give_up_at),
            Phase::Running => {
                let again = self.cancelling.values().min();
                let again = again.map(|told| *told + self.cancel_patience());
                self.silent_at().into_iter().chain(again).min()
            }
            Phase::Blocked { kill_at } => Some(*kill_at),
            Phase::Stopping { kill_at } => *kill_at,
            Phase::Draining { give_up_at } if !self.channels.all_closed() => Some(*give_up_at),
            Phase::Starting | Phase::Draining { .. } | Phase::Finished => None,
        }
    }

    /// Whether the session is over.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Finished)
    }

    /// Whether triggers may be started: nothing ends the child yet.
    pub fn takes_triggers(&self) -> bool {
        let is_alive = matches!(
            self.phase,
            Phase::Starting | Phase::Loading { .. } | Phase::Running
        );
        is_alive && self.reason.is_none()
    }

    /// Whether the child was asked where it is, and has not spoken since.
    pub fn is_blocked(&self) -> bool {
        matches!(self.phase, Phase::Blocked { .. })
    }

    /// How many triggers the child runs or will be told to run.
    pub fn trigger_count(&self) -> usize {
        self.running.len() + self.starting.len()
    }

    fn on_forked(&mut self, now: Moment) {
        self.channels = OpenChannels::of_new_child();
        if self.reason.is_some() {
            self.kill();
            return;
        }
        match encode_frame(FIRST_FRAME_ID, Some(&StartTriggerer {}), None::<&()>) {
            Ok(frame) => {
                self.send(Effect::Send(frame));
                self.phase = Phase::Loading {
                    give_up_at: now.elapsed + self.config.start_timeout,
                };
            }
            Err(error) => {
                let why = error.to_string();
                self.reason = Some(EndReason::NotStarted { why });
                self.kill();
            }
        }
    }

    fn on_cancel(&mut self, ids: &[i64]) {
        for id in ids {
            self.starting.retain(|trigger| trigger.id != *id);
            if self.running.contains(id) && !self.cancelling.contains_key(id) {
                self.to_cancel.insert(*id);
            }
        }
        self.wake();
    }

    fn on_log_line(&mut self, line: &Line, now: Moment) {
        if let Some((trigger, line)) = self.lines.trigger_line(line, &self.masker, now.at) {
            self.effects.push(Effect::WriteLog { trigger, line });
        }
    }

    fn on_std_line(&mut self, output: Output, line: &Line, now: Moment) {
        let line = self.lines.std_line(output, line, &self.masker, now.at);
        self.effects.extend(line.map(|line| Effect::WriteLog {
            trigger: None,
            line,
        }));
    }

    /// Any message is a sign of life.
    pub(super) fn heard(&mut self, now: Moment) {
        self.last_heard = now.elapsed;
        if matches!(self.phase, Phase::Loading { .. } | Phase::Blocked { .. }) {
            self.phase = Phase::Running;
            self.was_running = true;
            self.reason = None;
        }
    }

    fn on_exited(&mut self, status: ExitStatus, now: Moment) {
        self.exit = Some(status);
        self.awaits_orders = None;
        self.phase = Phase::Draining {
            give_up_at: now.elapsed + self.config.drain_timeout,
        };
    }

    fn on_tick(&mut self, now: Moment) {
        match self.phase {
            Phase::Loading { give_up_at } if give_up_at <= now.elapsed => {
                let after = self.config.start_timeout;
                self.ask_where_it_is(EndReason::StartTimeout { after }, now);
            }
            Phase::Running => {
                if self.silent_at().is_some_and(|at| at <= now.elapsed) {
                    let silent = now.elapsed.saturating_sub(self.last_heard);
                    self.ask_where_it_is(EndReason::Blocked { silent }, now);
                } else {
                    self.cancel_again(now);
                }
            }
            Phase::Blocked { kill_at } if kill_at <= now.elapsed => self.kill(),
            Phase::Stopping { kill_at: Some(at) } if at <= now.elapsed => self.kill(),
            Phase::Draining { give_up_at }
                if give_up_at <= now.elapsed && !self.channels.all_closed() =>
            {
                self.channels.close_all();
                self.effects.push(Effect::CloseChannels);
            }
            Phase::Starting
            | Phase::Loading { .. }
            | Phase::Blocked { .. }
            | Phase::Stopping { .. }
            | Phase::Draining { .. }
            | Phase::Finished => {}
        }
    }

    /// When silence is too long. While *we* owe an answer, silence means nothing.
    fn silent_at(&self) -> Option<Duration> {
        let owes = self.unacknowledged.is_some() || !self.asks.is_empty();
        let counts = !owes && !self.config.silence_max.is_zero();
        counts.then(|| self.last_heard + self.config.silence_max)
    }

    fn cancel_patience(&self) -> Duration {
        self.config.on_kill_timeout + CANCEL_MARGIN
    }

    /// A trigger may have caught the cancellation and gone on.
    fn cancel_again(&mut self, now: Moment) {
        let patience = self.cancel_patience();
        let deaf: Vec<i64> = self
            .cancelling
            .iter()
            .filter(|(_, told)| **told + patience <= now.elapsed)
            .map(|(id, _)| *id)
            .collect();
        for id in deaf {
            self.cancelling.remove(&id);
            self.to_cancel.insert(id);
        }
        self.wake();
    }

    fn ask_where_it_is(&mut self, reason: EndReason, now: Moment) {
        let fields = [("reason", reason.to_string().into())];
        self.write_log(Level::Error, "Triggers stand still", &fields, now);
        self.reason = Some(reason);
        self.effects.push(Effect::Signal(Signal::DumpTraceback));
        self.phase = Phase::Blocked {
            kill_at: now.elapsed + self.config.dump_step,
        };
    }

    pub(super) fn begin_stop(&mut self, reason: EndReason, now: Moment) {
        match self.phase {
            Phase::Starting => self.reason = Some(reason),
            Phase::Loading { .. } | Phase::Running | Phase::Blocked { .. } => {
                self.reason = Some(reason);
                self.effects.push(Effect::Signal(Signal::Terminate));
                self.phase = Phase::Stopping {
                    kill_at: Some(now.elapsed + self.config.kill_step),
                };
            }
            Phase::Stopping { .. } | Phase::Draining { .. } | Phase::Finished => {}
        }
    }

    fn kill(&mut self) {
        if self.exit.is_none() {
            self.effects.push(Effect::Signal(Signal::Kill));
            self.phase = Phase::Stopping { kill_at: None };
        }
    }

    pub(super) fn send(&mut self, effect: Effect) {
        if self.channels.requests {
            self.effects.push(effect);
        }
    }

    fn finish_if_drained(&mut self) {
        let Some(status) = self.exit else { return };
        // What it said last may still be on its way into the store.
        let is_stored = self.unacknowledged.is_none();
        if !self.is_finished() && is_stored && self.channels.all_closed() {
            let reason = self.reason.take();
            self.finish(reason.unwrap_or(EndReason::Died(status)));
        }
    }

    fn finish(&mut self, reason: EndReason) {
        self.phase = Phase::Finished;
        let waiting = self.starting.iter().map(|trigger| trigger.id);
        let unfinished = self.running.iter().copied().chain(waiting).collect();
        self.effects.push(Effect::Finish(Ended {
            reason,
            unfinished,
            was_running: self.was_running,
        }));
    }

    pub(super) fn write_log(
        &mut self,
        level: Level,
        event: &str,
        fields: &[(&'static str, Json<'_>)],
        now: Moment,
    ) {
        let line = own_line(level, event, fields, &self.masker, now.at);
        self.effects.push(Effect::WriteLog {
            trigger: None,
            line,
        });
    }

    /// Takes triggers off the lists that do not run any more.
    pub(super) fn forget_finished(&mut self, report: &Report) {
        for id in &report.finished {
            self.running.remove(id);
            self.to_cancel.remove(id);
            self.cancelling.remove(id);
        }
    }
}
