//! The row that says that this Dag processor is alive.

use tracing::warn;
use updraft_model::JobId;
use updraft_model::job::{JobState, JobType};
use updraft_runtime::Clock;
use updraft_store::{Error, NewJob, Store};

use crate::content::chain;
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
                let started = tx.start_job(&job, Clock::machine().now()).await?;
                tx.commit().await?;
                Ok(Self(started.id))
            })
            .await
    }

    /// Renews the sign of life; registers anew when somebody took us for dead.
    pub(super) async fn beat(&mut self, store: &Store, options: &DagProcessorOptions) {
        let id = self.0;
        let beaten = store
            .retry(|| async {
                let mut tx = store.write().await?;
                let is_alive = tx.heartbeat_job(id, Clock::machine().now()).await?;
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
