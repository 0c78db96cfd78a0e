//! What the scheduler hands to an executor.
//!
//! Source: fact sheet "runtime protocols" §6.

use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

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

/// A callback to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackWorkload {
    pub callback_id: Uuid,
    pub dag_id: DagId,
    pub run_id: RunId,
    /// Module and name of the function or class.
    pub path: String,
    /// In Airflow's serde form; `context` among them.
    pub kwargs: Map<String, Value>,
    pub bundle_name: BundleName,
    /// `None`: run the bundle's present content.
    pub bundle_version: Option<String>,
    /// The Dag file, relative to the bundle's root: the callback may be defined in it.
    pub dag_rel_path: String,
    /// The log file, relative to `[logging] base_log_folder`.
    pub log_path: String,
}

/// A connection to test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionTestWorkload {
    pub id: Uuid,
    pub connection_id: String,
    /// The time it may take.
    pub timeout: Duration,
}

/// Whatever an executor runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutorWorkload {
    ExecuteTask(Box<Workload>),
    ExecuteCallback(Box<CallbackWorkload>),
    TestConnection(ConnectionTestWorkload),
}

impl ExecutorWorkload {
    /// The id of the row that it is about.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        match self {
            Self::ExecuteTask(task) => task.ti_id.0,
            Self::ExecuteCallback(callback) => callback.callback_id,
            Self::TestConnection(test) => test.id,
        }
    }
}

impl From<Workload> for ExecutorWorkload {
    fn from(workload: Workload) -> Self {
        Self::ExecuteTask(Box::new(workload))
    }
}

impl From<CallbackWorkload> for ExecutorWorkload {
    fn from(workload: CallbackWorkload) -> Self {
        Self::ExecuteCallback(Box::new(workload))
    }
}

impl From<ConnectionTestWorkload> for ExecutorWorkload {
    fn from(workload: ConnectionTestWorkload) -> Self {
        Self::TestConnection(workload)
    }
}
