//! Backfills: created by the API or the command line, filled with runs by whoever created them or,
//! if that one died on the way, by the scheduler.
//!
//! A backfill and the dates it has to fill are written in one short transaction. Its runs follow,
//! some in each transaction, so that two thousand dates keep nobody else waiting; whoever fills
//! holds the row of the backfill, so that runs come into being in their order.
//!
//! Source: scheduling semantics §2.8.

mod fill;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::warn;
use updraft_dag_run::{Refusal, RunRules, validate_params, validate_run_id};
use updraft_model::backfill::{Backfill, BackfillTick, NewBackfill};
use updraft_model::serialized::SerializedDag;
use updraft_model::{DagId, DagRunType};
use updraft_planning::backfill::{
    BackfillAction, BackfillRequest, BackfillView, ExistingRun, check_backfill, check_dry_run,
    nothing_to_do, plan_backfill, plan_entry,
};
use updraft_plugins::Plugins;
use updraft_runtime::Tasks;
use updraft_store::{Error as StoreError, Reader, Store};
use updraft_timetable::{DagRunInfo, Error as TimetableError, Timetable};

use crate::structures::Structures;

pub use fill::{Filler, Progress};

/// Dates that one backfill may have: two months of minutes. More is a typing error in a date, and
/// would be worked at for days.
pub const BACKFILL_DATES_MAX: usize = 100_000;

/// A backfill that somebody wants.
#[derive(Clone, Debug, PartialEq)]
pub struct BackfillWish {
    pub dag_id: DagId,
    pub request: BackfillRequest,
    /// `None`: existing runs keep their conf, new ones have an empty one.
    pub conf: Option<Map<String, Value>>,
    pub max_active_runs: i32,
    /// `None` leaves it to the Dag, then to the settings.
    pub run_on_latest_version: Option<bool>,
    pub triggering_user_name: Option<String>,
}

/// Who finds the dates of a backfill.
#[derive(Clone, Copy, Debug)]
pub struct DateFinder<'a> {
    pub tasks: &'a Tasks,
    /// Asked for timetables of plugins; without it, a backfill of theirs is refused.
    pub python: Option<&'a Plugins>,
}

/// Settings that a backfill depends on.
#[derive(Clone, Debug)]
pub struct BackfillRules {
    pub run: RunRules,
    /// `[core] rerun_with_latest_version`.
    pub rerun_with_latest_version: Option<bool>,
}

/// Why there is no backfill. The texts are those of Airflow, whose clients show them.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    #[error("Could not find dag {0}")]
    NoDag(DagId),
    #[error(transparent)]
    Refused(#[from] updraft_planning::backfill::Error),
    #[error(transparent)]
    Run(#[from] Refusal),
    #[error(transparent)]
    Timetable(#[from] TimetableError),
    #[error(transparent)]
    Python(#[from] updraft_plugins::Error),
    #[error(
        "more than {BACKFILL_DATES_MAX} runs lie between both dates; fill them with several backfills"
    )]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The runs that a backfill would make or do again, in their order.
///
/// # Errors
/// Why there would be no backfill.
pub async fn preview_backfill(
    store: &Store,
    dates: &DateFinder<'_>,
    wish: &BackfillWish,
    now: Timestamp,
) -> Result<Vec<BackfillTick>, BackfillError> {
    let (dag, timetable) = load_dag(&mut store.read().await?, &wish.dag_id).await?;
    let view = BackfillView {
        dag: &dag,
        timetable_is_periodic: timetable.periodic(),
        has_active_backfill: false,
    };
    check_dry_run(&wish.request, &view, now)?;
    check_conf(&dag, wish)?;
    let ticks = ticks_of(dates, &dag, timetable, wish, now).await?;
    let entries = plan_backfill(wish.request.order, ticks, now);
    let ticks: Vec<BackfillTick> = entries.into_iter().map(|entry| entry.tick).collect();
    let existing = existing_runs(&mut store.read().await?, &wish.dag_id, &ticks).await?;
    let is_made = |(tick, run): &(BackfillTick, Option<ExistingRun>)| {
        let action = plan_entry(tick, run.as_ref(), wish.request.reprocess);
        !matches!(action, BackfillAction::Skip(_))
    };
    let planned = ticks.into_iter().zip(existing).filter(is_made);
    Ok(planned.map(|(tick, _)| tick).collect())
}

/// Creates a backfill with all its entries; its runs are [`Filler::step`]'s to make.
///
/// # Errors
/// Why there is no backfill.
pub async fn create_backfill(
    store: &Store,
    dates: &DateFinder<'_>,
    wish: &BackfillWish,
    rules: &BackfillRules,
    now: Timestamp,
) -> Result<Backfill, BackfillError> {
    let mut reader = store.read().await?;
    let (dag, timetable) = load_dag(&mut reader, &wish.dag_id).await?;
    let active = reader.find_active_backfill(&wish.dag_id).await?;
    let view = BackfillView {
        dag: &dag,
        timetable_is_periodic: timetable.periodic(),
        has_active_backfill: active.is_some(),
    };
    drop(reader);
    check_backfill(&wish.request, &view, now)?;
    check_conf(&dag, wish)?;
    let ticks = ticks_of(dates, &dag, timetable, wish, now).await?;
    let entries = plan_backfill(wish.request.order, ticks, now);
    let first = entries
        .first()
        .ok_or_else(|| nothing_to_do(&wish.request, &dag))?;
    // Better now than for each run.
    validate_run_id(
        &fill::run_id_of(&dag, &first.tick, "00000000")?,
        DagRunType::Backfill,
        &rules.run,
    )?;
    let new = new_backfill(wish, &dag, rules);
    let created = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let created = tx.create_backfill(&new, &entries, now).await?;
            tx.commit().await?;
            Ok(created)
        })
        .await?;
    created.ok_or_else(|| {
        let dag_id = wish.dag_id.to_string();
        updraft_planning::backfill::Error::AlreadyRunning { dag_id }.into()
    })
}

fn new_backfill(wish: &BackfillWish, dag: &SerializedDag, rules: &BackfillRules) -> NewBackfill {
    NewBackfill {
        dag_id: wish.dag_id.clone(),
        from_date: wish.request.from_date.at,
        to_date: wish.request.to_date.at,
        dag_run_conf: wish.conf.clone().map(Value::Object),
        reprocess_behavior: wish.request.reprocess,
        max_active_runs: wish.max_active_runs,
        run_on_latest_version: run_on_latest_version(wish, dag, rules),
        triggering_user_name: wish.triggering_user_name.clone(),
    }
}

/// What the wish says, else the Dag, else the settings; when nobody says, the newest version.
fn run_on_latest_version(wish: &BackfillWish, dag: &SerializedDag, rules: &BackfillRules) -> bool {
    wish.run_on_latest_version
        .or(dag.attributes().rerun_with_latest_version)
        .or(rules.rerun_with_latest_version)
        .unwrap_or(true)
}

async fn load_dag(
    reader: &mut Reader,
    dag_id: &DagId,
) -> Result<(std::sync::Arc<SerializedDag>, Timetable), BackfillError> {
    let no_dag = || BackfillError::NoDag(dag_id.clone());
    let version = reader.find_latest_version(dag_id).await?;
    let version = version.ok_or_else(no_dag)?;
    let dag = Structures::default().load(reader, version.id).await?;
    let dag = dag.ok_or_else(no_dag)?;
    let timetable = Timetable::from_serialized(&dag.attributes().timetable)?;
    Ok((dag, timetable))
}

fn check_conf(dag: &SerializedDag, wish: &BackfillWish) -> Result<(), Refusal> {
    let none = Map::new();
    validate_params(dag, wish.conf.as_ref().unwrap_or(&none))
}

/// The runs of the timetable between both dates. A timetable that fails on the way has no more of
/// them, as in Airflow.
async fn ticks_of(
    dates: &DateFinder<'_>,
    dag: &SerializedDag,
    timetable: Timetable,
    wish: &BackfillWish,
    now: Timestamp,
) -> Result<Vec<BackfillTick>, BackfillError> {
    let (from, to) = (wish.request.from_date.at, wish.request.to_date.at);
    let found = dates
        .tasks
        .blocking(move || built_in_ticks(&timetable, from, to, now))
        .await;
    let found = match (found, dates.python) {
        (
            Err(BackfillError::Timetable(TimetableError::NeedsPython { class_path })),
            Some(python),
        ) => custom_ticks(python, dag, &class_path, (from, to)).await,
        (found, _) => found,
    };
    let found = found?;
    if let Some(problem) = &found.problem {
        let dag_id = &wish.dag_id;
        warn!(%dag_id, problem, "a timetable failed on the way; the backfill ends there");
    }
    Ok(found.ticks)
}

/// Runs of a timetable, and why there are no more of them if it failed on the way.
#[derive(Default)]
struct Found {
    ticks: Vec<BackfillTick>,
    problem: Option<String>,
}

fn built_in_ticks(
    timetable: &Timetable,
    from: Timestamp,
    to: Timestamp,
    now: Timestamp,
) -> Result<Found, BackfillError> {
    let mut found = Found::default();
    for info in timetable.dagrun_infos_between(from, to, now) {
        let info = match info {
            Ok(info) => info,
            Err(error) if found.ticks.is_empty() => return Err(error.into()),
            Err(error) => {
                found.problem = Some(error.to_string());
                break;
            }
        };
        if found.ticks.len() >= BACKFILL_DATES_MAX {
            return Err(BackfillError::TooMany);
        }
        found.ticks.push(tick_of(info));
    }
    Ok(found)
}

/// What a class of the user says.
async fn custom_ticks(
    python: &Plugins,
    dag: &SerializedDag,
    class_path: &str,
    dates: (Timestamp, Timestamp),
) -> Result<Found, BackfillError> {
    let timetable = &dag.attributes().timetable;
    let between = python
        .dagruns_between(timetable, class_path, dates, BACKFILL_DATES_MAX)
        .await?;
    if between.is_cut {
        return Err(BackfillError::TooMany);
    }
    match between.problem {
        Some(error) if between.runs.is_empty() => Err(error.into()),
        problem => Ok(Found {
            ticks: between
                .runs
                .into_iter()
                .map(|run| tick_of(run.info))
                .collect(),
            problem: problem.map(|error| error.to_string()),
        }),
    }
}

fn tick_of(info: DagRunInfo) -> BackfillTick {
    BackfillTick {
        run_after: info.run_after,
        data_interval: info
            .data_interval
            .map(|interval| (interval.start, interval.end)),
        partition_key: info.partition_key,
        partition_date: info.partition_date,
    }
}

/// The latest run at each tick, in the order of the ticks.
async fn existing_runs(
    reader: &mut Reader,
    dag_id: &DagId,
    ticks: &[BackfillTick],
) -> Result<Vec<Option<ExistingRun>>, StoreError> {
    let by_date = ticks.iter().filter_map(BackfillTick::logical_date);
    let by_date: Vec<Timestamp> = by_date.collect();
    let partitions: Vec<Timestamp> = ticks
        .iter()
        .filter_map(|tick| tick.partition_date)
        .collect();
    let by_date = match by_date.is_empty() {
        true => std::collections::BTreeMap::new(),
        false => reader.load_runs_of_dates(dag_id, &by_date).await?,
    };
    let by_partition = match partitions.is_empty() {
        true => std::collections::BTreeMap::new(),
        false => reader.load_runs_of_partitions(dag_id, &partitions).await?,
    };
    let found = ticks.iter().map(|tick| {
        let run = match (tick.logical_date(), tick.partition_date) {
            (Some(date), _) => by_date.get(&date),
            (None, Some(date)) => by_partition.get(&date),
            (None, None) => None,
        };
        run.map(|run| ExistingRun {
            id: run.id,
            state: run.state,
        })
    });
    Ok(found.collect())
}
