//! Who asks for which run, and why the answer may be no.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Map, Value};
use updraft_model::dag::{Dag, DagVersion};
use updraft_model::serialized::SerializedDag;
use updraft_model::{DagId, DagRunTriggeredBy, DagRunType, JobId};

/// From which date the data interval follows when none is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InferFrom {
    /// The API and the user interface.
    LogicalDate,
    /// The command line and the `TriggerDagRun` operator.
    // Quirk: only these two; see semantics §2.6.
    RunAfter,
}

/// A run that somebody wants.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRequest {
    pub run_type: DagRunType,
    pub triggered_by: DagRunTriggeredBy,
    pub triggering_user_name: Option<String>,
    /// `None`: the timetable makes one up.
    pub run_id: Option<String>,
    /// `None`: the run stands for no date, and has no data interval.
    pub logical_date: Option<Timestamp>,
    /// `None`: inferred, as `infer_from` says.
    pub data_interval: Option<(Timestamp, Timestamp)>,
    pub infer_from: InferFrom,
    /// `None`: at once.
    pub run_after: Option<Timestamp>,
    /// The offset that `run_after` was written with; it shows in a run id that is made up.
    pub run_after_offset: Offset,
    /// `None` is the same as empty.
    pub conf: Option<Map<String, Value>>,
    pub note: Option<String>,
    pub partition_key: Option<String>,
    pub partition_date: Option<Timestamp>,
    pub backfill_id: Option<i64>,
    pub creating_job_id: Option<JobId>,
}

impl RunRequest {
    /// A run that is to start at once and stands for no date.
    #[must_use]
    pub fn new(run_type: DagRunType, triggered_by: DagRunTriggeredBy) -> Self {
        Self {
            run_type,
            triggered_by,
            triggering_user_name: None,
            run_id: None,
            logical_date: None,
            data_interval: None,
            infer_from: InferFrom::LogicalDate,
            run_after: None,
            run_after_offset: Offset::UTC,
            conf: None,
            note: None,
            partition_key: None,
            partition_date: None,
            backfill_id: None,
            creating_job_id: None,
        }
    }
}

/// The Dag of the run.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub dag: &'a Dag,
    /// The newest version, which the run is created with.
    pub version: &'a DagVersion,
    /// Its structure.
    pub serialized: &'a SerializedDag,
    pub rules: &'a RunRules,
}

/// Settings that decide what a run may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRules {
    /// `[scheduler] allowed_run_id_pattern`.
    pub allowed_run_id_pattern: String,
    /// `[core] allow_double_dot_in_ids`.
    pub allow_double_dot_in_ids: bool,
    /// `[dag_processor] disable_bundle_versioning`.
    pub disable_bundle_versioning: bool,
}

/// Why a run is not created. The texts are those of Airflow, whose clients show them.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("Dag with dag_id: '{0}' not found")]
    Stale(DagId),
    #[error("Dag with dag_id: '{0}' has import errors and cannot be triggered")]
    ImportErrors(DagId),
    #[error("Dag with dag_id: '{dag_id}' does not allow {run_type} runs")]
    RunType { dag_id: DagId, run_type: DagRunType },
    #[error("{0}")]
    RunId(String),
    #[error("{0}")]
    Params(String),
    #[error("{0}")]
    PartitionKey(String),
    #[error("data interval of a run without a logical date")]
    IntervalWithoutDate,
    #[error(transparent)]
    Timetable(#[from] updraft_timetable::Error),
}
