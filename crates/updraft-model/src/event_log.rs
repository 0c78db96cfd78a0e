//! A row of `log`: who did what, for the audit log.

use jiff::Timestamp;

use crate::{DagId, RunId, TaskId};

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLog {
    pub id: i64,
    pub dttm: Timestamp,
    /// The operation, such as `trigger_dag_run`.
    pub event: String,
    /// Name of the user.
    pub owner: Option<String>,
    pub dag_id: Option<DagId>,
    pub run_id: Option<RunId>,
    pub task_id: Option<TaskId>,
    pub map_index: Option<i32>,
    pub try_number: Option<i32>,
    pub logical_date: Option<Timestamp>,
    /// JSON text of the request, secrets masked.
    pub extra: Option<String>,
}
