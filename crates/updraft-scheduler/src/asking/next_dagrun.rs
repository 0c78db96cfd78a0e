//! The next run of a Dag with a timetable class of the user.

use serde_json::Value;
use tracing::warn;
use updraft_model::dag::NextDagRun;
use updraft_model::dag_run::DagRun;
use updraft_model::serialized::SerializedDag;
use updraft_plugins::{Error as PluginError, LastRun, NextRun};
use updraft_store::{AskedDag, Error as StoreError};
use updraft_timetable::{TimeRestriction, Timetable, next_dagrun};

use super::{Context, Outcome, outcome_of};

impl Context {
    /// Asks for the next run and stores it, unless it was wished for anew meanwhile.
    pub(super) async fn settle_next_dagrun(&self, asked: &AskedDag) -> Result<Outcome, StoreError> {
        let Some((dag, last)) = self.load(asked).await? else {
            // Never serialized, or gone: its parse will ask again.
            return self.store_next(asked, &NextDagRun::default()).await;
        };
        let serialized = &dag.attributes().timetable;
        let timetable = match Timetable::from_serialized(serialized) {
            Ok(timetable) if timetable.can_be_scheduled() => timetable,
            _ => return self.store_next(asked, &NextDagRun::default()).await,
        };
        let Some(custom) = timetable.custom() else {
            // Its file has changed: no class any more.
            let next = next_dagrun(&dag, last.as_ref(), self.clock.now()).unwrap_or_default();
            return self.store_next(asked, &next).await;
        };
        let answer = self
            .plugins
            .next_dagrun(
                serialized,
                &custom.class_path,
                last.as_ref().map(LastRun::from).as_ref(),
                &TimeRestriction::of(&dag),
            )
            .await;
        match answer {
            Ok(next) => {
                let next = next.map_or_else(NextDagRun::default, |next| row_of(next, &timetable));
                self.store_next(asked, &next).await
            }
            // As in Airflow: a timetable that raises has no next run until its file is parsed again.
            Err(error @ (PluginError::Raised { .. } | PluginError::Nonsense { .. })) => {
                let traceback = error.traceback().unwrap_or_default();
                warn!(dag_id = %asked.dag_id, %error, traceback, "failed to compute the next run of a Dag; it is not scheduled any more");
                self.store_next(asked, &NextDagRun::default()).await
            }
            Err(error) => {
                let outcome = outcome_of(&error);
                if outcome != Outcome::NotNow {
                    warn!(dag_id = %asked.dag_id, %error, "failed to compute the next run of a Dag; no run is created until it is known");
                }
                Ok(outcome)
            }
        }
    }

    async fn load(
        &self,
        asked: &AskedDag,
    ) -> Result<Option<(SerializedDag, Option<DagRun>)>, StoreError> {
        let mut reader = self.store.read().await?;
        let Some(version) = reader.find_latest_version(&asked.dag_id).await? else {
            return Ok(None);
        };
        let Some(text) = reader.find_serialized_dag(version.id).await? else {
            return Ok(None);
        };
        let parsed = serde_json::from_str::<Value>(&text.data)
            .ok()
            .and_then(|raw| SerializedDag::parse(raw).ok());
        let Some(dag) = parsed else {
            return Ok(None);
        };
        let is_partitioned = Timetable::from_serialized(&dag.attributes().timetable)
            .is_ok_and(|timetable| timetable.partitioned());
        let last = reader
            .find_latest_automated_run(&asked.dag_id, is_partitioned)
            .await?;
        Ok(Some((dag, last)))
    }

    async fn store_next(&self, asked: &AskedDag, next: &NextDagRun) -> Result<Outcome, StoreError> {
        let store = &self.store;
        store
            .retry(|| async {
                let mut tx = store.write().await?;
                let is_settled = tx.settle_next_dagrun(asked, next).await?;
                tx.commit().await?;
                // A later wish is a mark of its own, and is asked at once.
                Ok(if is_settled {
                    Outcome::Settled
                } else {
                    Outcome::NotNow
                })
            })
            .await
    }
}

fn row_of(next: NextRun, timetable: &Timetable) -> NextDagRun {
    let NextRun { info, run_id } = next;
    NextDagRun {
        run_id: timetable.makes_run_ids().then_some(run_id),
        ..NextDagRun::from(info)
    }
}
