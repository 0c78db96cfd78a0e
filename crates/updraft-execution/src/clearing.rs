//! Clears task instances of one run, and the run with them: what the API, the command line and a
//! `TriggerDagRun` task that resets its run have in common.
//!
//! Source: scheduling semantics §1.5.

use jiff::Timestamp;
use updraft_model::dag_run::DagRun;
use updraft_model::serialized::{SerializedDag, Task};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagVersionId, TaskInstanceId};
use updraft_planning::clear::{
    ClearView, RunAfterClear, RunningInstances, StillRunning, plan_clear_instance, plan_clear_run,
};
use updraft_planning::run_state::RunTimes;
use updraft_runtime::Ids;
use updraft_store::{Change, Error, ResetFields, RunClear, RunKey, TaskInstanceClear, Tx};

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

/// Clears rows of one run.
///
/// # Errors
/// When the store fails; nothing may be committed then.
pub async fn clear(
    tx: &mut Tx,
    key: &RunKey,
    rows: &[TaskInstance],
    order: ClearOrder,
    ids: &Ids,
    now: Timestamp,
) -> Result<Cleared, Error> {
    let Some(run) = tx.find_dag_run(&key.dag_id, &key.run_id).await? else {
        return Ok(Cleared::NoRun);
    };
    let latest = tx.find_latest_version(&key.dag_id).await?;
    let latest_dag = match &latest {
        Some(latest) => structure(tx, latest.id).await?,
        None => None,
    };
    let by_dag = latest_dag
        .as_ref()
        .and_then(|dag| dag.attributes().rerun_with_latest_version);
    let wanted = order
        .run_on_latest_version
        .or(by_dag)
        .unwrap_or(order.rerun_with_latest_version);
    let moves_to = latest.filter(|_| wanted || run.created_dag_version_id.is_none());
    let pinned = run.created_dag_version_id.filter(|_| moves_to.is_none());
    let own_dag = match pinned {
        Some(version) => structure(tx, version).await?,
        None => None,
    };
    // Where the structure of the run is lost, the newest stands in.
    let dag = own_dag.or(latest_dag);
    let version = moves_to.as_ref().map(|version| version.id);
    let clears: Result<Vec<TaskInstanceClear>, StillRunning> = rows
        .iter()
        .map(|row| plan_row(row, dag.as_ref(), version, order.running, ids, now))
        .collect();
    let clears = match clears {
        Ok(clears) => clears,
        Err(refusal) => return Ok(Cleared::StillRunning(refusal)),
    };
    tx.clear_task_instances(&clears, now).await?;
    if let Some(version) = &moves_to {
        let bundle_version = version.bundle_version.as_deref();
        tx.set_created_dag_version(&key.dag_id, &key.run_id, version.id, bundle_version)
            .await?;
    }
    clear_run(tx, &run, order.after, now).await?;
    Ok(Cleared::Rows(
        clears.iter().map(|clear| clear.new_id).collect(),
    ))
}

async fn structure(tx: &mut Tx, version: DagVersionId) -> Result<Option<SerializedDag>, Error> {
    let stored = tx.find_serialized_dag(version).await?;
    Ok(stored
        .and_then(|stored| serde_json::from_str(&stored.data).ok())
        .and_then(|raw| SerializedDag::parse(raw).ok()))
}

fn plan_row(
    row: &TaskInstance,
    dag: Option<&SerializedDag>,
    version: Option<DagVersionId>,
    running: RunningInstances,
    ids: &Ids,
    now: Timestamp,
) -> Result<TaskInstanceClear, StillRunning> {
    let task = dag.and_then(|dag| dag.find_task(row.task_id.as_str()));
    let view = ClearView {
        state: row.state,
        try_number: row.try_number,
        max_tries: row.max_tries,
        end_date: row.end_date,
        task_retries: task.map(|task| task.retries.count),
    };
    let cleared = plan_clear_instance(&view, running, now)?;
    Ok(TaskInstanceClear {
        id: row.id,
        from: row.state,
        new_id: TaskInstanceId(ids.uuid()),
        state: cleared.state,
        max_tries: cleared.max_tries,
        reset: cleared.is_reset.then(|| reset_fields(row, task, version)),
    })
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
            executor: task.executor.clone(),
            executor_config: task.executor_config.clone(),
            dag_version_id: version,
        },
        None => ResetFields {
            pool: row.pool.clone(),
            pool_slots: row.pool_slots,
            queue: row.queue.clone(),
            priority_weight: row.priority_weight,
            executor: row.executor.clone(),
            executor_config: row.executor_config.clone(),
            dag_version_id: None,
        },
    }
}

async fn clear_run(
    tx: &mut Tx,
    run: &DagRun,
    after: RunAfterClear,
    now: Timestamp,
) -> Result<(), Error> {
    let times = RunTimes {
        queued_at: run.queued_at,
        start_date: run.start_date,
        end_date: run.end_date,
    };
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
        tx.clear_dag_run(&run.dag_id, &run.run_id, &clear, now)
            .await?;
    }
    tx.changed(Change::DagRun {
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
    });
    Ok(())
}
