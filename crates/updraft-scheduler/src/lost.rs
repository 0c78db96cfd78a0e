//! Repair of what died without a word: tasks of dead schedulers, silent tries, tries that nobody
//! starts.
//!
//! Source: scheduling semantics §5.6, §7.7 to §7.9.

use jiff::Timestamp;
use tracing::{info, warn};
use updraft_execution::{
    Death, Report, StuckRules, Unstuck, bury_silent, free_stuck, settle_workload,
};
use updraft_executor::{ExecutorWorkload, Workload};
use updraft_model::callback::CallbackState;
use updraft_model::connection_test::ConnectionTestState;
use updraft_model::job::JobType;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{TaskInstanceId, TaskInstanceState};
use updraft_planning::executor_event::ExecutorEvent;
use updraft_store::{CallbackReport, Change, OrphanedCallbacks, Succession, Tx};

use crate::Error;
use crate::scheduler::Scheduler;
use crate::upkeep::signed;
use crate::workload::workload_of;

/// How often a callback is started whose process dies again and again.
const CALLBACK_ATTEMPTS_MAX: i32 = 3;

/// Orphans that one transaction takes over.
const ORPHANS_PER_STEP: i64 = 1_000;

impl Scheduler {
    /// Takes over what dead schedulers left behind.
    ///
    /// A queued try never started: it keeps its number and goes to our executor. A running one is
    /// started over, which costs a retry as in Airflow; its processes were killed before, or its
    /// machine is gone.
    pub(crate) async fn take_over_orphans(&mut self, now: Timestamp) -> Result<(), Error> {
        self.heartbeat(now).await?;
        let mut tx = self.store.write().await?;
        let dead = if self.options.is_alone {
            tx.fail_other_jobs(JobType::Scheduler, self.job_id, now)
                .await?
        } else {
            let since = now - signed(self.options.health_check_threshold);
            tx.fail_dead_jobs(JobType::Scheduler, since, now).await?
        };
        if !dead.is_empty() {
            warn!(jobs = ?dead, "declared silent schedulers dead");
        }
        let orphans = tx.lock_orphans(ORPHANS_PER_STEP).await?;
        if i64::try_from(orphans.len()).is_ok_and(|count| count == ORPHANS_PER_STEP) {
            // There are more; they are next.
            self.upkeep.orphans.next = self.clock.monotonic();
        }
        let (queued, started): (Vec<_>, Vec<_>) = orphans
            .iter()
            .partition(|ti| ti.state == TaskInstanceState::Queued);
        let queued: Vec<_> = queued.into_iter().map(|ti| ti.id).collect();
        tx.adopt_task_instances(&queued, self.job_id).await?;
        // With them goes what we queued ourselves in a transaction that was committed although the
        // store could not say so.
        let mut workloads = tx.load_queued_workloads(&[self.job_id]).await?;
        workloads.retain(|workload| !self.executor.holds(workload.task_instance.id.0));
        self.start_over(&mut tx, &started, now).await?;
        for id in tx.load_callbacks_queued_by(self.job_id).await? {
            if !self.executor.holds(id) {
                tx.release_callback(id, now).await?;
            }
        }
        let callbacks = tx
            .release_orphaned_callbacks(CALLBACK_ATTEMPTS_MAX, now)
            .await?;
        tx.commit().await?;
        if !orphans.is_empty() {
            info!(
                adopted = queued.len(),
                started_over = started.len(),
                "took over the task instances of a dead scheduler"
            );
        }
        if callbacks != OrphanedCallbacks::default() {
            let OrphanedCallbacks { released, failed } = callbacks;
            info!(
                released,
                failed, "took over the callbacks of a dead scheduler"
            );
        }
        let names = &self.options.log_names;
        let workloads = workloads
            .into_iter()
            .map(|queued| workload_of(queued, names));
        self.executor.queue(workloads.collect());
        self.agenda.on_change(Change::Everything);
        Ok(())
    }

    async fn start_over(
        &self,
        tx: &mut Tx,
        orphans: &[&TaskInstance],
        now: Timestamp,
    ) -> Result<(), Error> {
        let successions: Vec<Succession> = orphans
            .iter()
            .map(|ti| Succession {
                old: ti.id,
                new: TaskInstanceId(self.ids.uuid()),
            })
            .collect();
        tx.reset_orphans(&successions, now).await?;
        Ok(())
    }

    /// Ends running tries that sent no heartbeat for too long. Each has one transaction, so that
    /// one bad row keeps no other from its end.
    pub(crate) async fn find_silent(&mut self, now: Timestamp) -> Result<(), Error> {
        let timeout = self.options.task_instance_heartbeat_timeout;
        let since = now - signed(timeout);
        let silent = {
            let mut reader = self.store.read().await?;
            reader
                .load_silent_task_instances(self.job_id, since)
                .await?
        };
        for ti in silent {
            let mut tx = self.store.write().await?;
            bury_silent(&mut tx, ti.id, since, &self.ids, now).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Looks after tries that stay queued although the executor has long begun with them: it lets
    /// go of them, and they are queued again or end.
    pub(crate) async fn free_stuck(&mut self, now: Timestamp) -> Result<(), Error> {
        let options = self.options.stuck;
        let rules = StuckRules {
            job_id: self.job_id,
            queued_before: now - signed(options.timeout),
            requeues_max: i64::from(options.requeues_max),
        };
        let stuck = {
            let mut reader = self.store.read().await?;
            reader
                .load_stuck_in_queued(rules.job_id, rules.queued_before)
                .await?
        };
        for ti in stuck {
            if self.executor.is_waiting(ti.id.0) {
                // It waits for a slot here; nothing is wrong with it.
                continue;
            }
            let mut tx = self.store.write().await?;
            let unstuck = free_stuck(&mut tx, ti.id, &rules, &self.ids, now).await?;
            tx.commit().await?;
            if unstuck != Unstuck::MovedOn {
                self.executor.revoke(ti.id.0);
                self.agenda.queueing = true;
            }
        }
        Ok(())
    }

    /// Moves on the rows of workloads whose executor gave them up.
    pub(crate) async fn settle_unfinished(&mut self, now: Timestamp) -> Result<(), Error> {
        while let Some((workload, why)) = self.upkeep.unfinished.last().cloned() {
            let mut tx = self.store.write().await?;
            match workload {
                ExecutorWorkload::ExecuteTask(task) => {
                    self.settle_task(&mut tx, &task, &why, now).await?;
                }
                ExecutorWorkload::ExecuteCallback(callback) => {
                    let report = CallbackReport {
                        state: CallbackState::Failed,
                        output: Some(why),
                    };
                    tx.finish_callback(callback.callback_id, &report, now)
                        .await?;
                }
                ExecutorWorkload::TestConnection(test) => {
                    tx.finish_connection_test(test.id, ConnectionTestState::Failed, &why, now)
                        .await?;
                }
            }
            tx.commit().await?;
            self.upkeep.unfinished.pop();
        }
        Ok(())
    }

    async fn settle_task(
        &self,
        tx: &mut Tx,
        workload: &Workload,
        why: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let report = Report {
            event: ExecutorEvent::Failed,
            try_number: workload.try_number,
            job_id: Some(self.job_id),
            is_held_by_executor: self.executor.holds(workload.ti_id.0),
            death: Death {
                event: "state mismatch",
                why,
            },
        };
        settle_workload(tx, workload, &report, &self.ids, now).await?;
        Ok(())
    }
}
