//! Clears task instances, and the runs they belong to with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use updraft_model::dag::DagVersion;
use updraft_model::dag_run::DagRun;
use updraft_model::serialized::{SerializedDag, Task};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagVersionId, TaskInstanceId, TaskInstanceState};
use updraft_planning::clear::{
    ClearView, RunAfterClear, RunningInstances, StillRunning, plan_clear_instance, plan_clear_run,
};
use updraft_planning::integrity::{Identity, new_task_instance, plan_new_task_instances};
use updraft_planning::run_state::RunTimes;
use updraft_runtime::Ids;
use updraft_store::{Change, Reader, ResetFields, RunClear, RunKey, TaskInstanceClear, Tx};

use crate::error::ApiError;
use crate::state::ApiState;

/// How rows are cleared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClearOrder {
    pub(crate) running: RunningInstances,
    pub(crate) after: RunAfterClear,
    /// Runs that are cleared move to the newest version of their Dag; `None` leaves that to the Dag
    /// and the settings.
    pub(crate) run_on_latest_version: Option<bool>,
}

/// What will be written for one run.
struct PlannedClear {
    key: RunKey,
    clears: Vec<TaskInstanceClear>,
    /// The version the run moves to.
    moves_to: Option<DagVersion>,
}

/// Clears rows of any number of runs. Gives the new ids by the old ones.
pub(crate) async fn clear(
    state: &ApiState,
    rows: &[TaskInstance],
    order: ClearOrder,
) -> Result<Vec<TaskInstanceId>, ApiError> {
    let now = state.clock().now();
    let mut reader = state.store().read().await?;
    let mut by_run: BTreeMap<RunKey, Vec<&TaskInstance>> = BTreeMap::new();
    for row in rows {
        let key = RunKey {
            dag_id: row.dag_id.clone(),
            run_id: row.run_id.clone(),
        };
        by_run.entry(key).or_default().push(row);
    }
    let mut planned = Vec::with_capacity(by_run.len());
    for (key, rows) in by_run {
        planned.extend(plan(state, &mut reader, key, &rows, order, now).await?);
    }
    drop(reader);
    let store = state.store();
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            for each in &planned {
                apply(&mut tx, each, order.after, now).await?;
            }
            tx.commit().await
        })
        .await?;
    let clears = planned.iter().flat_map(|each| &each.clears);
    Ok(clears.map(|clear| clear.new_id).collect())
}

/// `None` when the run went away in the meantime.
async fn plan(
    state: &ApiState,
    reader: &mut Reader,
    key: RunKey,
    rows: &[&TaskInstance],
    order: ClearOrder,
    now: Timestamp,
) -> Result<Option<PlannedClear>, ApiError> {
    let Some(run) = reader.find_dag_run(&key.dag_id, &key.run_id).await? else {
        return Ok(None);
    };
    let latest = state.dags().latest(state, reader, &key.dag_id).await?;
    let by_dag = latest
        .as_ref()
        .and_then(|(_, dag)| dag.attributes().rerun_with_latest_version);
    let wanted = order
        .run_on_latest_version
        .or(by_dag)
        .or(state.settings().core.rerun_with_latest_version);
    let moves = wanted.unwrap_or(false) || run.created_dag_version_id.is_none();
    let (moves_to, dag) = match (latest, moves) {
        (Some((version, dag)), true) => (Some(version), Some(dag)),
        (latest, _) => (None, structure_of(state, reader, &run, latest).await?),
    };
    let version = moves_to.as_ref().map(|version| version.id);
    let clears: Result<Vec<_>, StillRunning> = rows
        .iter()
        .map(|row| plan_row(row, dag.as_deref(), version, order.running, now))
        .collect();
    let clears = clears.map_err(|refusal| ApiError::conflict(refusal.to_string()))?;
    Ok(Some(PlannedClear {
        key,
        clears,
        moves_to,
    }))
}

/// The structure a run was created with or, where that is lost, the newest.
async fn structure_of(
    state: &ApiState,
    reader: &mut Reader,
    run: &DagRun,
    latest: Option<(DagVersion, Arc<SerializedDag>)>,
) -> Result<Option<Arc<SerializedDag>>, ApiError> {
    if let Some(id) = run.created_dag_version_id
        && let Some(version) = reader.find_version(id).await?
        && let Some(dag) = state.dags().structure(state, reader, &version).await?
    {
        return Ok(Some(dag));
    }
    Ok(latest.map(|(_, dag)| dag))
}

fn plan_row(
    row: &TaskInstance,
    dag: Option<&SerializedDag>,
    version: Option<DagVersionId>,
    running: RunningInstances,
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
        new_id: TaskInstanceId(Ids.uuid()),
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

async fn apply(
    tx: &mut Tx,
    planned: &PlannedClear,
    after: RunAfterClear,
    now: Timestamp,
) -> Result<(), updraft_store::Error> {
    let RunKey { dag_id, run_id } = &planned.key;
    tx.clear_task_instances(&planned.clears, now).await?;
    if let Some(version) = &planned.moves_to {
        let bundle_version = version.bundle_version.as_deref();
        tx.set_created_dag_version(dag_id, run_id, version.id, bundle_version)
            .await?;
    }
    if let Some(run) = tx.find_dag_run(dag_id, run_id).await? {
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
            tx.clear_dag_run(dag_id, run_id, &clear, now).await?;
        }
    }
    tx.changed(Change::DagRun {
        dag_id: dag_id.clone(),
        run_id: run_id.clone(),
    });
    Ok(())
}

/// Moves a run to the newest version of its Dag and gives it the task instances it lacks; a run that
/// had ended is queued again.
pub(crate) async fn add_new_tasks(
    state: &ApiState,
    reader: &mut Reader,
    key: &RunKey,
) -> Result<(), ApiError> {
    let latest = state.dags().latest(state, reader, &key.dag_id).await?;
    let run = reader.find_dag_run(&key.dag_id, &key.run_id).await?;
    let (Some((version, dag)), Some(run)) = (latest, run) else {
        return Ok(());
    };
    let rows: Vec<_> = plan_new_task_instances(&dag, run.run_type, run.logical_date)
        .into_iter()
        .map(|new| {
            let task = dag.task(new.task);
            let identity = Identity {
                id: TaskInstanceId(Ids.uuid()),
                dag_id: key.dag_id.clone(),
                run_id: key.run_id.clone(),
                dag_version_id: version.id,
            };
            let weight = task.total_weight.unwrap_or(task.priority_weight);
            let none = TaskInstanceState::NoStatus;
            new_task_instance(identity, task, new.map_index, none, weight).into()
        })
        .collect();
    let planned = PlannedClear {
        key: key.clone(),
        clears: Vec::new(),
        moves_to: Some(version),
    };
    let (store, now) = (state.store(), state.clock().now());
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            // Rows that exist stay as they are.
            tx.create_task_instances(&rows, now).await?;
            apply(&mut tx, &planned, RunAfterClear::Queued, now).await?;
            tx.commit().await
        })
        .await?;
    Ok(())
}
