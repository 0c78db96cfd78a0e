//! Which queued runs start, and whether a Dag may have more of them.
//!
//! Source: §2.2 (`max_active_runs`), §2.9.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use updraft_model::DagId;

/// Queued runs and how many of their kind already run.
#[derive(Clone, Debug, Default)]
pub struct StartView {
    /// Runs in `queued`, in any order.
    pub queued: Vec<QueuedRun>,
    /// Running runs of each group that has queued ones.
    pub running: BTreeMap<RunGroup, u32>,
    /// `[scheduler] max_dagruns_per_loop_to_schedule`.
    pub examine_max: usize,
}

/// Runs that share a limit: those of one backfill, or the others of one Dag.
pub type RunGroup = (DagId, Option<i64>);

/// A run that could start.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuedRun {
    /// `dag_run.id`.
    pub id: i64,
    pub dag_id: DagId,
    pub run_after: Timestamp,
    pub last_scheduling_decision: Option<Timestamp>,
    /// `dag.max_active_runs`; none or 0 for no limit.
    pub dag_max_active_runs: Option<i32>,
    pub dag_is_paused: bool,
    pub dag_is_stale: bool,
    pub backfill: Option<BackfillOfRun>,
}

/// The backfill a run belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillOfRun {
    pub backfill_id: i64,
    pub max_active_runs: i32,
    pub sort_ordinal: i32,
    pub is_paused: bool,
}

/// What happens to a queued run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartPlan {
    /// Runs to start, in order: state `running`, and `start_date` now in any case.
    pub start: Vec<i64>,
    /// Every other queued run.
    pub waiting: Vec<(i64, RunWaits)>,
}

/// Why a queued run does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunWaits {
    DagPaused,
    DagStale,
    BackfillPaused,
    /// Until `run_after`.
    NotDue(Timestamp),
    /// As many runs of the Dag, or of the backfill, are running as may.
    MaxActiveRuns(i32),
    /// Other runs are examined first; another look soon.
    NextLoop,
}

impl RunWaits {
    /// The first moment at which the reason has gone away by itself.
    #[must_use]
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Self::NotDue(at) => Some(at),
            _ => None,
        }
    }
}

impl fmt::Display for RunWaits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DagPaused => f.write_str("the Dag is paused"),
            Self::DagStale => f.write_str("the Dag is stale: its file no longer has it"),
            Self::BackfillPaused => f.write_str("its backfill is paused"),
            Self::NotDue(at) => write!(f, "it is due at {at}"),
            Self::MaxActiveRuns(limit) => {
                write!(f, "{limit} runs are running, the limit `max_active_runs`")
            }
            Self::NextLoop => f.write_str("other runs come first"),
        }
    }
}

/// Picks the runs to start.
#[must_use]
pub fn plan_start(view: &StartView, now: Timestamp) -> StartPlan {
    let mut plan = StartPlan::default();
    let mut candidates = Vec::new();
    for run in &view.queued {
        match why_not(view, run, now) {
            Some(waits) => plan.waiting.push((run.id, waits)),
            None => candidates.push(run),
        }
    }
    candidates.sort_by_key(|run| {
        (
            run.backfill.map(|backfill| backfill.sort_ordinal),
            run.last_scheduling_decision,
            view.running.get(&run.group()),
            run.run_after,
            run.id,
        )
    });
    let mut running = view.running.clone();
    for (examined, run) in candidates.into_iter().enumerate() {
        let active = running.entry(run.group()).or_default();
        // Quirk §2.9: the page counts runs that turn out to have no room, too.
        if examined >= view.examine_max {
            plan.waiting.push((run.id, RunWaits::NextLoop));
        } else if let Some(limit) = run.limit().filter(|limit| is_reached(*active, *limit)) {
            plan.waiting.push((run.id, RunWaits::MaxActiveRuns(limit)));
        } else {
            *active += 1;
            plan.start.push(run.id);
        }
    }
    plan
}

/// Whether no further scheduled or asset-triggered run may be created: the value of
/// `dag.exceeds_max_non_backfill`. `active` counts queued and running runs outside backfills.
#[must_use]
pub fn exceeds_max_non_backfill(active: u32, max_active_runs: i32) -> bool {
    is_reached(active, max_active_runs)
}

fn why_not(view: &StartView, run: &QueuedRun, now: Timestamp) -> Option<RunWaits> {
    let active = view.running.get(&run.group()).copied().unwrap_or(0);
    if run.dag_is_paused {
        Some(RunWaits::DagPaused)
    } else if run.dag_is_stale {
        Some(RunWaits::DagStale)
    } else if run.backfill.is_some_and(|backfill| backfill.is_paused) {
        Some(RunWaits::BackfillPaused)
    } else if run.run_after > now {
        Some(RunWaits::NotDue(run.run_after))
    } else {
        let limit = run.limit().filter(|limit| is_reached(active, *limit))?;
        Some(RunWaits::MaxActiveRuns(limit))
    }
}

fn is_reached(active: u32, limit: i32) -> bool {
    i64::from(active) >= i64::from(limit)
}

impl QueuedRun {
    fn group(&self) -> RunGroup {
        let backfill_id = self.backfill.map(|backfill| backfill.backfill_id);
        (self.dag_id.clone(), backfill_id)
    }

    /// `None`: no limit.
    fn limit(&self) -> Option<i32> {
        match self.backfill {
            Some(backfill) => Some(backfill.max_active_runs),
            None => self.dag_max_active_runs.filter(|limit| *limit != 0),
        }
    }
}
