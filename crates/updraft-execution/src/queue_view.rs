//! Loads what the queueing step needs to know.

use std::collections::BTreeMap;

use smol_str::SmolStr;
use updraft_model::serialized::TaskLimits;
use updraft_model::{DagVersionId, TaskId, TaskInstanceState};
use updraft_planning::queueing::{Candidate, ExecutorView, PoolView, QueueView};
use updraft_store::{ActiveCount, Error, QueueCandidate, Reader};

/// `max_active_tis_*` of the tasks whose Dag has any, by version and task.
pub type LimitsOfVersions = BTreeMap<DagVersionId, BTreeMap<TaskId, TaskLimits>>;

/// The executor that the candidates compete for.
#[derive(Clone, Copy, Debug)]
pub struct ExecutorOf<'a> {
    /// Names by which tasks may ask for it.
    pub names: &'a [SmolStr],
    pub open_slots: usize,
}

/// Loads the pools and what is active, and puts the candidates among them.
///
/// # Errors
/// When the store fails.
pub async fn load_queue_view(
    reader: &mut Reader,
    candidates: Vec<QueueCandidate>,
    limits: &LimitsOfVersions,
    executor: ExecutorOf<'_>,
) -> Result<QueueView, Error> {
    let usage = reader.load_pool_usage().await?;
    let pools = reader.load_pools().await?;
    let active = reader.load_active_counts().await?;
    let mut view = QueueView {
        candidates: candidates
            .into_iter()
            .map(|candidate| candidate_of(candidate, limits))
            .collect(),
        pools: pools
            .into_iter()
            .map(|pool| PoolView {
                usage: usage.get(&pool.name).copied().unwrap_or_default(),
                pool,
                team: None,
            })
            .collect(),
        executors: vec![ExecutorView {
            names: executor.names.to_vec(),
            slots_available: i64::try_from(executor.open_slots).unwrap_or(i64::MAX),
            team: None,
        }],
        capacity: u32::try_from(executor.open_slots).unwrap_or(u32::MAX),
        ..QueueView::default()
    };
    count_active(&mut view, &active);
    Ok(view)
}

fn candidate_of(candidate: QueueCandidate, limits: &LimitsOfVersions) -> Candidate {
    let limits = candidate
        .dag_version_id
        .and_then(|version| limits.get(&version)?.get(&candidate.task_id))
        .copied()
        .unwrap_or_default();
    Candidate {
        id: candidate.id,
        dag_id: candidate.dag_id,
        run_id: candidate.run_id,
        task_id: candidate.task_id,
        map_index: candidate.map_index,
        priority_weight: candidate.priority_weight,
        logical_date: candidate.logical_date,
        pool: candidate.pool,
        pool_slots: candidate.pool_slots,
        executor: candidate.executor.map(Into::into),
        team: None,
        max_active_tasks: candidate.max_active_tasks,
        max_active_tis_per_dag: limits.max_active_tis_per_dag,
        max_active_tis_per_dagrun: limits.max_active_tis_per_dagrun,
        held_back: None,
    }
}

fn count_active(view: &mut QueueView, active: &[ActiveCount]) {
    for each in active {
        let ActiveCount {
            dag_id,
            run_id,
            task_id,
            state,
            count,
        } = each;
        let count = u32::try_from(*count).unwrap_or(u32::MAX);
        if matches!(
            state,
            TaskInstanceState::Queued | TaskInstanceState::Running
        ) {
            *view
                .active_of_run
                .entry((dag_id.clone(), run_id.clone()))
                .or_default() += count;
        }
        *view
            .active_of_task
            .entry((dag_id.clone(), task_id.clone()))
            .or_default() += count;
        let in_run = (dag_id.clone(), run_id.clone(), task_id.clone());
        *view.active_of_task_in_run.entry(in_run).or_default() += count;
    }
}
