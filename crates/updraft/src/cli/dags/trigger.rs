//! `updraft dags trigger`.

use clap::Args;
use jiff::{Timestamp, TimestampRound, Unit};
use serde_json::{Map, Value, json};
use updraft_config::Settings;
use updraft_dag_run::{Context, InferFrom, PlannedRun, RunRequest, RunRules, plan_dag_run};
use updraft_model::dag::DagVersion;
use updraft_model::dag_run::DagRun;
use updraft_model::serialized::SerializedDag;
use updraft_model::{DagRunTriggeredBy, DagRunType};
use updraft_plugins::needs_python;
use updraft_runtime::{Clock, Ids};
use updraft_store::{RunCreation, Store};

use super::loaded::{require_dag, require_serialized};
use crate::cli::access::Access;
use crate::cli::dates::{iso, parse, spaced};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::python::with_plugins;
use crate::cli::user_name;
use crate::output::{OutputArgs, Row, row, show};

/// Letters and digits at the end of a run id that is made up.
const RANDOM_CHARS: usize = 8;

#[derive(Debug, Args)]
pub(in crate::cli) struct TriggerArgs {
    /// The id of the Dag
    dag_id: String,
    /// The run's conf, a JSON object
    #[arg(short, long)]
    conf: Option<String>,
    /// The logical date of the run; none unless given
    #[arg(short, long)]
    logical_date: Option<String>,
    /// Keep the microseconds of the logical date
    #[arg(long)]
    no_replace_microseconds: bool,
    /// The id of the run; made up unless given
    #[arg(short, long)]
    run_id: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &TriggerArgs, access: &Access) -> Outcome {
    let conf = args.conf.as_deref().map(conf_of).transpose()?.flatten();
    let (settings, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    let (_, serialized) = require_serialized(&mut reader, &args.dag_id).await?;
    drop(reader);
    let now = Clock::machine().now();
    let request = RunRequest {
        run_id: args.run_id.clone(),
        logical_date: logical_date(args, &settings, &serialized)?,
        // Quirk: the command line infers the data interval from the present; semantics §2.6.
        infer_from: InferFrom::RunAfter,
        conf,
        ..RunRequest::new(DagRunType::Manual, DagRunTriggeredBy::Cli)
    };
    let (_, created) = create_run(request, &args.dag_id, &settings, &store, now).await?;
    show(&[row_of(&created)], args.output.output);
    Ok(())
}

/// Creates the run that is asked for, of the newest version of its Dag.
pub(in crate::cli) async fn create_run(
    request: RunRequest,
    dag_id: &str,
    settings: &Settings,
    store: &Store,
    now: Timestamp,
) -> Result<(DagVersion, DagRun), Failure> {
    let mut reader = store.read().await?;
    let dag = require_dag(&mut reader, dag_id).await?;
    let (version, serialized) = require_serialized(&mut reader, dag_id).await?;
    drop(reader);
    let request = RunRequest {
        triggering_user_name: user_name(),
        run_after: Some(now),
        ..request
    };
    let request = complete(request, settings, store, &serialized, now).await?;
    let rules = RunRules {
        allowed_run_id_pattern: settings.scheduler.allowed_run_id_pattern.clone(),
        allow_double_dot_in_ids: settings.core.allow_double_dot_in_ids,
        disable_bundle_versioning: settings.dag_processor.disable_bundle_versioning,
    };
    let context = Context {
        dag: &dag,
        version: &version,
        serialized: &serialized,
        rules: &rules,
    };
    let ids = Ids::random();
    let random = ids.alphanumeric(RANDOM_CHARS);
    let planned = plan_dag_run(&request, &context, now, &random, || ids.uuid())?;
    let created = create(store, &planned, now).await?;
    Ok((version, created))
}

/// Starts Python only where the Dag has a timetable of the user that must be asked.
async fn complete(
    request: RunRequest,
    settings: &Settings,
    store: &Store,
    serialized: &SerializedDag,
    now: Timestamp,
) -> Result<RunRequest, Failure> {
    if !needs_python(&request, serialized) {
        return Ok(request);
    }
    with_plugins(settings, Some(store.clone()), async |plugins| {
        Ok(plugins.complete_request(request, serialized, now).await?)
    })
    .await
}

/// A conf, which may also be `null`.
pub(in crate::cli) fn conf_of(text: &str) -> Result<Option<Map<String, Value>>, Failure> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(Some(members)),
        Ok(Value::Null) => Ok(None),
        Ok(other) => Err(Failure::because(format!(
            "the conf must be a JSON object, found {other}"
        ))),
        Err(error) => Err(Failure::because(format!("the conf is not JSON: {error}"))
            .hint(r#"quote it for the shell: '{"key": "value"}'"#)),
    }
}

fn logical_date(
    args: &TriggerArgs,
    settings: &Settings,
    serialized: &SerializedDag,
) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = &args.logical_date else {
        return Ok(None);
    };
    let given = parse(text, &settings.core.default_timezone)
        .map_err(|reason| Failure::usage(format!("--logical-date: {reason}")))?;
    let date = if args.no_replace_microseconds {
        given
    } else {
        let whole = TimestampRound::new()
            .smallest(Unit::Second)
            .mode(jiff::RoundMode::Floor);
        given.round(whole)?
    };
    match default_start_date(serialized) {
        Some(start_date) if date < start_date => Err(Failure::because(format!(
            "Logical date [{}] should be >= start_date [{}] from Dag's default_args",
            iso(date),
            iso(start_date)
        ))),
        _ => Ok(Some(date)),
    }
}

/// `default_args["start_date"]`, which only the command line looks at.
fn default_start_date(serialized: &SerializedDag) -> Option<Timestamp> {
    let raw = serialized.raw();
    let dag = raw.get("dag").unwrap_or(raw);
    let arguments = dag.get("default_args")?;
    let arguments = arguments.get("__var").unwrap_or(arguments);
    let start_date = arguments.get("start_date")?;
    let seconds = start_date.get("__var").unwrap_or(start_date).as_f64()?;
    let since_epoch = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(since_epoch).ok()
}

async fn create(store: &Store, planned: &PlannedRun, now: Timestamp) -> Result<DagRun, Failure> {
    let creation = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let creation = tx.create_dag_run(&planned.run, now).await?;
            if let RunCreation::Created(_) = creation {
                let rows = planned.task_instances.iter().cloned().map(Into::into);
                let rows: Vec<_> = rows.collect();
                tx.create_task_instances(&rows, now).await?;
                tx.commit().await?;
            }
            Ok(creation)
        })
        .await?;
    let taken = |what: String| {
        let dag_id = &planned.run.dag_id;
        Failure::because(format!("A Dag run already exists for Dag {dag_id} {what}"))
            .hint(format!("`updraft dags list-runs {dag_id}` shows the runs"))
    };
    match creation {
        RunCreation::Created(run) => Ok(*run),
        RunCreation::RunIdTaken => Err(taken(format!("with run id {}", planned.run.run_id))),
        RunCreation::LogicalDateTaken => {
            let date = planned.run.logical_date.map(iso).unwrap_or_default();
            Err(taken(format!("at {date}")))
        }
    }
}

fn row_of(run: &DagRun) -> Row {
    let date = |instant: Option<Timestamp>| json!(instant.map(spaced));
    row([
        ("conf", run.conf.clone()),
        ("dag_id", json!(run.dag_id)),
        ("dag_run_id", json!(run.run_id)),
        ("data_interval_start", date(run.data_interval_start)),
        ("data_interval_end", date(run.data_interval_end)),
        ("end_date", date(run.end_date)),
        (
            "last_scheduling_decision",
            date(run.last_scheduling_decision),
        ),
        ("logical_date", date(run.logical_date)),
        ("run_type", json!(run.run_type.as_str())),
        ("start_date", date(run.start_date)),
        ("state", json!(run.state.as_str())),
        ("triggering_user_name", json!(run.triggering_user_name)),
    ])
}
