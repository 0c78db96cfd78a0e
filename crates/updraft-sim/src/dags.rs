//! Random Dags, and what their tasks will do.
//!
//! A Dag is drawn as its serialized form, with everything a scheduler may meet: rules, branches,
//! mapped tasks and groups, setups and teardowns, retries, sensors, pools, limits, schedules. What a
//! task does is drawn beside it as a [`Script`], so that a run without faults and one with them can
//! be compared.

mod script;
mod shape;

use std::collections::BTreeMap;

use serde_json::Value;
use updraft_model::serialized::TaskLimits;
use updraft_runtime::Dice;

pub(crate) use script::{Behaviour, Ending, Fate, Step};
pub(crate) use shape::{WORLD_BEGINS, draw_version, file_of, uri_of};

/// Versions of a Dag that a world may go through.
const VERSIONS: usize = 3;

/// A pool of a world.
#[derive(Clone, Debug)]
pub(crate) struct PoolModel {
    pub(crate) name: String,
    pub(crate) slots: i32,
    pub(crate) include_deferred: bool,
}

/// What kind of Dags a world has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// The outcome of a run must not depend on when things happen: retries never run out because
    /// of our crashes, and no task races with the skip of a branch.
    pub(crate) comparable: bool,
    /// For how long runs are scheduled.
    pub(crate) active_secs: u64,
}

/// One Dag through its versions.
#[derive(Clone, Debug)]
pub(crate) struct DagModel {
    pub(crate) id: String,
    pub(crate) versions: Vec<VersionModel>,
    pub(crate) is_scheduled: bool,
}

/// One version of a Dag.
#[derive(Clone, Debug)]
pub(crate) struct VersionModel {
    /// The serialized form.
    pub(crate) data: Value,
    pub(crate) tasks: BTreeMap<String, TaskModel>,
}

/// What the simulation has to know of a task.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskModel {
    /// Chooses which of its direct successors are skipped.
    pub(crate) is_branch: bool,
    pub(crate) is_sensor: bool,
    /// Somebody expands over what it returns.
    pub(crate) is_mapped_over: bool,
    pub(crate) downstream: Vec<String>,
    /// The asset that it updates.
    pub(crate) outlet: Option<String>,
    /// Failures before it succeeds, at most.
    pub(crate) failures_max: usize,
    /// How often it waits for a trigger, at most.
    pub(crate) deferrals_max: usize,
    pub(crate) limits: TaskLimits,
    pub(crate) may_skip_itself: bool,
    pub(crate) may_fail_for_good: bool,
}

/// Draws the Dags of a world. Leaving one out changes no other.
pub(crate) fn draw_dags(
    seed: u64,
    numbers: &[usize],
    pools: &[PoolModel],
    habits: Habits,
) -> Vec<DagModel> {
    let draw = |number: &usize| {
        let id = format!("dag{number}");
        let mut dice = Dice::of_purpose(seed, &id);
        let is_scheduled = dice.chance(0.4);
        let above = number.checked_sub(1).map(shape::asset_of);
        let schedule = shape::draw_schedule(&mut dice, is_scheduled, above, habits);
        let versions = (0..VERSIONS)
            .map(|_| draw_version(*number, &schedule, pools, habits, &mut dice))
            .collect();
        DagModel {
            id,
            versions,
            is_scheduled,
        }
    };
    numbers.iter().map(draw).collect()
}
