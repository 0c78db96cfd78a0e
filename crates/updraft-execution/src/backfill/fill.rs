//! Makes the runs of a backfill, some in each transaction.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::Offset;
use tracing::{info, warn};
use updraft_dag_run::{Context, Refusal, RunRequest, RunRules, plan_dag_run};
use updraft_model::backfill::{Backfill, BackfillEntry, BackfillOutcome, BackfillTick};
use updraft_model::dag::{Dag, DagVersion};
use updraft_model::serialized::SerializedDag;
use updraft_model::task_instance::NewTaskInstance;
use updraft_model::{DagRunTriggeredBy, DagRunType};
use updraft_planning::backfill::{BackfillAction, SkipReason, plan_entry};
use updraft_planning::clear::{RunAfterClear, RunningInstances};
use updraft_runtime::Ids;
use updraft_store::{Error, RunCreation, RunKey, StartedTaskInstance, Store, Tx};
use updraft_timetable::{Timetable, generate_run_id};

use super::existing_runs;
use crate::clearing::{ClearOrder, Cleared, Clearing};
use crate::structures::Structures;

/// Task instances that one transaction creates, about: a few tenths of a second of work, after
/// which others have their turn.
const TASK_INSTANCES_PER_STEP: usize = 2_000;

/// Random characters in the ids of runs that may share an instant.
const RANDOM_CHARS: usize = 8;

/// How far a backfill has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do.
    More,
    /// Every entry has been looked at, or nothing can be done about the rest now.
    Done,
}

/// Makes runs for the entries of backfills.
#[derive(Clone, Copy, Debug)]
pub struct Filler<'a> {
    pub store: &'a Store,
    pub rules: &'a RunRules,
    pub ids: &'a Ids,
}

/// The Dag as it is now.
struct Content {
    row: Dag,
    version: DagVersion,
    dag: Arc<SerializedDag>,
}

/// What a step has made so far.
#[derive(Default)]
struct Made {
    outcomes: Vec<(i32, BackfillOutcome)>,
    task_instances: Vec<NewTaskInstance>,
}

impl Filler<'_> {
    /// Makes all runs that are still to be made.
    ///
    /// # Errors
    /// When the store fails; the scheduler goes on from there.
    pub async fn fill(&self, backfill_id: i64, now: impl Fn() -> Timestamp) -> Result<(), Error> {
        while self.step(backfill_id, now()).await? == Progress::More {}
        Ok(())
    }

    /// Makes the next runs of a backfill, as many as one transaction should.
    ///
    /// # Errors
    /// When the store fails; nothing was written then.
    pub async fn step(&self, backfill_id: i64, now: Timestamp) -> Result<Progress, Error> {
        self.store
            .retry(|| async {
                let mut tx = self.store.write().await?;
                let progress = self.step_within(&mut tx, backfill_id, now).await?;
                tx.commit().await?;
                Ok(progress)
            })
            .await
    }

    async fn step_within(
        &self,
        tx: &mut Tx,
        backfill_id: i64,
        now: Timestamp,
    ) -> Result<Progress, Error> {
        let backfill = tx.lock_backfill(backfill_id).await?;
        let Some(backfill) = backfill.filter(|backfill| backfill.completed_at.is_none()) else {
            return Ok(Progress::Done);
        };
        let Some(content) = load_content(tx, &backfill).await? else {
            return Ok(Progress::Done);
        };
        let runs = (TASK_INSTANCES_PER_STEP / content.dag.tasks().len().max(1)).max(1);
        let limit = i64::try_from(runs).unwrap_or(i64::MAX);
        let entries = tx.load_pending_entries(backfill_id, limit).await?;
        if entries.is_empty() {
            return Ok(Progress::Done);
        }
        let ticks: Vec<BackfillTick> = entries.iter().map(|entry| entry.tick.clone()).collect();
        let existing = existing_runs(tx, &backfill.dag_id, &ticks).await?;
        let order = ClearOrder {
            running: RunningInstances::Restart,
            after: RunAfterClear::Queued,
            run_on_latest_version: Some(backfill.run_on_latest_version),
            rerun_with_latest_version: false,
        };
        let mut clearing = Clearing::new(order, self.ids);
        let mut made = Made::default();
        for (entry, run) in entries.iter().zip(existing) {
            let outcome = match plan_entry(&entry.tick, run.as_ref(), backfill.reprocess_behavior) {
                BackfillAction::Skip(reason) => skipped(reason),
                BackfillAction::Create => {
                    let instances = &mut made.task_instances;
                    self.create(tx, &backfill, &content, entry, instances, now)
                        .await?
                }
                BackfillAction::Reprocess { run_id } => {
                    reprocess(tx, &backfill, run_id, &mut clearing, now).await?
                }
            };
            made.outcomes.push((entry.sort_ordinal, outcome));
        }
        let rows: Vec<StartedTaskInstance> =
            made.task_instances.into_iter().map(Into::into).collect();
        tx.create_task_instances(&rows, now).await?;
        tx.settle_entries(backfill_id, &made.outcomes).await?;
        info!(dag_id = %backfill.dag_id, backfill_id, entries = entries.len(), "filled dates of a backfill");
        Ok(if entries.len() < runs {
            Progress::Done
        } else {
            Progress::More
        })
    }

    async fn create(
        &self,
        tx: &mut Tx,
        backfill: &Backfill,
        content: &Content,
        entry: &BackfillEntry,
        task_instances: &mut Vec<NewTaskInstance>,
        now: Timestamp,
    ) -> Result<BackfillOutcome, Error> {
        let context = Context {
            dag: &content.row,
            version: &content.version,
            serialized: &content.dag,
            rules: self.rules,
        };
        let random = self.ids.alphanumeric(RANDOM_CHARS);
        let planned = run_id_of(&content.dag, &entry.tick, &random).and_then(|run_id| {
            let request = request_of(backfill, &entry.tick, run_id);
            plan_dag_run(&request, &context, now, &random, || self.ids.uuid())
        });
        let planned = match planned {
            Ok(planned) => planned,
            Err(refusal) => {
                warn!(dag_id = %backfill.dag_id, backfill_id = backfill.id, sort_ordinal = entry.sort_ordinal, %refusal, "made no run for a date of a backfill");
                return Ok(skipped(SkipReason::Unknown));
            }
        };
        match tx.create_dag_run(&planned.run, now).await? {
            RunCreation::Created(run) => {
                task_instances.extend(planned.task_instances);
                Ok(BackfillOutcome::Run(Some(run.id)))
            }
            RunCreation::RunIdTaken | RunCreation::LogicalDateTaken => {
                Ok(skipped(SkipReason::InFlight))
            }
        }
    }
}

async fn load_content(tx: &mut Tx, backfill: &Backfill) -> Result<Option<Content>, Error> {
    let (row, version) = (
        tx.find_dag(&backfill.dag_id).await?,
        tx.find_latest_version(&backfill.dag_id).await?,
    );
    let (Some(row), Some(version)) = (row, version) else {
        return Ok(None);
    };
    let dag = Structures::default().load(tx, version.id).await?;
    Ok(dag.map(|dag| Content { row, version, dag }))
}

/// Clears the whole run and makes it one of the backfill.
async fn reprocess(
    tx: &mut Tx,
    backfill: &Backfill,
    existing: i64,
    clearing: &mut Clearing<'_>,
    now: Timestamp,
) -> Result<BackfillOutcome, Error> {
    let Some(key) = tx.find_run_key(existing).await? else {
        return Ok(skipped(SkipReason::InFlight));
    };
    let RunKey { dag_id, run_id } = &key;
    // Somebody may have it in hand, or have started it again since it was looked at.
    let locked = tx.lock_run(dag_id, run_id).await?;
    if !locked.is_some_and(|locked| locked.run.state.is_finished()) {
        return Ok(skipped(SkipReason::InFlight));
    }
    let rows = tx.load_task_instances_of_run(dag_id, run_id).await?;
    match clearing.clear(tx, &key, &rows, now).await? {
        Cleared::Rows(_) => {}
        Cleared::StillRunning(_) | Cleared::NoRun => return Ok(skipped(SkipReason::InFlight)),
    }
    let conf = backfill.dag_run_conf.as_ref();
    tx.adopt_into_backfill(dag_id, run_id, backfill.id, conf)
        .await?;
    Ok(BackfillOutcome::Run(Some(existing)))
}

fn skipped(reason: SkipReason) -> BackfillOutcome {
    BackfillOutcome::Skipped(reason.as_str().to_owned())
}

fn request_of(backfill: &Backfill, tick: &BackfillTick, run_id: String) -> RunRequest {
    let conf = backfill.dag_run_conf.as_ref();
    RunRequest {
        triggering_user_name: backfill.triggering_user_name.clone(),
        run_id: Some(run_id),
        logical_date: tick.logical_date(),
        data_interval: tick.data_interval,
        run_after: Some(tick.run_after),
        conf: conf.and_then(|conf| conf.as_object().cloned()),
        partition_key: tick.partition_key.clone(),
        partition_date: tick.partition_date,
        backfill_id: Some(backfill.id),
        ..RunRequest::new(DagRunType::Backfill, DagRunTriggeredBy::Backfill)
    }
}

/// The id of a run that is made: only where there are partitions is it the timetable's business.
pub(super) fn run_id_of(
    dag: &SerializedDag,
    tick: &BackfillTick,
    random: &str,
) -> Result<String, Refusal> {
    let run_type = DagRunType::Backfill;
    let Some(key) = &tick.partition_key else {
        let date = tick.logical_date();
        return Ok(generate_run_id(
            run_type,
            tick.run_after,
            Offset::UTC,
            date,
            random,
        ));
    };
    let timetable = Timetable::from_serialized(&dag.attributes().timetable)?;
    Ok(timetable.generate_run_id(run_type, tick.run_after, Some(key), random))
}
