//! Passes, repeated in memory, and the net effect they have.

use jiff::Timestamp;
use updraft_model::serialized::TaskIndex;
use updraft_model::{MapIndex, TaskInstanceState};

use super::board::{At, Board, Instance};
use super::pass::PassResult;
use super::plan::{InstanceFields, NewInstance, RunPlan, TaskInstanceChange, Waiting};
use super::view::RunView;
use crate::{Because, run_timeout};

/// One pass of Airflow's scheduler over a run, and the scheduling of what it found ready.
#[must_use]
pub fn plan_pass(view: &RunView<'_>, now: Timestamp) -> RunPlan {
    let mut board = Board::new(view, now);
    let result = board.run_pass();
    let end = board.decide(&result);
    board.schedule(&result.ready);
    let is_settled = result.is_quiet() && !board.has_agenda();
    RunPlan {
        end,
        is_settled,
        ..board.into_plan()
    }
}

/// What a run that is looked at needs: its end by the clock, else what comes next.
#[must_use]
pub fn plan_run(view: &RunView<'_>, dag_is_paused: bool, now: Timestamp) -> RunPlan {
    match run_timeout::plan_run_timeout(view, now) {
        Some(plan) => plan,
        None if dag_is_paused => plan_finish(view, now),
        None => plan_to_fixpoint(view, now),
    }
}

/// Every dependency of an instance that is not met, in the order in which they are evaluated;
/// `None` when it has no row.
#[must_use]
pub fn find_unmet(
    view: &RunView<'_>,
    task: TaskIndex,
    map_index: MapIndex,
    now: Timestamp,
) -> Option<Vec<Because>> {
    let mut board = Board::new(view, now);
    let at = board.find(task, map_index)?;
    Some(board.find_unmet(at))
}

/// Passes until another one would change nothing: what is left waits for a worker, a user, another
/// run or time.
///
/// A paused Dag's runs are finished but not scheduled; that is [`plan_finish`].
#[must_use]
pub fn plan_to_fixpoint(view: &RunView<'_>, now: Timestamp) -> RunPlan {
    repeat(view, now, |board, ready| board.schedule(ready))
}

/// As [`plan_to_fixpoint`], but starts nothing: for the runs of a paused Dag.
#[must_use]
pub fn plan_finish(view: &RunView<'_>, now: Timestamp) -> RunPlan {
    repeat(view, now, |_, _| ())
}

fn repeat(view: &RunView<'_>, now: Timestamp, schedule: impl Fn(&mut Board<'_>, &[At])) -> RunPlan {
    let mut board = Board::new(view, now);
    // Each pass but the last finishes, schedules or expands something, and every task does each of
    // these at most once per level of the Dag; a search for a deadlock finishes at least one row.
    // A run that needs more shows a bug of ours; it goes on with the next plan instead of never
    // ending.
    let passes_max = 4 * view.dag.tasks().len() + view.task_instances.len() + 8;
    let passes_max = u32::try_from(passes_max).unwrap_or(u32::MAX);
    let mut end = None;
    let mut is_settled = false;
    while !is_settled && board.pass < passes_max {
        let result = board.run_pass();
        schedule(&mut board, &result.ready);
        // Quirk §4.1: a row whose rule gives it a state and is satisfied all the same counts as no
        // change. Then a deadlock is looked for before anybody below has heard of it.
        if board.has_agenda() && !result.is_quiet() {
            continue;
        }
        let result = if board.has_agenda() {
            result
        } else {
            board.settle(result)
        };
        let unfinished = board.unfinished();
        end = board.decide(&result);
        // The search for a deadlock stops at the first row that could run. When it finished rows on
        // its way, also such that nobody watches, the next one may find no such row.
        let is_same = board.unfinished() == unfinished;
        is_settled = end.is_some() || (is_same && !board.has_agenda());
    }
    RunPlan {
        end,
        is_settled,
        ..board.into_plan()
    }
}

impl Board<'_> {
    /// Whether another pass would have anything to look at.
    fn has_agenda(&self) -> bool {
        !self.next_agenda.is_empty()
    }

    /// The result that one more pass would have: nothing it watches has changed, and what the last
    /// one found ready has been dealt with.
    fn settle(&self, last: PassResult) -> PassResult {
        let ready = last.ready.into_iter();
        // Rows stay ready when nothing may be started.
        let ready = ready.filter(|at| self.instances[*at].state.is_schedulable());
        PassResult {
            ready: ready.collect(),
            changed: false,
            unfinished: self.unfinished(),
        }
    }

    /// The difference between the view and what has become of it.
    pub(super) fn into_plan(self) -> RunPlan {
        let mut plan = RunPlan {
            passes: self.pass,
            ..RunPlan::default()
        };
        for seen in &self.orphans {
            plan.changes.extend(self.remove_orphan(*seen));
        }
        for instance in &self.instances {
            if instance.is_deleted {
                let row = instance.seen.map(|seen| &self.view.task_instances[seen]);
                plan.deleted.extend(row.map(|row| row.id));
            }
        }
        for at in self.in_order() {
            self.add_to_plan(&self.instances[at], &mut plan);
        }
        let forgotten = self
            .forgotten
            .iter()
            .filter_map(|at| self.instances[*at].seen);
        plan.forgotten
            .extend(forgotten.map(|seen| self.view.task_instances[seen].id));
        let timeout = run_timeout::times_out_at(self.dag.attributes(), &self.view.run);
        plan.wake_at = plan
            .waiting
            .iter()
            .filter_map(|waiting| waiting.because.until())
            .chain(timeout)
            .min();
        plan
    }

    fn add_to_plan(&self, instance: &Instance, plan: &mut RunPlan) {
        let task = self.dag.task(instance.task);
        let fields = InstanceFields {
            state: instance.state,
            try_number: instance.try_number,
            start_date: instance.start_date,
            end_date: instance.end_date,
            duration: instance.duration,
            scheduled_dttm: instance.scheduled_dttm,
            deferral: instance.deferral.clone(),
        };
        let because = instance.because.clone();
        let Some(seen) = instance.seen else {
            plan.created.push(NewInstance {
                task_id: task.task_id.clone(),
                map_index: instance.map_index,
                dag_version_id: instance.dag_version_id,
                max_tries: task.retries.count,
                fields,
                because: because.clone().unwrap_or(Because::DependenciesMet),
            });
            self.add_waiting(instance, because, plan);
            return;
        };
        let row = &self.view.task_instances[seen];
        if row.state != instance.state || row.map_index != instance.map_index {
            plan.changes.push(TaskInstanceChange {
                id: row.id,
                task_id: task.task_id.clone(),
                map_index: instance.map_index,
                from: row.state,
                to: fields,
                because: because.clone().unwrap_or(Because::DependenciesMet),
            });
        }
        self.add_waiting(instance, because, plan);
    }

    fn add_waiting(&self, instance: &Instance, because: Option<Because>, plan: &mut RunPlan) {
        let Some(because) = because.filter(|_| instance.state.is_schedulable()) else {
            return;
        };
        plan.waiting.push(Waiting {
            task_id: self.dag.task(instance.task).task_id.clone(),
            map_index: instance.map_index,
            because,
        });
    }

    /// A row whose task has gone from the Dag.
    fn remove_orphan(&self, seen: usize) -> Option<TaskInstanceChange> {
        let row = &self.view.task_instances[seen];
        if row.state == TaskInstanceState::Removed {
            return None;
        }
        Some(TaskInstanceChange {
            id: row.id,
            task_id: row.task_id.clone(),
            map_index: row.map_index,
            from: row.state,
            to: InstanceFields {
                state: TaskInstanceState::Removed,
                try_number: row.try_number,
                start_date: row.start_date,
                end_date: row.end_date,
                duration: None,
                scheduled_dttm: None,
                deferral: None,
            },
            because: Because::TaskGone,
        })
    }
}
