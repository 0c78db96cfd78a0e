//! What the scheduler hands to an executor: one task instance to run.
//!
//! Source: fact sheet "runtime protocols" §6.

use crate::{BundleName, DagId, DagVersionId, MapIndex, RunId, TaskId, TaskInstanceId};

/// Everything a worker must know before it asks the store: which try of which task, and where its
/// code and its log are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The try this workload stands for; the fence against late starts.
    pub ti_id: TaskInstanceId,
    pub dag_id: DagId,
    pub run_id: RunId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub try_number: i32,
    pub dag_version_id: Option<DagVersionId>,
    pub queue: String,
    pub pool_slots: i32,
    pub priority_weight: i64,
    pub bundle_name: BundleName,
    /// `None`: run the bundle's present content.
    pub bundle_version: Option<String>,
    /// The Dag file, relative to the bundle's root.
    pub dag_rel_path: String,
    /// The log file, relative to `[logging] base_log_folder`.
    pub log_path: String,
}
