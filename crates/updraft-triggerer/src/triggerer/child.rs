//! The child: when there must be one, when there must be none, and what its death means.

use std::time::{Duration, Instant};

use tracing::{error, info, warn};
use updraft_model::TriggerId;
use updraft_python::{ChildHandle, ChildKind};
use updraft_task_comms::log_line::{Level, own_line};
use updraft_task_comms::masker::SecretsMasker;
use updraft_task_comms::session::triggerer::{EndReason, Ended, Event, TriggererSession};

use super::calls::Done;
use super::{ChildNumber, Triggerer};
use crate::runner::Runner;
use crate::trace::Trace;
use crate::workload::Unrunnable;

/// Pause before a child is started again that died.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// Longest pause, should children die one after the other.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A child that lived so long had nothing to do with the death of the one before.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// Why a child is not started at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The trigger that ended the last one is known, and will not do so for ever.
    KnownTrigger,
    Unknown,
}

/// When the next child may be started.
#[derive(Debug, Default)]
pub(super) struct Respawn {
    not_before: Option<Instant>,
    deaths: u32,
}

impl Respawn {
    fn after_death(&mut self, now: Instant, lifetime: Duration, cause: Cause) {
        if lifetime >= LONG_LIFE || cause == Cause::KnownTrigger {
            self.deaths = 0;
        }
        let pause = PAUSE_MIN.saturating_mul(1 << self.deaths.min(16));
        self.deaths += 1;
        self.not_before = Some(now + pause.min(PAUSE_MAX));
    }
}

impl Triggerer {
    /// Starts a child if triggers wait, hands them over, and ends a child without any.
    pub(super) async fn tend_child(&mut self, now: Instant) {
        let has_waiting = !self.roster.waiting(1).is_empty();
        match &self.runner {
            None if has_waiting && self.may_spawn(now) => self.begin_spawn(),
            Some(runner) if has_waiting && runner.takes_triggers() && self.may_spawn(now) => {
                self.begin_load();
            }
            _ => {}
        }
        self.note_idleness(now).await;
    }

    fn may_spawn(&self, now: Instant) -> bool {
        self.respawn.not_before.is_none_or(|at| at <= now)
    }

    /// When waiting triggers are looked at again, if nothing happens before.
    pub(super) fn respawn_at(&self, now: Instant) -> Option<Instant> {
        let has_waiting = !self.roster.waiting(1).is_empty();
        self.respawn
            .not_before
            .filter(|at| has_waiting && *at > now)
    }

    /// The store failed; it is not asked in a tight loop.
    pub(super) fn pause_after_failure(&mut self) {
        self.respawn.not_before = Some(self.clock.monotonic() + PAUSE_MIN);
    }

    async fn note_idleness(&mut self, now: Instant) {
        let is_idle =
            self.roster.is_empty() && self.runner.as_ref().is_some_and(Runner::takes_triggers);
        if !is_idle {
            self.idle_since = None;
            return;
        }
        let since = *self.idle_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= self.options.idle_timeout {
            self.idle_since = None;
            self.tell_child(Event::Stop).await;
        }
    }

    fn begin_spawn(&mut self) {
        if self.calls.spawns {
            return;
        }
        self.calls.spawns = true;
        let (zygote, folder) = (self.zygote.clone(), self.options.scratch_folder.clone());
        self.call(async move {
            let spawned = async {
                let trace = Trace::create(&folder).map_err(|error| {
                    format!("`{}` cannot be written: {error}", folder.display())
                })?;
                let environment = vec![trace.variable()];
                let child = zygote.spawn(ChildKind::Triggerer, environment).await;
                let child = child.map_err(|error| error.to_string())?;
                Ok((child, trace))
            };
            Done::Spawned(spawned.await)
        });
    }

    pub(super) async fn on_spawned(&mut self, spawned: Result<(ChildHandle, Trace), String>) {
        self.calls.spawns = false;
        let (child, trace) = match spawned {
            Ok(spawned) => spawned,
            Err(error) => {
                warn!(error, "failed to start the trigger runner; trying again");
                let now = self.clock.monotonic();
                self.respawn
                    .after_death(now, Duration::ZERO, Cause::Unknown);
                return;
            }
        };
        info!(pid = child.pid.as_raw(), job_id = %self.rows.job_id(), "started the trigger runner");
        let masker = SecretsMasker::new(self.options.masker.clone());
        let session = TriggererSession::new(self.options.session.clone(), masker);
        let (clock, tasks) = (self.clock.clone(), self.tasks.clone());
        let (runner, demands) = Runner::start(child, session, trace, clock, tasks).await;
        self.runner = Some(runner);
        self.child = ChildNumber(self.child.0 + 1);
        self.meet(demands).await;
    }

    /// The child is gone; whatever ran in it waits for the next one.
    pub(super) fn on_child_ended(&mut self, ended: &Ended) {
        let Some(runner) = self.runner.take() else {
            return;
        };
        let now = self.clock.monotonic();
        if ended.reason == EndReason::Stopped {
            info!("stopped the trigger runner");
            self.roster.on_death(None, now);
            return;
        }
        let culprit = runner.culprit();
        let reason = &ended.reason;
        error!(%reason, trigger_id = culprit.map(|id| id.0), triggers = ended.unfinished.len(), "the trigger runner ended; its triggers are started again");
        let cause = culprit.map_or(Cause::Unknown, |_| Cause::KnownTrigger);
        self.respawn.after_death(now, runner.lifetime(), cause);
        let after = self.roster.on_death(culprit, now);
        if let Some(id) = culprit {
            let event = format!("The process of the triggers ended while this one ran: {reason}");
            self.log_for(id, &event);
        }
        if let Some(id) = after.banned {
            error!(
                trigger_id = id.0,
                "a watcher of assets is left alone for a while"
            );
        }
        if let Some(id) = after.doomed {
            let why = format!(
                "The trigger ended the process of all triggers, each time it was started: {reason}\n"
            );
            self.fail_unrunnable(vec![Unrunnable { id, why }]);
        }
    }

    /// Writes a line of ours into the log of a trigger.
    fn log_for(&mut self, id: TriggerId, event: &str) {
        let masker = SecretsMasker::new(self.options.masker.clone());
        let now = self.clock.now();
        let line = own_line(Level::Error, event, &[], &masker, now);
        self.logs.write(vec![(Some(id), line)], now);
    }
}
