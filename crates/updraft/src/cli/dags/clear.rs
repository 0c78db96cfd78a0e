//! `updraft dags clear`.

use clap::Args;
use updraft_store::PartitionRun;
use updraft_store::listing::TaskInstanceFilter;

use super::loaded::require_dag;
use crate::cli::access::Access;
use crate::cli::dates::spaced;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::partitions::{Choice, window};
use crate::cli::tasks::{clear_rows, load_rows, wanted_states};
use crate::output::{confirm, say};

#[derive(Debug, Args)]
pub(in crate::cli) struct ClearArgs {
    /// The id of the Dag
    dag_id: String,
    /// Clear the Dag run with this run_id
    #[arg(long)]
    run_id: Option<String>,
    /// Clear all Dag runs whose partition_key matches this exact value
    #[arg(long)]
    partition_key: Option<String>,
    /// Inclusive lower bound of the partition_date window, by the clock of the Dag's timetable
    #[arg(long)]
    partition_date_start: Option<String>,
    /// Inclusive upper bound of the partition_date window, by the clock of the Dag's timetable
    #[arg(long)]
    partition_date_end: Option<String>,
    /// Only instances that failed
    #[arg(short = 'f', long)]
    only_failed: bool,
    /// Only instances that are running
    #[arg(short = 'r', long)]
    only_running: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn run(args: &ClearArgs, access: &Access) -> Outcome {
    let bounds = (
        args.partition_date_start.as_deref(),
        args.partition_date_end.as_deref(),
    );
    let has_range = bounds.0.is_some() || bounds.1.is_some();
    let selectors = [
        args.run_id.is_some(),
        args.partition_key.is_some(),
        has_range,
    ];
    match selectors.iter().filter(|given| **given).count() {
        0 => {
            return Err(Failure::because(
                "One of --run-id, --partition-key, or --partition-date-start / \
                 --partition-date-end must be provided.",
            ));
        }
        1 => {}
        _ => {
            return Err(Failure::because(
                "--run-id, --partition-key, and --partition-date-start / --partition-date-end \
                 are mutually exclusive; provide exactly one selector.",
            ));
        }
    }
    let (settings, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    let dag = require_dag(&mut reader, &args.dag_id).await?;
    let choice = match (&args.run_id, &args.partition_key) {
        (Some(run_id), _) => Choice::Run(run_id.as_str().into()),
        (_, Some(key)) => Choice::Key(key.clone()),
        _ => {
            let zone = &settings.core.default_timezone;
            window(&mut reader, &args.dag_id, bounds, zone).await?
        }
    };
    if let Choice::Window {
        start: Some(start),
        end: Some(end),
    } = choice
        && start > end
    {
        return Err(Failure::because(
            "--partition-date-start must be on or before --partition-date-end.",
        ));
    }
    let runs = reader
        .load_partition_runs(&dag.dag_id, choice.selection())
        .await?;
    if runs.is_empty() {
        say("No matching Dag runs found.");
        return Ok(());
    }
    if !args.yes && !confirm(&question(&args.dag_id, &runs)) {
        say("Cancelled, nothing was cleared.");
        return Ok(());
    }
    let filter = TaskInstanceFilter {
        dag_ids: vec![dag.dag_id],
        run_ids: runs.iter().map(|run| run.run_id.clone()).collect(),
        states: wanted_states(args.only_failed, args.only_running),
        ..TaskInstanceFilter::default()
    };
    let rows = load_rows(&mut reader, &filter).await?;
    drop(reader);
    let cleared = clear_rows(&store, rows).await?;
    let count = runs.len();
    say(&format!(
        "Cleared {cleared} task instance(s) across {count} Dag run(s)."
    ));
    Ok(())
}

fn question(dag_id: &str, runs: &[PartitionRun]) -> String {
    let lines: Vec<String> = runs
        .iter()
        .map(|run| {
            let key = run.partition_key.as_deref().unwrap_or("None");
            let date = run.partition_date.map_or("None".to_owned(), spaced);
            format!(
                "  {}  partition_key={key}  partition_date={date}",
                run.run_id
            )
        })
        .collect();
    format!(
        "You are about to clear {} Dag run(s) of '{dag_id}':\n{}\n\nAre you sure? [y/n]",
        runs.len(),
        lines.join("\n")
    )
}
