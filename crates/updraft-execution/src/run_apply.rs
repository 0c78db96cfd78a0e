//! Writes a run's plan: all of it, or nothing.

use jiff::Timestamp;
use updraft_model::dag_run::DagRun;
use updraft_model::serialized::{SerializedDag, Task};
use updraft_model::task_instance::NewTaskInstance;
use updraft_model::{DagVersionId, TaskInstanceId};
use updraft_planning::integrity::{Identity, new_task_instance};
use updraft_planning::run::{InstanceFields, NewInstance, RunPlan, TaskInstanceChange};
use updraft_runtime::Ids;
use updraft_store::{
    Deferral, Error, NewTaskTrigger, StartedTaskInstance, TaskInstanceUpdate, TriggerKwargs, Tx,
};

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    Whole,
    /// A row had moved since it was loaded. The transaction must not be committed.
    Lost,
}

/// Writes the task instances of a plan. The run's own end is the caller's next step.
///
/// # Errors
/// When the store fails; nothing may be committed then.
pub async fn apply_task_instances(
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
    let mut updates = Vec::with_capacity(plan.changes.len());
    for change in &plan.changes {
        let task = dag.find_task(change.task_id.as_str());
        let deferral = create_trigger(tx, task, &change.to, now).await?;
        updates.push(update_of(change, deferral));
    }
    let won = tx.update_task_instances(&updates, now).await?;
    if won.len() != updates.len() {
        return Ok(Applied::Lost);
    }
    let mut created = Vec::with_capacity(plan.created.len());
    let mut deferred = Vec::new();
    for new in &plan.created {
        let Some(task) = dag.find_task(new.task_id.as_str()) else {
            continue;
        };
        let row = started(task, run, dag_version_id, new, ids);
        if let Some(deferral) = create_trigger(tx, Some(task), &new.fields, now).await? {
            deferred.push(deferred_at_once(&row, deferral));
        }
        created.push(row);
    }
    tx.create_task_instances(&created, now).await?;
    tx.update_task_instances(&deferred, now).await?;
    Ok(Applied::Whole)
}

fn update_of(change: &TaskInstanceChange, deferral: Option<Deferral>) -> TaskInstanceUpdate {
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
        deferral,
    }
}

/// Gives a row that is created deferred what it waits for.
fn deferred_at_once(row: &StartedTaskInstance, deferral: Deferral) -> TaskInstanceUpdate {
    TaskInstanceUpdate {
        id: row.new.id,
        from: row.new.state,
        map_index: row.new.map_index,
        state: row.new.state,
        try_number: row.try_number,
        start_date: row.start_date,
        end_date: row.end_date,
        duration_secs: row.duration_secs,
        scheduled_dttm: row.scheduled_dttm,
        deferral: Some(deferral),
    }
}

/// A task with `start_from_trigger` begins in the triggerer; its trigger is created with it.
async fn create_trigger(
    tx: &mut Tx,
    task: Option<&Task>,
    fields: &InstanceFields,
    now: Timestamp,
) -> Result<Option<Deferral>, Error> {
    let Some((planned, task)) = fields.deferral.as_ref().zip(task) else {
        return Ok(None);
    };
    let Some(start) = &task.start_trigger else {
        return Ok(None);
    };
    let kwargs = TriggerKwargs::Plain(start.trigger_kwargs.to_string());
    // Quirk: no queue, whatever `[triggerer] queues_enabled` says; only workers know that one.
    let trigger = NewTaskTrigger {
        classpath: &start.trigger_cls,
        kwargs: &kwargs,
        priority_weight: weight_of(task),
        queue: None,
    };
    Ok(Some(Deferral {
        trigger_id: tx.create_task_trigger(&trigger, now).await?,
        trigger_timeout: planned.trigger_timeout,
        next_method: start.next_method.clone(),
        next_kwargs: start.next_kwargs.to_string(),
    }))
}

/// A weight rule that only Python knows counts as the task's own weight until it is asked.
fn weight_of(task: &Task) -> i64 {
    task.total_weight.unwrap_or(task.priority_weight)
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
    let weight = weight_of(task);
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
