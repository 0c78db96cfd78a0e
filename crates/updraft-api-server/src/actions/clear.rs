//! Clears task instances, and the runs they belong to with them.

pub(crate) use updraft_execution::ClearOrder;
use updraft_execution::{Cleared, Clearing, by_run};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{TaskInstanceId, TaskInstanceState};
use updraft_planning::clear::{RunAfterClear, RunningInstances, StillRunning};
use updraft_planning::integrity::{Identity, new_task_instance, plan_new_task_instances};
use updraft_store::{Reader, RunKey};

use crate::error::ApiError;
use crate::state::ApiState;

/// Clears rows of any number of runs, all or none. Gives the new ids of the rows.
pub(crate) async fn clear(
    state: &ApiState,
    rows: &[TaskInstance],
    order: ClearOrder,
) -> Result<Vec<TaskInstanceId>, ApiError> {
    let now = state.clock().now();
    let by_run = by_run(rows.to_vec());
    let store = state.store();
    let cleared: Result<Vec<TaskInstanceId>, StillRunning> = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let mut ids = Vec::new();
            let mut clearing = Clearing::new(order, state.ids());
            for (key, rows) in &by_run {
                match clearing.clear(&mut tx, key, rows, now).await? {
                    Cleared::Rows(new) => ids.extend(new),
                    Cleared::StillRunning(refusal) => return Ok(Err(refusal)),
                    Cleared::NoRun => {}
                }
            }
            tx.commit().await?;
            Ok(Ok(ids))
        })
        .await?;
    cleared.map_err(|refusal| ApiError::conflict(refusal.to_string()))
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
                id: TaskInstanceId(state.ids().uuid()),
                dag_id: key.dag_id.clone(),
                run_id: key.run_id.clone(),
                dag_version_id: version.id,
            };
            let weight = task.total_weight.unwrap_or(task.priority_weight);
            let none = TaskInstanceState::NoStatus;
            new_task_instance(identity, task, new.map_index, none, weight).into()
        })
        .collect();
    let order = ClearOrder {
        running: RunningInstances::Restart,
        after: RunAfterClear::Queued,
        run_on_latest_version: Some(true),
        rerun_with_latest_version: false,
    };
    let (store, now) = (state.store(), state.clock().now());
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            // Rows that exist stay as they are.
            tx.create_task_instances(&rows, now).await?;
            let mut clearing = Clearing::new(order, state.ids());
            clearing.clear(&mut tx, key, &[], now).await?;
            tx.commit().await
        })
        .await?;
    Ok(())
}
