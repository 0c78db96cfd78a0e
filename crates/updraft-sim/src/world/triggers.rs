//! Triggerers: what their loop does around the rows and the books, and what their children do.

use std::time::Duration;

use updraft_execution::{AnswerOptions, Fired, FiredTrigger};
use updraft_model::TriggerId;
use updraft_runtime::CancellationToken;
use updraft_store::{Change, Error, RunKey};
use updraft_triggerer::{Loaded, TriggerRows, Unrunnable};

use super::World;
use super::events::Event;
use super::hosts::run_rules;
use super::sessions::MAP_LENGTH;
use crate::actor::{Cause, Done};
use crate::triggerer::{
    BEAT_EVERY, CAPACITY, News, SimTriggerer, TriggerChild, TriggerDone, options,
};

/// As in the real loop: pause between two looks for triggers that nobody needs.
const CHECK_PAUSE: Duration = Duration::from_secs(1);

/// A child starts within this time.
const SPAWN_TIME_MAX: Duration = Duration::from_millis(500);

/// A child tells what happened within this time.
const REPORT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// From an event of a trigger to its next.
const NEXT_EVENT_AFTER: Duration = Duration::from_secs(3);

const LOADED_AT_ONCE_MAX: usize = 500;

/// Something that happens to a triggerer.
#[derive(Clone, Copy, Debug)]
pub(super) enum TriggersEvent {
    Beat,
    Tick(Duration),
    /// The zygote has forked a child.
    Spawned,
    /// In this child, the time of this start of a trigger has come.
    Fire(u64, TriggerId, u64),
    /// This child tells what happened.
    Report(u64),
    /// This child dies.
    Death(u64),
}

impl World {
    fn triggerer(&mut self, at: usize) -> Option<&mut SimTriggerer> {
        self.hosts[at].life.as_mut()?.triggerer.as_deref_mut()
    }

    /// Whether any triggerer still has a trigger in its books.
    pub(super) fn holds_triggers(&self) -> bool {
        self.hosts.iter().any(|host| {
            let triggerer = host.life.as_ref().and_then(|life| life.triggerer.as_ref());
            triggerer.is_some_and(|triggerer| !triggerer.roster.is_empty())
        })
    }

    /// Registers the triggerer of a process that starts, or one that was taken for dead.
    pub(super) fn register_triggerer(&mut self, at: usize) {
        let is_alone = self.hosts.len() == 1;
        let host = &self.hosts[at];
        let (store, clock, ids) = (host.store.clone(), host.clock.clone(), host.ids.clone());
        let answers = AnswerOptions {
            map_length_max: MAP_LENGTH,
            run_rules: run_rules(),
            clock: clock.clone(),
            ids: ids.clone(),
            python: None,
        };
        let options = options(&host.name, is_alone, answers);
        self.spawn(at, Cause::Triggerer, async move {
            let registered = TriggerRows::register(&store, &options, &clock, &ids).await;
            done(TriggerDone::Registered(registered))
        });
    }

    pub(super) fn on_triggers_done(&mut self, at: usize, done: TriggerDone) {
        if let TriggerDone::Registered(registered) = done {
            return self.on_registered(at, registered);
        }
        if self.triggerer(at).is_none() {
            return;
        }
        match done {
            TriggerDone::Registered(_) => {}
            TriggerDone::Claimed(claimed) => self.on_claimed(at, claimed),
            TriggerDone::Checked(held, Ok(needed)) => self.on_checked(at, &held, &needed),
            TriggerDone::Checked(_, Err(error)) => {
                self.note(|| format!("host{at} fails to check its triggers: {error}"));
                self.expect_triggerer(at).checks = false;
            }
            TriggerDone::Loaded(Ok(loaded)) => self.on_loaded(at, loaded),
            TriggerDone::Loaded(Err(error)) => {
                self.note(|| format!("host{at} fails to load triggers: {error}"));
                let later = self.elapsed + SPAWN_TIME_MAX;
                let triggerer = self.expect_triggerer(at);
                triggerer.loads = false;
                triggerer.not_before = later;
            }
            TriggerDone::Reported {
                child,
                news,
                events,
            } => {
                self.expect_triggerer(at).events = Some(*events);
                self.on_stored(at, child, &news);
            }
            TriggerDone::Beaten(Ok(true)) => {}
            TriggerDone::Beaten(Ok(false)) => {
                self.note(|| format!("the triggerer of host{at} was taken for dead"));
                let triggerer = self.expect_triggerer(at);
                triggerer.roster.clear();
                triggerer.child = None;
                self.register_triggerer(at);
            }
            TriggerDone::Beaten(Err(error)) => {
                self.note(|| format!("the triggerer of host{at} sends no sign of life: {error}"));
            }
        }
        self.tend_triggers(at);
    }

    fn expect_triggerer(&mut self, at: usize) -> &mut SimTriggerer {
        self.triggerer(at).expect("it was just looked at")
    }

    fn on_registered(&mut self, at: usize, registered: Result<TriggerRows, Error>) {
        let now = self.hosts[at].clock.monotonic();
        match (registered, self.triggerer(at)) {
            (Ok(rows), Some(triggerer)) => {
                triggerer.rows = rows;
                triggerer.wants_claim = true;
                triggerer.wants_check = true;
            }
            (Ok(rows), None) => {
                if let Some(life) = &mut self.hosts[at].life {
                    life.triggerer = Some(Box::new(SimTriggerer::new(rows, now)));
                }
                self.triggers_later(at, BEAT_EVERY, TriggersEvent::Beat);
            }
            // The next sign of life tries again.
            (Err(error), Some(_)) => {
                self.note(|| format!("host{at} fails to register a triggerer: {error}"));
            }
            (Err(error), None) => {
                self.note(|| format!("host{at} fails to start a triggerer: {error}"));
                return self.kill_process(at);
            }
        }
        self.tend_triggers(at);
    }

    fn triggers_later(&mut self, host: usize, pause: Duration, event: TriggersEvent) {
        let Some(life) = &self.hosts[host].life else {
            return;
        };
        let life = life.number;
        self.later(pause, Event::Triggers { host, life, event });
    }

    pub(super) fn tell_triggerer(&mut self, at: usize, change: &Change) {
        let Some(triggerer) = self.triggerer(at) else {
            return;
        };
        match change {
            Change::Trigger | Change::Everything => {
                triggerer.wants_claim = true;
                triggerer.wants_check = true;
            }
            Change::DagRun { dag_id, run_id } => {
                triggerer.wants_check |= triggerer.roster.knows_run(&RunKey {
                    dag_id: dag_id.clone(),
                    run_id: run_id.clone(),
                });
            }
            _ => return,
        }
        self.tend_triggers(at);
    }

    pub(super) fn on_triggers_event(&mut self, at: usize, life: u64, event: TriggersEvent) {
        if !self.hosts[at].is_life(life) || self.triggerer(at).is_none() {
            return;
        }
        match event {
            TriggersEvent::Beat => self.beat(at),
            TriggersEvent::Tick(time) => {
                let now = self.hosts[at].clock.monotonic();
                let triggerer = self.expect_triggerer(at);
                if triggerer.tick == Some(time) {
                    triggerer.tick = None;
                    let to_cancel = triggerer.roster.on_time(now);
                    self.cancel_triggers(at, &to_cancel);
                }
            }
            TriggersEvent::Spawned => {
                let triggerer = self.expect_triggerer(at);
                if triggerer.child.is_none() {
                    triggerer.child_number += 1;
                    triggerer.child = Some(TriggerChild::default());
                    self.let_child_die(at);
                }
            }
            TriggersEvent::Fire(child, id, start) => self.on_fire(at, child, id, start),
            TriggersEvent::Report(child) => self.on_report(at, child),
            TriggersEvent::Death(child) => self.on_trigger_child_died(at, child),
        }
        self.tend_triggers(at);
    }

    fn beat(&mut self, at: usize) {
        self.triggers_later(at, BEAT_EVERY, TriggersEvent::Beat);
        let triggerer = self.expect_triggerer(at);
        triggerer.beats += 1;
        let scans = triggerer.beats.is_multiple_of(2);
        triggerer.wants_claim |= scans;
        triggerer.wants_check |= scans;
        let rows = triggerer.rows.clone();
        self.spawn(at, Cause::Triggerer, async move {
            done(TriggerDone::Beaten(rows.beat().await))
        });
        if scans {
            self.clean_triggers(at);
        }
    }

    fn clean_triggers(&mut self, at: usize) {
        let rows = self.expect_triggerer(at).rows.clone();
        self.spawn(at, Cause::Triggerer, async move {
            // The next look cleans what is left.
            drop(rows.clean().await);
            Done::Nothing
        });
    }

    /// Starts whatever is wanted and not under way, and sets the timer.
    fn tend_triggers(&mut self, at: usize) {
        let (now, elapsed) = (self.hosts[at].clock.monotonic(), self.elapsed);
        let Some(triggerer) = self.triggerer(at) else {
            return;
        };
        let rows = triggerer.rows.clone();
        let has_room = triggerer.roster.len() < CAPACITY;
        let claims = triggerer.wants_claim && has_room && !triggerer.claims;
        let free = CAPACITY.saturating_sub(triggerer.roster.len());
        if claims {
            triggerer.claims = true;
            triggerer.wants_claim = false;
        }
        let checks = triggerer.wants_check && triggerer.next_check <= now && !triggerer.checks;
        let held = triggerer.roster.ids();
        if checks {
            triggerer.checks = true;
            triggerer.wants_check = false;
            triggerer.next_check = now + CHECK_PAUSE;
        }
        let waiting = triggerer.roster.waiting(LOADED_AT_ONCE_MAX);
        let may_go_on = !waiting.is_empty() && triggerer.not_before <= elapsed;
        let loads = may_go_on && triggerer.child.is_some() && !triggerer.loads;
        triggerer.loads |= loads;
        let spawns = may_go_on && triggerer.child.is_none();
        if claims {
            let rows = rows.clone();
            self.spawn(at, Cause::Triggerer, async move {
                done(TriggerDone::Claimed(rows.claim(free).await))
            });
        }
        if checks {
            let rows = rows.clone();
            self.spawn(at, Cause::Triggerer, async move {
                let needed = rows.load_needed().await;
                done(TriggerDone::Checked(held, needed))
            });
        }
        if loads {
            self.spawn(at, Cause::Triggerer, async move {
                done(TriggerDone::Loaded(rows.load(waiting).await))
            });
        }
        if spawns {
            let pause = self.dice.duration(Duration::ZERO, SPAWN_TIME_MAX);
            self.expect_triggerer(at).not_before = elapsed + SPAWN_TIME_MAX;
            self.triggers_later(at, pause, TriggersEvent::Spawned);
        }
        self.arm_triggers(at);
    }

    fn arm_triggers(&mut self, at: usize) {
        let time = self.hosts[at].time.clone();
        let elapsed = self.elapsed;
        let triggerer = self.expect_triggerer(at);
        let check = (triggerer.wants_check && !triggerer.checks).then_some(triggerer.next_check);
        let timed = [check, triggerer.roster.next_time()].into_iter().flatten();
        let has_waiting = !triggerer.roster.waiting(1).is_empty();
        let spawn = (has_waiting && triggerer.not_before > elapsed).then_some(triggerer.not_before);
        let next = timed.map(|at| time.since_start(at)).chain(spawn).min();
        let next = next.map(|next| next.max(elapsed));
        if next == triggerer.tick {
            return;
        }
        triggerer.tick = next;
        if let Some(next) = next {
            let pause = next.saturating_sub(elapsed);
            self.triggers_later(at, pause, TriggersEvent::Tick(next));
        }
    }

    fn on_claimed(&mut self, at: usize, claimed: Result<Vec<TriggerId>, Error>) {
        self.note(|| format!("host{at} claims triggers: {claimed:?}"));
        let triggerer = self.expect_triggerer(at);
        triggerer.claims = false;
        if let Ok(ids) = claimed {
            triggerer.wants_claim |= !ids.is_empty();
            triggerer.roster.add(&ids);
        }
    }

    fn on_checked(
        &mut self,
        at: usize,
        held: &[TriggerId],
        needed: &std::collections::BTreeSet<TriggerId>,
    ) {
        let now = self.hosts[at].clock.monotonic();
        let triggerer = self.expect_triggerer(at);
        triggerer.checks = false;
        let (to_cancel, missing) = triggerer.roster.on_needed(held, needed, now);
        if !triggerer.claims {
            triggerer.roster.add(&missing);
        }
        self.cancel_triggers(at, &to_cancel);
        if held.iter().any(|id| !needed.contains(id)) {
            self.clean_triggers(at);
        }
    }

    fn on_loaded(&mut self, at: usize, loaded: Loaded) {
        let triggerer = self.expect_triggerer(at);
        triggerer.loads = false;
        let Some(child) = &mut triggerer.child else {
            return;
        };
        let is_there = |id: &TriggerId| loaded.workloads.iter().any(|one| one.id() == *id);
        let gone: Vec<TriggerId> = loaded
            .wanted
            .iter()
            .copied()
            .filter(|id| !is_there(id))
            .collect();
        for id in &gone {
            triggerer.roster.remove(*id);
        }
        let mut started = Vec::new();
        for workload in &loaded.workloads {
            let id = workload.id();
            if triggerer.roster.is_waiting(id) {
                triggerer
                    .roster
                    .on_started(id, workload.kind, workload.run());
                started.push((id, child.start(&workload.run_trigger)));
            }
        }
        let number = triggerer.child_number;
        for (id, trigger) in started {
            self.note(|| format!("host{at} starts trigger {id}: {trigger:?}"));
            let fire = TriggersEvent::Fire(number, id, trigger.start);
            self.triggers_later(at, trigger.after, fire);
        }
        if !gone.is_empty() {
            self.clean_triggers(at);
        }
        self.fail_triggers(at, loaded.unrunnable);
    }

    fn on_fire(&mut self, at: usize, number: u64, id: TriggerId, start: u64) {
        let triggerer = self.expect_triggerer(at);
        let is_present = triggerer.child_number == number;
        let Some(child) = triggerer.child.as_mut().filter(|_| is_present) else {
            return;
        };
        if child.running.get(&id).map(|trigger| trigger.start) != Some(start) {
            return;
        }
        if child.fire(id) {
            let next = TriggersEvent::Fire(number, id, start);
            self.triggers_later(at, NEXT_EVENT_AFTER, next);
        }
        self.let_child_report(at);
    }

    /// The child tells that triggers have stopped.
    fn cancel_triggers(&mut self, at: usize, ids: &[TriggerId]) {
        let Some(child) = &mut self.expect_triggerer(at).child else {
            return;
        };
        for id in ids {
            child.end(*id);
        }
        if !ids.is_empty() {
            self.let_child_report(at);
        }
    }

    fn let_child_report(&mut self, at: usize) {
        let pause = self.dice.duration(Duration::ZERO, REPORT_PAUSE_MAX);
        let number = self.expect_triggerer(at).child_number;
        self.triggers_later(at, pause, TriggersEvent::Report(number));
    }

    fn on_report(&mut self, at: usize, number: u64) {
        let triggerer = self.expect_triggerer(at);
        let is_present = triggerer.child_number == number;
        let Some(child) = triggerer.child.as_mut().filter(|_| is_present) else {
            return;
        };
        if child.is_reporting || child.news.fired.is_empty() && child.news.finished.is_empty() {
            return;
        }
        child.is_reporting = true;
        let news = std::mem::take(&mut child.news);
        self.store_news(at, news, Some(number));
    }

    fn store_news(&mut self, at: usize, news: News, child: Option<u64>) {
        self.note(|| format!("host{at} stores what triggers did: {news:?}"));
        let is_doubled = self.dice.chance(self.rates.doubled);
        let late = self
            .dice
            .duration(Duration::from_secs(1), Duration::from_secs(900));
        let clock = self.hosts[at].clock.clone();
        let triggerer = self.expect_triggerer(at);
        let rows = triggerer.rows.clone();
        let mut events = triggerer.events.take().unwrap_or_default();
        if is_doubled {
            // The same is said once more, much later.
            let (rows, fired) = (rows.clone(), news.fired.clone());
            self.spawn(at, Cause::Triggerer, async move {
                clock.sleep(late).await;
                let mut events = updraft_execution::TriggerEvents::default();
                rows.report(&mut events, &fired, &CancellationToken::new())
                    .await;
                Done::Nothing
            });
        }
        self.spawn(at, Cause::Triggerer, async move {
            rows.report(&mut events, &news.fired, &CancellationToken::new())
                .await;
            done(TriggerDone::Reported {
                child,
                news,
                events: Box::new(events),
            })
        });
    }

    fn on_stored(&mut self, at: usize, number: Option<u64>, news: &News) {
        let now = self.hosts[at].clock.monotonic();
        let triggerer = self.expect_triggerer(at);
        let has_failed = |one: &&FiredTrigger| matches!(one.fired, Fired::Failed(_));
        for one in news.fired.iter().filter(|one| !has_failed(one)) {
            triggerer.roster.on_event(one.id, now);
        }
        let mut silent = Vec::new();
        for id in &news.finished {
            let failed = news
                .fired
                .iter()
                .filter(has_failed)
                .any(|one| one.id == *id);
            if triggerer.roster.on_finished(*id, failed, now) {
                let why = "it ended without a word".to_owned();
                silent.push(Unrunnable { id: *id, why });
            }
        }
        triggerer.wants_claim |= !news.finished.is_empty();
        let is_present = number == Some(triggerer.child_number);
        if let Some(child) = triggerer.child.as_mut().filter(|_| is_present) {
            child.is_reporting = false;
            self.let_child_report(at);
        }
        self.fail_triggers(at, silent);
    }

    fn fail_triggers(&mut self, at: usize, unrunnable: Vec<Unrunnable>) {
        if unrunnable.is_empty() {
            return;
        }
        let fired = unrunnable.into_iter().map(|one| FiredTrigger {
            id: one.id,
            fired: Fired::Failed(Some(vec![one.why])),
        });
        let news = News {
            fired: fired.collect(),
            finished: Vec::new(),
        };
        self.store_news(at, news, None);
    }

    fn let_child_die(&mut self, at: usize) {
        if self.dice.chance(self.rates.child_dies) {
            let number = self.expect_triggerer(at).child_number;
            let pause = self.dice.duration(Duration::ZERO, Duration::from_secs(60));
            self.triggers_later(at, pause, TriggersEvent::Death(number));
        }
    }

    /// Some trigger may have had the processor then.
    fn on_trigger_child_died(&mut self, at: usize, number: u64) {
        let (now, elapsed) = (self.hosts[at].clock.monotonic(), self.elapsed);
        let pause = self.dice.duration(SPAWN_TIME_MAX, Duration::from_secs(30));
        let is_known = self.dice.chance(0.5);
        let lot = self.dice.next_number();
        let triggerer = self.expect_triggerer(at);
        if triggerer.child_number != number {
            return;
        }
        let Some(child) = triggerer.child.take() else {
            return;
        };
        let running: Vec<TriggerId> = child.running.keys().copied().collect();
        let culprit = match usize::try_from(lot) {
            Ok(lot) if is_known && !running.is_empty() => Some(running[lot % running.len()]),
            _ => None,
        };
        triggerer.not_before = elapsed + pause;
        let after = triggerer.roster.on_death(culprit, now);
        self.note(|| format!("the triggers' child of host{at} dies, by {culprit:?}: {after:?}"));
        let doomed = after.doomed.map(|id| Unrunnable {
            id,
            why: "it ends the process".to_owned(),
        });
        self.fail_triggers(at, doomed.into_iter().collect());
    }
}

fn done(done: TriggerDone) -> Done {
    Done::Triggers(Box::new(done))
}
