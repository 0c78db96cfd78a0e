//! Rows of `backfill` and `backfill_dag_run`.

use jiff::Timestamp;
use serde_json::Value;

use crate::DagId;
use crate::str_enum::str_enum;

str_enum! {
    /// Which existing runs a backfill does again.
    pub enum ReprocessBehavior("reprocess behavior") {
        /// Those that failed.
        Failed = "failed",
        /// Those that ended, however they did.
        Completed = "completed",
        None = "none",
    }
}

/// A request to run a Dag for every date of its schedule between two dates.
#[derive(Clone, Debug, PartialEq)]
pub struct Backfill {
    pub id: i64,
    pub dag_id: DagId,
    pub from_date: Timestamp,
    pub to_date: Timestamp,
    /// `None`: existing runs keep their conf, new ones have an empty one.
    pub dag_run_conf: Option<Value>,
    /// Its queued runs do not start; those that run go on.
    pub is_paused: bool,
    pub reprocess_behavior: ReprocessBehavior,
    /// Runs of this backfill that may run at once; the Dag's own limit does not count them.
    pub max_active_runs: i32,
    /// Whether existing runs that are done again move to the newest version of the Dag.
    pub run_on_latest_version: bool,
    pub triggering_user_name: Option<String>,
    pub created_at: Timestamp,
    /// All its runs have ended, or it was cancelled.
    pub completed_at: Option<Timestamp>,
    pub updated_at: Timestamp,
}

/// What it takes to create a backfill; the store fills in the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct NewBackfill {
    pub dag_id: DagId,
    pub from_date: Timestamp,
    pub to_date: Timestamp,
    pub dag_run_conf: Option<Value>,
    pub reprocess_behavior: ReprocessBehavior,
    pub max_active_runs: i32,
    pub run_on_latest_version: bool,
    pub triggering_user_name: Option<String>,
}

/// A run that the timetable gives, in the place where its backfill has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillEntry {
    /// Counts from 1 in the order of processing.
    pub sort_ordinal: i32,
    pub tick: BackfillTick,
}

/// A run that the timetable gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillTick {
    pub run_after: Timestamp,
    /// `None` for a partition. Its start is the logical date.
    pub data_interval: Option<(Timestamp, Timestamp)>,
    pub partition_key: Option<String>,
    pub partition_date: Option<Timestamp>,
}

impl BackfillTick {
    /// Start of the data interval; a partition has none.
    #[must_use]
    pub fn logical_date(&self) -> Option<Timestamp> {
        self.data_interval.map(|(start, _)| start)
    }
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackfillOutcome {
    /// Nobody has looked at it yet.
    Pending,
    /// A run was made or cleared for it; `None` when that run was deleted since.
    Run(Option<i64>),
    /// No run was made, for this reason.
    Skipped(String),
}
