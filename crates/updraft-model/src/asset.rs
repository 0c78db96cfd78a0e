//! Rows about assets: `asset`, `asset_event`.

use jiff::Timestamp;
use serde_json::Value;

use crate::dag_run::DagRun;
use crate::{DagId, MapIndex, RunId, TaskId, TriggerId};

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

/// What a client is shown of an asset.
#[derive(Clone, Debug, PartialEq)]
pub struct AssetDetails {
    pub asset: Asset,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Dags that are scheduled on it, and since when.
    pub scheduled_dags: Vec<(DagId, Timestamp)>,
    pub producing_tasks: Vec<AssetTaskReference>,
    pub consuming_tasks: Vec<AssetTaskReference>,
    pub aliases: Vec<AssetAlias>,
    pub watchers: Vec<AssetWatcherReference>,
    /// Row number and time of its latest event.
    pub last_event: Option<(i64, Timestamp)>,
}

/// A task that has an asset among its inlets or outlets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetTaskReference {
    pub dag_id: DagId,
    pub task_id: TaskId,
    pub created_at: Timestamp,
}

/// A trigger whose events become events of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetWatcherReference {
    pub name: String,
    pub trigger_id: TriggerId,
    pub created_date: Timestamp,
}

/// A name that stands for assets which are known only when a task has updated them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetAlias {
    pub id: i64,
    pub name: String,
    pub group: String,
}

/// An event that waits to be consumed by a run of a Dag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedAssetEvent {
    pub dag_id: DagId,
    pub dag_display_name: Option<String>,
    pub asset_id: i64,
    pub created_at: Timestamp,
}

/// A run that consumed an event.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumingRun {
    pub event_id: i64,
    /// Whether the event was the last that the run consumed: the one that made it.
    pub is_triggering: bool,
    pub run: DagRun,
}

/// One update of an asset.
#[derive(Clone, Debug, PartialEq)]
pub struct AssetEvent {
    pub id: i64,
    pub asset_id: i64,
    pub name: String,
    pub uri: String,
    pub group: String,
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
