//! `updraft tasks clear`.

use std::collections::BTreeSet;

use clap::Args;
use regex::Regex;
use updraft_execution::{ClearOrder, Cleared, Clearing, by_run};
use updraft_model::serialized::{SerializedDag, TaskIndex};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{TaskId, TaskInstanceState};
use updraft_planning::clear::selection::{Reach, companions};
use updraft_planning::clear::{RunAfterClear, RunningInstances};
use updraft_runtime::{Clock, Ids};
use updraft_store::listing::{DagFilter, TaskInstanceFilter};
use updraft_store::{Reader, Store};

use crate::cli::access::Access;
use crate::cli::dags::{date_range, latest, load_dags, require_serialized};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::pages::load_all;
use crate::output::{confirm, remark, say};

/// Running instances are stopped, and finished runs queued again, as in Airflow.
const ORDER: ClearOrder = ClearOrder {
    running: RunningInstances::Restart,
    after: RunAfterClear::Queued,
    run_on_latest_version: None,
    rerun_with_latest_version: false,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ClearArgs {
    /// The id of the Dag
    dag_id: String,
    /// Take the id for a regular expression
    #[arg(short = 'R', long)]
    dag_regex: bool,
    /// Only tasks whose id fits this regular expression
    #[arg(short, long)]
    task_regex: Option<String>,
    /// With the tasks below them
    #[arg(short, long)]
    downstream: bool,
    /// With the tasks above them
    #[arg(short, long)]
    upstream: bool,
    /// Only runs with this logical date or a later one
    #[arg(short, long)]
    start_date: Option<String>,
    /// Only runs with this logical date or an earlier one
    #[arg(short, long)]
    end_date: Option<String>,
    /// Only instances that failed
    #[arg(short = 'f', long)]
    only_failed: bool,
    /// Only instances that are running
    #[arg(short = 'r', long)]
    only_running: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Taken for compatibility: a Dag id is in one bundle only
    #[arg(short = 'B', long, hide = true)]
    bundle_name: Vec<String>,
}

pub(super) async fn run(args: &ClearArgs, access: &Access) -> Outcome {
    let (settings, store) = access.settings_and_store().await?;
    let zone = &settings.core.default_timezone;
    let dates = date_range(args.start_date.as_deref(), args.end_date.as_deref(), zone)?;
    let mut reader = store.read().await?;
    let mut rows = Vec::new();
    for dag in wanted_dags(args, &mut reader).await? {
        let filter = TaskInstanceFilter {
            dag_ids: vec![dag.dag_id().clone()],
            task_ids: wanted_tasks(args, &dag)?,
            states: wanted_states(args.only_failed, args.only_running),
            logical_date: dates,
            ..TaskInstanceFilter::default()
        };
        rows.extend(load_rows(&mut reader, &filter).await?);
    }
    drop(reader);
    if rows.is_empty() {
        return Ok(());
    }
    if !args.yes && !confirm(&question(&rows)) {
        say("Cancelled, nothing was cleared.");
        return Ok(());
    }
    let cleared = clear_rows(&store, rows).await?;
    remark(&format!("{cleared} task instances were cleared"));
    Ok(())
}

async fn wanted_dags(args: &ClearArgs, reader: &mut Reader) -> Result<Vec<SerializedDag>, Failure> {
    if !args.dag_regex {
        let (_, dag) = require_serialized(reader, &args.dag_id).await?;
        return Ok(vec![dag]);
    }
    let pattern = pattern_of(&args.dag_id)?;
    let filter = DagFilter {
        exclude_stale: true,
        ..DagFilter::default()
    };
    let mut dags = Vec::new();
    for dag in load_dags(reader, &filter).await? {
        if pattern.is_match(dag.dag_id.as_str())
            && let Some((_, serialized)) = latest(reader, &dag.dag_id).await?
        {
            dags.push(serialized);
        }
    }
    if dags.is_empty() {
        return Err(
            Failure::because(format!("no Dag has an id that fits `{}`", args.dag_id))
                .hint("`updraft dags list` shows all Dags"),
        );
    }
    Ok(dags)
}

fn pattern_of(text: &str) -> Result<Regex, Failure> {
    Regex::new(text).map_err(|error| Failure::usage(format!("`{text}` is no pattern: {error}")))
}

/// `None` means every task, also those that the Dag has lost since.
fn wanted_tasks(args: &ClearArgs, dag: &SerializedDag) -> Result<Option<Vec<TaskId>>, Failure> {
    let Some(text) = &args.task_regex else {
        return Ok(None);
    };
    let pattern = pattern_of(text)?;
    let fits = |index: &&TaskIndex| pattern.is_match(dag.task(**index).task_id.as_str());
    let mut chosen: BTreeSet<TaskIndex> = dag.alphabetical().iter().filter(fits).copied().collect();
    let reach = match (args.upstream, args.downstream) {
        (false, false) => Reach::Only,
        (true, false) => Reach::Upstream,
        (false, true) => Reach::Downstream,
        (true, true) => Reach::Both,
    };
    let named: Vec<TaskIndex> = chosen.iter().copied().collect();
    chosen.extend(companions(dag, &named, reach));
    let ids = chosen
        .into_iter()
        .map(|index| dag.task(index).task_id.clone());
    Ok(Some(ids.collect()))
}

/// The states that `--only-failed` and `--only-running` choose; none are all.
pub(in crate::cli) fn wanted_states(
    only_failed: bool,
    only_running: bool,
) -> Vec<TaskInstanceState> {
    let mut states = Vec::new();
    if only_failed {
        states.extend([TaskInstanceState::Failed, TaskInstanceState::UpstreamFailed]);
    }
    if only_running {
        states.push(TaskInstanceState::Running);
    }
    states
}

pub(in crate::cli) async fn load_rows(
    reader: &mut Reader,
    filter: &TaskInstanceFilter,
) -> Result<Vec<TaskInstance>, Failure> {
    let now = Clock::machine().now();
    load_all("id", async |page| {
        reader.list_task_instances(filter, page, now).await
    })
    .await
}

fn question(rows: &[TaskInstance]) -> String {
    let lines: Vec<String> = rows
        .iter()
        .map(|ti| {
            let state = ti.state.to_nullable().unwrap_or("None");
            let index = match ti.map_index.is_mapped() {
                true => format!(" map_index={}", ti.map_index),
                false => String::new(),
            };
            format!(
                "{}.{} {}{index} [{state}]",
                ti.dag_id, ti.task_id, ti.run_id
            )
        })
        .collect();
    format!(
        "You are about to clear these {} tasks:\n{}\n\nAre you sure? [y/n]",
        rows.len(),
        lines.join("\n")
    )
}

/// Clears run by run; says how many rows were.
pub(in crate::cli) async fn clear_rows(
    store: &Store,
    rows: Vec<TaskInstance>,
) -> Result<usize, Failure> {
    let mut count = 0;
    for (key, rows) in &by_run(rows) {
        let now = Clock::machine().now();
        let cleared = store
            .retry(|| async {
                let mut tx = store.write().await?;
                let ids = Ids::random();
                let cleared = Clearing::new(ORDER, &ids)
                    .clear(&mut tx, key, rows, now)
                    .await?;
                tx.commit().await?;
                Ok(cleared)
            })
            .await?;
        match cleared {
            Cleared::Rows(ids) => count += ids.len(),
            Cleared::StillRunning(refusal) => return Err(refusal.into()),
            Cleared::NoRun => {}
        }
    }
    Ok(count)
}
