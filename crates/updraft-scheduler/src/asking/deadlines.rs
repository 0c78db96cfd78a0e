//! From when a deadline counts whose reference is a class of the user's.

use jiff::Timestamp;
use tracing::warn;
use updraft_model::deadline::Reference;
use updraft_plugins::Error as PluginError;
use updraft_store::{AskedDeadline, Error as StoreError};

use super::{Context, Outcome, outcome_of};
use crate::listeners::rows_of_run;

impl Context {
    /// Asks the class and writes what it said. One that gives no time, or fails, leaves the run
    /// without that deadline.
    pub(super) async fn settle_deadline(
        &self,
        asked: &AskedDeadline,
    ) -> Result<Outcome, StoreError> {
        let (dag_id, run_id) = (&asked.dag_id, &asked.run_id);
        let reference = match &asked.alert {
            Some(alert) => &alert.reference,
            None => {
                return self
                    .leave_out(asked, "the Dag version it belongs to is gone")
                    .await;
            }
        };
        let class = match Reference::parse(reference) {
            Ok(Reference::Custom(class, _)) => class,
            Ok(_) => return self.leave_out(asked, "it means nothing for this run").await,
            Err(bad) => return self.leave_out(asked, &bad.to_string()).await,
        };
        let rows = rows_of_run(&mut self.store.read().await?, dag_id, run_id).await?;
        let Some(rows) = rows else {
            // With the run went its deadlines.
            return Ok(Outcome::Settled);
        };
        let answer = self
            .plugins
            .evaluate_deadline_reference(reference, &class, &rows)
            .await;
        match answer {
            Ok(Some(at)) => self.store_reference(asked, at).await,
            Ok(None) => self.forget(asked).await,
            Err(error @ (PluginError::Raised { .. } | PluginError::Nonsense { .. })) => {
                let traceback = error.traceback().unwrap_or_default();
                warn!(%dag_id, %run_id, %error, traceback, "a deadline reference failed");
                self.leave_out(asked, &error.to_string()).await
            }
            Err(error) => {
                let outcome = outcome_of(&error);
                if outcome != Outcome::NotNow {
                    warn!(%dag_id, %run_id, %error, "failed to learn from when a deadline counts; it is asked again");
                }
                Ok(outcome)
            }
        }
    }

    async fn leave_out(&self, asked: &AskedDeadline, why: &str) -> Result<Outcome, StoreError> {
        let (dag_id, run_id) = (&asked.dag_id, &asked.run_id);
        warn!(%dag_id, %run_id, error = why, "left out a deadline; its run goes on without it");
        self.forget(asked).await
    }

    async fn forget(&self, asked: &AskedDeadline) -> Result<Outcome, StoreError> {
        self.store
            .retry(|| async {
                let mut tx = self.store.write().await?;
                tx.delete_deadline(asked.id).await?;
                tx.commit().await?;
                Ok(Outcome::Settled)
            })
            .await
    }

    async fn store_reference(
        &self,
        asked: &AskedDeadline,
        at: Timestamp,
    ) -> Result<Outcome, StoreError> {
        self.store
            .retry(|| async {
                let mut tx = self.store.write().await?;
                tx.set_deadline_reference(asked.id, at, self.clock.now())
                    .await?;
                tx.commit().await?;
                // Whoever was faster has asked the same.
                Ok(Outcome::Settled)
            })
            .await
    }
}
