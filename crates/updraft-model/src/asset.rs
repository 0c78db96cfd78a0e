//! Rows about assets: `asset`, `asset_event`.

use jiff::Timestamp;
use serde_json::Value;

use crate::{DagId, MapIndex, RunId, TaskId};

/// What tells one asset from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetKey {
    /// Unique among active assets.
    pub name: String,
    /// Unique among active assets.
    pub uri: String,
}

/// Something that tasks produce and Dags may be scheduled on.
#[derive(Clone, Debug, PartialEq)]
pub struct Asset {
    pub id: i64,
    pub name: String,
    pub uri: String,
    pub group: String,
    pub extra: Value,
    /// Referenced by a Dag that exists and unique by name and by uri.
    pub is_active: bool,
}

/// One update of an asset.
#[derive(Clone, Debug, PartialEq)]
pub struct AssetEvent {
    pub id: i64,
    pub asset_id: i64,
    pub name: String,
    pub uri: String,
    pub asset_extra: Value,
    pub extra: Value,
    pub source_dag_id: Option<DagId>,
    pub source_run_id: Option<RunId>,
    pub source_task_id: Option<TaskId>,
    pub source_map_index: MapIndex,
    pub source_aliases: Vec<String>,
    pub partition_key: Option<String>,
    pub timestamp: Timestamp,
}
