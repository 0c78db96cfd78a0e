//! Says what became of task instances and runs, without running anything.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;
use updraft_model::dag_run::DagRun;
use updraft_model::filter::{Page, Range};
use updraft_model::serialized::SerializedDag;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagRunState, RunId, TaskId, TaskInstanceId, TaskInstanceState};
use updraft_planning::clear::{RunAfterClear, RunningInstances};
use updraft_planning::mark::{
    MarkView, MarkedInstance, RunVerdict, plan_mark_instance, plan_mark_run,
};
use updraft_planning::run_state::RunTimes;
use updraft_rest_api::task_instance::Include;
use updraft_store::listing::{DagRunFilter, TaskInstanceFilter};
use updraft_store::{Error as StoreError, Reader, RunKey, RunStateChange, StateChange, Tx};
use updraft_timetable::isoformat;

use super::clear::{ClearOrder, clear};
use super::select::{Selector, select_rows};
use crate::error::ApiError;
use crate::state::ApiState;

/// Which instances get which state.
pub(crate) struct MarkOrder<'a> {
    pub(crate) dag: &'a SerializedDag,
    pub(crate) run: &'a DagRun,
    pub(crate) selectors: &'a [Selector],
    pub(crate) include: Include,
    pub(crate) state: TaskInstanceState,
}

/// The rows that would change, or do change: those that are not in the state already.
///
/// Afterwards everything below that failed for want of them is cleared, and its run goes on.
pub(crate) async fn mark_instances(
    state: &ApiState,
    reader: &mut Reader,
    order: &MarkOrder<'_>,
    is_dry: bool,
) -> Result<Vec<TaskInstance>, ApiError> {
    let now = state.clock().now();
    let runs = runs_of(reader, order, now).await?;
    let filter = TaskInstanceFilter {
        dag_ids: vec![order.run.dag_id.clone()],
        run_ids: runs.clone(),
        ..TaskInstanceFilter::default()
    };
    let selectors = with_relatives(order);
    let rows = select_rows(reader, filter.clone(), Some(&selectors), now).await?;
    let rows: Vec<TaskInstance> = rows
        .into_iter()
        .filter(|row| row.state != order.state)
        .collect();
    if is_dry || rows.is_empty() {
        return Ok(rows);
    }
    write_marks(state, order, &rows, now).await?;
    let marked: BTreeSet<&TaskId> = selectors.iter().map(|each| &each.task_id).collect();
    let below = failed_below(order, &marked);
    if !below.is_empty() {
        let filter = TaskInstanceFilter {
            states: vec![TaskInstanceState::Failed, TaskInstanceState::UpstreamFailed],
            ..filter
        };
        let failed = select_rows(reader, filter, Some(&below), now).await?;
        let order = ClearOrder {
            running: RunningInstances::Restart,
            after: RunAfterClear::Queued,
            run_on_latest_version: Some(false),
            rerun_with_latest_version: false,
        };
        clear(state, &failed, order).await?;
    }
    Ok(rows)
}

/// The run alone, or every run of its Dag before or after it.
async fn runs_of(
    reader: &mut Reader,
    order: &MarkOrder<'_>,
    now: Timestamp,
) -> Result<Vec<RunId>, ApiError> {
    let Include { past, future, .. } = order.include;
    let Some(date) = order.run.logical_date.filter(|_| past || future) else {
        return Ok(vec![order.run.run_id.clone()]);
    };
    let filter = DagRunFilter {
        dag_ids: vec![order.run.dag_id.clone()],
        logical_date: Range {
            gte: (!past).then_some(date),
            lte: (!future).then_some(date),
            ..Range::default()
        },
        ..DagRunFilter::default()
    };
    let everything = Page {
        limit: i64::MAX,
        ..Page::default()
    };
    let listed = reader.list_dag_runs(&filter, &everything, now).await?;
    let dated = listed
        .rows
        .into_iter()
        .filter(|run| run.logical_date.is_some());
    Ok(dated.map(|run| run.run_id).collect())
}

/// The chosen tasks, all above them, and all below them but teardowns, as asked.
fn with_relatives(order: &MarkOrder<'_>) -> Vec<Selector> {
    let mut selectors = order.selectors.to_vec();
    let whole = |task_id: &TaskId| Selector {
        task_id: task_id.clone(),
        map_index: None,
    };
    for selector in order.selectors {
        let Some(index) = order.dag.index_of(selector.task_id.as_str()) else {
            continue;
        };
        if order.include.upstream {
            let above = order.dag.ancestors(index).into_iter();
            selectors.extend(above.map(|index| whole(&order.dag.task(index).task_id)));
        }
        if order.include.downstream {
            let below = order.dag.descendants(index).into_iter();
            let below = below.map(|index| order.dag.task(index));
            let below = below.filter(|task| !task.is_teardown);
            selectors.extend(below.map(|task| whole(&task.task_id)));
        }
    }
    selectors
}

fn failed_below(order: &MarkOrder<'_>, marked: &BTreeSet<&TaskId>) -> Vec<Selector> {
    let mut below = BTreeSet::new();
    for selector in order.selectors {
        if let Some(index) = order.dag.index_of(selector.task_id.as_str()) {
            below.extend(order.dag.descendants(index));
        }
    }
    below
        .into_iter()
        .map(|index| &order.dag.task(index).task_id)
        .filter(|task_id| !marked.contains(task_id))
        .map(|task_id| Selector {
            task_id: task_id.clone(),
            map_index: None,
        })
        .collect()
}

async fn write_marks(
    state: &ApiState,
    order: &MarkOrder<'_>,
    rows: &[TaskInstance],
    now: Timestamp,
) -> Result<(), ApiError> {
    let mut by_run: BTreeMap<RunKey, Vec<StateChange>> = BTreeMap::new();
    for row in rows {
        let view = view_of(row, order.dag);
        if let Some(marked) = plan_mark_instance(&view, order.state, now) {
            let key = RunKey {
                dag_id: row.dag_id.clone(),
                run_id: row.run_id.clone(),
            };
            by_run.entry(key).or_default().push(change_of(&marked));
        }
    }
    let store = state.store();
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            for (key, changes) in &by_run {
                let won = tx
                    .change_task_instance_states(&key.dag_id, &key.run_id, changes, now)
                    .await?;
                tell_of_marks(&mut tx, key, changes, &won, now).await?;
            }
            tx.commit().await
        })
        .await?;
    Ok(())
}

fn view_of(row: &TaskInstance, dag: &SerializedDag) -> MarkView {
    let task = dag.find_task(row.task_id.as_str());
    MarkView {
        id: row.id,
        state: row.state,
        start_date: row.start_date,
        end_date: row.end_date,
        is_teardown: task.is_some_and(|task| task.is_teardown),
    }
}

fn change_of(marked: &MarkedInstance) -> StateChange {
    StateChange {
        id: marked.id,
        from: marked.from,
        to: marked.to,
        start_date: marked.start_date,
        end_date: marked.end_date,
        duration_secs: marked.duration.map(|duration| duration.as_secs_f64()),
    }
}

/// Gives a run a state, and its unfinished task instances what follows from it.
pub(crate) async fn mark_run(
    state: &ApiState,
    dag: &SerializedDag,
    key: &RunKey,
    wanted: DagRunState,
) -> Result<(), ApiError> {
    let now = state.clock().now();
    let store = state.store();
    let RunKey { dag_id, run_id } = key;
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            let Some(run) = tx.find_dag_run(dag_id, run_id).await? else {
                return Ok(());
            };
            let mut to = Some(wanted);
            if let Some(verdict) = verdict_of(wanted) {
                let rows = tx.load_task_instances_of_run(dag_id, run_id).await?;
                let views: Vec<MarkView> = rows.iter().map(|row| view_of(row, dag)).collect();
                let marked = plan_mark_run(&views, verdict, now);
                let changes: Vec<StateChange> = marked.instances.iter().map(change_of).collect();
                let won = tx
                    .change_task_instance_states(dag_id, run_id, &changes, now)
                    .await?;
                // Quirk: what is skipped on the way is told as what the run is marked as.
                tell_of_killed(&mut tx, key, wanted, &won, now).await?;
                to = marked.state;
            }
            if let Some(to) = to {
                tx.change_dag_run_state(dag_id, run_id, &run_change(&run, to, now), now)
                    .await?;
            }
            tell_of_run(&mut tx, &run, wanted, to, now).await?;
            tx.commit().await
        })
        .await?;
    Ok(())
}

/// Tells listeners of instances that got a state by hand.
async fn tell_of_marks(
    tx: &mut Tx,
    key: &RunKey,
    changes: &[StateChange],
    won: &[TaskInstanceId],
    now: Timestamp,
) -> Result<(), StoreError> {
    for change in changes.iter().filter(|change| won.contains(&change.id)) {
        tell_of_instance(tx, key, change.id, change.to, now).await?;
    }
    Ok(())
}

async fn tell_of_killed(
    tx: &mut Tx,
    key: &RunKey,
    wanted: DagRunState,
    won: &[TaskInstanceId],
    now: Timestamp,
) -> Result<(), StoreError> {
    let state = match wanted {
        DagRunState::Success => TaskInstanceState::Success,
        DagRunState::Failed => TaskInstanceState::Failed,
        DagRunState::Queued | DagRunState::Running => return Ok(()),
    };
    for id in won {
        tell_of_instance(tx, key, *id, state, now).await?;
    }
    Ok(())
}

async fn tell_of_instance(
    tx: &mut Tx,
    key: &RunKey,
    id: TaskInstanceId,
    state: TaskInstanceState,
    now: Timestamp,
) -> Result<(), StoreError> {
    let hook = match state {
        TaskInstanceState::Success => "on_task_instance_success",
        TaskInstanceState::Failed => "on_task_instance_failed",
        TaskInstanceState::Skipped => "on_task_instance_skipped",
        _ => return Ok(()),
    };
    let told = || {
        json!({
            "dag_id": key.dag_id, "run_id": key.run_id, "ti_id": id.to_string(),
            "previous_state": null,
            "msg": "TaskInstance's state was manually set to `failed`.",
        })
    };
    tx.tell_listeners(hook, told, now).await
}

/// Tells listeners of a run that got a state by hand.
async fn tell_of_run(
    tx: &mut Tx,
    run: &DagRun,
    wanted: DagRunState,
    to: Option<DagRunState>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let hook = match wanted {
        DagRunState::Success => "on_dag_run_success",
        DagRunState::Failed => "on_dag_run_failed",
        DagRunState::Queued | DagRunState::Running => return Ok(()),
    };
    let after = to.map(|to| run_change(run, to, now));
    let told = || {
        let start_date = after
            .as_ref()
            .map_or(run.start_date, |after| after.start_date);
        let end_date = after.as_ref().map_or(run.end_date, |after| after.end_date);
        json!({
            "dag_id": run.dag_id, "run_id": run.run_id,
            "msg": format!("Dag Run's state was manually set to `{wanted}`."),
            "state": to.unwrap_or(run.state).as_str(),
            "start_date": start_date.map(isoformat), "end_date": end_date.map(isoformat),
        })
    };
    tx.tell_listeners(hook, told, now).await
}

fn verdict_of(state: DagRunState) -> Option<RunVerdict> {
    match state {
        DagRunState::Success => Some(RunVerdict::Success),
        DagRunState::Failed => Some(RunVerdict::Failed),
        DagRunState::Queued | DagRunState::Running => None,
    }
}

fn run_change(run: &DagRun, to: DagRunState, now: Timestamp) -> RunStateChange {
    let times = RunTimes {
        queued_at: run.queued_at,
        start_date: run.start_date,
        end_date: run.end_date,
    };
    let times = times.after(Some(run.state), to, now);
    RunStateChange {
        from: run.state,
        to,
        queued_at: times.queued_at,
        start_date: times.start_date,
        end_date: times.end_date,
    }
}
