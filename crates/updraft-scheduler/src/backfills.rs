//! Backfills whose creator died on the way are filled here, and those that are done are completed.
//!
//! Source: scheduling semantics §0.2, §2.8.

use jiff::Timestamp;
use tracing::info;
use updraft_execution::{Filler, Progress};
use updraft_model::dag_run::DagRun;
use updraft_store::{RunKey, Tx};

use crate::Error;
use crate::scheduler::Scheduler;

impl Scheduler {
    /// Takes one step with each backfill that lacks runs, and completes those of which nothing is
    /// left to do. Whether there is more to fill.
    pub(crate) async fn tend_backfills(&mut self, now: Timestamp) -> Result<bool, Error> {
        let to_fill = self.store.read().await?.load_backfills_to_fill().await?;
        let filler = Filler {
            store: &self.store,
            rules: &self.options.run_rules,
            ids: &self.ids,
        };
        let mut has_more = false;
        for backfill_id in to_fill {
            has_more |= filler.step(backfill_id, now).await? == Progress::More;
        }
        let mut tx = self.store.write().await?;
        let completed = tx.complete_backfills(now).await?;
        tx.commit().await?;
        if !completed.is_empty() {
            info!(backfills = ?completed, "completed backfills");
        }
        Ok(has_more)
    }

    /// A run of a backfill has ended; perhaps it was the last.
    pub(crate) async fn end_run_of_backfill(
        &mut self,
        tx: &mut Tx,
        run: &DagRun,
        backfill_id: i64,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.agenda.forget_backfill(&RunKey {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
        });
        if tx.complete_backfill(backfill_id, now).await? {
            info!(dag_id = %run.dag_id, backfill_id, "completed a backfill");
        }
        Ok(())
    }
}
