//! What goes wrong with machines, clocks and Dags, and when it stops.

use std::time::Duration;

use jiff::SignedDuration;

use super::events::Event;
use super::{CHECK_EVERY, World};
use crate::actor::{Cause, Done};
use crate::faults::Rates;
use crate::parse;

impl World {
    /// Fills the queue of a new world.
    pub(super) fn plan_everything(&mut self) {
        self.port.set_rates(self.rates.calls);
        for host in 0..self.hosts.len() {
            let pause = Duration::from_secs(host as u64);
            self.queue.push(pause, Event::Start { host });
            let drift_max = self.rates.drift_max;
            if drift_max > 0 {
                let drift = i64::try_from(self.dice.below(2 * drift_max)).unwrap_or(0);
                self.hosts[host].drift = drift - i64::try_from(drift_max).unwrap_or(0);
            }
        }
        self.queue.push(CHECK_EVERY, Event::Check);
        self.plan_triggers();
        self.plan_backfills();
        self.again(self.rates.kill, Event::Kill);
        self.again(self.rates.freeze, Event::Freeze);
        self.again(self.rates.clock_step, Event::StepClock);
        self.again(self.rates.new_version, Event::NewVersion);
        self.again(self.rates.client, Event::Client);
    }

    /// Lets something happen after a random time, if it happens at all.
    fn again(&mut self, mean: Option<Duration>, event: Event) {
        if let Some(mean) = mean
            && !self.is_calm
        {
            let pause = self.dice.duration(Duration::ZERO, 2 * mean);
            self.later(pause, event);
        }
    }

    pub(super) fn kill_somebody(&mut self) {
        if self.is_calm {
            return;
        }
        self.again(self.rates.kill, Event::Kill);
        let at = self.dice.below(self.hosts.len());
        if self.hosts[at].life.is_some() {
            self.note(|| format!("host{at} is killed"));
            self.kill_process(at);
        }
    }

    pub(super) fn freeze_somebody(&mut self) {
        if self.is_calm {
            return;
        }
        self.again(self.rates.freeze, Event::Freeze);
        let at = self.dice.below(self.hosts.len());
        let writer = self.port.writer();
        let writes = writer.is_some_and(|id| self.actors.get(&id).is_some_and(|a| a.host == at));
        if writes {
            // Nobody else could go on: a database ends such a transaction after a while.
            return;
        }
        let longest = Duration::from_secs(*self.dice.choose(&[10, 60, 600]));
        let pause = self.dice.duration(Duration::from_secs(1), longest);
        self.note(|| format!("host{at} stands still for {pause:?}"));
        self.hosts[at].frozen_until = Some(self.elapsed + pause);
    }

    pub(super) fn step_a_clock(&mut self) {
        if self.is_calm {
            return;
        }
        self.again(self.rates.clock_step, Event::StepClock);
        let at = self.dice.below(self.hosts.len());
        let seconds = *self.dice.choose(&[1, 10, 120, 3_600]);
        let sign = if self.dice.chance(0.5) { 1 } else { -1 };
        self.note(|| format!("the clock of host{at} jumps by {} s", sign * seconds));
        self.hosts[at].shift_wall(SignedDuration::from_secs(sign * seconds));
    }

    pub(super) fn parse_a_new_version(&mut self) {
        if self.is_calm {
            return;
        }
        self.again(self.rates.new_version, Event::NewVersion);
        let at = self.dice.below(self.dags.len());
        let version = self.dice.below(self.dags[at].versions.len());
        let living = self.living_hosts();
        if living.is_empty() {
            return;
        }
        let host = *self.dice.choose(&living);
        let dag = &self.dags[at];
        let content = parse::content(dag, version, &self.hosts[host].ids);
        self.versions.insert(dag.id.clone(), version);
        let id = dag.id.clone();
        self.note(|| format!("{id} is now in version {version}"));
        let (store, clock) = (
            self.hosts[host].store.clone(),
            self.hosts[host].clock.clone(),
        );
        self.spawn(host, Cause::DagProcessor, async move {
            // A file that could not be stored is parsed again at the next change.
            drop(content.persist(&store, &clock).await);
            Done::Nothing
        });
    }

    /// From now on nothing goes wrong any more.
    pub(super) fn calm_down(&mut self) {
        self.is_calm = true;
        self.note(|| "nothing goes wrong from here on".to_owned());
        self.rates = Rates::none();
        self.port.set_rates(self.rates.calls);
        for child in self.children.values_mut() {
            child.mischief = None;
        }
        self.set_clocks_right();
        self.oracle.on_calm();
        self.undo_clients();
        self.repair();
    }

    /// Machines whose clocks differ by more than the health check allows would take each other for
    /// dead for ever.
    fn set_clocks_right(&mut self) {
        let latest = self.hosts.iter().map(|host| host.time.now()).max();
        for host in &mut self.hosts {
            host.drift = 0;
            host.time.set_wall(latest.expect("a world has machines"));
        }
    }

    /// Whatever is down comes up.
    pub(super) fn repair(&mut self) {
        for host in 0..self.hosts.len() {
            if self.hosts[host].life.is_none() {
                self.later(Duration::ZERO, Event::Start { host });
            }
        }
    }
}
