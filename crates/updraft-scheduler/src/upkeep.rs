//! What is done by the clock, and when.
//!
//! Source: scheduling semantics §0.2. Timers are not made up for: the next firing is
//! one period after the action returned.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tracing::info;
use updraft_executor::{ExecutorEvent, ExecutorWorkload, Outcome};
use updraft_store::Change;

use crate::Error;
use crate::scheduler::{Scheduler, SchedulerOptions};

/// Pause between two looks at backfills that nobody finished. Fixed, as in Airflow.
const BACKFILLS_INTERVAL: Duration = Duration::from_secs(30);

/// When each timer fires next.
#[derive(Debug)]
pub(crate) struct Upkeep {
    heartbeat: Timer,
    scan: Timer,
    pub(crate) orphans: Timer,
    silent: Timer,
    timeouts: Timer,
    backfills: Timer,
    assets: Timer,
    stuck: Timer,
    /// Workloads that ended without their row saying how.
    pub(crate) unfinished: Vec<(ExecutorWorkload, String)>,
}

#[derive(Debug)]
pub(crate) struct Timer {
    period: Duration,
    pub(crate) next: Instant,
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
            stuck: later(options.stuck.check_interval),
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
            &self.stuck,
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
            Outcome::Failed(why) => self.unfinished.push((event.workload, why)),
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
        if self.upkeep.stuck.is_due(monotonic) {
            self.free_stuck(now).await?;
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

    pub(crate) async fn heartbeat(&mut self, now: Timestamp) -> Result<(), Error> {
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
}

pub(crate) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
