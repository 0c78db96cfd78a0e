//! The row that says that this Dag processor is alive.

use jiff::{SignedDuration, Timestamp};
use tracing::warn;
use updraft_execution::chain;
use updraft_model::JobId;
use updraft_model::job::{JobState, JobType};
use updraft_runtime::Clock;
use updraft_store::{Dialect, Error, NewJob, Store, Tx};

use crate::options::DagProcessorOptions;

/// A registered job.
pub(super) struct Job(JobId);

impl Job {
    pub(super) async fn start(store: &Store, options: &DagProcessorOptions) -> Result<Self, Error> {
        let job = NewJob {
            job_type: JobType::DagProcessor,
            hostname: options.hostname.clone(),
            unixname: options.unixname.clone(),
            pid: i32::try_from(std::process::id()).unwrap_or(i32::MAX),
        };
        store
            .retry(|| async {
                let mut tx = store.write().await?;
                let now = Clock::machine().now();
                let started = tx.start_job(&job, now).await?;
                if store.dialect() == Dialect::Sqlite {
                    // Such a store has one user at a time.
                    tx.fail_other_jobs(JobType::DagProcessor, started.id, now)
                        .await?;
                }
                bury_silent(&mut tx, options, now).await?;
                tx.commit().await?;
                Ok(Self(started.id))
            })
            .await
    }

    pub(super) fn id(&self) -> JobId {
        self.0
    }

    /// Renews the sign of life; registers anew when somebody took us for dead.
    pub(super) async fn beat(&mut self, store: &Store, options: &DagProcessorOptions) {
        let id = self.0;
        let beaten = store
            .retry(|| async {
                let mut tx = store.write().await?;
                let now = Clock::machine().now();
                let is_alive = tx.heartbeat_job(id, now).await?;
                bury_silent(&mut tx, options, now).await?;
                tx.commit().await?;
                Ok(is_alive)
            })
            .await;
        let renewed = match beaten {
            Ok(true) => return,
            // Parsing the same file twice harms nobody, so there is no reason to stop.
            Ok(false) => Self::start(store, options).await,
            Err(error) => Err(error),
        };
        match renewed {
            Ok(job) => {
                warn!(job_id = %id, "was declared dead, and registered as a new job");
                *self = job;
            }
            Err(error) => warn!(job_id = %id, error = chain(&error), "failed to send a heartbeat"),
        }
    }

    pub(super) async fn end(&self, store: &Store) {
        let ended = async {
            let mut tx = store.write().await?;
            tx.end_job(self.0, JobState::Success, Clock::machine().now())
                .await?;
            tx.commit().await
        };
        if let Err(error) = ended.await {
            warn!(job_id = %self.0, error = chain(&error), "failed to end the job");
        }
    }
}

/// Declares Dag processors dead that have been silent for too long, so that what they had taken is
/// taken again.
async fn bury_silent(
    tx: &mut Tx,
    options: &DagProcessorOptions,
    now: Timestamp,
) -> Result<(), Error> {
    let silence =
        SignedDuration::try_from(options.health_check_threshold).unwrap_or(SignedDuration::MAX);
    let since = now.checked_sub(silence).unwrap_or(Timestamp::MIN);
    let dead = tx.fail_dead_jobs(JobType::DagProcessor, since, now).await?;
    if !dead.is_empty() {
        warn!(jobs = ?dead, "declared silent Dag processors dead");
    }
    Ok(())
}
