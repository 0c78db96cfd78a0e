//! Which runs a backfill makes, and of which existing runs it makes new ones.
//!
//! A backfill is planned in two steps. [`plan_backfill`] says, once, whether there may be one and
//! for which dates; [`plan_entry`] says for each date, when its turn comes, what happens to the run
//! that may be there by then.
//!
//! Source: §2.8.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::tz::Offset;
use updraft_model::backfill::{BackfillEntry, BackfillTick, ReprocessBehavior};
use updraft_model::serialized::SerializedDag;
use updraft_model::{DagRunState, DagRunType};
use updraft_timetable::isoformat_at;

/// What a user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillRequest {
    pub from_date: WrittenDate,
    pub to_date: WrittenDate,
    pub order: BackfillOrder,
    pub reprocess: ReprocessBehavior,
}

/// An instant, and the offset it was written with, which shows in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenDate {
    pub at: Timestamp,
    pub offset: Offset,
}

impl WrittenDate {
    fn isoformat(self) -> String {
        isoformat_at(self.at, self.offset)
    }

    /// What Python makes of it in a sentence.
    fn in_words(self) -> String {
        self.isoformat().replacen('T', " ", 1)
    }
}

/// Which run is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillOrder {
    OldestFirst,
    NewestFirst,
}

/// What the request meets.
#[derive(Clone, Copy, Debug)]
pub struct BackfillView<'a> {
    pub dag: &'a SerializedDag,
    /// Whether the timetable has intervals at all.
    pub timetable_is_periodic: bool,
    /// Another backfill of the Dag is not completed; a paused one counts. Without meaning to
    /// somebody who only wants to know what would happen.
    pub has_active_backfill: bool,
}

/// A run that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExistingRun {
    /// `dag_run.id`.
    pub id: i64,
    pub state: DagRunState,
}

/// What happens at one date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillAction {
    /// Make a queued run of type backfill.
    Create,
    /// Clear the whole run, and make it one of the backfill.
    Reprocess { run_id: i64 },
    /// Leave the run alone and say why.
    Skip(SkipReason),
}

/// Why a backfill makes no run for a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    InFlight,
    AlreadyExists,
    /// The run could not be made, or the backfill was cancelled before its turn came.
    Unknown,
}

impl SkipReason {
    /// The text in `backfill_dag_run.exception_reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InFlight => "in flight",
            Self::AlreadyExists => "already exists",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a backfill is refused, in Airflow's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("Dag with dag_id: '{dag_id}' does not allow backfill runs")]
    RunTypeNotAllowed { dag_id: String },
    #[error("{dag_id} has a non-periodic schedule that does not support backfills")]
    NotPeriodic { dag_id: String },
    #[error(
        "Another backfill is running for Dag {dag_id}. There can be only one running backfill per \
         Dag."
    )]
    AlreadyRunning { dag_id: String },
    #[error("from_date ({from_date}) must not be after to_date ({to_date}).")]
    DateRange { from_date: String, to_date: String },
    #[error("Backfill cannot be executed for future dates.")]
    FutureDates,
    #[error("Backfill cannot be run in reverse when the Dag has tasks where depends_on_past=True.")]
    Direction,
    #[error(
        "Dag has tasks for which depends_on_past=True. You must set reprocess behavior to reprocess \
         completed or reprocess failed."
    )]
    ReprocessNeeded,
    #[error("No runs to create for Dag {dag_id} in the range [{from_date}, {to_date}]")]
    NoRuns {
        dag_id: String,
        from_date: String,
        to_date: String,
    },
}

/// Refuses a backfill that makes no sense, whatever the timetable says.
///
/// # Errors
/// The first reason, in Airflow's order of checks, for which it is refused.
pub fn check_backfill(
    request: &BackfillRequest,
    view: &BackfillView<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    require_run_type(view)?;
    require_periodic(view)?;
    if view.has_active_backfill {
        return Err(Error::AlreadyRunning {
            dag_id: view.dag.dag_id().to_string(),
        });
    }
    check_dates_and_tasks(request, view, now)
}

/// As [`check_backfill`], for somebody who only wants to know what would happen.
///
/// # Errors
/// The first reason, in the order that Airflow has here.
// Quirk: the first two checks stand the other way round, and another backfill does not matter.
pub fn check_dry_run(
    request: &BackfillRequest,
    view: &BackfillView<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    require_periodic(view)?;
    require_run_type(view)?;
    check_dates_and_tasks(request, view, now)
}

fn require_run_type(view: &BackfillView<'_>) -> Result<(), Error> {
    let allowed = view.dag.attributes().allowed_run_types.as_ref();
    if allowed.is_some_and(|types| !types.contains(&DagRunType::Backfill)) {
        return Err(Error::RunTypeNotAllowed {
            dag_id: view.dag.dag_id().to_string(),
        });
    }
    Ok(())
}

fn require_periodic(view: &BackfillView<'_>) -> Result<(), Error> {
    if view.timetable_is_periodic {
        return Ok(());
    }
    Err(Error::NotPeriodic {
        dag_id: view.dag.dag_id().to_string(),
    })
}

fn check_dates_and_tasks(
    request: &BackfillRequest,
    view: &BackfillView<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    let (from_date, to_date) = (request.from_date, request.to_date);
    if from_date.at > to_date.at {
        return Err(Error::DateRange {
            from_date: from_date.isoformat(),
            to_date: to_date.isoformat(),
        });
    }
    if from_date.at >= now && to_date.at >= now {
        return Err(Error::FutureDates);
    }
    if view.dag.tasks().iter().any(|task| task.depends_on_past) {
        if request.order == BackfillOrder::NewestFirst {
            return Err(Error::Direction);
        }
        if request.reprocess == ReprocessBehavior::None {
            return Err(Error::ReprocessNeeded);
        }
    }
    Ok(())
}

/// The entries of a backfill, in the order in which they come up.
///
/// `ticks` are the runs of the timetable between both dates, which are included, oldest first.
/// Whose data interval has not ended is left out; a partition has none and stays.
#[must_use]
pub fn plan_backfill(
    order: BackfillOrder,
    ticks: Vec<BackfillTick>,
    now: Timestamp,
) -> Vec<BackfillEntry> {
    let has_ended = |tick: &BackfillTick| match tick.data_interval {
        Some((_, end)) => end < now,
        None => tick.partition_key.is_some(),
    };
    let mut ticks: Vec<BackfillTick> = ticks.into_iter().filter(has_ended).collect();
    if order == BackfillOrder::NewestFirst {
        ticks.reverse();
    }
    let entry = |(tick, sort_ordinal)| BackfillEntry { sort_ordinal, tick };
    ticks.into_iter().zip(1..).map(entry).collect()
}

/// The refusal of a backfill without entries.
#[must_use]
pub fn nothing_to_do(request: &BackfillRequest, dag: &SerializedDag) -> Error {
    Error::NoRuns {
        dag_id: dag.dag_id().to_string(),
        from_date: request.from_date.in_words(),
        to_date: request.to_date.in_words(),
    }
}

/// What happens at one date, given the latest run that it has.
#[must_use]
pub fn plan_entry(
    tick: &BackfillTick,
    existing: Option<&ExistingRun>,
    reprocess: ReprocessBehavior,
) -> BackfillAction {
    let Some(run) = existing else {
        return BackfillAction::Create;
    };
    let again = match run.state {
        DagRunState::Queued | DagRunState::Running => {
            return BackfillAction::Skip(SkipReason::InFlight);
        }
        DagRunState::Success => reprocess == ReprocessBehavior::Completed,
        DagRunState::Failed => reprocess != ReprocessBehavior::None,
    };
    match (again, tick.partition_key.is_some()) {
        (false, _) => BackfillAction::Skip(SkipReason::AlreadyExists),
        (true, false) => BackfillAction::Reprocess { run_id: run.id },
        // A partition gets another run beside the old one, which stays as it was.
        (true, true) => BackfillAction::Create,
    }
}
