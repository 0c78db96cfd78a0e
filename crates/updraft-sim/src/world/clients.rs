//! Clients: those that the world is for, and those that make trouble.

use std::time::Duration;

use updraft_store::RunKey;

use super::World;
use super::events::Event;
use crate::actor::{Cause, Done};
use crate::client::{Action, Answered, BackfillWish, send};
use crate::faults::FaultKind;

/// Runs that clients trigger for each Dag, at most.
const TRIGGERS_MAX: usize = 4;

/// How long a client waits before it repeats a request that has to be acknowledged.
const REPEAT_AFTER: Duration = Duration::from_secs(20);

impl World {
    /// Draws the triggers that the world is for.
    pub(super) fn plan_triggers(&mut self) {
        let latest = self.setup.active / 2;
        for dag in self.dags.clone() {
            // Dice of their own, so that the same runs begin in the world without faults.
            let mut dice = updraft_runtime::Dice::of_purpose(
                self.setup.seed,
                &format!("triggers of {}", dag.id),
            );
            let fewest = usize::from(!dag.is_scheduled);
            for number in 0..fewest + dice.below(TRIGGERS_MAX) {
                let key = RunKey {
                    dag_id: dag.id.as_str().into(),
                    run_id: format!("m{number}").as_str().into(),
                };
                let at = dice.duration(Duration::from_secs(1), latest);
                self.owed
                    .insert(format!("{:?}", Action::Trigger(key.clone())));
                self.queue.push(at, Event::Send(Action::Trigger(key)));
            }
        }
    }

    /// Draws the backfills that the world is for. What one does depends on what has run by then.
    pub(super) fn plan_backfills(&mut self) {
        if self.setup.is_comparable {
            return;
        }
        for dag in self.dags.clone() {
            let purpose = format!("backfills of {}", dag.id);
            let mut dice = updraft_runtime::Dice::of_purpose(self.setup.seed, &purpose);
            if !dag.is_scheduled || dice.chance(0.4) {
                continue;
            }
            let at = dice.duration(Duration::from_secs(1), self.setup.active / 2);
            let wish = BackfillWish {
                dag_id: dag.id,
                until: at / 2,
                max_active_runs: *dice.choose(&[1, 2, 10]),
                reprocess: dice.choose::<&str>(&["none", "failed", "completed"]),
                run_backwards: dice.chance(0.3),
            };
            let action = Action::CreateBackfill(wish);
            self.owed.insert(format!("{action:?}"));
            self.queue.push(at, Event::Send(action));
        }
    }

    /// Sends a request to a process that lives, if there is one.
    pub(super) fn send(&mut self, action: Action) {
        let name = format!("{action:?}");
        if self.owed.contains(&name) {
            self.later(REPEAT_AFTER, Event::Send(action.clone()));
        } else if matches!(action, Action::Trigger(_) | Action::CreateBackfill(_)) {
            return;
        }
        let living = self.living_hosts();
        if living.is_empty() {
            return;
        }
        let host = *self.dice.choose(&living);
        let (router, token) = (
            self.hosts[host].router.clone(),
            self.hosts[host].token.clone(),
        );
        let cause = Cause::Client(action.clone());
        self.spawn(host, cause, async move {
            Done::Answered(send(router, token, action).await)
        });
    }

    pub(super) fn on_answered(&mut self, answered: Answered) {
        let Answered {
            action,
            status,
            detail,
        } = &answered;
        self.note(|| match status {
            400.. => format!("a client is answered {status} to {action:?}: {detail}"),
            _ => format!("a client is answered {status} to {action:?}"),
        });
        let is_done = match action {
            // A repeated trigger finds its run.
            // So does a repeated backfill. Some are refused by a rule: a Dag whose runs depend on
            // their past is not filled backwards.
            Action::Trigger(_) | Action::CreateBackfill(_) => {
                matches!(status, 200 | 400 | 409 | 422)
            }
            // It has this state, or has ended.
            Action::ChangeBackfill { .. } => matches!(status, 200 | 404 | 409),
            _ => (200..300).contains(status),
        };
        if is_done {
            self.owed.remove(&format!("{action:?}"));
        }
        self.oracle.on_answered(action, *status, detail);
    }

    /// A client does something to disturb.
    pub(super) fn on_client(&mut self) {
        if self.is_calm {
            return;
        }
        if let Some(mean) = self.rates.client {
            let pause = self.dice.duration(Duration::ZERO, 2 * mean);
            self.later(pause, Event::Client);
        }
        if let Some(action) = self.draw_action() {
            self.send(action);
        }
    }

    fn draw_action(&mut self) -> Option<Action> {
        let kind = self.dice.below(21);
        let dag = self.dice.below(self.dags.len());
        let dag_id = self.dags[dag].id.clone();
        match kind {
            0 | 1 => {
                return Some(Action::Pause {
                    dag_id,
                    is_paused: self.dice.chance(0.5),
                });
            }
            2 | 3 => {
                let pool = self.dice.below(self.pools.len());
                let slots = *self.dice.choose(&[0, 1, 2, 8]);
                let pool = self.pools[pool].name.clone();
                return Some(Action::ResizePool { pool, slots });
            }
            4 => return Some(Action::Nonsense(self.dice.next_number())),
            20 if self.oracle.has_backfills() => {
                let change = self
                    .dice
                    .choose::<&str>(&["pause", "pause", "unpause", "cancel"]);
                let lot = self.dice.next_number();
                let id = self.oracle.some_backfill(lot);
                return Some(Action::ChangeBackfill { id, change });
            }
            _ => {}
        }
        let runs = self.oracle.runs();
        if runs.is_empty() {
            return None;
        }
        let key = runs[self.dice.below(runs.len())].clone();
        let instances = self.oracle.instances_of(&key);
        if kind < 8 || instances.is_empty() {
            return Some(match kind {
                5 => Action::ClearRun(key),
                6 => Action::DeleteRun(key),
                _ => Action::MarkRun {
                    key,
                    state: self.dice.choose::<&str>(&["success", "failed", "queued"]),
                },
            });
        }
        let (task_id, map_index) = instances[self.dice.below(instances.len())].clone();
        Some(if kind < 15 {
            Action::ClearTasks {
                key,
                task_ids: vec![task_id],
                with_downstream: self.dice.chance(0.5),
            }
        } else {
            Action::MarkTask {
                key,
                task_id,
                map_index,
                state: self.dice.choose::<&str>(&["success", "failed", "skipped"]),
            }
        })
    }

    /// Undoes what clients did to limits, once the trouble is over.
    pub(super) fn undo_clients(&mut self) {
        if !self.setup.faults.contains(&FaultKind::Clients) {
            return;
        }
        let pauses = self.dags.iter().map(|dag| Action::Pause {
            dag_id: dag.id.clone(),
            is_paused: false,
        });
        let pools = self.pools.iter().map(|pool| Action::ResizePool {
            pool: pool.name.clone(),
            slots: pool.slots,
        });
        let backfills = self.oracle.backfills().into_iter();
        let backfills = backfills.map(|id| Action::ChangeBackfill {
            id,
            change: "unpause",
        });
        let actions: Vec<Action> = pauses.chain(pools).chain(backfills).collect();
        for action in actions {
            self.owed.insert(format!("{action:?}"));
            self.later(Duration::ZERO, Event::Send(action));
        }
    }
}
