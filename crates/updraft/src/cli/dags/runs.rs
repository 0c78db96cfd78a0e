//! `updraft dags list-runs` and `updraft dags state`.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use updraft_model::dag_run::DagRun;
use updraft_model::filter::Range;
use updraft_model::{DagId, DagRunState, DagRunType, RunId};
use updraft_runtime::Clock;
use updraft_store::Reader;
use updraft_store::listing::DagRunFilter;

use super::loaded::require_dag;
use crate::cli::access::Access;
use crate::cli::dates::{iso, iso_or_empty, parse};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::pages::load_all;
use crate::output::{OutputArgs, Row, compact_json, row, say, show};

#[derive(Debug, Args)]
pub(in crate::cli) struct ListRunsArgs {
    /// The id of the Dag
    dag_id: String,
    /// Leave the runs of backfills out
    #[arg(long)]
    no_backfill: bool,
    /// Only runs in this state
    #[arg(long, value_enum, ignore_case = true)]
    state: Option<RunState>,
    /// Only runs with this logical date or a later one
    #[arg(short, long)]
    start_date: Option<String>,
    /// Only runs with this logical date or an earlier one
    #[arg(short, long)]
    end_date: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RunState {
    Queued,
    Running,
    Success,
    Failed,
}

impl RunState {
    fn state(self) -> DagRunState {
        match self {
            Self::Queued => DagRunState::Queued,
            Self::Running => DagRunState::Running,
            Self::Success => DagRunState::Success,
            Self::Failed => DagRunState::Failed,
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct StateArgs {
    /// The id of the Dag
    dag_id: String,
    /// The logical date of the run, or its id
    logical_date_or_run_id: String,
}

pub(super) async fn list(args: &ListRunsArgs, access: &Access) -> Outcome {
    let (settings, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    let dag = require_dag(&mut reader, &args.dag_id).await?;
    let zone = &settings.core.default_timezone;
    let filter = DagRunFilter {
        dag_ids: vec![dag.dag_id],
        states: args.state.iter().map(|state| Some(state.state())).collect(),
        run_types: match args.no_backfill {
            true => not_backfills(),
            false => Vec::new(),
        },
        logical_date: date_range(args.start_date.as_deref(), args.end_date.as_deref(), zone)?,
        ..DagRunFilter::default()
    };
    let runs = load_runs(&mut reader, &filter).await?;
    let rows: Vec<Row> = runs.iter().map(row_of).collect();
    show(&rows, args.output.output);
    Ok(())
}

fn not_backfills() -> Vec<DagRunType> {
    let all = DagRunType::ALL.iter().copied();
    all.filter(|run_type| *run_type != DagRunType::Backfill)
        .collect()
}

/// `--start-date` and `--end-date`, both included.
pub(in crate::cli) fn date_range(
    start: Option<&str>,
    end: Option<&str>,
    zone: &TimeZone,
) -> Result<Range<Timestamp>, Failure> {
    let bound = |flag: &str, text: Option<&str>| {
        text.map(|text| parse(text, zone))
            .transpose()
            .map_err(|reason| Failure::usage(format!("{flag}: {reason}")))
    };
    Ok(Range {
        gte: bound("--start-date", start)?,
        lte: bound("--end-date", end)?,
        ..Range::default()
    })
}

/// All runs that fit, the latest first.
pub(in crate::cli) async fn load_runs(
    reader: &mut Reader,
    filter: &DagRunFilter,
) -> Result<Vec<DagRun>, Failure> {
    let now = Clock::machine().now();
    load_all("-run_after", async |page| {
        reader.list_dag_runs(filter, page, now).await
    })
    .await
}

fn row_of(run: &DagRun) -> Row {
    row([
        ("dag_id", json!(run.dag_id)),
        ("run_id", json!(run.run_id)),
        ("state", json!(run.state.as_str())),
        ("run_after", json!(iso(run.run_after))),
        ("logical_date", json!(iso_or_empty(run.logical_date))),
        ("start_date", json!(iso_or_empty(run.start_date))),
        ("end_date", json!(iso_or_empty(run.end_date))),
    ])
}

pub(super) async fn state(args: &StateArgs, access: &Access) -> Outcome {
    let (settings, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    require_dag(&mut reader, &args.dag_id).await?;
    let zone = &settings.core.default_timezone;
    match find_run(
        &mut reader,
        &args.dag_id,
        &args.logical_date_or_run_id,
        zone,
    )
    .await?
    {
        // As Airflow: no run is no failure.
        None => say("None"),
        Some(run) => match &run.conf {
            Value::Object(conf) if !conf.is_empty() => {
                say(&format!("{}, {}", run.state, compact_json(&run.conf)));
            }
            _ => say(run.state.as_str()),
        },
    }
    Ok(())
}

/// The run with this id, else the one with this logical date.
pub(in crate::cli) async fn find_run(
    reader: &mut Reader,
    dag_id: &str,
    id_or_date: &str,
    zone: &TimeZone,
) -> Result<Option<DagRun>, Failure> {
    let dag_id = DagId::from(dag_id);
    if let Some(run) = reader
        .find_dag_run(&dag_id, &RunId::new(id_or_date))
        .await?
    {
        return Ok(Some(run));
    }
    match parse(id_or_date, zone) {
        Ok(date) => Ok(reader.find_dag_run_of_date(&dag_id, date).await?),
        Err(_) => Ok(None),
    }
}
