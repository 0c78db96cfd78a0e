//! Which runs a backfill makes, and of which existing runs it makes new ones.
//!
//! Source: §2.8.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use updraft_model::serialized::SerializedDag;
use updraft_model::{DagRunState, DagRunType};

/// What a user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillRequest {
    pub from_date: Timestamp,
    pub to_date: Timestamp,
    pub order: BackfillOrder,
    pub reprocess: Reprocess,
}

/// Which run is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillOrder {
    OldestFirst,
    NewestFirst,
}

/// Which existing runs are done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reprocess {
    None,
    Failed,
    Completed,
}

/// What the request meets.
#[derive(Clone, Copy, Debug)]
pub struct BackfillView<'a> {
    pub dag: &'a SerializedDag,
    /// Whether the timetable has intervals at all.
    pub timetable_is_periodic: bool,
    /// Another backfill of the Dag is not completed; a paused one counts.
    pub has_active_backfill: bool,
    /// The runs of the timetable between both dates, which are included, oldest first.
    pub ticks: &'a [BackfillTick],
    /// The latest run of each logical date that has one.
    pub existing: &'a BTreeMap<Timestamp, ExistingRun>,
}

/// A run that the timetable gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillTick {
    pub logical_date: Timestamp,
    pub data_interval: (Timestamp, Timestamp),
    pub run_after: Timestamp,
}

/// A run that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExistingRun {
    /// `dag_run.id`.
    pub id: i64,
    pub state: DagRunState,
}

/// A row of `backfill_dag_run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillEntry {
    /// Counts from 1 in the order of processing.
    pub sort_ordinal: i32,
    pub tick: BackfillTick,
    pub action: BackfillAction,
}

/// What happens at one logical date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillAction {
    /// Make a queued run of type backfill.
    Create,
    /// Clear the whole run, and make it one of the backfill.
    Reprocess { run_id: i64 },
    /// Leave the run alone and say why.
    Skip(SkipReason),
}

/// Why a backfill leaves a run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    InFlight,
    AlreadyExists,
}

impl SkipReason {
    /// The text in `backfill_dag_run.exception_reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InFlight => "in flight",
            Self::AlreadyExists => "already exists",
        }
    }
}

/// Why a backfill is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("Dag `{dag_id}` does not allow runs of type backfill")]
    RunTypeNotAllowed { dag_id: String },
    #[error("Dag `{dag_id}` has no periodic schedule, so there is nothing to fill")]
    NotPeriodic { dag_id: String },
    #[error("another backfill of Dag `{dag_id}` is not completed")]
    AlreadyRunning { dag_id: String },
    #[error("from date `{from_date}` lies after to date `{to_date}`")]
    DateRange {
        from_date: Timestamp,
        to_date: Timestamp,
    },
    #[error("both dates lie in the future")]
    FutureDates,
    #[error("a task depends on past, so the newest run cannot be first")]
    Direction,
    #[error("a task depends on past, so existing runs must be reprocessed: failed or completed")]
    ReprocessNeeded,
    #[error("the timetable has no run between `{from_date}` and `{to_date}`")]
    NoRuns {
        from_date: Timestamp,
        to_date: Timestamp,
    },
}

/// Plans a backfill.
///
/// # Errors
/// The first reason, in Airflow's order of checks, for which it is refused.
pub fn plan_backfill(
    request: &BackfillRequest,
    view: &BackfillView<'_>,
    now: Timestamp,
) -> Result<Vec<BackfillEntry>, Error> {
    check(request, view, now)?;
    let mut ticks: Vec<BackfillTick> = view
        .ticks
        .iter()
        .copied()
        .filter(|tick| tick.data_interval.1 < now)
        .collect();
    if ticks.is_empty() {
        return Err(Error::NoRuns {
            from_date: request.from_date,
            to_date: request.to_date,
        });
    }
    if request.order == BackfillOrder::NewestFirst {
        ticks.reverse();
    }
    let entry = |(tick, sort_ordinal): (BackfillTick, i32)| BackfillEntry {
        sort_ordinal,
        tick,
        action: action(view.existing.get(&tick.logical_date), request.reprocess),
    };
    Ok(ticks.into_iter().zip(1..).map(entry).collect())
}

fn check(request: &BackfillRequest, view: &BackfillView<'_>, now: Timestamp) -> Result<(), Error> {
    let dag_id = || view.dag.dag_id().to_string();
    let allowed = view.dag.attributes().allowed_run_types.as_ref();
    if allowed.is_some_and(|types| !types.contains(&DagRunType::Backfill)) {
        return Err(Error::RunTypeNotAllowed { dag_id: dag_id() });
    }
    if !view.timetable_is_periodic {
        return Err(Error::NotPeriodic { dag_id: dag_id() });
    }
    if view.has_active_backfill {
        return Err(Error::AlreadyRunning { dag_id: dag_id() });
    }
    let (from_date, to_date) = (request.from_date, request.to_date);
    if from_date > to_date {
        return Err(Error::DateRange { from_date, to_date });
    }
    if from_date >= now && to_date >= now {
        return Err(Error::FutureDates);
    }
    if view.dag.tasks().iter().any(|task| task.depends_on_past) {
        if request.order == BackfillOrder::NewestFirst {
            return Err(Error::Direction);
        }
        if request.reprocess == Reprocess::None {
            return Err(Error::ReprocessNeeded);
        }
    }
    Ok(())
}

fn action(existing: Option<&ExistingRun>, reprocess: Reprocess) -> BackfillAction {
    let Some(run) = existing else {
        return BackfillAction::Create;
    };
    let again = match run.state {
        DagRunState::Queued | DagRunState::Running => {
            return BackfillAction::Skip(SkipReason::InFlight);
        }
        DagRunState::Success => reprocess == Reprocess::Completed,
        DagRunState::Failed => reprocess != Reprocess::None,
    };
    if again {
        BackfillAction::Reprocess { run_id: run.id }
    } else {
        BackfillAction::Skip(SkipReason::AlreadyExists)
    }
}
