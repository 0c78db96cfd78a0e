//! The critical section: who of the scheduled gets the free slots.

use jiff::Timestamp;
use tracing::debug;
use updraft_execution::{ExecutorOf, LimitsOfVersions, load_queue_view};
use updraft_executor::ExecutorWorkload;
use updraft_planning::queueing::{QueuePlan, plan_queue};
use updraft_store::{QueueCandidate, Tx};

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
        let executor = ExecutorOf {
            names: &self.options.executor_names,
            open_slots,
        };
        let view = load_queue_view(tx, candidates, &limits, executor).await?;
        Ok(plan_queue(&view))
    }

    /// `max_active_tis_*` of the tasks whose Dag has any, by version and task.
    async fn task_limits(
        &mut self,
        tx: &mut Tx,
        candidates: &[QueueCandidate],
    ) -> Result<LimitsOfVersions, Error> {
        let mut limits = LimitsOfVersions::new();
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
