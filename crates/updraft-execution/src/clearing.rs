//! Clears task instances of runs, and the runs with them: what the API, the command line, a
//! backfill and a `TriggerDagRun` task that resets its run have in common.
//!
//! Source: scheduling semantics §1.5.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use updraft_model::dag::DagVersion;
use updraft_model::dag_run::DagRun;
use updraft_model::serialized::{SerializedDag, Task};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagVersionId, MapIndex, TaskId, TaskInstanceId};
use updraft_planning::clear::{
    ClearView, RunAfterClear, RunningInstances, StillRunning, plan_clear_instance, plan_clear_run,
};
use updraft_planning::integrity::plan_integrity;
use updraft_planning::run::ViewNeeds;
use updraft_planning::run::view::MAX_TASK_RETRY_DELAY_DEFAULT;
use updraft_planning::run_state::RunTimes;
use updraft_runtime::Ids;
use updraft_store::{Change, Error, ResetFields, RunClear, RunKey, TaskInstanceClear, Tx};

use crate::run_apply::apply_task_instances;
use crate::run_view::{ViewOf, load_view};
use crate::structures::Structures;

/// How rows are cleared.
#[derive(Clone, Copy, Debug)]
pub struct ClearOrder {
    pub running: RunningInstances,
    pub after: RunAfterClear,
    /// Whether the run moves to the newest version of its Dag; `None` leaves that to the Dag.
    pub run_on_latest_version: Option<bool>,
    /// `[core] rerun_with_latest_version`, for a Dag that does not say either.
    pub rerun_with_latest_version: bool,
}

/// What came of the wish to clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cleared {
    /// The new ids of the rows.
    Rows(Vec<TaskInstanceId>),
    /// Nothing was cleared: one of the rows is running, and must not be stopped.
    StillRunning(StillRunning),
    /// The run is gone.
    NoRun,
}

/// Clears rows, one run after the other.
#[derive(Debug)]
pub struct Clearing<'a> {
    order: ClearOrder,
    ids: &'a Ids,
    structures: Structures,
}

/// The versions that a cleared run has to do with.
struct Versions {
    /// Where the run moves to, if it does.
    moves_to: Option<(DagVersion, Option<Arc<SerializedDag>>)>,
    /// What the rows are read by.
    dag: Option<Arc<SerializedDag>>,
}

impl<'a> Clearing<'a> {
    #[must_use]
    pub fn new(order: ClearOrder, ids: &'a Ids) -> Self {
        Self {
            order,
            ids,
            structures: Structures::default(),
        }
    }

    /// Clears rows of one run, in whatever state they are by now.
    ///
    /// # Errors
    /// When the store fails; nothing may be committed then.
    pub async fn clear(
        &mut self,
        tx: &mut Tx,
        key: &RunKey,
        rows: &[TaskInstance],
        now: Timestamp,
    ) -> Result<Cleared, Error> {
        let Some(run) = tx.hold_dag_run(&key.dag_id, &key.run_id).await? else {
            return Ok(Cleared::NoRun);
        };
        let versions = self.versions(tx, &run).await?;
        let places: BTreeSet<(&TaskId, MapIndex)> = rows
            .iter()
            .map(|row| (&row.task_id, row.map_index))
            .collect();
        let mut rows = tx.hold_task_instances(&key.dag_id, &key.run_id).await?;
        rows.retain(|row| places.contains(&(&row.task_id, row.map_index)));
        let clears: Result<Vec<TaskInstanceClear>, StillRunning> = rows
            .iter()
            .map(|row| self.plan_row(row, &run, &versions, now))
            .collect();
        let clears = match clears {
            Ok(clears) => clears,
            Err(refusal) => return Ok(Cleared::StillRunning(refusal)),
        };
        tx.clear_task_instances(&clears, now).await?;
        self.clear_run(tx, &run, &versions, now).await?;
        Ok(Cleared::Rows(
            clears.iter().map(|clear| clear.new_id).collect(),
        ))
    }

    async fn versions(&mut self, tx: &mut Tx, run: &DagRun) -> Result<Versions, Error> {
        let latest = tx.find_latest_version(&run.dag_id).await?;
        let latest_dag = match &latest {
            Some(latest) => self.structures.load(tx, latest.id).await?,
            None => None,
        };
        let by_dag = latest_dag
            .as_ref()
            .and_then(|dag| dag.attributes().rerun_with_latest_version);
        let wanted = self
            .order
            .run_on_latest_version
            .or(by_dag)
            .unwrap_or(self.order.rerun_with_latest_version);
        let moves_to = latest.filter(|_| wanted || run.created_dag_version_id.is_none());
        // A run that is not pinned to a version of its bundle follows the newest anyway.
        let pinned = run
            .created_dag_version_id
            .filter(|_| moves_to.is_none() && run.bundle_version.is_some());
        let own_dag = match pinned {
            Some(version) => self.structures.load(tx, version).await?,
            None => None,
        };
        Ok(Versions {
            // Where the structure of the run is lost, the newest stands in.
            dag: own_dag.or_else(|| latest_dag.clone()),
            moves_to: moves_to.map(|version| (version, latest_dag)),
        })
    }

    fn plan_row(
        &self,
        row: &TaskInstance,
        run: &DagRun,
        versions: &Versions,
        now: Timestamp,
    ) -> Result<TaskInstanceClear, StillRunning> {
        let dag = versions.dag.as_deref();
        let task = dag.and_then(|dag| dag.find_task(row.task_id.as_str()));
        let view = ClearView {
            state: row.state,
            try_number: row.try_number,
            max_tries: row.max_tries,
            end_date: row.end_date,
            task_retries: task.map(|task| task.retries.count),
        };
        let version = match &versions.moves_to {
            Some((version, _)) => Some(version.id),
            // Without a version it would never be queued.
            None => run
                .created_dag_version_id
                .filter(|_| row.dag_version_id.is_none()),
        };
        let cleared = plan_clear_instance(&view, self.order.running, now)?;
        Ok(TaskInstanceClear {
            id: row.id,
            from: row.state,
            new_id: TaskInstanceId(self.ids.uuid()),
            state: cleared.state,
            max_tries: cleared.max_tries,
            reset: cleared.is_reset.then(|| reset_fields(row, task, version)),
        })
    }

    async fn clear_run(
        &self,
        tx: &mut Tx,
        run: &DagRun,
        versions: &Versions,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (dag_id, run_id) = (&run.dag_id, &run.run_id);
        let times = RunTimes {
            queued_at: run.queued_at,
            start_date: run.start_date,
            end_date: run.end_date,
        };
        let after = self.order.after;
        if let Some(cleared) = plan_clear_run(run.state, times, run.clear_number, after, now) {
            let clear = RunClear {
                from: run.state,
                state: cleared.state,
                queued_at: cleared.times.queued_at,
                start_date: cleared.times.start_date,
                end_date: cleared.times.end_date,
                clear_number: cleared.clear_number,
                forget_last_scheduling_decision: cleared.forget_last_scheduling_decision,
            };
            tx.clear_dag_run(dag_id, run_id, &clear, now).await?;
            if let Some((version, dag)) = &versions.moves_to {
                self.move_run(tx, run, version, dag.as_deref(), now).await?;
            }
        }
        tx.changed(Change::DagRun {
            dag_id: dag_id.clone(),
            run_id: run_id.clone(),
        });
        Ok(())
    }

    async fn move_run(
        &self,
        tx: &mut Tx,
        run: &DagRun,
        version: &DagVersion,
        dag: Option<&SerializedDag>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let had_finished = run.state.is_finished();
        if had_finished || run.created_dag_version_id != Some(version.id) {
            let is_pinned = dag.is_some_and(|dag| !dag.attributes().disable_bundle_versioning);
            let row = tx.find_dag(&run.dag_id).await?;
            let bundle_version = row.and_then(|row| row.bundle_version);
            let bundle_version = bundle_version.as_deref().filter(|_| is_pinned);
            tx.set_created_dag_version(&run.dag_id, &run.run_id, version.id, bundle_version)
                .await?;
        }
        if let Some(dag) = dag.filter(|_| had_finished) {
            self.mend(tx, run, dag, version.id, now).await?;
        }
        Ok(())
    }

    /// Gives a run that had finished the rows of its new version, and takes away those of tasks
    /// that are gone. A run that goes on gets them from the scheduler.
    async fn mend(
        &self,
        tx: &mut Tx,
        run: &DagRun,
        dag: &SerializedDag,
        version: DagVersionId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(run) = tx.find_dag_run(&run.dag_id, &run.run_id).await? else {
            return Ok(());
        };
        let of = ViewOf {
            run: &run,
            backfill_sort_ordinal: None,
            max_task_retry_delay: MAX_TASK_RETRY_DELAY_DEFAULT,
        };
        let view = load_view(tx, dag, &ViewNeeds::of(dag), &of).await?;
        let plan = plan_integrity(&view, now);
        // The rows are held since before they were cleared, so none can be lost.
        apply_task_instances(tx, dag, &run, version, &plan, self.ids, now).await?;
        Ok(())
    }
}

/// A task that the Dag lost leaves its row as it is.
fn reset_fields(
    row: &TaskInstance,
    task: Option<&Task>,
    version: Option<DagVersionId>,
) -> ResetFields {
    match task {
        Some(task) => ResetFields {
            pool: task.pool.clone(),
            pool_slots: task.pool_slots,
            queue: task.queue.clone(),
            priority_weight: task.total_weight.unwrap_or(task.priority_weight),
            has_custom_weight: task.total_weight.is_none(),
            executor: task.executor.clone(),
            executor_config: task.executor_config.clone(),
            dag_version_id: version,
        },
        None => ResetFields {
            pool: row.pool.clone(),
            pool_slots: row.pool_slots,
            queue: row.queue.clone(),
            priority_weight: row.priority_weight,
            has_custom_weight: false,
            executor: row.executor.clone(),
            executor_config: row.executor_config.clone(),
            dag_version_id: version,
        },
    }
}

/// Rows by the run they belong to.
#[must_use]
pub fn by_run(rows: Vec<TaskInstance>) -> BTreeMap<RunKey, Vec<TaskInstance>> {
    let mut grouped: BTreeMap<RunKey, Vec<TaskInstance>> = BTreeMap::new();
    for row in rows {
        let key = RunKey {
            dag_id: row.dag_id.clone(),
            run_id: row.run_id.clone(),
        };
        grouped.entry(key).or_default().push(row);
    }
    grouped
}
