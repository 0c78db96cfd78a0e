//! A run that is not pinned follows its Dag: when the file changes, its rows do.
//!
//! Source: scheduling semantics §0.4 step 4, §1.7, §2.10.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tracing::info;
use updraft_execution::{Applied, apply_task_instances, load_view};
use updraft_model::DagVersionId;
use updraft_model::dag_run::DagRun;
use updraft_planning::integrity::plan_integrity;
use updraft_store::{LockedRun, RunKey, Tx};

use crate::Error;
use crate::dags::CachedDag;
use crate::scheduler::Scheduler;

/// Runs whose version is remembered; beyond it the store is asked again.
const RUNS_MAX: usize = 10_000;

/// Which version each run was last seen to follow, so that most looks need not ask.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    versions: BTreeMap<RunKey, DagVersionId>,
}

impl Followed {
    fn is_current(&self, key: &RunKey, version: DagVersionId) -> bool {
        self.versions.get(key) == Some(&version)
    }

    fn note(&mut self, key: RunKey, version: DagVersionId) {
        if self.versions.len() >= RUNS_MAX {
            self.versions.clear();
        }
        self.versions.insert(key, version);
    }

    /// The run has ended.
    pub(crate) fn forget(&mut self, run: &DagRun) {
        self.versions.remove(&key_of(run));
    }
}

impl Scheduler {
    /// Brings the rows of an unpinned run in line with the newest version of its Dag.
    pub(crate) async fn follow_new_version(
        &mut self,
        tx: &mut Tx,
        locked: &LockedRun,
        dag: &CachedDag,
        version: DagVersionId,
        now: Timestamp,
    ) -> Result<Applied, Error> {
        let run = &locked.run;
        let key = key_of(run);
        if run.bundle_version.is_some() || self.followed.is_current(&key, version) {
            return Ok(Applied::Whole);
        }
        if !tx
            .run_knows_version(&run.dag_id, &run.run_id, version)
            .await?
        {
            tx.repin_unfinished(&run.dag_id, &run.run_id, version)
                .await?;
            let of = self.view_of(locked);
            let view = load_view(tx, &dag.dag, &dag.needs, &of).await?;
            let plan = plan_integrity(&view, now);
            info!(dag_id = %run.dag_id, run_id = %run.run_id, dag_version_id = %version, changes = plan.changes.len(), created = plan.created.len(), "a run follows the new version of its Dag");
            let applied =
                apply_task_instances(tx, &dag.dag, run, version, &plan, &self.ids, now).await?;
            if applied == Applied::Lost {
                return Ok(applied);
            }
        }
        self.followed.note(key, version);
        Ok(Applied::Whole)
    }
}

fn key_of(run: &DagRun) -> RunKey {
    RunKey {
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
    }
}
