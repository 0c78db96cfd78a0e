//! Rows of `task_state_store` and `asset_state_store`: small values that outlive a try.

use jiff::Timestamp;

use crate::str_enum::str_enum;
use crate::task_instance::TaskInstance;
use crate::{DagId, MapIndex, RunId, TaskId};

/// Whose values: those of a task instance, whatever the try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskScope {
    pub dag_id: DagId,
    pub run_id: RunId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
}

impl From<&TaskInstance> for TaskScope {
    fn from(ti: &TaskInstance) -> Self {
        Self {
            dag_id: ti.dag_id.clone(),
            run_id: ti.run_id.clone(),
            task_id: ti.task_id.clone(),
            map_index: ti.map_index,
        }
    }
}

/// A value of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskState {
    pub key: String,
    /// JSON text.
    pub value: String,
    pub updated_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

/// A value of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetState {
    pub key: String,
    /// JSON text.
    pub value: String,
    pub updated_at: Timestamp,
    pub writer: StateWriter,
}

/// Who wrote a value of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWriter {
    pub kind: StateWriterKind,
    pub dag_id: Option<DagId>,
    pub run_id: Option<RunId>,
    pub task_id: Option<TaskId>,
    pub map_index: Option<MapIndex>,
}

str_enum! {
    /// What wrote a value of an asset.
    pub enum StateWriterKind("state writer") {
        Task = "task",
        /// A trigger that watches the asset.
        Watcher = "watcher",
        Api = "api",
    }
}

impl StateWriter {
    /// A writer that is no task.
    #[must_use]
    pub const fn outside(kind: StateWriterKind) -> Self {
        Self {
            kind,
            dag_id: None,
            run_id: None,
            task_id: None,
            map_index: None,
        }
    }
}

impl From<&TaskInstance> for StateWriter {
    fn from(ti: &TaskInstance) -> Self {
        Self {
            kind: StateWriterKind::Task,
            dag_id: Some(ti.dag_id.clone()),
            run_id: Some(ti.run_id.clone()),
            task_id: Some(ti.task_id.clone()),
            map_index: Some(ti.map_index),
        }
    }
}
