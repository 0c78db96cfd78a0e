//! Why one task instance is not running, in one sentence.
//!
//! Nothing is decided here: the reasons are those of the plans that a scheduler would make of the
//! same rows at this moment. What is added is what no plan says, because nothing is planned for it:
//! that the instance waits for its executor, a trigger or a person, runs, or has ended.

#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;

use jiff::Timestamp;
use updraft_model::serialized::Task;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{MapIndex, TaskId, TaskInstanceId, TaskInstanceState};

use crate::Because;
use crate::integrity::is_active;
use crate::queueing::{QueueView, plan_queue};
use crate::run::{RunPlan, RunView, plan_run};
use crate::run_look::{Look, LookView, look};
use crate::run_start::{RunWaits, StartView, plan_start};

use TaskInstanceState as S;

/// A task instance with everything that may keep it waiting.
#[derive(Clone, Debug)]
pub struct ExplainView<'a> {
    pub task_id: TaskId,
    pub map_index: MapIndex,
    /// Its row; `None` when the run has none.
    pub row: Option<TaskInstance>,
    pub run: RunView<'a>,
    pub look: LookView,
    pub dag_is_paused: bool,
    /// With this run alone, when it is queued.
    pub start: StartView,
    /// With this instance, when it is scheduled.
    pub queue: QueueView,
    /// Python has still to say something about the instance before it is queued.
    pub is_settling: bool,
    /// Class of the trigger that a deferred instance waits for, and whether a triggerer has it.
    pub trigger: Option<TriggerFacts>,
    pub slots: SlotFacts,
    /// The scheduler that was heard of last.
    pub scheduler: RoleFacts,
}

/// A trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerFacts {
    pub classpath: String,
    pub is_taken: bool,
}

/// The slots of all schedulers, by `[core] parallelism`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotFacts {
    pub total: u32,
    /// Held by running task instances.
    pub running: u32,
    /// Held by queued ones.
    pub queued: u32,
}

/// Whether a role is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleFacts {
    pub is_alive: bool,
    pub last_heartbeat: Option<Timestamp>,
}

/// What a task instance does, or waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub task_id: TaskId,
    pub map_index: MapIndex,
    /// `None`: there is no such instance.
    pub state: Option<TaskInstanceState>,
    pub standing: Standing,
}

/// What it does, or waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// The Dag has no such task.
    NoTask,
    /// The dates of the task leave the run out.
    TaskInactive {
        start_date: Option<Timestamp>,
        end_date: Option<Timestamp>,
        logical_date: Option<Timestamp>,
    },
    /// The task has other map indexes: so many, from zero.
    Expanded { count: u32 },
    /// The task has one instance, which is not mapped, or not yet.
    Unexpanded,
    /// The run began before the Dag had the task.
    NoInstance,
    /// The run is queued.
    RunWaits(RunWaits),
    /// A rule, a limit or a moment holds it back.
    Waits(Because),
    /// A trigger rule holds it back; these tasks have not finished.
    WaitsForUpstream { because: Because, open: Vec<TaskId> },
    /// Every slot is taken.
    NoSlot(SlotFacts),
    /// Python has still to say something about it.
    Settling,
    /// Nothing holds it back; this is what it becomes next.
    Next(Next),
    /// Nothing holds it back, but nobody is there to move it on.
    NoScheduler { last_heartbeat: Option<Timestamp> },
    /// An executor has it.
    Queued {
        since: Option<Timestamp>,
        slots: SlotFacts,
    },
    Running {
        since: Option<Timestamp>,
        hostname: String,
        try_number: i32,
        tries: i32,
    },
    /// It was cleared, and its process has not ended.
    Restarting { hostname: String },
    Deferred {
        trigger: Option<TriggerFacts>,
        timeout: Option<Timestamp>,
    },
    /// Somebody has to answer.
    AwaitingInput { timeout: Option<Timestamp> },
    Ended {
        state: TaskInstanceState,
        at: Option<Timestamp>,
        /// Why it ended so without running, as far as rows still tell.
        because: Option<Because>,
    },
}

/// What a scheduler does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Starts the run.
    StartRun,
    /// Gives the instance a state.
    State(TaskInstanceState, Because),
    /// Replaces the instance by those it expands to.
    Expand,
}

impl Explanation {
    /// When the reason goes away by itself.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match &self.standing {
            Standing::Waits(because) => because.until(),
            Standing::RunWaits(waits) => waits.until(),
            Standing::Deferred { timeout, .. } | Standing::AwaitingInput { timeout } => *timeout,
            _ => None,
        }
    }

    /// Whether it has not begun yet, and may.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !matches!(
            self.standing,
            Standing::Running { .. } | Standing::Restarting { .. } | Standing::Ended { .. }
        ) && self.state.is_some()
    }
}

/// Says why a task instance is where it is.
#[must_use]
pub fn explain(view: &ExplainView<'_>, now: Timestamp) -> Explanation {
    let standing = match &view.row {
        Some(row) => standing_of(view, row, now),
        None => why_absent(view),
    };
    // What is left to a scheduler does not happen without one.
    let standing = match standing {
        Standing::Next(_) if !view.scheduler.is_alive => Standing::NoScheduler {
            last_heartbeat: view.scheduler.last_heartbeat,
        },
        other => other,
    };
    Explanation {
        task_id: view.task_id.clone(),
        map_index: view.map_index,
        state: view.row.as_ref().map(|row| row.state),
        standing,
    }
}

fn standing_of(view: &ExplainView<'_>, row: &TaskInstance, now: Timestamp) -> Standing {
    match row.state {
        S::Running => Standing::Running {
            since: row.start_date,
            hostname: row.hostname.clone(),
            try_number: row.try_number,
            tries: row.max_tries.saturating_add(1).max(row.try_number),
        },
        S::Restarting => Standing::Restarting {
            hostname: row.hostname.clone(),
        },
        S::Queued => Standing::Queued {
            since: row.queued_dttm,
            slots: view.slots,
        },
        S::Deferred => Standing::Deferred {
            trigger: view.trigger.clone(),
            timeout: row.trigger_timeout,
        },
        S::AwaitingInput => Standing::AwaitingInput {
            timeout: row.trigger_timeout,
        },
        S::Success | S::Failed | S::Skipped | S::UpstreamFailed | S::Removed => Standing::Ended {
            state: row.state,
            at: row.end_date,
            because: why_ended(view, row, now),
        },
        S::NoStatus | S::Scheduled | S::UpForRetry | S::UpForReschedule => {
            why_waiting(view, row, now)
        }
    }
}

/// The scheduler's own way: may the run start, is it planned, what does the plan say, who gets the
/// slots.
fn why_waiting(view: &ExplainView<'_>, row: &TaskInstance, now: Timestamp) -> Standing {
    match look(&view.look, now) {
        Look::Start => return why_run_waits(view, now),
        Look::Ended => {
            return Standing::Waits(Because::RunEnded {
                state: view.look.state,
            });
        }
        Look::Rest(because) => return Standing::Waits(because),
        Look::Plan => {}
    }
    if view.dag_is_paused {
        return Standing::Waits(Because::DagPaused);
    }
    if row.state == S::Scheduled {
        return why_not_queued(view, row);
    }
    let plan = plan_run(&view.run, view.dag_is_paused, now);
    if plan.deleted.contains(&row.id) {
        return Standing::Next(Next::Expand);
    }
    let change = plan.changes.iter().find(|change| change.id == row.id);
    if let Some(change) = change.filter(|change| change.to.state != row.state) {
        return Standing::Next(Next::State(change.to.state, change.because.clone()));
    }
    let map_index = change.map_or(row.map_index, |change| change.map_index);
    let open = open_upstream(view, &plan);
    let mut waiting = plan.waiting.into_iter();
    let found = waiting.find(|it| it.task_id == row.task_id && it.map_index == map_index);
    match found.map(|waiting| waiting.because) {
        Some(because @ Because::TriggerRule { .. }) => Standing::WaitsForUpstream { because, open },
        Some(because) => Standing::Waits(because),
        // The plan settles every row that waits; one it does not know was written since.
        None => Standing::Next(Next::State(S::Scheduled, Because::DependenciesMet)),
    }
}

fn why_run_waits(view: &ExplainView<'_>, now: Timestamp) -> Standing {
    match plan_start(&view.start, now).waiting.first() {
        Some((_, waits)) => Standing::RunWaits(*waits),
        None => Standing::Next(Next::StartRun),
    }
}

fn why_not_queued(view: &ExplainView<'_>, row: &TaskInstance) -> Standing {
    if view.is_settling {
        return Standing::Settling;
    }
    let plan = plan_queue(&view.queue);
    let mut waiting = plan.waiting.into_iter();
    match waiting.find(|(id, _)| *id == row.id) {
        Some((_, Because::Parallelism { free: 0 })) => Standing::NoSlot(view.slots),
        Some((_, because)) => Standing::Waits(because),
        None => Standing::Next(Next::State(S::Queued, Because::DependenciesMet)),
    }
}

/// What the plan would say of an instance that got its state without running, if it had none. It
/// may have been given by a user instead, or by the task itself.
fn why_ended(view: &ExplainView<'_>, row: &TaskInstance, now: Timestamp) -> Option<Because> {
    if !matches!(row.state, S::Skipped | S::UpstreamFailed) || row.pid.is_some() {
        return None;
    }
    let mut run = view.run.clone();
    let own = run.task_instances.iter_mut().find(|own| own.id == row.id)?;
    own.state = S::NoStatus;
    let plan = plan_run(&run, false, now);
    let change = plan.changes.into_iter().find(|change| change.id == row.id);
    change
        .filter(|change| change.to.state == row.state)
        .map(|change| change.because)
}

fn why_absent(view: &ExplainView<'_>) -> Standing {
    let Some(task) = view.run.dag.find_task(view.task_id.as_str()) else {
        return Standing::NoTask;
    };
    let rows = view.run.task_instances.iter();
    let indexes: Vec<MapIndex> = rows
        .filter(|row| row.task_id == view.task_id)
        .map(|row| row.map_index)
        .collect();
    let mapped = indexes.iter().filter(|index| index.is_mapped()).count();
    let (run_type, logical_date) = (view.run.run.run_type, view.run.run.logical_date);
    if mapped > 0 {
        Standing::Expanded {
            count: u32::try_from(mapped).unwrap_or(u32::MAX),
        }
    } else if !indexes.is_empty() {
        Standing::Unexpanded
    } else if is_active(task, run_type, logical_date) {
        Standing::NoInstance
    } else {
        Standing::TaskInactive {
            start_date: task.start_date,
            end_date: task.end_date,
            logical_date,
        }
    }
}

/// The direct upstream tasks of which something has not finished, also not by the plan.
fn open_upstream(view: &ExplainView<'_>, plan: &RunPlan) -> Vec<TaskId> {
    let dag = view.run.dag;
    let changes = plan.changes.iter();
    let ended = changes.filter(|change| change.to.state.is_finished());
    let ended: BTreeSet<TaskInstanceId> = ended.map(|change| change.id).collect();
    let is_open = |task: &&Task| {
        let rows = view.run.task_instances.iter();
        let mut rows = rows.filter(|row| row.task_id == task.task_id);
        rows.any(|row| !row.state.is_finished() && !ended.contains(&row.id))
    };
    let upstream = dag
        .find_task(view.task_id.as_str())
        .into_iter()
        .flat_map(|task| &task.upstream);
    let mut open: Vec<TaskId> = upstream
        .map(|index| dag.task(*index))
        .filter(is_open)
        .map(|task| task.task_id.clone())
        .collect();
    open.sort_unstable();
    open
}
