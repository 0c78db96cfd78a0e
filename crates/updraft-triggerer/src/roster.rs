//! The books of a triggerer: which triggers it holds and how each one stands. Pure: no I/O, no
//! clock.
//!
//! A trigger is held from the claim until it has finished or nobody needs it. In between it waits
//! to be handed to the child, runs there, rests (a watcher between two runs), or is on its way out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use updraft_model::TriggerId;
use updraft_model::trigger::TriggerKind;
use updraft_store::RunKey;

#[cfg(test)]
mod tests;

/// How long a trigger may go on after its event has let the task instance go on: time to clean up.
/// Then it is stopped, which runs its `on_kill`.
const AFTERLIFE_MAX: Duration = Duration::from_secs(5);

/// Pause before a watcher starts again that ended well. Airflow looks once a second.
const REST_MIN: Duration = Duration::from_secs(1);

/// Longest pause before a watcher starts again that keeps failing.
const REST_MAX: Duration = Duration::from_secs(60);

/// So many deaths of the child while the same trigger had the processor, and the trigger is not
/// started again.
const STRIKES_MAX: u32 = 2;

/// How long a watcher rests that has killed the child so often: it belongs to no task instance
/// that could fail.
const BAN: Duration = Duration::from_secs(600);

/// Every trigger that this triggerer holds.
#[derive(Debug, Default)]
pub struct Roster {
    held: BTreeMap<TriggerId, Held>,
    /// How many of them belong to each run.
    runs: BTreeMap<RunKey, usize>,
    waiting: BTreeSet<TriggerId>,
    /// Those that rest or leave, by the end of that.
    timed: BTreeSet<(Instant, TriggerId)>,
}

#[derive(Debug, Default)]
struct Held {
    kind: Option<TriggerKind>,
    run: Option<RunKey>,
    standing: Standing,
    /// Its task instance has been told, or its callback is over.
    has_fired: bool,
    /// How often it had the processor when the child died.
    strikes: u32,
    /// How often in a row it failed without an event.
    failures: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Claimed, and not with the child.
    #[default]
    Waiting,
    Running,
    Resting {
        until: Instant,
    },
    /// Nobody needs it any more; it may finish what it is doing.
    Leaving {
        until: Instant,
    },
    /// It was told to stop.
    Cancelled,
}

/// What follows from the death of the child.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AfterDeath {
    /// A trigger that must not be started again, of a task instance or a callback.
    pub doomed: Option<TriggerId>,
    /// A watcher that is left alone for a while.
    pub banned: Option<TriggerId>,
}

impl Roster {
    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// All triggers that are held.
    pub fn ids(&self) -> Vec<TriggerId> {
        self.held.keys().copied().collect()
    }

    /// Whether the trigger waits to be handed to the child.
    pub fn is_waiting(&self, id: TriggerId) -> bool {
        self.waiting.contains(&id)
    }

    /// Whether any of the triggers belongs to this run.
    pub fn knows_run(&self, run: &RunKey) -> bool {
        self.runs.contains_key(run)
    }

    /// Takes in triggers that were claimed, or found to be ours.
    pub fn add(&mut self, ids: &[TriggerId]) {
        for id in ids {
            if !self.held.contains_key(id) {
                self.held.insert(*id, Held::default());
                self.waiting.insert(*id);
            }
        }
    }

    /// Some of the triggers that wait to be handed to the child, the oldest first.
    pub fn waiting(&self, count: usize) -> Vec<TriggerId> {
        self.waiting.iter().take(count).copied().collect()
    }

    /// The trigger was handed to the child.
    pub fn on_started(&mut self, id: TriggerId, kind: TriggerKind, run: Option<RunKey>) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        held.kind = Some(kind);
        if held.run.is_none()
            && let Some(run) = run
        {
            *self.runs.entry(run.clone()).or_default() += 1;
            held.run = Some(run);
        }
        self.set(id, Standing::Running);
    }

    /// Nothing more is to be done about the trigger.
    pub fn remove(&mut self, id: TriggerId) {
        self.set(id, Standing::Cancelled);
        let Some(run) = self.held.remove(&id).and_then(|held| held.run) else {
            return;
        };
        if let Some(count) = self.runs.get_mut(&run) {
            *count -= 1;
            if *count == 0 {
                self.runs.remove(&run);
            }
        }
    }

    /// Forgets everything: somebody else runs these triggers now.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The trigger had an event, which is stored.
    pub fn on_event(&mut self, id: TriggerId, now: Instant) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        held.has_fired = true;
        held.failures = 0;
        let is_served = held.kind == Some(TriggerKind::Task);
        if is_served && held.standing == Standing::Running {
            let until = now + AFTERLIFE_MAX;
            self.set(id, Standing::Leaving { until });
        }
    }

    /// The trigger does not run any more. `true`: it ended without a word, though nobody had told
    /// it to stop.
    pub fn on_finished(&mut self, id: TriggerId, has_failed: bool, now: Instant) -> bool {
        let Some(held) = self.held.get_mut(&id) else {
            return false;
        };
        let was_running = held.standing == Standing::Running;
        if held.kind != Some(TriggerKind::Asset) || !was_running {
            let has_spoken = held.has_fired || has_failed;
            self.remove(id);
            return was_running && !has_spoken;
        }
        held.failures = if has_failed { held.failures + 1 } else { 0 };
        held.has_fired = false;
        let until = now + rest_after(held.failures);
        self.set(id, Standing::Resting { until });
        false
    }

    /// When the triggers in `asked` were held, these, and no others, were needed. Returns those to
    /// stop, and those that we should hold and do not.
    pub fn on_needed(
        &mut self,
        asked: &[TriggerId],
        needed: &BTreeSet<TriggerId>,
        now: Instant,
    ) -> (Vec<TriggerId>, Vec<TriggerId>) {
        let to_cancel = asked
            .iter()
            .filter(|id| !needed.contains(id))
            .filter(|id| self.let_go(**id, now))
            .copied()
            .collect();
        let missing = needed
            .iter()
            .filter(|id| !self.held.contains_key(id))
            .copied();
        (to_cancel, missing.collect())
    }

    /// Whether the child must be told.
    fn let_go(&mut self, id: TriggerId, now: Instant) -> bool {
        let Some(held) = self.held.get(&id) else {
            return false;
        };
        match held.standing {
            Standing::Waiting | Standing::Resting { .. } => {
                self.remove(id);
                false
            }
            Standing::Running if held.has_fired => {
                let until = now + AFTERLIFE_MAX;
                self.set(id, Standing::Leaving { until });
                false
            }
            Standing::Running => {
                self.set(id, Standing::Cancelled);
                true
            }
            Standing::Leaving { .. } | Standing::Cancelled => false,
        }
    }

    /// What is due: triggers to stop. Watchers that have rested wait for the child again.
    pub fn on_time(&mut self, now: Instant) -> Vec<TriggerId> {
        let mut to_cancel = Vec::new();
        while let Some((at, id)) = self.timed.first().copied().filter(|(at, _)| *at <= now) {
            let standing = self.held.get(&id).map(|held| held.standing);
            match standing {
                Some(Standing::Resting { .. }) => self.set(id, Standing::Waiting),
                Some(Standing::Leaving { .. }) => {
                    self.set(id, Standing::Cancelled);
                    to_cancel.push(id);
                }
                _ => drop(self.timed.remove(&(at, id))),
            }
        }
        to_cancel
    }

    /// When [`Roster::on_time`] has something to do next.
    pub fn next_time(&self) -> Option<Instant> {
        self.timed.first().map(|(at, _)| *at)
    }

    /// The child is gone, and with it everything that ran in it. `culprit` had the processor.
    pub fn on_death(&mut self, culprit: Option<TriggerId>, now: Instant) -> AfterDeath {
        let standings: Vec<(TriggerId, Standing)> = self
            .held
            .iter()
            .map(|(id, held)| (*id, held.standing))
            .collect();
        for (id, standing) in standings {
            match standing {
                Standing::Running => self.set(id, Standing::Waiting),
                Standing::Leaving { .. } | Standing::Cancelled => self.remove(id),
                Standing::Waiting | Standing::Resting { .. } => {}
            }
        }
        culprit.map_or_else(AfterDeath::default, |id| self.strike(id, now))
    }

    fn strike(&mut self, id: TriggerId, now: Instant) -> AfterDeath {
        let mut after = AfterDeath::default();
        let Some(held) = self.held.get_mut(&id) else {
            return after;
        };
        held.strikes += 1;
        if held.strikes < STRIKES_MAX {
            return after;
        }
        if held.kind == Some(TriggerKind::Asset) {
            held.strikes = 0;
            self.set(id, Standing::Resting { until: now + BAN });
            after.banned = Some(id);
        } else {
            self.remove(id);
            after.doomed = Some(id);
        }
        after
    }

    /// The one place where a standing changes.
    fn set(&mut self, id: TriggerId, standing: Standing) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        if let Standing::Resting { until } | Standing::Leaving { until } = held.standing {
            self.timed.remove(&(until, id));
        }
        if let Standing::Resting { until } | Standing::Leaving { until } = standing {
            self.timed.insert((until, id));
        }
        if standing == Standing::Waiting {
            self.waiting.insert(id);
        } else {
            self.waiting.remove(&id);
        }
        held.standing = standing;
    }
}

/// One second, then twice as long for each failure in a row.
fn rest_after(failures: u32) -> Duration {
    REST_MIN.saturating_mul(1 << failures.min(16)).min(REST_MAX)
}
