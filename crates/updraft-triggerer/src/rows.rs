//! What a triggerer asks of the store: it registers, claims, loads, and writes down what triggers
//! did. Each call may be made at any time; rows decide what it comes to.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;
use tracing::{info, warn};
use updraft_execution::{FiredTrigger, Job, LogNames, Settled, Structures, TriggerEvents, chain};
use updraft_model::job::JobType;
use updraft_model::{JobId, TriggerId};
use updraft_runtime::{CancellationToken, Clock, Ids};
use updraft_store::{Error, NewJob, Store, TriggerClaim, TriggerQueues};

use crate::options::TriggererOptions;
use crate::workload::{Unrunnable, Workload};

/// Unneeded triggers that one transaction deletes.
const DELETED_AT_ONCE_MAX: i64 = 1_000;

/// Events that share a transaction. More would keep other writers waiting, fewer would cost a
/// commit each.
const EVENTS_PER_TRANSACTION_MAX: usize = 500;

/// Pause before a report is tried again that the store did not take.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The rows of one triggerer. Clones belong to the same job.
#[derive(Clone, Debug)]
pub struct TriggerRows {
    store: Store,
    clock: Clock,
    ids: Ids,
    job: Job,
    /// Others that are silent for so long are dead. `None`: all others are.
    silence: Option<Duration>,
    claimed_at_once_max: usize,
    queues: TriggerQueues,
    log_names: LogNames,
}

/// What was prepared for the child.
#[derive(Debug)]
pub struct Loaded {
    /// What was asked for; whatever is in neither list is not needed any more.
    pub wanted: Vec<TriggerId>,
    pub workloads: Vec<Workload>,
    pub unrunnable: Vec<Unrunnable>,
}

impl TriggerRows {
    /// Registers the job and sets free what dead triggerers held.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn register(
        store: &Store,
        options: &TriggererOptions,
        clock: &Clock,
        ids: &Ids,
    ) -> Result<Self, Error> {
        let new = NewJob {
            job_type: JobType::Triggerer,
            hostname: options.hostname.clone(),
            unixname: options.unixname.clone(),
            pid: std::process::id().cast_signed(),
        };
        let rows = Self {
            job: Job::start(store, &new, clock).await?,
            store: store.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            silence: options.deadly_silence(),
            claimed_at_once_max: options.claimed_at_once_max,
            queues: options.queues.clone(),
            log_names: options.log_names.clone(),
        };
        rows.bury_dead_triggerers().await?;
        Ok(rows)
    }

    /// Names the job.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        self.job.id()
    }

    /// Renews the sign of life and looks for triggerers without one. `false`: somebody took us
    /// for dead.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn beat(&self) -> Result<bool, Error> {
        let is_alive = self.job.beat().await?;
        self.bury_dead_triggerers().await?;
        Ok(is_alive)
    }

    /// Declares triggerers dead that have been silent for too long, or all but us, and sets their
    /// triggers free.
    async fn bury_dead_triggerers(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let since = self.silence.map(|silence| {
            let silence = SignedDuration::try_from(silence).unwrap_or(SignedDuration::MAX);
            now.checked_sub(silence).unwrap_or(jiff::Timestamp::MIN)
        });
        self.store
            .retry(|| async {
                let mut tx = self.store.write().await?;
                let dead = match since {
                    Some(since) => tx.fail_dead_jobs(JobType::Triggerer, since, now).await?,
                    None => {
                        tx.fail_other_jobs(JobType::Triggerer, self.job.id(), now)
                            .await?
                    }
                };
                let released = tx.release_orphaned_triggers().await?;
                tx.commit().await?;
                if !dead.is_empty() || released > 0 {
                    warn!(jobs = ?dead, released, "took triggers from triggerers that are dead");
                }
                Ok(())
            })
            .await
    }

    /// Takes up to `free` triggers.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim(&self, free: usize) -> Result<Vec<TriggerId>, Error> {
        let claim = TriggerClaim {
            triggerer: self.job.id(),
            free,
            limit: self.claimed_at_once_max,
            queues: &self.queues,
        };
        self.store
            .retry(|| async {
                let mut reader = self.store.read().await?;
                if !reader.has_free_triggers(claim.queues).await? {
                    return Ok(Vec::new());
                }
                drop(reader);
                let mut tx = self.store.write().await?;
                let claimed = tx.claim_triggers(&claim).await?;
                tx.commit().await?;
                Ok(claimed)
            })
            .await
    }

    /// Which of our triggers somebody still waits for.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load_needed(&self) -> Result<BTreeSet<TriggerId>, Error> {
        let mut reader = self.store.read().await?;
        reader.load_needed_triggers(self.job.id()).await
    }

    /// Deletes the rows of triggers that nobody needs.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn clean(&self) -> Result<(), Error> {
        self.store
            .retry(|| async {
                let mut tx = self.store.write().await?;
                tx.delete_unneeded_triggers(DELETED_AT_ONCE_MAX).await?;
                tx.commit().await
            })
            .await
    }

    /// Prepares triggers for the child.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(&self, wanted: Vec<TriggerId>) -> Result<Loaded, Error> {
        let mut reader = self.store.read().await?;
        let mut loaded = Loaded {
            workloads: Vec::with_capacity(wanted.len()),
            unrunnable: Vec::new(),
            wanted,
        };
        let (mut structures, names) = (Structures::default(), &self.log_names);
        for runnable in reader.load_runnable_triggers(&loaded.wanted).await? {
            match Workload::prepare(&mut reader, runnable, &mut structures, names).await? {
                Ok(workload) => loaded.workloads.push(workload),
                Err(unrunnable) => loaded.unrunnable.push(unrunnable),
            }
        }
        Ok(loaded)
    }

    /// Stores what triggers did, however long the store is away: it exists nowhere else. Only when
    /// everything stops is it given up; the next start runs their triggers again.
    pub async fn report(
        &self,
        events: &mut TriggerEvents,
        fired: &[FiredTrigger],
        shutdown: &CancellationToken,
    ) {
        for some in fired.chunks(EVENTS_PER_TRANSACTION_MAX) {
            self.store_all(events, some, shutdown).await;
        }
    }

    async fn store_all(
        &self,
        events: &mut TriggerEvents,
        fired: &[FiredTrigger],
        shutdown: &CancellationToken,
    ) {
        loop {
            match self.try_store(events, fired).await {
                Ok(settled) => {
                    if settled != Settled::default() {
                        info!(
                            resumed = settled.resumed,
                            ended = settled.ended,
                            "triggers let deferred task instances go on"
                        );
                    }
                    return;
                }
                Err(error) => {
                    warn!(
                        error = chain(&error),
                        "failed to store events of triggers; trying again"
                    );
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.clock.sleep(RETRY_PAUSE) => {}
            }
        }
    }

    async fn try_store(
        &self,
        events: &mut TriggerEvents,
        fired: &[FiredTrigger],
    ) -> Result<Settled, Error> {
        let mut tx = self.store.write().await?;
        let settled = events
            .apply(&mut tx, fired, &self.ids, self.clock.now())
            .await?;
        tx.commit().await?;
        Ok(settled)
    }

    /// Gives our triggers away and says goodbye.
    pub(crate) async fn end(self) {
        let release = async {
            let mut tx = self.store.write().await?;
            tx.release_triggers_of(self.job.id()).await?;
            tx.commit().await
        };
        if let Err(error) = release.await {
            warn!(
                error = chain(&error),
                "failed to set triggers free; they are taken over when the job is dead"
            );
        }
        self.job.end().await;
    }
}
