//! Writes a run's plan: all of it, or nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use updraft_model::dag_run::DagRun;
use updraft_model::serialized::{SerializedDag, Task};
use updraft_model::task_instance::NewTaskInstance;
use updraft_model::{DagVersionId, TaskInstanceId};
use updraft_planning::integrity::{Identity, new_task_instance};
use updraft_planning::run::{NewInstance, RunPlan, TaskInstanceChange};
use updraft_runtime::Ids;
use updraft_store::{Error, StartedTaskInstance, TaskInstanceUpdate, Tx};

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    Whole,
    /// A row had moved since it was loaded. The transaction must not be committed.
    Lost,
}

/// Writes the task instances of a plan. The run's own end is the caller's next step.
pub(crate) async fn apply_task_instances(
    tx: &mut Tx,
    dag: &SerializedDag,
    run: &DagRun,
    dag_version_id: DagVersionId,
    plan: &RunPlan,
    ids: &Ids,
    now: Timestamp,
) -> Result<Applied, Error> {
    tx.forget_outputs(&plan.forgotten).await?;
    tx.delete_task_instances(&plan.deleted).await?;
    let triggers = create_triggers(tx, dag, &plan.changes, now).await?;
    let updates: Vec<TaskInstanceUpdate> = plan
        .changes
        .iter()
        .map(|change| update_of(change, triggers.get(&change.id).copied()))
        .collect();
    let won = tx.update_task_instances(&updates, now).await?;
    if won.len() != updates.len() {
        return Ok(Applied::Lost);
    }
    let created: Vec<StartedTaskInstance> = plan
        .created
        .iter()
        .filter_map(|new| {
            let task = dag.find_task(new.task_id.as_str())?;
            Some(started(task, run, dag_version_id, new, ids))
        })
        .collect();
    tx.create_task_instances(&created, now).await?;
    Ok(Applied::Whole)
}

fn update_of(change: &TaskInstanceChange, trigger_id: Option<i64>) -> TaskInstanceUpdate {
    let to = &change.to;
    TaskInstanceUpdate {
        id: change.id,
        from: change.from,
        map_index: change.map_index,
        state: to.state,
        try_number: to.try_number,
        start_date: to.start_date,
        end_date: to.end_date,
        duration_secs: to.duration.map(|duration| duration.as_secs_f64()),
        scheduled_dttm: to.scheduled_dttm,
        trigger_id,
        trigger_timeout: to
            .deferral
            .as_ref()
            .and_then(|deferral| deferral.trigger_timeout),
    }
}

/// Tasks with `start_from_trigger` begin in the triggerer; their triggers are created with them.
async fn create_triggers(
    tx: &mut Tx,
    dag: &SerializedDag,
    changes: &[TaskInstanceChange],
    now: Timestamp,
) -> Result<BTreeMap<TaskInstanceId, i64>, Error> {
    let mut triggers = BTreeMap::new();
    for change in changes.iter().filter(|change| change.to.deferral.is_some()) {
        let task = dag.find_task(change.task_id.as_str());
        let Some(arguments) = task.and_then(|task| task.start_trigger_args.as_ref()) else {
            continue;
        };
        let text = |key: &str| {
            arguments
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let kwargs = arguments
            .get("trigger_kwargs")
            .map_or_else(|| "{}".to_owned(), Value::to_string);
        let id = tx
            .create_trigger(text("trigger_cls"), &kwargs, None, now)
            .await?;
        triggers.insert(change.id, id);
    }
    Ok(triggers)
}

fn started(
    task: &Task,
    run: &DagRun,
    dag_version_id: DagVersionId,
    new: &NewInstance,
    ids: &Ids,
) -> StartedTaskInstance {
    let fields = &new.fields;
    let identity = Identity {
        id: TaskInstanceId(ids.uuid()),
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        dag_version_id: new.dag_version_id.unwrap_or(dag_version_id),
    };
    // A weight rule that only Python knows counts as the task's own weight until it is asked.
    let weight = task.total_weight.unwrap_or(task.priority_weight);
    let row = new_task_instance(identity, task, new.map_index, fields.state, weight);
    StartedTaskInstance {
        new: NewTaskInstance {
            max_tries: new.max_tries,
            ..row
        },
        try_number: fields.try_number,
        start_date: fields.start_date,
        end_date: fields.end_date,
        duration_secs: fields.duration.map(|duration| duration.as_secs_f64()),
        scheduled_dttm: fields.scheduled_dttm,
    }
}
