//! A row of `dag_run`.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    BundleName, DagId, DagRunState, DagRunTriggeredBy, DagRunType, DagVersionId, JobId, RunId,
};

/// One run of a Dag.
#[derive(Clone, Debug, PartialEq)]
pub struct DagRun {
    /// Row number; also the total order of creation.
    pub id: i64,
    pub dag_id: DagId,
    pub run_id: RunId,
    pub state: DagRunState,
    pub run_type: DagRunType,
    pub triggered_by: Option<DagRunTriggeredBy>,
    pub triggering_user_name: Option<String>,
    pub logical_date: Option<Timestamp>,
    pub data_interval_start: Option<Timestamp>,
    pub data_interval_end: Option<Timestamp>,
    pub run_after: Timestamp,
    pub queued_at: Option<Timestamp>,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub last_scheduling_decision: Option<Timestamp>,
    pub conf: Value,
    /// Grows with each clear that touches the run.
    pub clear_number: i64,
    pub note: Option<String>,
    pub note_user: Option<String>,
    pub partition_key: Option<String>,
    pub partition_date: Option<Timestamp>,
    pub backfill_id: Option<i64>,
    pub creating_job_id: Option<JobId>,
    pub scheduled_by_job_id: Option<JobId>,
    pub created_dag_version_id: Option<DagVersionId>,
    pub bundle_name: Option<BundleName>,
    /// `None`: the run is not pinned and follows the newest version of its Dag.
    pub bundle_version: Option<String>,
    pub updated_at: Timestamp,
}

/// What it takes to create a run; the store fills in the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDagRun {
    pub dag_id: DagId,
    pub run_id: RunId,
    pub run_type: DagRunType,
    pub triggered_by: DagRunTriggeredBy,
    pub triggering_user_name: Option<String>,
    pub logical_date: Option<Timestamp>,
    pub data_interval: Option<(Timestamp, Timestamp)>,
    pub run_after: Timestamp,
    pub conf: Value,
    pub note: Option<String>,
    pub partition_key: Option<String>,
    pub partition_date: Option<Timestamp>,
    pub backfill_id: Option<i64>,
    pub creating_job_id: Option<JobId>,
    pub created_dag_version_id: DagVersionId,
    pub bundle_name: Option<BundleName>,
    pub bundle_version: Option<String>,
}
