//! `updraft partitions`, and how runs are chosen by their partition.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use updraft_model::{DagId, RunId};
use updraft_runtime::Clock;
use updraft_store::listing::TaskInstanceFilter;
use updraft_store::{PartitionRun, PartitionSelection, Reader};
use updraft_timetable::Timetable;

use super::access::Access;
use super::dags::require_serialized;
use super::dates::{iso, wall_clock};
use super::failure::{Failure, Outcome};
use super::tasks::{clear_rows, load_rows};
use crate::output::say;

#[derive(Debug, Subcommand)]
pub(super) enum PartitionsCommand {
    /// Clear the partition_key and partition_date of one or more DagRuns
    Clear(ClearArgs),
}

#[derive(Debug, Args)]
pub(super) struct ClearArgs {
    /// The id of the Dag whose DagRun partition fields should be cleared
    #[arg(short, long)]
    dag_id: String,
    /// Only this run
    #[arg(short, long)]
    run_id: Option<String>,
    /// Inclusive lower bound of the partition_date window
    #[arg(short, long)]
    start_date: Option<String>,
    /// Inclusive upper bound of the partition_date window
    #[arg(short, long)]
    end_date: Option<String>,
    /// Only clear DagRuns whose partition_key equals this exact value
    #[arg(short = 'k', long)]
    partition_key: Option<String>,
    /// Both bounds at once: `2026-01-01~2026-01-31`
    #[arg(long)]
    date: Option<String>,
    /// Show which DagRuns would be cleared without modifying the database
    #[arg(long)]
    dry_run: bool,
    /// Also clear the matching DagRuns' task instances, so that finished runs go back to queued
    #[arg(long)]
    clear_task_instances: bool,
}

pub(super) async fn run(command: PartitionsCommand, access: &Access) -> Outcome {
    match command {
        PartitionsCommand::Clear(args) => clear(&args, access).await,
    }
}

/// Runs chosen by their partition.
#[derive(Debug)]
pub(super) enum Choice {
    Run(RunId),
    Key(String),
    Window {
        start: Option<Timestamp>,
        end: Option<Timestamp>,
    },
}

impl Choice {
    pub(super) fn selection(&self) -> PartitionSelection<'_> {
        match self {
            Self::Run(run_id) => PartitionSelection::Run(run_id),
            Self::Key(key) => PartitionSelection::Key(key),
            Self::Window { start, end } => PartitionSelection::Window {
                start: *start,
                end: *end,
            },
        }
    }
}

/// A window of partition dates: what the clock shows where the Dag is. `None`: nothing is given.
pub(super) async fn window(
    reader: &mut Reader,
    dag_id: &str,
    bounds: (Option<&str>, Option<&str>),
    zone: &TimeZone,
) -> Result<Choice, Failure> {
    let (_, serialized) = require_serialized(reader, dag_id).await?;
    let timetable = Timetable::from_serialized(&serialized.attributes().timetable)?;
    let localized = |text: Option<&str>| {
        text.map(|text| {
            let (wall_clock, instant) = wall_clock(text, zone).map_err(Failure::usage)?;
            let at = timetable.localize_partition_date(wall_clock, instant);
            at.map_err(Failure::from)
        })
        .transpose()
    };
    Ok(Choice::Window {
        start: localized(bounds.0)?,
        end: localized(bounds.1)?,
    })
}

async fn chosen(args: &ClearArgs, reader: &mut Reader, zone: &TimeZone) -> Result<Choice, Failure> {
    let (start, end) = (args.start_date.as_deref(), args.end_date.as_deref());
    let has_range = start.is_some() || end.is_some() || args.date.is_some();
    if has_range && args.run_id.is_none() && args.partition_key.is_none() {
        return in_range(args, reader, zone).await;
    }
    match (&args.run_id, &args.partition_key, has_range) {
        (Some(run_id), None, false) => Ok(Choice::Run(run_id.as_str().into())),
        (None, Some(key), false) => Ok(Choice::Key(key.clone())),
        _ => Err(Failure::because(
            "Specify exactly one of --run-id, --partition-key, or a partition_date range \
             (--start-date/--end-date or --date).",
        )),
    }
}

async fn in_range(
    args: &ClearArgs,
    reader: &mut Reader,
    zone: &TimeZone,
) -> Result<Choice, Failure> {
    let (mut start, mut end) = (args.start_date.as_deref(), args.end_date.as_deref());
    if let Some(range) = &args.date {
        if start.is_some() || end.is_some() {
            return Err(Failure::because(
                "--date cannot be combined with --start-date / --end-date.",
            ));
        }
        let sides = range.split_once('~');
        let (from, to) = sides
            .map(|(from, to)| (from.trim(), to.trim()))
            .filter(|(from, to)| !from.is_empty() && !to.is_empty())
            .ok_or_else(|| {
                Failure::because("--date must be in the form 'a~b', e.g. '2026-01-01~2026-01-31'.")
            })?;
        if wall_clock(from, zone).is_err() || wall_clock(to, zone).is_err() {
            return Err(Failure::because(
                "--date sides must be parseable as a date or datetime.",
            ));
        }
        (start, end) = (Some(from), Some(to));
    }
    let choice = window(reader, &args.dag_id, (start, end), zone).await?;
    if let Choice::Window {
        start: Some(from),
        end: Some(to),
    } = choice
        && from > to
    {
        return Err(Failure::because(match args.date {
            Some(_) => format!(
                "--date: the start of the range ('{}') must be on or before the end ('{}').",
                start.unwrap_or_default(),
                end.unwrap_or_default()
            ),
            None => "--start-date must be on or before --end-date.".to_owned(),
        }));
    }
    Ok(choice)
}

async fn clear(args: &ClearArgs, access: &Access) -> Outcome {
    let (settings, store) = access.settings_and_store().await?;
    let dag_id = DagId::from(args.dag_id.as_str());
    let mut reader = store.read().await?;
    let choice = chosen(args, &mut reader, &settings.core.default_timezone).await?;
    let runs = reader
        .load_partition_runs(&dag_id, choice.selection())
        .await?;
    if runs.is_empty() {
        say(&format!("No matching DagRuns found for dag_id={dag_id}."));
        return Ok(());
    }
    let mut rows = Vec::new();
    if args.clear_task_instances {
        let filter = TaskInstanceFilter {
            dag_ids: vec![dag_id.clone()],
            run_ids: runs.iter().map(|run| run.run_id.clone()).collect(),
            ..TaskInstanceFilter::default()
        };
        rows = load_rows(&mut reader, &filter).await?;
    }
    drop(reader);
    for run in &runs {
        tell(run, args.clear_task_instances);
    }
    let of_partitions: Vec<&PartitionRun> = runs.iter().filter(|run| run.has_partition()).collect();
    if args.clear_task_instances {
        let (count, instances) = (runs.len(), rows.len());
        say(&match args.dry_run {
            true => format!(
                "Dry run: would clear task instances on {count} DagRun(s) ({instances} task \
                 instance(s))."
            ),
            false => format!(
                "Cleared task instances on {count} DagRun(s) ({instances} task instance(s))."
            ),
        });
    }
    let count = of_partitions.len();
    if args.dry_run {
        say(&format!(
            "Dry run: would clear {count} DagRun(s). No changes written."
        ));
        return Ok(());
    }
    // Cut short between the two, the same command still finds the runs.
    clear_rows(&store, rows).await?;
    let now = Clock::machine().now();
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            for run in &of_partitions {
                tx.clear_partition(&dag_id, &run.run_id, now).await?;
            }
            tx.commit().await
        })
        .await?;
    say(&format!("Cleared partition fields on {count} DagRun(s)."));
    Ok(())
}

fn tell(run: &PartitionRun, clears_task_instances: bool) {
    let run_id = &run.run_id;
    if run.has_partition() {
        let key = run.partition_key.as_ref();
        let key = key.map_or("None".to_owned(), |key| format!("'{key}'"));
        let date = run.partition_date.map_or("None".to_owned(), iso);
        say(&format!(
            "DagRun {run_id}: partition_key={key} -> None, partition_date={date} -> None"
        ));
    } else if !clears_task_instances {
        say(&format!("DagRun {run_id}: already cleared, skipping."));
    }
}
