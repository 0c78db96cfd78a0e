//! Counts what is limited, by the rows and by what really runs.

use std::collections::BTreeMap;

use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagRunState, TaskInstanceState};
use updraft_store::RunKey;

use super::Oracle;
use crate::child::{Child, ChildId};
use crate::faults::FaultKind;

impl Oracle {
    /// Something was queued: whatever it counts against must have had room.
    pub(super) async fn check_limits(
        &mut self,
        queued: &[TaskInstance],
        children: &BTreeMap<ChildId, Child>,
    ) {
        self.check_pools(queued, children).await;
        self.check_max_active_tasks(queued).await;
        if !self.faults.contains(&FaultKind::NewVersions) {
            self.check_max_active_tis(queued);
        }
    }

    async fn check_pools(&mut self, queued: &[TaskInstance], children: &BTreeMap<ChildId, Child>) {
        let mut reader = self.inspector.read().await.expect("the inspector reads");
        let pools = reader.load_pools().await.expect("the inspector reads");
        drop(reader);
        for pool in pools {
            if !queued.iter().any(|ti| ti.pool == pool.name) || pool.slots < 0 {
                continue;
            }
            let holds = |ti: &&TaskInstance| {
                let is_deferred = ti.state == TaskInstanceState::Deferred;
                ti.pool == pool.name
                    && (ti.state.is_executing() || is_deferred && pool.include_deferred)
            };
            let by_rows: i32 = self.instances().filter(holds).map(|ti| ti.pool_slots).sum();
            let beside: i32 = children
                .values()
                .filter(|child| child.is_alive && child.has_started && !child.is_released)
                .filter(|child| !self.has_row(child))
                .filter(|child| self.pool_of(child) == Some(pool.name.as_str()))
                .map(|child| child.workload.pool_slots)
                .sum();
            if by_rows + beside > pool.slots {
                let text = format!(
                    "pool `{}` has {} slots, but {by_rows} are taken by rows and {beside} by \
                     children without one",
                    pool.name, pool.slots
                );
                self.violated(|| text);
            }
        }
    }

    async fn check_max_active_tasks(&mut self, queued: &[TaskInstance]) {
        for ti in queued {
            let mut reader = self.inspector.read().await.expect("the inspector reads");
            let dag = reader
                .find_dag(&ti.dag_id)
                .await
                .expect("the inspector reads");
            drop(reader);
            let Some(dag) = dag else { continue };
            let active = self
                .instances()
                .filter(|other| other.dag_id == ti.dag_id && other.run_id == ti.run_id)
                .filter(|other| other.state.is_executing())
                .count();
            let limit = usize::try_from(dag.max_active_tasks).unwrap_or(0);
            if active > limit {
                let run = format!("{}/{}", ti.dag_id, ti.run_id);
                self.violated(|| {
                    format!("{run} has {active} active tasks, max_active_tasks is {limit}")
                });
            }
        }
    }

    fn check_max_active_tis(&mut self, queued: &[TaskInstance]) {
        for ti in queued {
            let limits = self
                .limits
                .get(ti.dag_id.as_str())
                .and_then(|tasks| tasks.get(ti.task_id.as_str()));
            let Some(limits) = limits.copied() else {
                continue;
            };
            let same = |other: &&TaskInstance| {
                other.dag_id == ti.dag_id && other.task_id == ti.task_id && other.state.is_active()
            };
            let in_dag = self.instances().filter(same).count();
            let in_run = self
                .instances()
                .filter(same)
                .filter(|other| other.run_id == ti.run_id)
                .count();
            for (limit, count, what) in [
                (
                    limits.max_active_tis_per_dag,
                    in_dag,
                    "max_active_tis_per_dag",
                ),
                (
                    limits.max_active_tis_per_dagrun,
                    in_run,
                    "max_active_tis_per_dagrun",
                ),
            ] {
                let limit = limit.and_then(|limit| usize::try_from(limit).ok());
                if limit.is_some_and(|limit| count > limit) {
                    let task = format!("{}/{}", ti.dag_id, ti.task_id);
                    self.violated(|| format!("{task} has {count} active, {what} is {limit:?}"));
                }
            }
        }
    }

    /// A run was started: there must have been room for it. Runs of a backfill have a limit of
    /// their own, and start also where a new version of the Dag allows fewer runs than go on.
    pub(super) async fn check_active_runs(&mut self, key: &RunKey) {
        if self.runs[key].run.backfill_id.is_some() {
            return;
        }
        let mut reader = self.inspector.read().await.expect("the inspector reads");
        let dag = reader
            .find_dag(&key.dag_id)
            .await
            .expect("the inspector reads");
        drop(reader);
        let Some(dag) = dag else { return };
        let running = self
            .runs
            .values()
            .filter(|each| each.run.dag_id == key.dag_id)
            .filter(|each| each.run.state == DagRunState::Running)
            .filter(|each| each.run.backfill_id.is_none())
            .count();
        let limit = usize::try_from(dag.max_active_runs).unwrap_or(0);
        if running > limit {
            let dag_id = key.dag_id.clone();
            self.violated(|| {
                format!("{dag_id} has {running} running runs, max_active_runs is {limit}")
            });
        }
    }

    fn instances(&self) -> impl Iterator<Item = &TaskInstance> {
        self.runs.values().flat_map(|run| run.instances.values())
    }

    /// Whether a row counts for what the child takes.
    fn has_row(&self, child: &Child) -> bool {
        let id = child.workload.ti_id;
        self.instances()
            .any(|ti| ti.id == id && ti.state.is_executing())
    }

    fn pool_of(&self, child: &Child) -> Option<&str> {
        let task_id = child.workload.task_id.as_str();
        self.instances()
            .find(|ti| ti.dag_id == child.workload.dag_id && ti.task_id.as_str() == task_id)
            .map(|ti| ti.pool.as_str())
    }
}
