//! `updraft backfill`.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Map, Value, json};
use updraft_config::Settings;
use updraft_dag_run::RunRules;
use updraft_execution::{
    BackfillError, BackfillRules, BackfillWish, DateFinder, Filler, create_backfill,
    preview_backfill,
};
use updraft_model::backfill::{Backfill, BackfillTick, ReprocessBehavior};
use updraft_planning::backfill::{
    BackfillOrder, BackfillRequest, Error as Refused, SkipReason, WrittenDate,
};
use updraft_runtime::{Clock, Ids, Tasks};
use updraft_store::listing::BackfillFilter;
use updraft_store::{Reader, Store};
use updraft_timetable::Error as TimetableError;

use super::access::Access;
use super::dags::conf_of;
use super::dates::{iso, iso_or_empty, parse, spaced};
use super::failure::{Failure, Outcome};
use super::pages::load_all;
use super::python::with_plugins;
use super::user_name;
use crate::output::{OutputArgs, Row, grid, python_text, remark, row, say, show, write};

/// Runs of a backfill that may run at once unless somebody says otherwise.
const MAX_ACTIVE_RUNS_DEFAULT: i32 = 10;

#[derive(Debug, Subcommand)]
pub(super) enum BackfillCommand {
    /// Run a Dag for the dates of its schedule in a range
    Create(CreateArgs),
    /// List the backfills of a Dag
    List(ListArgs),
    /// Start no further run of a backfill until it is unpaused
    Pause(IdArgs),
    /// Start runs of a backfill again
    Unpause(IdArgs),
    /// Complete a backfill: queued runs fail, running ones go on
    Cancel(IdArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The Dag to backfill
    #[arg(long)]
    dag_id: String,
    /// First date of the range; of a partitioned Dag, the first partition date
    #[arg(long)]
    from_date: String,
    /// Last date of the range; of a partitioned Dag, the last partition date
    #[arg(long)]
    to_date: String,
    /// The conf of the runs, a JSON object
    #[arg(long)]
    dag_run_conf: Option<String>,
    /// Begin with the latest date; not if a task depends on past
    #[arg(long)]
    run_backwards: bool,
    /// Runs of this backfill that may run at once
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    max_active_runs: Option<i32>,
    /// Which existing runs are done again; none unless given
    #[arg(long, value_enum)]
    reprocess_behavior: Option<Behavior>,
    /// Do existing runs again with the newest version of the Dag; what the Dag or the settings say
    /// unless given, and yes if they do not
    #[arg(long, overrides_with = "no_run_on_latest_version")]
    run_on_latest_version: bool,
    /// Do existing runs again with the version they had
    #[arg(long)]
    no_run_on_latest_version: bool,
    /// Only show which runs there would be
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Behavior {
    None,
    Completed,
    Failed,
}

impl Behavior {
    fn behavior(self) -> ReprocessBehavior {
        match self {
            Self::None => ReprocessBehavior::None,
            Self::Completed => ReprocessBehavior::Completed,
            Self::Failed => ReprocessBehavior::Failed,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The id of the Dag
    #[arg(long)]
    dag_id: String,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct IdArgs {
    /// The number of the backfill
    #[arg(long)]
    backfill_id: i64,
}

pub(super) async fn run(command: BackfillCommand, access: &Access) -> Outcome {
    match command {
        BackfillCommand::Create(args) => create(&args, access).await,
        BackfillCommand::List(args) => list(&args, access).await,
        BackfillCommand::Pause(args) => change(&args, Change::Pause, access).await,
        BackfillCommand::Unpause(args) => change(&args, Change::Unpause, access).await,
        BackfillCommand::Cancel(args) => change(&args, Change::Cancel, access).await,
    }
}

async fn create(args: &CreateArgs, access: &Access) -> Outcome {
    let conf = args.dag_run_conf.as_deref().map(conf_of).transpose()?;
    let (settings, store) = access.settings_and_store().await?;
    let wish = wish_of(args, conf.flatten(), &settings)?;
    let clock = Clock::machine();
    if args.dry_run {
        let ticks = with_dates(&settings, &store, async |dates| {
            preview_backfill(&store, dates, &wish, clock.now()).await
        })
        .await?;
        show_preview(args, &wish, &ticks);
        return Ok(());
    }
    let rules = BackfillRules {
        run: RunRules {
            allowed_run_id_pattern: settings.scheduler.allowed_run_id_pattern.clone(),
            allow_double_dot_in_ids: settings.core.allow_double_dot_in_ids,
            disable_bundle_versioning: settings.dag_processor.disable_bundle_versioning,
        },
        rerun_with_latest_version: settings.core.rerun_with_latest_version,
    };
    let backfill = with_dates(&settings, &store, async |dates| {
        create_backfill(&store, dates, &wish, &rules, clock.now()).await
    })
    .await?;
    let ids = Ids::random();
    let filler = Filler {
        store: &store,
        rules: &rules.run,
        ids: &ids,
    };
    filler.fill(backfill.id, || clock.now()).await?;
    remark(&summary(&mut store.read().await?, &backfill).await?);
    Ok(())
}

/// Starts Python only where the timetable of a plugin has to be asked.
async fn with_dates<T>(
    settings: &Settings,
    store: &Store,
    work: impl AsyncFn(&DateFinder<'_>) -> Result<T, BackfillError>,
) -> Result<T, Failure> {
    let tasks = Tasks::new();
    let dates = DateFinder {
        tasks: &tasks,
        python: None,
    };
    match work(&dates).await {
        Err(BackfillError::Timetable(TimetableError::NeedsPython { .. })) => {}
        done => return done.map_err(failure),
    }
    with_plugins(settings, Some(store.clone()), async |plugins| {
        let dates = DateFinder {
            tasks: &tasks,
            python: Some(plugins),
        };
        work(&dates).await.map_err(failure)
    })
    .await
}

fn wish_of(
    args: &CreateArgs,
    conf: Option<Map<String, Value>>,
    settings: &Settings,
) -> Result<BackfillWish, Failure> {
    let date = |flag: &str, text: &str| {
        let at = parse(text, &settings.core.default_timezone);
        let at = at.map_err(|reason| Failure::usage(format!("{flag}: {reason}")))?;
        Ok::<_, Failure>(WrittenDate {
            at,
            offset: Offset::UTC,
        })
    };
    let latest = match (args.run_on_latest_version, args.no_run_on_latest_version) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    Ok(BackfillWish {
        dag_id: args.dag_id.as_str().into(),
        request: BackfillRequest {
            from_date: date("--from-date", &args.from_date)?,
            to_date: date("--to-date", &args.to_date)?,
            order: if args.run_backwards {
                BackfillOrder::NewestFirst
            } else {
                BackfillOrder::OldestFirst
            },
            reprocess: args
                .reprocess_behavior
                .map_or(ReprocessBehavior::None, Behavior::behavior),
        },
        conf,
        max_active_runs: args.max_active_runs.unwrap_or(MAX_ACTIVE_RUNS_DEFAULT),
        run_on_latest_version: latest.or(settings.core.rerun_with_latest_version),
        triggering_user_name: user_name(),
    })
}

fn failure(error: BackfillError) -> Failure {
    let hint = match &error {
        BackfillError::NoDag(_) => Some("`updraft dags list` shows all Dags".to_owned()),
        BackfillError::Refused(Refused::AlreadyRunning { dag_id }) => Some(format!(
            "`updraft backfill list --dag-id {dag_id}` shows it, `updraft backfill cancel` ends it"
        )),
        _ => None,
    };
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What Airflow prints, so that scripts that read it go on working.
fn show_preview(args: &CreateArgs, wish: &BackfillWish, ticks: &[BackfillTick]) {
    let conf = wish.conf.clone().map_or(Value::Null, Value::Object);
    let behavior = args.reprocess_behavior.map_or_else(
        || "None".to_owned(),
        |behavior| {
            let name = behavior.behavior().as_str().to_uppercase();
            format!("ReprocessBehavior.{name}")
        },
    );
    let truth = |flag: bool| python_text(&json!(flag));
    let params = [
        ("dag_id", wish.dag_id.to_string()),
        ("from_date", spaced(wish.request.from_date.at)),
        ("to_date", spaced(wish.request.to_date.at)),
        ("max_active_runs", python_text(&json!(args.max_active_runs))),
        ("reverse", truth(args.run_backwards)),
        ("dag_run_conf", python_text(&conf)),
        ("reprocess_behavior", behavior),
        (
            "run_on_latest_version",
            truth(wish.run_on_latest_version.unwrap_or(true)),
        ),
    ];
    say("Performing dry run of backfill.");
    say("Printing params:");
    for (name, value) in params {
        say(&format!("    - {name} = {value}"));
    }
    say("Runs to be attempted:");
    let date = |date: Option<Timestamp>| date.map(spaced).unwrap_or_default();
    let lines: Vec<[String; 3]> = ticks
        .iter()
        .map(|tick| {
            let key = tick.partition_key.clone().unwrap_or_default();
            [date(tick.logical_date()), key, date(tick.partition_date)]
        })
        .collect();
    write(&grid(
        ["logical_date", "partition_key", "partition_date"],
        &lines,
    ));
}

async fn summary(reader: &mut Reader, backfill: &Backfill) -> Result<String, Failure> {
    use updraft_model::backfill::BackfillOutcome;
    let outcomes = reader.load_backfill_outcomes(backfill.id).await?;
    let runs = outcomes
        .iter()
        .filter(|(_, outcome)| matches!(outcome, BackfillOutcome::Run(_)))
        .count();
    let Backfill { id, dag_id, .. } = backfill;
    Ok(format!(
        "created backfill {id} of {dag_id}: {runs} runs for {} dates",
        outcomes.len()
    ))
}

async fn list(args: &ListArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let filter = BackfillFilter {
        dag_id: Some(args.dag_id.as_str().into()),
        is_completed: None,
    };
    let mut reader = store.read().await?;
    let backfills = load_all("id", async |page| {
        reader.list_backfills(&filter, page).await
    })
    .await?;
    let rows: Vec<Row> = backfills.iter().map(row_of).collect();
    show(&rows, args.output.output);
    Ok(())
}

fn row_of(backfill: &Backfill) -> Row {
    row([
        ("id", json!(backfill.id)),
        ("dag_id", json!(backfill.dag_id)),
        ("from_date", json!(iso(backfill.from_date))),
        ("to_date", json!(iso(backfill.to_date))),
        ("is_paused", json!(backfill.is_paused)),
        ("reprocess_behavior", json!(backfill.reprocess_behavior)),
        ("max_active_runs", json!(backfill.max_active_runs)),
        ("created_at", json!(iso(backfill.created_at))),
        ("completed_at", json!(iso_or_empty(backfill.completed_at))),
    ])
}

#[derive(Clone, Copy)]
enum Change {
    Pause,
    Unpause,
    Cancel,
}

async fn change(args: &IdArgs, change: Change, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let id = args.backfill_id;
    let Some(backfill) = store.read().await?.find_backfill(id).await? else {
        return Err(Failure::because(format!("there is no backfill {id}"))
            .hint("`updraft backfill list --dag-id …` shows those of a Dag"));
    };
    let over = || Failure::because(format!("backfill {id} is already completed"));
    if backfill.completed_at.is_some() {
        return Err(over());
    }
    let changed = make_change(&store, id, change).await?;
    let dag_id = &backfill.dag_id;
    match (change, changed) {
        (Change::Pause, true) => say(&format!("Backfill {id} of {dag_id} is paused")),
        (Change::Pause, false) => say(&format!("Backfill {id} of {dag_id} was paused already")),
        (Change::Unpause, true) => say(&format!("Backfill {id} of {dag_id} is unpaused")),
        (Change::Unpause, false) => say(&format!("Backfill {id} of {dag_id} was not paused")),
        (Change::Cancel, true) => say(&format!("Backfill {id} of {dag_id} is cancelled")),
        (Change::Cancel, false) => return Err(over()),
    }
    Ok(())
}

async fn make_change(store: &Store, id: i64, change: Change) -> Result<bool, Failure> {
    let now = Clock::machine().now();
    let changed = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let changed = match change {
                Change::Pause => tx.set_backfill_paused(id, true, now).await?,
                Change::Unpause => tx.set_backfill_paused(id, false, now).await?,
                Change::Cancel => {
                    let reason = SkipReason::Unknown.as_str();
                    tx.cancel_backfill(id, reason, now).await?
                }
            };
            tx.commit().await?;
            Ok(changed)
        })
        .await?;
    Ok(changed)
}
