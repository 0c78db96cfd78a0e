//! Rows in the form in which the shim makes Airflow's objects of them.

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_model::dag::Dag;
use updraft_model::dag_run::DagRun;
use updraft_timetable::isoformat;

pub(crate) fn date(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| isoformat(at).into())
}

/// A date that Python gave.
pub(crate) fn parse_date(text: &str) -> Result<Timestamp, String> {
    let at: Timestamp = text
        .parse()
        .map_err(|_| format!("expected a date with a time zone, found `{text}`"))?;
    // What is written is what will be read.
    at.round(jiff::Unit::Microsecond)
        .map_err(|error| error.to_string())
}

/// The columns of a run.
#[must_use]
pub fn run_facts(run: &DagRun) -> Value {
    json!({
        "id": run.id,
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "state": run.state,
        "run_type": run.run_type,
        "triggered_by": run.triggered_by,
        "triggering_user_name": run.triggering_user_name,
        "logical_date": date(run.logical_date),
        "data_interval_start": date(run.data_interval_start),
        "data_interval_end": date(run.data_interval_end),
        "run_after": date(Some(run.run_after)),
        "queued_at": date(run.queued_at),
        "start_date": date(run.start_date),
        "end_date": date(run.end_date),
        "last_scheduling_decision": date(run.last_scheduling_decision),
        "conf": run.conf,
        "clear_number": run.clear_number,
        "partition_key": run.partition_key,
        "partition_date": date(run.partition_date),
        "backfill_id": run.backfill_id,
        "creating_job_id": run.creating_job_id.map(|id| id.0),
        "scheduled_by_job_id": run.scheduled_by_job_id.map(|id| id.0),
        "created_dag_version_id": run.created_dag_version_id.map(|id| id.to_string()),
        "bundle_version": run.bundle_version,
        "updated_at": date(Some(run.updated_at)),
    })
}

/// The columns of a Dag that listeners may look at.
#[must_use]
pub fn dag_facts(dag: &Dag) -> Value {
    json!({
        "dag_id": dag.dag_id,
        "is_paused": dag.is_paused,
        "is_stale": dag.is_stale,
        "fileloc": dag.fileloc,
        "relative_fileloc": dag.relative_fileloc,
        "bundle_name": dag.bundle_name,
        "bundle_version": dag.bundle_version,
        "owners": dag.owners,
        "description": dag.description,
        "dag_display_name": dag.dag_display_name,
        "timetable_summary": dag.timetable_summary,
        "timetable_description": dag.timetable_description,
        "timetable_type": dag.timetable_type,
        "timetable_partitioned": dag.timetable_partitioned,
        "max_active_tasks": dag.max_active_tasks,
        "max_active_runs": dag.max_active_runs,
        "max_consecutive_failed_dag_runs": dag.max_consecutive_failed_dag_runs,
        "has_task_concurrency_limits": dag.has_task_concurrency_limits,
        "has_import_errors": dag.has_import_errors,
    })
}
