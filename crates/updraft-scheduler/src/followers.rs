//! `depends_on_past` across runs: when a task of one run is done, the next run may go on, although
//! nothing happened in it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use updraft_model::DagRunType;
use updraft_planning::run::{PreviousRunRule, ViewNeeds};
use updraft_store::{LockedRun, RunKey, SlimTaskInstance, Tx};

use crate::Error;
use crate::dags::CachedDag;
use crate::scheduler::Scheduler;

/// Runs whose past is remembered; beyond it followers are looked at once too often.
const RUNS_MAX: usize = 10_000;

/// Runs that are looked at after a change in one before them. All but the first are manual runs of a
/// Dag that catches up, or wait for the one before them anyway.
const FOLLOWERS_MAX: i64 = 20;

/// What each run looked like to the runs after it.
#[derive(Debug, Default)]
pub(crate) struct Pasts {
    seen: BTreeMap<RunKey, u64>,
}

impl Pasts {
    /// Whether a run looks different now.
    fn note(&mut self, key: &RunKey, looks: u64) -> bool {
        if self.seen.len() >= RUNS_MAX {
            self.seen.clear();
        }
        self.seen.insert(key.clone(), looks) != Some(looks)
    }
}

impl Scheduler {
    /// Marks the runs that may have waited for this one, if it looks different to them now.
    pub(crate) async fn wake_followers(
        &mut self,
        tx: &mut Tx,
        locked: &LockedRun,
        dag: &CachedDag,
    ) -> Result<(), Error> {
        let run = &locked.run;
        let (Some(rule), Some(date)) = (dag.needs.previous_run, run.logical_date) else {
            return Ok(());
        };
        let rows = tx
            .load_slim_task_instances(&run.dag_id, &run.run_id)
            .await?;
        let key = RunKey {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
        };
        if !self.pasts.note(&key, looks_of(&rows, &dag.needs)) {
            return Ok(());
        }
        let followers = tx
            .load_running_runs_after(&run.dag_id, date, FOLLOWERS_MAX)
            .await?;
        for (key, run_type) in followers {
            self.agenda.mark(key);
            // The run behind this one has this one as its past.
            if rule == PreviousRunRule::Any || run_type != DagRunType::Manual {
                break;
            }
        }
        Ok(())
    }
}

/// What later runs see of these rows: which tasks succeeded.
fn looks_of(rows: &[SlimTaskInstance], needs: &ViewNeeds) -> u64 {
    let mut hasher = DefaultHasher::new();
    for row in rows {
        if needs.past_tasks.contains(&row.task_id) {
            (
                row.task_id.as_str(),
                row.map_index.0,
                row.state.is_success(),
            )
                .hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use updraft_store::RunKey;

    use super::{Pasts, RUNS_MAX};

    #[test]
    fn a_run_looks_different_only_after_a_change() {
        let key = |run: &str| RunKey {
            dag_id: "d".into(),
            run_id: run.into(),
        };
        let mut pasts = Pasts::default();
        assert!(pasts.note(&key("r"), 1));
        assert!(!pasts.note(&key("r"), 1));
        assert!(pasts.note(&key("r"), 2));
        for number in 0..RUNS_MAX {
            pasts.note(&key(&number.to_string()), 1);
        }
        assert!(pasts.seen.len() <= RUNS_MAX);
    }
}
