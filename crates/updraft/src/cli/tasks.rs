//! `updraft tasks`.

mod clear;
mod explain;

use clap::{Args, Subcommand};
use serde_json::json;
use updraft_config::Settings;
use updraft_model::dag_run::DagRun;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{MapIndex, TaskInstanceState};
use updraft_store::Reader;

use super::access::Access;
use super::dags::{find_run, require_serialized};
use super::dates::iso_or_empty;
use super::failure::{Failure, Outcome};
use crate::output::{OutputArgs, Row, row, say, show};

pub(super) use clear::{clear_rows, load_rows, wanted_states};

#[derive(Debug, Subcommand)]
pub(super) enum TasksCommand {
    /// List the tasks of a Dag
    List(ListArgs),
    /// Show the states of all task instances of a Dag run
    StatesForDagRun(StatesForDagRunArgs),
    /// Print the state of a task instance
    State(StateArgs),
    /// Let task instances run again, as if they never had
    Clear(clear::ClearArgs),
    /// Say why a task instance is not running
    Explain(explain::ExplainArgs),
    /// List the dependencies of a task instance that are not met
    FailedDeps(StateArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The id of the Dag
    dag_id: String,
    /// Taken for compatibility: a Dag id is in one bundle only
    #[arg(short = 'B', long, hide = true)]
    bundle_name: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct StatesForDagRunArgs {
    /// The id of the Dag
    dag_id: String,
    /// The logical date of the run, or its id
    logical_date_or_run_id: String,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct StateArgs {
    /// The id of the Dag
    dag_id: String,
    /// The id of the task
    task_id: String,
    /// The logical date of the run, or its id
    logical_date_or_run_id: String,
    /// Which instance of a mapped task
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    map_index: i32,
    /// Taken for compatibility: a Dag id is in one bundle only
    #[arg(short = 'B', long, hide = true)]
    bundle_name: Vec<String>,
}

pub(super) async fn run(command: TasksCommand, access: &Access) -> Outcome {
    match command {
        TasksCommand::List(args) => list(&args, access).await,
        TasksCommand::StatesForDagRun(args) => states_for_dag_run(&args, access).await,
        TasksCommand::State(args) => state(&args, access).await,
        TasksCommand::Clear(args) => clear::run(&args, access).await,
        TasksCommand::Explain(args) => explain::explain(&args, access).await,
        TasksCommand::FailedDeps(args) => explain::failed_deps(&args, access).await,
    }
}

async fn list(args: &ListArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let (_, dag) = require_serialized(&mut store.read().await?, &args.dag_id).await?;
    for index in dag.alphabetical() {
        say(dag.task(*index).task_id.as_str());
    }
    Ok(())
}

async fn states_for_dag_run(args: &StatesForDagRunArgs, access: &Access) -> Outcome {
    let (settings, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    let wanted = &args.logical_date_or_run_id;
    let run = require_run(&mut reader, &settings, &args.dag_id, wanted).await?;
    let instances = reader
        .load_task_instances_of_run(&run.dag_id, &run.run_id)
        .await?;
    let has_mapped = instances.iter().any(|ti| ti.map_index.is_mapped());
    let rows: Vec<Row> = instances
        .iter()
        .map(|ti| row_of(ti, &run, has_mapped))
        .collect();
    show(&rows, args.output.output);
    Ok(())
}

async fn require_run(
    reader: &mut Reader,
    settings: &Settings,
    dag_id: &str,
    id_or_date: &str,
) -> Result<DagRun, Failure> {
    let zone = &settings.core.default_timezone;
    let found = find_run(reader, dag_id, id_or_date, zone).await?;
    found.ok_or_else(|| {
        let missing =
            format!("DagRun for {dag_id} with run_id or logical_date of '{id_or_date}' not found");
        Failure::because(missing).hint(format!("`updraft dags list-runs {dag_id}` shows the runs"))
    })
}

fn row_of(ti: &TaskInstance, run: &DagRun, has_mapped: bool) -> Row {
    let mut row = row([
        ("dag_id", json!(ti.dag_id)),
        ("logical_date", json!(iso_or_empty(run.logical_date))),
        ("task_id", json!(ti.task_id)),
        ("state", json!(ti.state.to_nullable().unwrap_or_default())),
        ("start_date", json!(iso_or_empty(ti.start_date))),
        ("end_date", json!(iso_or_empty(ti.end_date))),
    ]);
    if has_mapped {
        let map_index = match ti.map_index.is_mapped() {
            true => ti.map_index.to_string(),
            false => String::new(),
        };
        row.insert("map_index".to_owned(), json!(map_index));
    }
    row
}

async fn state(args: &StateArgs, access: &Access) -> Outcome {
    let (settings, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    let wanted = &args.logical_date_or_run_id;
    let run = require_run(&mut reader, &settings, &args.dag_id, wanted).await?;
    let task_id = args.task_id.as_str().into();
    let map_index = MapIndex(args.map_index);
    let found = reader
        .find_task_instance_of(&run.dag_id, &run.run_id, &task_id, map_index)
        .await?;
    let Some(ti) = found else {
        return Err(instance_not_found(
            &args.dag_id,
            &args.task_id,
            map_index,
            wanted,
        ));
    };
    match ti.state {
        TaskInstanceState::NoStatus => say("None"),
        state => say(state.to_nullable().unwrap_or_default()),
    }
    Ok(())
}

fn instance_not_found(dag_id: &str, task_id: &str, map_index: MapIndex, run: &str) -> Failure {
    Failure::because(format!(
        "TaskInstance for {dag_id}, {task_id}, map={map_index} with run_id or logical_date of \
         '{run}' not found"
    ))
    .hint(format!(
        "`updraft tasks states-for-dag-run {dag_id} {run}` shows all of them"
    ))
}
