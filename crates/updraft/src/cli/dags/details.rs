//! `updraft dags details`, and what lists show of a Dag.

use clap::Args;
use serde_json::{Value, json};
use updraft_model::dag::Dag;
use updraft_store::Reader;
use updraft_timetable::Timetable;

use super::loaded::{latest, require_dag};
use crate::cli::access::Access;
use crate::cli::dates::spaced;
use crate::cli::failure::{Failure, Outcome};
use crate::output::{OutputArgs, Row, show_properties};

/// The run type that a Dag must allow to be backfilled.
const BACKFILL: &str = "backfill";

#[derive(Debug, Args)]
pub(in crate::cli) struct DetailsArgs {
    /// The id of the Dag
    dag_id: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Every column of a Dag, in order.
pub(super) const COLUMNS: &[&str] = &[
    "dag_id",
    "dag_display_name",
    "is_paused",
    "is_stale",
    "last_parsed_time",
    "last_parse_duration",
    "last_expired",
    "bundle_name",
    "bundle_version",
    "relative_fileloc",
    "fileloc",
    "description",
    "timetable_summary",
    "timetable_description",
    "timetable_partitioned",
    "timetable_periodic",
    "tags",
    "max_active_tasks",
    "max_active_runs",
    "max_consecutive_failed_dag_runs",
    "has_task_concurrency_limits",
    "has_import_errors",
    "next_dagrun_logical_date",
    "next_dagrun_data_interval_start",
    "next_dagrun_data_interval_end",
    "next_dagrun_run_after",
    "allowed_run_types",
    "owners",
    "is_backfillable",
];

pub(super) async fn run(args: &DetailsArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    let dag = require_dag(&mut reader, &args.dag_id).await?;
    let is_periodic = is_periodic(&mut reader, &dag).await?;
    let details = row_of(&dag, is_periodic, COLUMNS);
    show_properties(details, args.output.output);
    Ok(())
}

/// Whether the Dag's runs come again and again.
pub(super) async fn is_periodic(reader: &mut Reader, dag: &Dag) -> Result<bool, Failure> {
    let Some((_, serialized)) = latest(reader, &dag.dag_id).await? else {
        return Ok(false);
    };
    Ok(Timetable::from_serialized(&serialized.attributes().timetable)?.periodic())
}

/// The chosen columns of a Dag; those it does not have are left out.
pub(super) fn row_of(dag: &Dag, is_periodic: bool, columns: &[&str]) -> Row {
    columns
        .iter()
        .filter(|name| COLUMNS.contains(name))
        .map(|name| ((*name).to_owned(), value_of(dag, is_periodic, name)))
        .collect()
}

fn value_of(dag: &Dag, is_periodic: bool, column: &str) -> Value {
    let date = |instant: Option<jiff::Timestamp>| json!(instant.map(spaced));
    let next = &dag.next_dagrun;
    match column {
        "dag_id" => json!(dag.dag_id),
        "dag_display_name" => {
            json!(dag.dag_display_name.as_deref().unwrap_or(dag.dag_id.as_str()))
        }
        "is_paused" => json!(dag.is_paused),
        "is_stale" => json!(dag.is_stale),
        "last_parsed_time" => date(dag.last_parsed_time),
        "last_parse_duration" => json!(dag.last_parse_duration_secs),
        "last_expired" => date(dag.last_expired),
        "bundle_name" => json!(dag.bundle_name),
        "bundle_version" => json!(dag.bundle_version),
        "relative_fileloc" => json!(dag.relative_fileloc),
        "fileloc" => json!(dag.fileloc),
        "description" => json!(dag.description),
        "timetable_summary" => {
            json!(dag.timetable_summary.as_deref().filter(|summary| *summary != "None"))
        }
        "timetable_description" => json!(dag.timetable_description),
        "timetable_partitioned" => json!(dag.timetable_partitioned),
        "timetable_periodic" => json!(is_periodic),
        "tags" => dag
            .tags
            .iter()
            .map(|tag| json!({"name": tag, "dag_id": dag.dag_id, "dag_display_name": value_of(dag, is_periodic, "dag_display_name")}))
            .collect(),
        "max_active_tasks" => json!(dag.max_active_tasks),
        "max_active_runs" => json!(dag.max_active_runs),
        "max_consecutive_failed_dag_runs" => json!(dag.max_consecutive_failed_dag_runs),
        "has_task_concurrency_limits" => json!(dag.has_task_concurrency_limits),
        "has_import_errors" => json!(dag.has_import_errors),
        "next_dagrun_logical_date" => date(next.logical_date),
        "next_dagrun_data_interval_start" => date(next.data_interval_start),
        "next_dagrun_data_interval_end" => date(next.data_interval_end),
        "next_dagrun_run_after" => date(next.run_after),
        "allowed_run_types" => json!(dag.allowed_run_types),
        "owners" => dag.owners.split(',').map(str::trim).collect(),
        "is_backfillable" => {
            let allowed = dag.allowed_run_types.as_ref();
            json!(is_periodic && allowed.is_none_or(|types| types.iter().any(|each| each == BACKFILL)))
        }
        _ => Value::Null,
    }
}
