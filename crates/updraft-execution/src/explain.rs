//! Asks the planner why a task instance is not running.
//!
//! Everything is read, nothing is taken: an answer is as good as the rows of its moment.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use smol_str::SmolStr;
use updraft_model::job::JobType;
use updraft_model::serialized::SerializedDag;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagVersionId, MapIndex, TaskId, TaskInstanceState};
use updraft_planning::explain::{
    ExplainView, Explanation, RoleFacts, SlotFacts, TriggerFacts, explain,
};
use updraft_planning::failed_deps::{DepsView, FailedDep, find_failed_deps};
use updraft_planning::queueing::QueueView;
use updraft_planning::run::{RunView, ViewNeeds};
use updraft_planning::run_look::LookView;
use updraft_planning::run_start::{BackfillOfRun, QueuedRun, StartView};
use updraft_store::{ActiveCount, Error, LockedRun, QueueCandidate, Reader, VersionStamp};

use crate::queue_view::{ExecutorOf, LimitsOfVersions, load_queue_view};
use crate::run_view::{ViewOf, load_view};

/// Scheduled task instances that are compared with the one in question, heaviest first. Far more
/// than have to be waited for.
const COMPETITORS_MAX: i64 = 5_000;

/// Dags with limits of single tasks that are read for the comparison; those beyond count as if they
/// had none.
const LIMITED_VERSIONS_MAX: usize = 50;

/// Settings of the schedulers, as far as they keep tasks waiting.
#[derive(Clone, Debug)]
pub struct ExplainRules {
    /// `[core] parallelism`, of each scheduler.
    pub parallelism: u32,
    /// `[core] max_task_retry_delay`.
    pub max_task_retry_delay: SignedDuration,
    /// Names by which tasks may ask for the executor.
    pub executor_names: Vec<SmolStr>,
    /// `[scheduler] scheduler_health_check_threshold`: one that is silent for so long is dead.
    pub health_check_threshold: Duration,
}

/// The task instance in question.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub locked: &'a LockedRun,
    /// The version that the run follows; see [`version_of`].
    pub dag: &'a SerializedDag,
    pub task_id: &'a TaskId,
    pub map_index: MapIndex,
}

/// The version of its Dag that a run follows: the one it is pinned to, else the newest.
///
/// # Errors
/// When the store fails.
pub async fn version_of(
    reader: &mut Reader,
    locked: &LockedRun,
) -> Result<Option<VersionStamp>, Error> {
    let run = &locked.run;
    match (run.created_dag_version_id, &run.bundle_version) {
        (Some(pinned), Some(_)) => {
            let version = reader.find_version(pinned).await?;
            Ok(version.map(|version| VersionStamp {
                id: version.id,
                dag_hash: version.dag_hash,
            }))
        }
        _ => Ok(locked.latest_version.clone()),
    }
}

/// What decides whether a run is looked at.
#[must_use]
pub fn look_view(locked: &LockedRun) -> LookView {
    LookView {
        state: locked.run.state,
        dag_is_stale: locked.is_stale,
        run_after: locked.run.run_after,
        logical_date: locked.run.logical_date,
    }
}

/// Says why a task instance is where it is.
///
/// # Errors
/// When the store fails.
pub async fn explain_task_instance(
    reader: &mut Reader,
    subject: Subject<'_>,
    rules: &ExplainRules,
    now: Timestamp,
) -> Result<Explanation, Error> {
    let row = subject.find_row(reader).await?;
    let state = row.as_ref().map(|row| row.state);
    let since = now - SignedDuration::try_from(rules.health_check_threshold).unwrap_or_default();
    let schedulers = reader.count_alive_jobs(JobType::Scheduler, since).await?;
    let last = reader.find_latest_job(JobType::Scheduler).await?;
    let active = reader.load_active_counts().await?;
    let slots = slots_of(rules, schedulers, &active);
    let mut view = ExplainView {
        task_id: subject.task_id.clone(),
        map_index: subject.map_index,
        run: subject.load_view(reader, rules).await?,
        look: look_view(subject.locked),
        dag_is_paused: subject.locked.is_paused,
        start: load_start_view(reader, subject.locked).await?,
        queue: QueueView::default(),
        is_settling: false,
        trigger: load_trigger(reader, row.as_ref()).await?,
        slots,
        scheduler: RoleFacts {
            is_alive: schedulers > 0,
            last_heartbeat: last.map(|job| job.latest_heartbeat),
        },
        row: None,
    };
    if let (Some(TaskInstanceState::Scheduled), Some(row)) = (state, &row)
        && let Some((own, is_settling)) = reader.find_queue_candidate(row.id).await?
    {
        view.is_settling = is_settling;
        view.queue = load_competition(reader, own, slots, rules).await?;
    }
    view.row = row;
    Ok(explain(&view, now))
}

/// The dependencies of a task instance that are not met, in Airflow's words. None, when the Dag no
/// longer has the task.
///
/// # Errors
/// When the store fails.
pub async fn failed_deps_of(
    reader: &mut Reader,
    subject: Subject<'_>,
    row: TaskInstance,
    rules: &ExplainRules,
    now: Timestamp,
) -> Result<Vec<FailedDep>, Error> {
    let Some(task) = subject.dag.find_task(subject.task_id.as_str()) else {
        return Ok(Vec::new());
    };
    let pool = match reader.find_pool(&row.pool).await? {
        Some(pool) => {
            let usage = reader.load_pool_usage().await?;
            let usage = usage.get(&pool.name).copied().unwrap_or_default();
            Some((pool, usage))
        }
        None => None,
    };
    let active = reader.load_active_counts().await?;
    let of_dag = || active.iter().filter(|each| each.dag_id == row.dag_id);
    // Queued ones do not count here, other than when slots are handed out.
    let of_task = || {
        of_dag()
            .filter(|each| each.task_id == row.task_id && each.state != TaskInstanceState::Queued)
    };
    let view = DepsView {
        run: subject.load_view(reader, rules).await?,
        task,
        dag_is_paused: subject.locked.is_paused,
        pool,
        running_of_dag: total(of_dag().filter(|each| each.state == TaskInstanceState::Running)),
        active_of_task: total(of_task()),
        active_of_task_in_run: total(of_task().filter(|each| each.run_id == row.run_id)),
        row,
    };
    Ok(find_failed_deps(&view, now))
}

impl<'a> Subject<'a> {
    /// The row of the task instance.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_row(&self, reader: &mut Reader) -> Result<Option<TaskInstance>, Error> {
        let run = &self.locked.run;
        reader
            .find_task_instance_of(&run.dag_id, &run.run_id, self.task_id, self.map_index)
            .await
    }

    async fn load_view(
        &self,
        reader: &mut Reader,
        rules: &ExplainRules,
    ) -> Result<RunView<'a>, Error> {
        let of = ViewOf {
            run: &self.locked.run,
            backfill_sort_ordinal: self.locked.backfill_sort_ordinal,
            max_task_retry_delay: rules.max_task_retry_delay,
        };
        load_view(reader, self.dag, &ViewNeeds::of(self.dag), &of).await
    }
}

fn slots_of(rules: &ExplainRules, schedulers: i64, active: &[ActiveCount]) -> SlotFacts {
    let schedulers = u32::try_from(schedulers.max(1)).unwrap_or(u32::MAX);
    let held = |state: TaskInstanceState| total(active.iter().filter(|each| each.state == state));
    SlotFacts {
        total: rules.parallelism.saturating_mul(schedulers),
        running: held(TaskInstanceState::Running),
        queued: held(TaskInstanceState::Queued),
    }
}

fn total<'a>(counts: impl Iterator<Item = &'a ActiveCount>) -> u32 {
    u32::try_from(counts.map(|each| each.count).sum::<i64>()).unwrap_or(u32::MAX)
}

/// The run alone, as it competes for `max_active_runs`.
async fn load_start_view(reader: &mut Reader, locked: &LockedRun) -> Result<StartView, Error> {
    let run = &locked.run;
    let backfill = match run.backfill_id {
        Some(id) => reader.find_backfill(id).await?,
        None => None,
    };
    let backfill = backfill.map(|backfill| BackfillOfRun {
        backfill_id: backfill.id,
        max_active_runs: backfill.max_active_runs,
        sort_ordinal: locked.backfill_sort_ordinal.unwrap_or_default(),
        is_paused: backfill.is_paused,
    });
    let group = backfill.map(|backfill| backfill.backfill_id);
    let running = reader.count_running_runs(&run.dag_id, group).await?;
    let dag = reader.find_dag(&run.dag_id).await?;
    Ok(StartView {
        queued: vec![QueuedRun {
            id: 0,
            dag_id: run.dag_id.clone(),
            run_after: run.run_after,
            last_scheduling_decision: None,
            dag_max_active_runs: dag.map(|dag| dag.max_active_runs),
            dag_is_paused: locked.is_paused,
            dag_is_stale: locked.is_stale,
            backfill,
        }],
        running: [(
            (run.dag_id.clone(), group),
            u32::try_from(running).unwrap_or(u32::MAX),
        )]
        .into(),
        examine_max: 1,
    })
}

/// The instance among all that compete with it for slots.
async fn load_competition(
    reader: &mut Reader,
    own: QueueCandidate,
    slots: SlotFacts,
    rules: &ExplainRules,
) -> Result<QueueView, Error> {
    let version = own.dag_version_id;
    let mut candidates = reader.load_queue_candidates(COMPETITORS_MAX).await?;
    if candidates.iter().all(|candidate| candidate.id != own.id) {
        candidates.push(own);
    }
    let limits = load_limits(reader, version, &candidates).await?;
    let taken = slots.running.saturating_add(slots.queued);
    let executor = ExecutorOf {
        names: &rules.executor_names,
        open_slots: usize::try_from(slots.total.saturating_sub(taken)).unwrap_or(usize::MAX),
    };
    load_queue_view(reader, candidates, &limits, executor).await
}

/// The limits of the tasks of `own`, and of those that compete with it.
async fn load_limits(
    reader: &mut Reader,
    own: Option<DagVersionId>,
    candidates: &[QueueCandidate],
) -> Result<LimitsOfVersions, Error> {
    let limited = candidates.iter();
    let limited = limited.filter(|candidate| candidate.has_task_concurrency_limits);
    let others: BTreeSet<_> = limited.filter_map(|it| it.dag_version_id).collect();
    let versions = own.into_iter().chain(others).take(LIMITED_VERSIONS_MAX);
    let mut limits = LimitsOfVersions::new();
    for version in versions {
        let Some(stored) = reader.find_serialized_dag(version).await? else {
            continue;
        };
        // What cannot be read has no limits; the Dag processor reports it.
        let raw = serde_json::from_str(&stored.data).unwrap_or_default();
        let Ok(dag) = SerializedDag::parse(raw) else {
            continue;
        };
        let of_tasks = dag.tasks().iter();
        let of_tasks = of_tasks.map(|task| (task.task_id.clone(), task.limits));
        limits.insert(version, of_tasks.collect());
    }
    Ok(limits)
}

async fn load_trigger(
    reader: &mut Reader,
    row: Option<&TaskInstance>,
) -> Result<Option<TriggerFacts>, Error> {
    let Some(id) = row.and_then(|row| row.trigger_id) else {
        return Ok(None);
    };
    let summary = reader.load_trigger_summaries(&[id.0]).await?.remove(&id.0);
    Ok(summary.map(|trigger| TriggerFacts {
        classpath: trigger.classpath,
        is_taken: trigger.triggerer_id.is_some(),
    }))
}
