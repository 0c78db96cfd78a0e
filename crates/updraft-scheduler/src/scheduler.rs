//! One scheduler, step by step: look where something may have happened, hand the result to the
//! executor.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use smol_str::SmolStr;
use tracing::{info, warn};
use updraft_dag_run::RunRules;
use updraft_execution::LogNames;
use updraft_executor::{ExecutorEvent, ExecutorWorkload, LocalExecutor};
use updraft_model::JobId;
use updraft_model::job::{JobState, JobType};
use updraft_runtime::{Clock, Ids};
use updraft_store::{Change, NewJob, RunKey, Store, Tx};

use crate::Error;
use crate::agenda::Agenda;
use crate::custom_mappers::CustomMappers;
use crate::dags::DagCache;
use crate::follow::Followed;
use crate::followers::Pasts;
use crate::upkeep::Upkeep;

/// Pause after a failed step, so that a store that is gone is not asked in a tight loop.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);

/// Settings of a scheduler.
#[derive(Clone, Debug)]
pub struct SchedulerOptions {
    /// Where this process runs, for its row in `job`.
    pub hostname: String,
    pub unixname: String,
    /// Names by which tasks may ask for the executor.
    pub executor_names: Vec<SmolStr>,
    /// `[core] max_task_retry_delay`.
    pub max_task_retry_delay: SignedDuration,
    /// `[scheduler] max_dagruns_to_create_per_loop`.
    pub max_dagruns_to_create: i64,
    /// `[scheduler] max_dagruns_per_loop_to_schedule`: also the runs that share a transaction.
    pub max_dagruns_per_loop: i64,
    /// `[scheduler] use_job_schedule`: whether scheduled runs are created.
    pub use_job_schedule: bool,
    /// `[scheduler] partition_mapper_max_downstream_keys`.
    pub partition_keys_max: u32,
    /// Asks Python about partition mappers that are classes of the user; without it events for them
    /// feed no run, and the audit log says why.
    pub custom_mappers: Option<CustomMappers>,
    /// `[scheduler] job_heartbeat_sec`.
    pub job_heartbeat: Duration,
    /// `[scheduler] scheduler_health_check_threshold`: a job silent for so long is dead.
    pub health_check_threshold: Duration,
    /// `[scheduler] parsing_cleanup_interval`: pause between two looks at which assets are active.
    pub parsing_cleanup_interval: Duration,
    /// `[scheduler] orphaned_tasks_check_interval`.
    pub orphaned_tasks_check_interval: Duration,
    /// `[scheduler] task_instance_heartbeat_timeout`.
    pub task_instance_heartbeat_timeout: Duration,
    /// `[scheduler] task_instance_heartbeat_timeout_detection_interval`.
    pub heartbeat_timeout_detection_interval: Duration,
    /// `[scheduler] trigger_timeout_check_interval`: the net below the timers of trigger timeouts.
    pub trigger_timeout_check_interval: Duration,
    /// What is done about a try that stays queued.
    pub stuck: StuckOptions,
    /// What a run of a backfill may be.
    pub run_rules: RunRules,
    /// Variables of the environment of this process, by their keys in capitals: they go before
    /// those in the store.
    pub environment_variables: BTreeMap<String, String>,
    /// `[connection_test] max_concurrency`.
    pub connection_tests_max: i64,
    /// `[connection_test] timeout`.
    pub connection_test_timeout: Duration,
    /// `[logging] log_filename_template`.
    pub log_names: LogNames,
    /// `[updraft] full_scan_interval`.
    pub full_scan_interval: Duration,
    /// Nobody else uses the store: every other scheduler job in it is dead.
    pub is_alone: bool,
}

/// What is done about a try that stays queued although there was room for it.
#[derive(Clone, Copy, Debug)]
pub struct StuckOptions {
    /// `[scheduler] task_queued_timeout`.
    pub timeout: Duration,
    /// `[scheduler] task_queued_timeout_check_interval`.
    pub check_interval: Duration,
    /// `[scheduler] num_stuck_in_queued_retries`: so often a try is queued again.
    pub requeues_max: u32,
}

/// One scheduler.
pub struct Scheduler {
    pub(crate) store: Store,
    pub(crate) executor: LocalExecutor,
    pub(crate) options: SchedulerOptions,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) job_id: JobId,
    pub(crate) dags: DagCache,
    pub(crate) followed: Followed,
    pub(crate) pasts: Pasts,
    pub(crate) agenda: Agenda,
    pub(crate) upkeep: Upkeep,
}

/// When the next step is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is more to look at.
    Now,
    /// The step failed: not before this moment, whatever happens.
    AfterFailure(Instant),
    /// At this moment, or when something happens.
    At(Instant),
}

impl Scheduler {
    /// Registers a scheduler. Its first step looks at everything.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn start(
        store: Store,
        executor: LocalExecutor,
        options: SchedulerOptions,
        clock: Clock,
        ids: Ids,
    ) -> Result<Self, Error> {
        let mut tx = store.write().await?;
        let job = NewJob {
            job_type: JobType::Scheduler,
            hostname: options.hostname.clone(),
            unixname: options.unixname.clone(),
            pid: std::process::id().cast_signed(),
        };
        let job = tx.start_job(&job, clock.now()).await?;
        tx.commit().await?;
        Ok(Self {
            upkeep: Upkeep::starting(&options, clock.monotonic()),
            store,
            executor,
            options,
            clock,
            ids,
            job_id: job.id,
            dags: DagCache::default(),
            followed: Followed::default(),
            pasts: Pasts::default(),
            agenda: Agenda::full(),
        })
    }

    /// Takes in a hint of the store.
    pub fn on_change(&mut self, change: Change) {
        self.agenda.on_change(change);
    }

    /// Takes in what an executor said.
    pub fn on_executor_event(&mut self, event: ExecutorEvent) {
        self.upkeep.on_executor_event(event);
        // A slot came free.
        self.agenda.queueing = true;
    }

    /// Does what is to be done now. What a failed step left undone is done by the next one.
    ///
    /// # Errors
    /// When going on would only do harm: another scheduler took over, or the store is gone for
    /// good.
    pub async fn step(&mut self) -> Result<Next, Error> {
        match self.try_step().await {
            Ok(()) if self.agenda.has_work() => Ok(Next::Now),
            Ok(()) => Ok(Next::At(self.next_timer())),
            Err(error) if error.is_final() => Err(error),
            Err(error) => {
                warn!(
                    error = format!("{:#}", Chain(&error)),
                    "a scheduling step failed; it is repeated"
                );
                self.agenda.on_change(Change::Everything);
                self.upkeep.after_failure(self.clock.monotonic());
                Ok(Next::AfterFailure(self.clock.monotonic() + FAILURE_PAUSE))
            }
        }
    }

    /// The earlier of a time of day and a reading of the monotonic clock.
    fn next_timer(&self) -> Instant {
        // Strictly after: retry dates must be past.
        const JUST_AFTER: Duration = Duration::from_millis(1);
        let timer = self.upkeep.next();
        let Some(at) = self.agenda.next_wake() else {
            return timer;
        };
        let left = at.duration_since(self.clock.now());
        let left = Duration::try_from(left).unwrap_or_default();
        timer.min(self.clock.monotonic() + left + JUST_AFTER)
    }

    /// One round: timers, new runs, starts, looks, queueing.
    async fn try_step(&mut self) -> Result<(), Error> {
        let now = self.clock.now();
        // Called without a hint it is a timer's turn; whatever it was, a slot may have come free.
        self.agenda.queueing |= !self.agenda.has_work();
        self.agenda.fire_timers(now);
        self.run_upkeep(now).await?;
        if std::mem::take(&mut self.agenda.deadlines) {
            self.end_waits(now).await?;
        }
        if std::mem::take(&mut self.agenda.creation) {
            self.create_runs(now).await?;
        }
        if std::mem::take(&mut self.agenda.everything) {
            self.mark_all(now).await?;
        }
        self.look(now).await
    }

    async fn mark_all(&mut self, now: Timestamp) -> Result<(), Error> {
        const RUNS_MAX: i64 = 10_000;
        let mut reader = self.store.read().await?;
        for (key, is_of_backfill) in reader.load_runs_to_examine(now, RUNS_MAX).await? {
            if is_of_backfill {
                self.agenda.note_backfill(key.clone());
            }
            self.agenda.mark(key);
        }
        for key in reader.load_runs_of_paused_dags(RUNS_MAX).await? {
            self.agenda.mark(key);
        }
        Ok(())
    }

    /// Starts queued runs, looks at marked ones and queues what they scheduled, in one transaction.
    async fn look(&mut self, now: Timestamp) -> Result<(), Error> {
        let count = usize::try_from(self.options.max_dagruns_per_loop).unwrap_or(1);
        let keys = self.agenda.take_runs(count);
        let mut tx = self.store.write().await?;
        match self.look_within(&mut tx, keys.clone(), now).await {
            Ok(Some(workloads)) => {
                tx.commit().await?;
                if !workloads.is_empty() {
                    info!(queued = workloads.len(), "queued workloads");
                    self.executor.queue(workloads);
                }
                Ok(())
            }
            // A row moved while we looked, or the store failed: nothing was written, look again.
            outcome => {
                drop(tx);
                for key in keys {
                    self.agenda.mark(key);
                }
                self.agenda.starting = true;
                self.agenda.queueing = true;
                self.agenda.urgent = true;
                outcome.map(|_| ())
            }
        }
    }

    async fn look_within(
        &mut self,
        tx: &mut Tx,
        mut keys: Vec<RunKey>,
        now: Timestamp,
    ) -> Result<Option<Vec<ExecutorWorkload>>, Error> {
        if std::mem::take(&mut self.agenda.starting) {
            keys.extend(self.start_runs(tx, now).await?);
        }
        let mut wakes = Vec::with_capacity(keys.len());
        for key in keys {
            let findings = self.examine(tx, &key, now).await?;
            if findings.lost {
                return Ok(None);
            }
            self.agenda.queueing |= findings.scheduled;
            self.agenda.starting |= findings.may_start_runs;
            wakes.push((key, findings.wake_at));
        }
        let mut workloads = Vec::new();
        if std::mem::take(&mut self.agenda.queueing) {
            workloads = self.queue_urgent(tx, now).await?;
            let tasks = self.queue(tx, workloads.len(), now).await?;
            workloads.extend(tasks);
        }
        for (key, at) in wakes {
            self.agenda.wake(&key, at);
        }
        Ok(Some(workloads))
    }

    /// Says goodbye, so that the next scheduler need not wait for a missing heartbeat.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stop(self) -> Result<(), Error> {
        self.executor.stop();
        let mut tx = self.store.write().await?;
        tx.end_job(self.job_id, JobState::Success, self.clock.now())
            .await?;
        Ok(tx.commit().await?)
    }
}

/// Prints an error with its causes.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
