//! The row that says that a role is alive.

use tracing::warn;
use updraft_model::JobId;
use updraft_model::job::JobState;
use updraft_runtime::Clock;
use updraft_store::{Error, NewJob, Store};

use crate::failure::chain;

/// A registered job.
#[derive(Clone, Debug)]
pub struct Job {
    id: JobId,
    store: Store,
    clock: Clock,
}

impl Job {
    /// Registers a role that starts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn start(store: &Store, new: &NewJob, clock: &Clock) -> Result<Self, Error> {
        let started = store
            .retry(|| async {
                let mut tx = store.write().await?;
                let started = tx.start_job(new, clock.now()).await?;
                tx.commit().await?;
                Ok(started)
            })
            .await?;
        Ok(Self {
            id: started.id,
            store: store.clone(),
            clock: clock.clone(),
        })
    }

    /// Names the row.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Renews the sign of life. `false`: somebody took us for dead, and this job stays dead.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn beat(&self) -> Result<bool, Error> {
        self.store
            .retry(|| async {
                let mut tx = self.store.write().await?;
                let is_alive = tx.heartbeat_job(self.id, self.clock.now()).await?;
                tx.commit().await?;
                Ok(is_alive)
            })
            .await
    }

    /// Says goodbye. A job that cannot is declared dead by and by.
    pub async fn end(&self) {
        let ended = async {
            let mut tx = self.store.write().await?;
            tx.end_job(self.id, JobState::Success, self.clock.now())
                .await?;
            tx.commit().await
        };
        if let Err(error) = ended.await {
            warn!(job_id = %self.id, error = chain(&error), "failed to end the job");
        }
    }
}
