//! `updraft dags list`, `list-import-errors`, `report` and `list-jobs`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;
use updraft_model::BundleName;
use updraft_model::dag::{Dag, ImportError};
use updraft_model::filter::Page;
use updraft_store::Reader;
use updraft_store::listing::{DagFilter, ImportErrorFilter, JobFilter};

use super::details::{COLUMNS, is_periodic, row_of};
use super::loaded::{load_dags, require_dag};
use crate::cli::access::Access;
use crate::cli::dates::spaced;
use crate::cli::failure::{Failure, Outcome};
use crate::output::{OutputArgs, Row, remark, row, show};

/// Columns that need the structure of the Dag.
const PERIODIC_COLUMNS: &[&str] = &["timetable_periodic", "is_backfillable"];

const DEFAULT_COLUMNS: &str = "dag_id,fileloc,owners,is_paused,bundle_name,bundle_version";

/// How many import errors are shown.
const IMPORT_ERRORS_MAX: i64 = 10_000;

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Only Dags of this bundle; may be given more than once
    #[arg(short = 'B', long)]
    bundle_name: Vec<String>,
    /// Columns to show, separated by commas
    #[arg(long, value_delimiter = ',', default_value = DEFAULT_COLUMNS)]
    columns: Vec<String>,
    /// Parse here and now instead of asking the store
    #[arg(short, long)]
    local: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListImportErrorsArgs {
    /// Only errors of this bundle; may be given more than once
    #[arg(short = 'B', long)]
    bundle_name: Vec<String>,
    /// Parse here and now instead of asking the store
    #[arg(short, long)]
    local: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReportArgs {
    /// Only files of this bundle; may be given more than once
    #[arg(short = 'B', long)]
    bundle_name: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListJobsArgs {
    /// Only jobs of this Dag; no job belongs to one since Airflow 3
    #[arg(short, long)]
    dag_id: Option<String>,
    /// Only jobs in this state
    #[arg(long)]
    state: Option<String>,
    /// How many, the latest first
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn list(args: &ListArgs, access: &Access) -> Outcome {
    refuse_local(args.local)?;
    let (_, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    require_bundles(&mut reader, &args.bundle_name).await?;
    let columns: Vec<&str> = args.columns.iter().map(|name| name.trim()).collect();
    let unknown: Vec<&str> = columns
        .iter()
        .copied()
        .filter(|name| !COLUMNS.contains(name))
        .collect();
    if !unknown.is_empty() {
        let mut known = COLUMNS.to_vec();
        known.sort_unstable();
        remark(&format!(
            "warning: ignoring the following invalid columns: {}. List of valid columns: {}",
            unknown.join(", "),
            known.join(", ")
        ));
    }
    if !import_errors(&mut reader, &args.bundle_name)
        .await?
        .is_empty()
    {
        remark("warning: failed to load all files; see `updraft dags list-import-errors`");
    }
    let filter = DagFilter {
        exclude_stale: true,
        ..DagFilter::default()
    };
    let wants_periodic = columns.iter().any(|name| PERIODIC_COLUMNS.contains(name));
    let mut rows = Vec::new();
    for dag in load_dags(&mut reader, &filter).await? {
        if !is_of(&args.bundle_name, &dag.bundle_name) {
            continue;
        }
        let is_periodic = wants_periodic && is_periodic(&mut reader, &dag).await?;
        rows.push(row_of(&dag, is_periodic, &columns));
    }
    show(&rows, args.output.output);
    Ok(())
}

fn refuse_local(local: bool) -> Result<(), Failure> {
    if local {
        return Err(Failure::usage("--local is not available yet")
            .hint("leave it out to see what the Dag processor found"));
    }
    Ok(())
}

fn is_of(bundles: &[String], bundle: &BundleName) -> bool {
    bundles.is_empty() || bundles.iter().any(|each| each == bundle.as_str())
}

/// Refuses a bundle that nobody ever configured.
pub(super) async fn require_bundles(reader: &mut Reader, names: &[String]) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    let known = reader.load_bundles().await?;
    let known: Vec<&str> = known.iter().map(|bundle| bundle.name.as_str()).collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(Failure::because(format!("Bundle {unknown:?} not found"))
            .hint(format!("the bundles are: {}", known.join(", ")))),
        None => Ok(()),
    }
}

pub(super) async fn list_import_errors(args: &ListImportErrorsArgs, access: &Access) -> Outcome {
    refuse_local(args.local)?;
    let (_, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    require_bundles(&mut reader, &args.bundle_name).await?;
    let rows: Vec<Row> = import_errors(&mut reader, &args.bundle_name)
        .await?
        .iter()
        .map(|error| {
            row([
                ("bundle_name", json!(error.bundle_name)),
                ("filepath", json!(error.filename)),
                ("error", json!(error.stacktrace)),
            ])
        })
        .collect();
    show(&rows, args.output.output);
    if rows.is_empty() {
        Ok(())
    } else {
        Err(Failure::already_said())
    }
}

async fn import_errors(
    reader: &mut Reader,
    bundles: &[String],
) -> Result<Vec<ImportError>, Failure> {
    let page = Page {
        limit: IMPORT_ERRORS_MAX,
        ..Page::default()
    };
    let listed = reader
        .list_import_errors(&ImportErrorFilter::default(), &page)
        .await?;
    let errors = listed.rows.into_iter();
    Ok(errors
        .filter(|error| is_of(bundles, &error.bundle_name))
        .collect())
}

/// What the Dag processor remembers of its last parse of each file.
pub(super) async fn report(args: &ReportArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    require_bundles(&mut reader, &args.bundle_name).await?;
    let dags = load_dags(&mut reader, &DagFilter::default()).await?;
    let mut by_file: BTreeMap<(&str, &str), Vec<&Dag>> = BTreeMap::new();
    for dag in dags.iter().filter(|dag| !dag.is_stale) {
        let file = (dag.bundle_name.as_str(), dag.relative_fileloc.as_str());
        by_file.entry(file).or_default().push(dag);
    }
    let mut rows = Vec::new();
    for bundle in reader.load_bundles().await? {
        if !bundle.is_active || !is_of(&args.bundle_name, &bundle.name) {
            continue;
        }
        for file in reader.load_file_stats(&bundle.name).await? {
            let key = (bundle.name.as_str(), file.relative_fileloc.as_str());
            let dags = by_file.get(&key).map(Vec::as_slice).unwrap_or_default();
            let mut tasks = 0;
            for dag in dags {
                let latest = super::latest(&mut reader, &dag.dag_id).await?;
                tasks += latest.map_or(0, |(_, serialized)| serialized.tasks().len());
            }
            let ids: Vec<&str> = dags.iter().map(|dag| dag.dag_id.as_str()).collect();
            rows.push(row([
                ("file", json!(file.relative_fileloc)),
                ("duration", json!(duration_text(file.last_duration_secs))),
                ("dag_num", json!(dags.len())),
                ("task_num", json!(tasks)),
                ("dags", json!(ids)),
            ]));
        }
    }
    show(&rows, args.output.output);
    Ok(())
}

pub(super) async fn list_jobs(args: &ListJobsArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    let mut jobs = Vec::new();
    if let Some(dag_id) = &args.dag_id {
        require_dag(&mut reader, dag_id).await?;
    } else {
        let filter = JobFilter {
            state: args.state.clone(),
            ..JobFilter::default()
        };
        let page = Page {
            limit: args.limit.into(),
            offset: 0,
            order_by: vec!["-start_date".to_owned()],
        };
        jobs = reader.list_jobs(&filter, &page).await?.rows;
    }
    let rows: Vec<Row> = jobs
        .iter()
        .map(|job| {
            let end_date = job.end_date.map_or_else(|| "None".to_owned(), spaced);
            row([
                ("dag_id", json!("None")),
                ("state", json!(job.state.as_str())),
                ("job_type", json!(job.job_type.as_str())),
                ("start_date", json!(spaced(job.start_date))),
                ("end_date", json!(end_date)),
            ])
        })
        .collect();
    show(&rows, args.output.output);
    Ok(())
}

/// As Python shows a `timedelta` of less than a day.
fn duration_text(secs: f64) -> String {
    let span = jiff::SignedDuration::try_from_secs_f64(secs).unwrap_or_default();
    let (minutes, seconds) = (span.as_mins(), span.as_secs() % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let micros = span.subsec_micros();
    match micros {
        0 => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}.{micros:06}"),
    }
}
