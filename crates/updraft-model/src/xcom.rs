//! A row of `xcom`.

use jiff::Timestamp;

use crate::{DagId, MapIndex, RunId, TaskId};

/// The key under which a task's return value is stored.
pub const XCOM_RETURN_KEY: &str = "return_value";

/// A value one task left for others.
#[derive(Clone, Debug, PartialEq)]
pub struct XCom {
    pub dag_id: DagId,
    pub run_id: RunId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub key: String,
    /// JSON text exactly as the child sent it; may contain Python's `NaN` and `Infinity`.
    pub value: String,
    /// Whether this is the return value of the Dag.
    pub dag_result: bool,
    pub timestamp: Timestamp,
}
