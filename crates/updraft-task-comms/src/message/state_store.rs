//! The state stores of tasks and of assets.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::json::JsonText;
use crate::scalar::UtcDateTime;

/// Reads a value kept for the task instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetTaskStateStore {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
    pub key: String,
}

/// Keeps a value for the task instance; the child works out when it expires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetTaskStateStore {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
    pub key: String,
    pub value: JsonText,
    /// Null means never.
    pub expires_at: Option<UtcDateTime>,
}

/// Removes a value kept for the task instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeleteTaskStateStore {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
    pub key: String,
}

/// Removes everything kept for the task instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClearTaskStateStore {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
}

/// Reads a value kept for the asset of this name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetAssetStateStoreByName {
    pub name: String,
    pub key: String,
}

/// Reads a value kept for the asset of this URI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetAssetStateStoreByUri {
    pub uri: String,
    pub key: String,
}

/// Keeps a value for the asset of this name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetAssetStateStoreByName {
    pub name: String,
    pub key: String,
    pub value: JsonText,
}

/// Keeps a value for the asset of this URI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetAssetStateStoreByUri {
    pub uri: String,
    pub key: String,
    pub value: JsonText,
}

/// Removes a value kept for the asset of this name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeleteAssetStateStoreByName {
    pub name: String,
    pub key: String,
}

/// Removes a value kept for the asset of this URI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeleteAssetStateStoreByUri {
    pub uri: String,
    pub key: String,
}

/// Removes everything kept for the asset of this name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClearAssetStateStoreByName {
    pub name: String,
}

/// Removes everything kept for the asset of this URI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClearAssetStateStoreByUri {
    pub uri: String,
}

/// Answers [`GetTaskStateStore`]. Unknown keys are refused by the child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskStateStoreResult {
    pub value: JsonText,
}

/// Answers the reading of an asset's value. Unknown keys are refused by the child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetStateStoreResult {
    pub value: JsonText,
}
