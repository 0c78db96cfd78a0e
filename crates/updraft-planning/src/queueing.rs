//! The critical section: which scheduled task instances get the free slots.
//!
//! One scheduler at a time may do this, because limits are counted from rows. Airflow looks at one
//! *page* of the heaviest instances and takes what fits ([`plan_queue_pass`]); what a page leaves
//! free waits for the next loop. [`plan_queue`] repeats that in memory, so that one plan fills what
//! can be filled.
//!
//! Source: §5.1, §5.2.

mod ledger;
mod page;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use smol_str::SmolStr;
use updraft_model::pool::{Pool, PoolUsage};
use updraft_model::{DagId, MapIndex, PoolName, RunId, TaskId, TaskInstanceId};

use crate::Because;
use ledger::Ledger;

/// Everything that competes, and everything it competes for.
#[derive(Clone, Debug, Default)]
pub struct QueueView {
    /// Task instances in `scheduled`, in any order.
    pub candidates: Vec<Candidate>,
    pub pools: Vec<PoolView>,
    /// The first one without a team is the default.
    pub executors: Vec<ExecutorView>,
    /// Running and queued instances of each run that has candidates.
    pub active_of_run: BTreeMap<(DagId, RunId), u32>,
    /// Active instances of each task that has `max_active_tis_per_dag`, over all runs.
    pub active_of_task: BTreeMap<(DagId, TaskId), u32>,
    /// Active instances of each task that has `max_active_tis_per_dagrun`, per run.
    pub active_of_task_in_run: BTreeMap<(DagId, RunId, TaskId), u32>,
    /// How many may be queued at most; see [`capacity`].
    pub capacity: u32,
}

/// A task instance that could be queued.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub id: TaskInstanceId,
    pub dag_id: DagId,
    pub run_id: RunId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub priority_weight: i64,
    pub logical_date: Option<Timestamp>,
    pub pool: PoolName,
    pub pool_slots: i32,
    /// The executor that the task names.
    pub executor: Option<SmolStr>,
    /// The team of the Dag's bundle.
    pub team: Option<SmolStr>,
    /// Of the Dag; counts per run.
    pub max_active_tasks: i32,
    pub max_active_tis_per_dag: Option<i32>,
    pub max_active_tis_per_dagrun: Option<i32>,
    /// The Dag is paused, or the run is not running: the instance has to wait for that.
    pub held_back: Option<HeldBack>,
}

/// Why a candidate does not compete at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBack {
    DagPaused,
    RunNotRunning,
}

/// A pool and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    pub pool: Pool,
    pub usage: PoolUsage,
    /// `None`: open to every team.
    pub team: Option<SmolStr>,
}

/// An executor of this scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorView {
    /// Alias, class name and module path: a task may use any of them.
    pub names: Vec<SmolStr>,
    pub slots_available: i64,
    /// `None`: for tasks of every team.
    pub team: Option<SmolStr>,
}

/// Who is queued, and why the others are not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueuePlan {
    /// In the order in which they should be handed out.
    pub queued: Vec<QueuedInstance>,
    /// Every other candidate.
    pub waiting: Vec<(TaskInstanceId, Because)>,
}

/// A task instance to queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedInstance {
    pub id: TaskInstanceId,
    /// Position in [`QueueView::executors`].
    pub executor: usize,
}

/// How many instances a scheduler may queue: what `[core] parallelism` leaves, at most
/// `[scheduler] max_tis_per_query` (0 for no such limit).
#[must_use]
pub fn capacity(parallelism: u32, max_tis_per_query: u32, occupied: u32) -> u32 {
    let free = parallelism.saturating_sub(occupied);
    match max_tis_per_query {
        0 => free,
        page => free.min(page),
    }
}

/// Hands out slots until no candidate fits.
#[must_use]
pub fn plan_queue(view: &QueueView) -> QueuePlan {
    let order = page::order(&view.candidates);
    let mut ledger = Ledger::new(view);
    let mut chosen = Vec::new();
    while chosen.len() < view.capacity as usize {
        let page = view.capacity as usize - chosen.len();
        let accepted = page::fill(view, &order, &mut ledger, page);
        if accepted.is_empty() {
            break;
        }
        chosen.extend(accepted);
    }
    ledger.into_plan(view, &order, &chosen)
}

/// Hands out slots as one loop of Airflow's scheduler does.
#[must_use]
pub fn plan_queue_pass(view: &QueueView) -> QueuePlan {
    let order = page::order(&view.candidates);
    let mut ledger = Ledger::new(view);
    let chosen = page::fill(view, &order, &mut ledger, view.capacity as usize);
    ledger.into_plan(view, &order, &chosen)
}
