//! Which task instances a run has: at its beginning, and after its Dag changed.
//!
//! Source: §1.7.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use updraft_model::serialized::{SerializedDag, Task, TaskIndex};
use updraft_model::task_instance::NewTaskInstance;
use updraft_model::{
    DagId, DagRunType, DagVersionId, MapIndex, RunId, TaskInstanceId, TaskInstanceState,
};

pub use crate::run::plan_integrity;

/// A task instance to create without a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewTi {
    pub task: TaskIndex,
    pub map_index: MapIndex,
}

/// Names the row that is created.
#[derive(Clone, Debug)]
pub struct Identity {
    pub id: TaskInstanceId,
    pub dag_id: DagId,
    pub run_id: RunId,
    pub dag_version_id: DagVersionId,
}

/// The task instances of a new run, by task in the order of the Dag. What is mapped over values of
/// the Dag file is expanded at once; everything else that is mapped begins as one instance.
#[must_use]
pub fn plan_new_task_instances(
    dag: &SerializedDag,
    run_type: DagRunType,
    logical_date: Option<Timestamp>,
) -> Vec<NewTi> {
    dag.tasks()
        .iter()
        .filter(|task| is_active(task, run_type, logical_date))
        .flat_map(|task| {
            indexes(literal_length(dag, task)).map(|map_index| NewTi {
                task: task.index,
                map_index,
            })
        })
        .collect()
}

/// Whether a task takes part in a run: its own dates decide, both included, but not in backfills
/// and not in runs without a logical date.
#[must_use]
pub fn is_active(task: &Task, run_type: DagRunType, logical_date: Option<Timestamp>) -> bool {
    let Some(date) = logical_date.filter(|_| run_type != DagRunType::Backfill) else {
        return true;
    };
    task.start_date.is_none_or(|start| start <= date) && task.end_date.is_none_or(|end| date <= end)
}

/// The number of instances when all of it is written in the Dag file. `None`: not mapped, or not
/// known before the run.
#[must_use]
pub fn literal_length(dag: &SerializedDag, task: &Task) -> Option<u32> {
    if !task.needs_expansion {
        return None;
    }
    let own = task.expand_input.as_ref();
    let groups = dag.mapped_groups_of(task);
    let groups = groups.filter_map(|group| dag.group(group).expand_input.as_ref());
    let mut lengths = own.into_iter().chain(groups).peekable();
    lengths.peek()?;
    lengths.try_fold(1_u32, |total, input| {
        Some(total.saturating_mul(input.literal_length()?))
    })
}

/// The map indexes for a length; at least the unexpanded one, so that the task is there.
pub(crate) fn indexes(length: Option<u32>) -> impl Iterator<Item = MapIndex> {
    let range = match length.and_then(|length| i32::try_from(length).ok()) {
        None | Some(0) => -1..0,
        Some(length) => 0..length,
    };
    range.map(MapIndex)
}

/// The whole row of a task instance that is created. `priority_weight` is [`Task::total_weight`],
/// or the task's own weight until the class of a custom weight rule is asked.
#[must_use]
pub fn new_task_instance(
    identity: Identity,
    task: &Task,
    map_index: MapIndex,
    state: TaskInstanceState,
    priority_weight: i64,
) -> NewTaskInstance {
    NewTaskInstance {
        id: identity.id,
        dag_id: identity.dag_id,
        run_id: identity.run_id,
        task_id: task.task_id.clone(),
        map_index,
        state,
        max_tries: task.retries.count,
        pool: task.pool.clone(),
        pool_slots: task.pool_slots,
        queue: task.queue.clone(),
        priority_weight,
        has_custom_weight: task.total_weight.is_none(),
        operator: task.task_type.clone(),
        custom_operator_name: task.custom_operator_name.clone(),
        executor: task.executor.clone(),
        executor_config: task.executor_config.clone(),
        dag_version_id: identity.dag_version_id,
    }
}
