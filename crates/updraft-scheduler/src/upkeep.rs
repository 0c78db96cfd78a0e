//! What is done by the clock: signs of life, the slow scan, and repair of what died without a word.
//!
//! Source: scheduling semantics §0.2, §7.8, §7.9. Timers are not made up for: the next firing is
//! one period after the action returned.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};
use updraft_execution::bury;
use updraft_executor::{ExecutorEvent, ExecutorWorkload, Outcome};
use updraft_model::callback::CallbackState;
use updraft_model::connection_test::ConnectionTestState;
use updraft_model::job::JobType;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{TaskInstanceId, TaskInstanceState};
use updraft_store::{CallbackReport, Change, OrphanedCallbacks, Succession, Tx};
use uuid::Uuid;

use crate::Error;
use crate::scheduler::{Scheduler, SchedulerOptions};
use crate::workload::workload_of;

/// Pause between two looks at backfills that nobody finished. Fixed, as in Airflow.
const BACKFILLS_INTERVAL: Duration = Duration::from_secs(30);

/// How often a callback is started whose process dies again and again.
const CALLBACK_ATTEMPTS_MAX: i32 = 3;

/// Orphans that one transaction takes over.
const ORPHANS_PER_STEP: i64 = 1_000;

/// When each timer fires next.
#[derive(Debug)]
pub(crate) struct Upkeep {
    heartbeat: Timer,
    scan: Timer,
    orphans: Timer,
    silent: Timer,
    timeouts: Timer,
    backfills: Timer,
    assets: Timer,
    /// Workloads that ended without their row saying how.
    unfinished: Vec<(Unfinished, String)>,
}

/// A row that a workload was about.
#[derive(Clone, Copy, Debug)]
enum Unfinished {
    TaskInstance(TaskInstanceId),
    Callback(Uuid),
    ConnectionTest(Uuid),
}

#[derive(Debug)]
struct Timer {
    period: Duration,
    next: Instant,
}

impl Timer {
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.next <= now;
        if is_due {
            self.next = now + self.period;
        }
        is_due
    }
}

impl Upkeep {
    pub(crate) fn starting(options: &SchedulerOptions, now: Instant) -> Self {
        let at_once = |period| Timer { period, next: now };
        let later = |period| Timer {
            period,
            next: now + period,
        };
        Self {
            heartbeat: later(options.job_heartbeat),
            scan: later(options.full_scan_interval),
            orphans: at_once(options.orphaned_tasks_check_interval),
            silent: later(options.heartbeat_timeout_detection_interval),
            timeouts: later(options.trigger_timeout_check_interval),
            backfills: at_once(BACKFILLS_INTERVAL),
            assets: at_once(options.parsing_cleanup_interval),
            unfinished: Vec::new(),
        }
    }

    /// When the next timer fires.
    pub(crate) fn next(&self) -> Instant {
        let timers = [
            &self.heartbeat,
            &self.scan,
            &self.orphans,
            &self.silent,
            &self.timeouts,
            &self.backfills,
            &self.assets,
        ];
        timers
            .map(|timer| timer.next)
            .into_iter()
            .fold(self.heartbeat.next, Instant::min)
    }

    /// A step failed, and with it perhaps a timer's action or the hand-over of what was queued.
    pub(crate) fn after_failure(&mut self, now: Instant) {
        self.orphans.next = now;
    }

    /// Notes what an executor said. Only a workload that could not be supervised needs us: all
    /// others have written their row.
    pub(crate) fn on_executor_event(&mut self, event: ExecutorEvent) {
        match event.outcome {
            Outcome::Supervised | Outcome::Refused => {}
            Outcome::Failed(why) => self.unfinished.push((row_of(&event.workload), why)),
        }
    }
}

impl Scheduler {
    /// Does what is due.
    pub(crate) async fn run_upkeep(&mut self, now: Timestamp) -> Result<(), Error> {
        let monotonic = self.clock.monotonic();
        if self.upkeep.heartbeat.is_due(monotonic) {
            self.heartbeat(now).await?;
        }
        if self.upkeep.orphans.is_due(monotonic) {
            self.take_over_orphans(now).await?;
        }
        if self.upkeep.silent.is_due(monotonic) {
            self.find_silent(now).await?;
        }
        // Known moments have timers of their own; this finds what a lost hint would have told.
        self.agenda.timeouts |= self.upkeep.timeouts.is_due(monotonic);
        if self.agenda.timeouts {
            self.time_out_deferred(now).await?;
            self.agenda.timeouts = false;
        }
        if self.upkeep.backfills.is_due(monotonic) && self.tend_backfills(now).await? {
            // There is more to do.
            self.upkeep.backfills.next = self.clock.monotonic();
        }
        if self.upkeep.assets.is_due(monotonic) {
            let mut tx = self.store.write().await?;
            tx.refresh_active_assets(now).await?;
            tx.commit().await?;
        }
        if self.upkeep.scan.is_due(monotonic) {
            self.agenda.on_change(Change::Everything);
        }
        self.settle_unfinished(now).await
    }

    async fn heartbeat(&mut self, now: Timestamp) -> Result<(), Error> {
        self.store.ping().await?;
        let mut tx = self.store.write().await?;
        let is_alive = tx.heartbeat_job(self.job_id, now).await?;
        tx.commit().await?;
        if is_alive {
            Ok(())
        } else {
            Err(Error::DeclaredDead {
                job_id: self.job_id,
            })
        }
    }

    /// Takes over what dead schedulers left behind.
    ///
    /// A queued try never started: it keeps its number and goes to our executor. A running one is
    /// started over, which costs a retry as in Airflow; its processes were killed before, or its
    /// machine is gone.
    async fn take_over_orphans(&mut self, now: Timestamp) -> Result<(), Error> {
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

    /// Declares running task instances dead that sent no heartbeat for too long.
    async fn find_silent(&mut self, now: Timestamp) -> Result<(), Error> {
        let since = now - signed(self.options.task_instance_heartbeat_timeout);
        let silent = {
            let mut reader = self.store.read().await?;
            reader
                .load_silent_task_instances(self.job_id, since)
                .await?
        };
        for ti in silent {
            let why = format!(
                "no heartbeat for more than {:?}",
                self.options.task_instance_heartbeat_timeout
            );
            self.upkeep
                .unfinished
                .push((Unfinished::TaskInstance(ti.id), why));
        }
        Ok(())
    }

    /// Lets deferred task instances fail whose time has passed, and notes when the next one's does.
    async fn time_out_deferred(&mut self, now: Timestamp) -> Result<(), Error> {
        let next = self.store.read().await?.find_next_trigger_timeout().await?;
        if next.is_none_or(|at| at >= now) {
            self.agenda.next_timeout = next;
            return Ok(());
        }
        let mut tx = self.store.write().await?;
        let count = tx.time_out_deferred(now).await?;
        self.agenda.next_timeout = tx.find_next_trigger_timeout().await?;
        tx.commit().await?;
        if count > 0 {
            info!(count, "deferred task instances ran out of time");
        }
        Ok(())
    }

    /// Moves on the rows of workloads that nobody reported.
    async fn settle_unfinished(&mut self, now: Timestamp) -> Result<(), Error> {
        while let Some((row, why)) = self.upkeep.unfinished.last().cloned() {
            let mut tx = self.store.write().await?;
            match row {
                Unfinished::TaskInstance(id) => {
                    bury(&mut tx, id, &why, &self.ids, now).await?;
                }
                Unfinished::Callback(id) => {
                    let report = CallbackReport {
                        state: CallbackState::Failed,
                        output: Some(why),
                    };
                    tx.finish_callback(id, &report, now).await?;
                }
                Unfinished::ConnectionTest(id) => {
                    tx.finish_connection_test(id, ConnectionTestState::Failed, &why, now)
                        .await?;
                }
            }
            tx.commit().await?;
            self.upkeep.unfinished.pop();
        }
        Ok(())
    }
}

fn row_of(workload: &ExecutorWorkload) -> Unfinished {
    match workload {
        ExecutorWorkload::ExecuteTask(task) => Unfinished::TaskInstance(task.ti_id),
        ExecutorWorkload::ExecuteCallback(callback) => Unfinished::Callback(callback.callback_id),
        ExecutorWorkload::TestConnection(test) => Unfinished::ConnectionTest(test.id),
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
