//! `updraft tasks explain` and `updraft tasks failed-deps`: why a task instance is not running.

use clap::Args;
use serde_json::json;
use updraft_config::Settings;
use updraft_execution::{Subject, explain_task_instance, failed_deps_of, version_of};
use updraft_model::serialized::SerializedDag;
use updraft_model::{MapIndex, TaskId};
use updraft_runtime::Clock;
use updraft_store::{LockedRun, Reader};

use super::{StateArgs, instance_not_found, require_run};
use crate::cli::access::Access;
use crate::cli::failure::{Failure, Outcome};
use crate::output::{OutputFormat, row, say, show};
use crate::standalone::options::explain_rules;

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// The id of the Dag
    dag_id: String,
    /// The logical date of the run, or its id
    logical_date_or_run_id: String,
    /// The id of the task
    task_id: String,
    /// Which instance of a mapped task
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    map_index: i32,
    /// Print what a program would read instead of a sentence
    #[arg(short, long, value_enum, ignore_case = true)]
    output: Option<OutputFormat>,
}

pub(super) async fn explain(args: &ExplainArgs, access: &Access) -> Outcome {
    let (settings, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    let wanted = &args.logical_date_or_run_id;
    let (locked, dag) = require_dag_of_run(&mut reader, &settings, &args.dag_id, wanted).await?;
    let subject = Subject {
        locked: &locked,
        dag: &dag,
        task_id: &TaskId::new(&args.task_id),
        map_index: MapIndex(args.map_index),
    };
    let rules = explain_rules(&settings);
    let now = Clock::machine().now();
    let explanation = explain_task_instance(&mut reader, subject, &rules, now).await?;
    match args.output {
        None => say(&explanation.to_string()),
        Some(format) => {
            let state = explanation.state.and_then(|state| state.to_nullable());
            let until = explanation.until().map(|until| until.to_string());
            let shown = row([
                ("task_id", json!(explanation.task_id)),
                ("map_index", json!(explanation.map_index.0)),
                ("state", json!(state)),
                ("is_waiting", json!(explanation.is_waiting())),
                ("reason", json!(explanation.to_string())),
                ("until", json!(until)),
            ]);
            show(&[shown], format);
        }
    }
    Ok(())
}

pub(super) async fn failed_deps(args: &StateArgs, access: &Access) -> Outcome {
    let (settings, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    let wanted = &args.logical_date_or_run_id;
    let (locked, dag) = require_dag_of_run(&mut reader, &settings, &args.dag_id, wanted).await?;
    let task_id = TaskId::new(&args.task_id);
    if dag.find_task(&args.task_id).is_none() {
        let missing = format!("Dag `{}` has no task `{task_id}`", args.dag_id);
        let hint = format!("`updraft tasks list {}` shows its tasks", args.dag_id);
        return Err(Failure::because(missing).hint(hint));
    }
    let subject = Subject {
        locked: &locked,
        dag: &dag,
        task_id: &task_id,
        map_index: MapIndex(args.map_index),
    };
    let Some(ti) = subject.find_row(&mut reader).await? else {
        return Err(instance_not_found(
            &args.dag_id,
            &args.task_id,
            subject.map_index,
            wanted,
        ));
    };
    let rules = explain_rules(&settings);
    let now = Clock::machine().now();
    let failed = failed_deps_of(&mut reader, subject, ti, &rules, now).await?;
    if failed.is_empty() {
        say("Task instance dependencies are all met.");
        return Ok(());
    }
    say("Task instance dependencies not met:");
    for dep in failed {
        say(&format!("{}: {}", dep.name, dep.reason));
    }
    Ok(())
}

/// A run and the version of its Dag that it follows.
async fn require_dag_of_run(
    reader: &mut Reader,
    settings: &Settings,
    dag_id: &str,
    id_or_date: &str,
) -> Result<(LockedRun, SerializedDag), Failure> {
    let run = require_run(reader, settings, dag_id, id_or_date).await?;
    let never = || {
        let never = format!("no version of Dag `{dag_id}` can be read, so its runs wait");
        Failure::because(never).hint("`updraft dags list-import-errors` may say why")
    };
    let found = reader.find_examined_run(&run.dag_id, &run.run_id).await?;
    let locked = found.ok_or_else(never)?;
    let version = version_of(reader, &locked).await?.ok_or_else(never)?;
    let stored = reader.find_serialized_dag(version.id).await?;
    let stored = stored.ok_or_else(never)?;
    let dag = SerializedDag::parse(serde_json::from_str(&stored.data)?)?;
    Ok((locked, dag))
}
