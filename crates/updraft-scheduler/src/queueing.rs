//! The critical section: who of the scheduled gets the free slots.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tracing::debug;
use updraft_executor::ExecutorWorkload;
use updraft_model::{DagVersionId, TaskInstanceState};
use updraft_planning::queueing::{
    Candidate, ExecutorView, PoolView, QueuePlan, QueueView, plan_queue,
};
use updraft_store::{ActiveCount, QueueCandidate, Tx};

use crate::Error;
use crate::scheduler::Scheduler;
use crate::workload::workload_of;

/// Candidates beyond the free slots that are loaded at first: enough to pass by a few full pools.
const SPARE_CANDIDATES: i64 = 64;

/// Candidates that are loaded when the first ones left slots free. More than any installation has
/// scheduled at once, and about ten megabytes.
const CANDIDATES_MAX: i64 = 50_000;

impl Scheduler {
    /// Moves what fits from `scheduled` to `queued`. The workloads are for the executor, once the
    /// transaction is committed; `taken` of its slots are spoken for.
    pub(crate) async fn queue(
        &mut self,
        tx: &mut Tx,
        taken: usize,
        now: Timestamp,
    ) -> Result<Vec<ExecutorWorkload>, Error> {
        let open_slots = self.executor.open_slots().saturating_sub(taken);
        if open_slots == 0 || !tx.lock_queueing().await? {
            return Ok(Vec::new());
        }
        let first = i64::try_from(open_slots)
            .unwrap_or(i64::MAX)
            .saturating_add(SPARE_CANDIDATES);
        let candidates = tx.load_queue_candidates(first).await?;
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let is_all = i64::try_from(candidates.len()).is_ok_and(|count| count < first);
        let mut plan = self.plan(tx, candidates, open_slots).await?;
        if !is_all && plan.queued.len() < open_slots {
            // Full pools and limits hold the heaviest back; somebody behind them may fit.
            let candidates = tx.load_queue_candidates(CANDIDATES_MAX).await?;
            plan = self.plan(tx, candidates, open_slots).await?;
        }
        self.hand_over(tx, plan, now).await
    }

    async fn plan(
        &mut self,
        tx: &mut Tx,
        candidates: Vec<QueueCandidate>,
        open_slots: usize,
    ) -> Result<QueuePlan, Error> {
        let limits = self.task_limits(tx, &candidates).await?;
        let usage = tx.load_pool_usage().await?;
        let pools = tx.load_pools().await?;
        let active = tx.load_active_counts().await?;
        let mut view = QueueView {
            candidates: candidates
                .into_iter()
                .map(|candidate| candidate_of(candidate, &limits))
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
                names: self.options.executor_names.clone(),
                slots_available: i64::try_from(open_slots).unwrap_or(i64::MAX),
                team: None,
            }],
            capacity: u32::try_from(open_slots).unwrap_or(u32::MAX),
            ..QueueView::default()
        };
        count_active(&mut view, &active);
        Ok(plan_queue(&view))
    }

    /// `max_active_tis_*` of the tasks whose Dag has any, by version and task.
    async fn task_limits(
        &mut self,
        tx: &mut Tx,
        candidates: &[QueueCandidate],
    ) -> Result<Limits, Error> {
        let mut limits = Limits::new();
        let versions = candidates
            .iter()
            .filter(|candidate| candidate.has_task_concurrency_limits)
            .filter_map(|candidate| candidate.dag_version_id);
        for version in versions {
            if limits.contains_key(&version) {
                continue;
            }
            let dag = match tx.find_version(version).await? {
                Some(found) => self.dags.load(tx, version, &found.dag_hash).await?,
                None => None,
            };
            let of_tasks = dag.iter().flat_map(|dag| dag.dag.tasks());
            let of_tasks = of_tasks
                .map(|task| (task.task_id.clone(), task.limits))
                .collect();
            limits.insert(version, of_tasks);
        }
        Ok(limits)
    }

    async fn hand_over(
        &mut self,
        tx: &mut Tx,
        plan: QueuePlan,
        now: Timestamp,
    ) -> Result<Vec<ExecutorWorkload>, Error> {
        for (ti_id, because) in &plan.waiting {
            debug!(%ti_id, %because, "left a task instance scheduled");
        }
        let ids: Vec<_> = plan.queued.iter().map(|queued| queued.id).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let won = tx.queue_task_instances(&ids, self.job_id, now).await?;
        let tries = tx.load_workloads(&won).await?;
        let names = &self.options.log_names;
        Ok(tries
            .into_iter()
            .map(|queued| workload_of(queued, names))
            .collect())
    }
}

type Limits =
    BTreeMap<DagVersionId, BTreeMap<updraft_model::TaskId, updraft_model::serialized::TaskLimits>>;

fn candidate_of(candidate: QueueCandidate, limits: &Limits) -> Candidate {
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
