//! What the scheduler has to look at, and when. Pure bookkeeping, bounded.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use updraft_model::DagId;
use updraft_store::{Change, RunKey, WhichDags};

/// Runs that may be marked at once. Beyond it the next look goes at all running runs, which
/// costs one query.
const DIRTY_RUNS_MAX: usize = 10_000;

/// Dags that may be marked at once as waiting for assets. Beyond it the next look goes at all.
const WAITING_DAGS_MAX: usize = 10_000;

/// Where to look next.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    dirty: BTreeSet<RunKey>,
    /// Marked runs of backfills: they wait until no ordinary run is marked.
    dirty_of_backfills: BTreeSet<RunKey>,
    /// Running runs that belong to backfills, as far as they were met.
    of_backfills: BTreeSet<RunKey>,
    /// Look at every running run.
    pub(crate) everything: bool,
    /// A Dag may be due.
    pub(crate) creation: bool,
    /// Dags that wait for assets and may have enough of them.
    waiting: BTreeSet<DagId>,
    /// Look at every Dag that waits for assets.
    all_waiting: bool,
    /// A queued run may start.
    pub(crate) starting: bool,
    /// Something scheduled may fit.
    pub(crate) queueing: bool,
    /// A callback or a connection test may wait for a slot. No reason to look by itself: what
    /// frees a slot is.
    pub(crate) urgent: bool,
    /// A time limit may have passed, or be the next to pass.
    pub(crate) deadlines: bool,
    /// Runs that should be looked at although nothing happens to them.
    timers: BTreeMap<RunKey, Timestamp>,
    /// When a Dag is due next, or a run that waits for its date.
    pub(crate) next_due: Option<Timestamp>,
    /// When the next time limit passes.
    pub(crate) next_deadline: Option<Timestamp>,
    /// A deferred task instance may have run out of time, or has a new limit.
    pub(crate) timeouts: bool,
    /// When the next of them runs out of time.
    pub(crate) next_timeout: Option<Timestamp>,
}

impl Agenda {
    /// What a scheduler that has just started looks at.
    pub(crate) fn full() -> Self {
        Self {
            everything: true,
            creation: true,
            all_waiting: true,
            starting: true,
            queueing: true,
            deadlines: true,
            urgent: true,
            timeouts: true,
            ..Self::default()
        }
    }

    /// Notes a hint of the store.
    pub(crate) fn on_change(&mut self, change: Change) {
        match change {
            Change::DagRun { dag_id, run_id } => {
                self.mark(RunKey { dag_id, run_id });
                self.queueing = true;
            }
            Change::Waiting { dag_id } => {
                self.wait_for(dag_id);
                self.starting = true;
            }
            // Its schedule, its runs and its limits may all be different now.
            Change::Dag { dag_id } => {
                self.wait_for(dag_id);
                self.look_at_everything();
            }
            Change::Everything => {
                self.all_waiting = true;
                self.look_at_everything();
                self.deadlines = true;
                self.urgent = true;
                self.timeouts = true;
            }
            Change::Trigger => self.timeouts = true,
            Change::Capacity => self.queueing = true,
            Change::Deadline => self.deadlines = true,
            Change::Urgent => {
                self.urgent = true;
                self.queueing = true;
            }
            Change::CallbackRequested | Change::ParseRequested | Change::PythonWanted => {}
        }
    }

    fn look_at_everything(&mut self) {
        self.everything = true;
        self.creation = true;
        self.starting = true;
        self.queueing = true;
    }

    /// Marks a Dag that may have enough of the assets it waits for.
    pub(crate) fn wait_for(&mut self, dag_id: DagId) {
        self.creation = true;
        self.postpone(dag_id);
    }

    /// Marks these Dags once more.
    pub(crate) fn wait_for_all(&mut self, which: &WhichDags) {
        self.creation = true;
        match which {
            WhichDags::All => self.all_waiting = true,
            WhichDags::These(dags) => dags.iter().for_each(|dag_id| self.postpone(dag_id.clone())),
        }
    }

    /// Marks a Dag for the next time that runs are created.
    pub(crate) fn postpone(&mut self, dag_id: DagId) {
        if self.waiting.len() < WAITING_DAGS_MAX {
            self.waiting.insert(dag_id);
        } else {
            self.all_waiting = true;
        }
    }

    /// Takes the marked Dags; `None` if there is none.
    pub(crate) fn take_waiting_dags(&mut self) -> Option<WhichDags> {
        let these = std::mem::take(&mut self.waiting);
        if std::mem::take(&mut self.all_waiting) {
            return Some(WhichDags::All);
        }
        (!these.is_empty()).then_some(WhichDags::These(these))
    }

    /// Marks a run as worth a look.
    pub(crate) fn mark(&mut self, key: RunKey) {
        let dirty = if self.of_backfills.contains(&key) {
            &mut self.dirty_of_backfills
        } else {
            &mut self.dirty
        };
        if dirty.len() < DIRTY_RUNS_MAX {
            dirty.insert(key);
        } else {
            self.everything = true;
        }
    }

    /// Notes that a run belongs to a backfill, and so comes after ordinary ones.
    pub(crate) fn note_backfill(&mut self, key: RunKey) {
        if self.of_backfills.len() < DIRTY_RUNS_MAX {
            self.of_backfills.insert(key);
        }
    }

    /// The run has ended.
    pub(crate) fn forget_backfill(&mut self, key: &RunKey) {
        self.of_backfills.remove(key);
    }

    /// Looks at a run again at `at`, unless something happens to it before. `None`: never.
    pub(crate) fn wake(&mut self, key: &RunKey, at: Option<Timestamp>) {
        match at {
            Some(at) => self.timers.insert(key.clone(), at),
            None => self.timers.remove(key),
        };
    }

    /// Turns timers that have fired into marks.
    pub(crate) fn fire_timers(&mut self, now: Timestamp) {
        let fired: Vec<RunKey> = self
            .timers
            .iter()
            // Retry and reschedule dates must be strictly past.
            .filter(|(_, at)| **at < now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in fired {
            self.timers.remove(&key);
            self.mark(key);
        }
        // A limit that has just been reached is not yet passed.
        if self.next_timeout.is_some_and(|at| at < now) {
            self.next_timeout = None;
            self.timeouts = true;
        }
        if self.next_due.is_some_and(|due| due <= now) {
            self.next_due = None;
            self.creation = true;
            self.starting = true;
            self.everything = true;
        }
        // A time limit has passed when its last moment has.
        if self.next_deadline.is_some_and(|at| at < now) {
            self.next_deadline = None;
            self.deadlines = true;
        }
    }

    /// Takes up to `count` marked runs: ordinary ones, then those of backfills, each in the order of
    /// their names.
    pub(crate) fn take_runs(&mut self, count: usize) -> Vec<RunKey> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let next = self.dirty.pop_first();
            let Some(key) = next.or_else(|| self.dirty_of_backfills.pop_first()) else {
                break;
            };
            taken.push(key);
        }
        taken
    }

    /// Whether something is to be looked at now.
    pub(crate) fn has_work(&self) -> bool {
        self.everything
            || self.creation
            || self.starting
            || self.queueing
            || self.deadlines
            || self.timeouts
            || !self.dirty.is_empty()
            || !self.dirty_of_backfills.is_empty()
    }

    /// When the next timer fires.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let timers = self.timers.values().copied();
        let known = [self.next_due, self.next_deadline, self.next_timeout];
        timers.chain(known.into_iter().flatten()).min()
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use updraft_store::{Change, RunKey};

    use super::{Agenda, DIRTY_RUNS_MAX};

    fn key(run: &str) -> RunKey {
        RunKey {
            dag_id: "d".into(),
            run_id: run.into(),
        }
    }

    #[test]
    fn a_run_is_looked_at_once_however_often_it_changed() {
        let mut agenda = Agenda::default();
        for _ in 0..3 {
            agenda.on_change(Change::DagRun {
                dag_id: "d".into(),
                run_id: "r".into(),
            });
        }
        assert_eq!(agenda.take_runs(10), [key("r")]);
        assert_eq!(agenda.take_runs(10), []);
    }

    #[test]
    fn runs_of_backfills_come_after_ordinary_ones() {
        let mut agenda = Agenda::default();
        agenda.note_backfill(key("a"));
        for run in ["a", "c", "b"] {
            agenda.mark(key(run));
        }
        assert_eq!(agenda.take_runs(2), [key("b"), key("c")]);
        assert!(agenda.has_work());
        assert_eq!(agenda.take_runs(2), [key("a")]);
        agenda.forget_backfill(&key("a"));
        agenda.mark(key("a"));
        agenda.mark(key("b"));
        assert_eq!(agenda.take_runs(1), [key("a")]);
    }

    #[test]
    fn a_timer_fires_after_its_moment_and_only_once() {
        let now = Timestamp::UNIX_EPOCH;
        let mut agenda = Agenda::default();
        agenda.wake(&key("r"), Some(now));
        agenda.fire_timers(now);
        assert!(!agenda.has_work(), "a retry date must be strictly past");
        let later = now + SignedDuration::from_micros(1);
        agenda.fire_timers(later);
        assert_eq!(agenda.take_runs(10), [key("r")]);
        agenda.fire_timers(later);
        assert!(!agenda.has_work());
        assert_eq!(agenda.next_wake(), None);
    }

    #[test]
    fn a_time_limit_wakes_the_scheduler_once_it_has_passed() {
        let now = Timestamp::UNIX_EPOCH;
        let mut agenda = Agenda {
            next_deadline: Some(now),
            ..Agenda::default()
        };
        assert_eq!(agenda.next_wake(), Some(now));
        agenda.fire_timers(now);
        assert!(!agenda.has_work(), "the limit itself is in time");
        agenda.fire_timers(now + SignedDuration::from_micros(1));
        assert!(agenda.deadlines && agenda.has_work());
        assert_eq!(agenda.next_wake(), None);
    }

    #[test]
    fn time_runs_out_strictly_after_its_moment() {
        let now = Timestamp::UNIX_EPOCH;
        let mut agenda = Agenda {
            next_timeout: Some(now),
            ..Agenda::default()
        };
        assert_eq!(agenda.next_wake(), Some(now));
        agenda.fire_timers(now);
        assert!(!agenda.has_work());
        agenda.fire_timers(now + SignedDuration::from_micros(1));
        assert!(agenda.timeouts && agenda.has_work());
        assert_eq!(agenda.next_wake(), None);
        let mut told = Agenda::default();
        told.on_change(Change::Trigger);
        assert!(told.timeouts && told.take_runs(9).is_empty());
    }

    #[test]
    fn a_newer_look_replaces_the_timer_of_a_run() {
        let now = Timestamp::UNIX_EPOCH;
        let mut agenda = Agenda::default();
        agenda.wake(&key("r"), Some(now));
        agenda.wake(&key("r"), None);
        assert_eq!(agenda.next_wake(), None);
    }

    #[test]
    fn too_many_marks_become_a_look_at_everything() {
        let mut agenda = Agenda::default();
        for number in 0..=DIRTY_RUNS_MAX {
            agenda.mark(key(&number.to_string()));
        }
        assert!(agenda.everything);
        assert_eq!(agenda.take_runs(usize::MAX).len(), DIRTY_RUNS_MAX);
    }
}
