//! From a request to the rows of a run.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::Value;
use updraft_model::dag_run::NewDagRun;
use updraft_model::serialized::SerializedDag;
use updraft_model::task_instance::NewTaskInstance;
use updraft_model::{DagRunType, RunId, TaskInstanceId, TaskInstanceState};
use updraft_planning::integrity::{Identity, new_task_instance, plan_new_task_instances};
use updraft_timetable::{Timetable, isoformat, isoformat_at};
use uuid::Uuid;

use crate::params::validate_params;
use crate::request::{Context, InferFrom, Refusal, RunRequest};
use crate::run_id::validate_run_id;

#[cfg(test)]
mod tests;

/// The longest partition key.
const PARTITION_KEY_CHARS_MAX: usize = 250;

/// A run that may be created, queued, with the task instances it begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRun {
    pub run: NewDagRun,
    pub task_instances: Vec<NewTaskInstance>,
}

/// Decides whether a run may be created and what it looks like.
///
/// `random` is eight fresh letters and digits; `fresh_id` gives a new id for each task instance.
///
/// # Errors
/// Says why there will be no such run.
pub fn plan_dag_run(
    request: &RunRequest,
    context: &Context<'_>,
    now: Timestamp,
    random: &str,
    mut fresh_id: impl FnMut() -> Uuid,
) -> Result<PlannedRun, Refusal> {
    require_runnable(request, context)?;
    let timetable = Timetable::from_serialized(&context.serialized.attributes().timetable)?;
    let partition_key = checked_partition_key(request, context, &timetable)?;
    let run_after = request.run_after;
    let data_interval = data_interval(request, &timetable, now)?;
    let default_run_after = || {
        let end = data_interval.map(|(_, end)| end);
        match request.infer_from {
            InferFrom::LogicalDate => now,
            InferFrom::RunAfter => end.or(request.logical_date).unwrap_or(now),
        }
    };
    let run_after = run_after.unwrap_or_else(default_run_after);
    let run_id = request
        .run_id
        .clone()
        .unwrap_or_else(|| made_up_run_id(request, &timetable, run_after, partition_key, random));
    validate_run_id(&run_id, request.run_type, context.rules)?;
    let conf = request.conf.clone().unwrap_or_default();
    validate_params(context.serialized, &conf)?;
    let partition_date = match (request.partition_date, partition_key) {
        (None, Some(key)) => timetable.resolve_partition_date(key)?,
        (given, _) => given,
    };
    let run = NewDagRun {
        dag_id: context.dag.dag_id.clone(),
        run_id: RunId::new(&run_id),
        run_type: request.run_type,
        triggered_by: request.triggered_by,
        triggering_user_name: request.triggering_user_name.clone(),
        logical_date: request.logical_date,
        data_interval,
        run_after,
        conf: Value::Object(conf),
        note: request.note.clone().filter(|note| !note.is_empty()),
        partition_key: partition_key.map(str::to_owned),
        partition_date,
        backfill_id: request.backfill_id,
        creating_job_id: request.creating_job_id,
        created_dag_version_id: context.version.id,
        bundle_name: context.version.bundle_name.clone(),
        bundle_version: pinned_bundle_version(context),
    };
    let task_instances = task_instances_of(&run, context.serialized, &mut fresh_id);
    Ok(PlannedRun {
        run,
        task_instances,
    })
}

fn require_runnable(request: &RunRequest, context: &Context<'_>) -> Result<(), Refusal> {
    let dag = context.dag;
    let dag_id = dag.dag_id.clone();
    let run_type = request.run_type;
    // Quirk §2.8: a backfill only asks whether the Dag was ever serialized.
    if run_type != DagRunType::Backfill {
        if dag.has_import_errors {
            return Err(Refusal::ImportErrors(dag_id));
        }
        if dag.is_stale {
            return Err(Refusal::Stale(dag_id));
        }
    }
    let allowed = dag
        .allowed_run_types
        .as_ref()
        .is_none_or(|types| types.iter().any(|each| each == run_type.as_str()));
    if !allowed {
        return Err(Refusal::RunType { dag_id, run_type });
    }
    if request.logical_date.is_none() && request.data_interval.is_some() {
        return Err(Refusal::IntervalWithoutDate);
    }
    Ok(())
}

fn data_interval(
    request: &RunRequest,
    timetable: &Timetable,
    now: Timestamp,
) -> Result<Option<(Timestamp, Timestamp)>, Refusal> {
    let Some(logical_date) = request.logical_date else {
        return Ok(None);
    };
    if let Some(given) = request.data_interval {
        return Ok(Some(given));
    }
    let at = match request.infer_from {
        InferFrom::LogicalDate => logical_date,
        InferFrom::RunAfter => request.run_after.unwrap_or(now),
    };
    let interval = timetable.infer_manual_data_interval(at)?;
    Ok(Some((interval.start, interval.end)))
}

fn made_up_run_id(
    request: &RunRequest,
    timetable: &Timetable,
    run_after: Timestamp,
    partition_key: Option<&str>,
    random: &str,
) -> String {
    let run_id = timetable.generate_run_id(request.run_type, run_after, partition_key, random);
    let offset = request.run_after_offset;
    if offset == Offset::UTC {
        return run_id;
    }
    // An id shows the instant as it was written.
    run_id.replacen(&isoformat(run_after), &isoformat_at(run_after, offset), 1)
}

fn checked_partition_key<'r>(
    request: &'r RunRequest,
    context: &Context<'_>,
    timetable: &Timetable,
) -> Result<Option<&'r str>, Refusal> {
    let Some(key) = request.partition_key.as_deref() else {
        return Ok(None);
    };
    let takes_keys = context.dag.timetable_partitioned
        || matches!(
            timetable,
            Timetable::CronPartition(_)
                | Timetable::PartitionedAsset(_)
                | Timetable::PartitionedAtRuntime
        );
    if !takes_keys {
        return Err(Refusal::PartitionKey(format!(
            "Dag '{}' is not a partitioned Dag and does not accept a partition_key.",
            context.dag.dag_id
        )));
    }
    if key.trim().is_empty() {
        return Err(Refusal::PartitionKey(
            "partition_key must not be empty or whitespace-only.".to_owned(),
        ));
    }
    let length = key.chars().count();
    if length > PARTITION_KEY_CHARS_MAX {
        return Err(Refusal::PartitionKey(format!(
            "partition_key must be at most {PARTITION_KEY_CHARS_MAX} characters; got {length}."
        )));
    }
    Ok(Some(key))
}

/// A run is pinned to the version of its bundle, unless the Dag or the settings say otherwise.
fn pinned_bundle_version(context: &Context<'_>) -> Option<String> {
    let unpinned = context.rules.disable_bundle_versioning
        || context.serialized.attributes().disable_bundle_versioning;
    if unpinned {
        return None;
    }
    context.dag.bundle_version.clone()
}

fn task_instances_of(
    run: &NewDagRun,
    dag: &SerializedDag,
    fresh_id: &mut impl FnMut() -> Uuid,
) -> Vec<NewTaskInstance> {
    plan_new_task_instances(dag, run.run_type, run.logical_date)
        .into_iter()
        .map(|new| {
            let task = dag.task(new.task);
            let identity = Identity {
                id: TaskInstanceId(fresh_id()),
                dag_id: run.dag_id.clone(),
                run_id: run.run_id.clone(),
                dag_version_id: run.created_dag_version_id,
            };
            // A weight rule that only Python knows counts as the task's own weight until it is asked.
            let weight = task.total_weight.unwrap_or(task.priority_weight);
            let state = TaskInstanceState::NoStatus;
            new_task_instance(identity, task, new.map_index, state, weight)
        })
        .collect()
}
