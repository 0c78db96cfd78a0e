//! Assets and asset events.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::json::JsonText;
use crate::scalar::UtcDateTime;

/// An inlet or outlet: `type` is `Asset`, `AssetNameRef`, `AssetUriRef` or `AssetAlias`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetProfile {
    pub name: Option<String>,
    pub uri: Option<String>,
    pub r#type: String,
}

/// Asks which inlets and outlets of the task instance are inactive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidateInletsAndOutlets {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
}

/// Answers [`ValidateInletsAndOutlets`]; a non-empty list fails the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InactiveAssetsResult {
    pub inactive_assets: Option<Vec<AssetProfile>>,
}

/// Reads an asset by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetAssetByName {
    pub name: String,
}

/// Reads an asset by its URI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetAssetByUri {
    pub uri: String,
}

/// Reads the assets behind an alias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetAssetsByAlias {
    pub alias_name: String,
}

/// Reads the events of an asset, oldest first unless `ascending` is false.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetAssetEventByAsset {
    pub name: Option<String>,
    pub uri: Option<String>,
    pub after: Option<UtcDateTime>,
    pub before: Option<UtcDateTime>,
    pub limit: Option<i64>,
    #[serde(default = "ascending")]
    pub ascending: bool,
}

/// Reads the events of all assets behind an alias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetAssetEventByAssetAlias {
    pub alias_name: String,
    pub after: Option<UtcDateTime>,
    pub before: Option<UtcDateTime>,
    pub limit: Option<i64>,
    #[serde(default = "ascending")]
    pub ascending: bool,
}

fn ascending() -> bool {
    true
}

/// Answers [`GetAssetByName`] and [`GetAssetByUri`], and is part of other answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetResponse {
    pub name: String,
    pub uri: String,
    pub group: String,
    /// A JSON object.
    pub extra: Option<JsonText>,
}

/// Answers [`GetAssetsByAlias`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetsByAliasResult {
    pub assets: Vec<AssetResult>,
}

/// One of the [`AssetsByAliasResult`]: an asset that says its type once more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "AssetResult")]
pub struct AssetResult {
    pub name: String,
    pub uri: String,
    pub group: String,
    /// A JSON object.
    pub extra: Option<JsonText>,
}

/// Answers [`GetAssetEventByAsset`] and [`GetAssetEventByAssetAlias`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetEventsResult {
    pub asset_events: Vec<AssetEventResponse>,
}

/// One asset event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetEventResponse {
    pub id: i64,
    pub timestamp: UtcDateTime,
    /// A JSON object.
    pub extra: Option<JsonText>,
    pub asset: AssetResponse,
    pub created_dagruns: Vec<DagRunAssetReference>,
    pub source_task_id: Option<String>,
    pub source_dag_id: Option<String>,
    pub source_run_id: Option<String>,
    pub source_map_index: Option<i64>,
    pub partition_key: Option<String>,
}

/// A Dag run that an asset event started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DagRunAssetReference {
    pub run_id: String,
    pub dag_id: String,
    pub logical_date: Option<UtcDateTime>,
    pub start_date: UtcDateTime,
    pub end_date: Option<UtcDateTime>,
    pub state: String,
    pub data_interval_start: Option<UtcDateTime>,
    pub data_interval_end: Option<UtcDateTime>,
    pub partition_key: Option<String>,
}
