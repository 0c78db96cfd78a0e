//! Dags and Dag runs.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::json::JsonText;
use crate::scalar::UtcDateTime;

/// A Dag run as a child sees it.
///
/// The child refuses unknown keys here: one more and it exits at start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DagRun {
    pub dag_id: String,
    pub run_id: String,
    pub logical_date: Option<UtcDateTime>,
    pub data_interval_start: Option<UtcDateTime>,
    pub data_interval_end: Option<UtcDateTime>,
    pub run_after: UtcDateTime,
    pub start_date: Option<UtcDateTime>,
    pub end_date: Option<UtcDateTime>,
    #[serde(default)]
    pub clear_number: i64,
    pub run_type: String,
    pub state: String,
    /// A JSON object.
    pub conf: Option<JsonText>,
    pub triggering_user_name: Option<String>,
    pub consumed_asset_events: Vec<AssetEventDagRunReference>,
    pub partition_key: Option<String>,
    pub partition_date: Option<UtcDateTime>,
    pub note: Option<String>,
    pub team_name: Option<String>,
}

/// An asset event that a Dag run consumed. Unknown keys are refused by the child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetEventDagRunReference {
    pub asset: AssetReferenceAssetEventDagRun,
    /// A JSON object.
    pub extra: JsonText,
    pub source_task_id: Option<String>,
    pub source_dag_id: Option<String>,
    pub source_run_id: Option<String>,
    pub source_map_index: Option<i64>,
    pub source_aliases: Vec<AssetAliasReferenceAssetEventDagRun>,
    pub timestamp: UtcDateTime,
    pub partition_key: Option<String>,
}

/// The asset of an [`AssetEventDagRunReference`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetReferenceAssetEventDagRun {
    pub name: String,
    pub uri: String,
    /// A JSON object.
    pub extra: JsonText,
}

/// An alias of an [`AssetEventDagRunReference`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetAliasReferenceAssetEventDagRun {
    pub name: String,
}

/// Starts a Dag run; answered with OK or `DAGRUN_ALREADY_EXISTS`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerDagRun {
    pub dag_id: String,
    pub run_id: String,
    pub logical_date: Option<UtcDateTime>,
    pub run_after: Option<UtcDateTime>,
    /// A JSON object.
    pub conf: Option<JsonText>,
    /// Clear the run instead, if it exists. Null means false.
    pub reset_dag_run: Option<bool>,
    pub partition_key: Option<String>,
    pub note: Option<String>,
}

/// Reads a Dag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetDag {
    pub dag_id: String,
}

/// Reads a Dag run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetDagRun {
    pub dag_id: String,
    pub run_id: String,
}

/// Reads the state of a Dag run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetDagRunState {
    pub dag_id: String,
    pub run_id: String,
}

/// Reads the Dag run before a logical date.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetPreviousDagRun {
    pub dag_id: String,
    pub logical_date: UtcDateTime,
    pub state: Option<String>,
}

/// Reads the last successful Dag run before the one of the task instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetPrevSuccessfulDagRun {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
}

/// Counts Dag runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetDRCount {
    pub dag_id: String,
    pub logical_dates: Option<Vec<UtcDateTime>>,
    pub run_ids: Option<Vec<String>>,
    pub states: Option<Vec<String>>,
}

/// Answers [`GetDag`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DagResult {
    pub dag_id: String,
    pub is_paused: bool,
    pub bundle_name: Option<String>,
    pub bundle_version: Option<String>,
    pub relative_fileloc: Option<String>,
    pub owners: Option<String>,
    pub tags: Vec<String>,
    pub next_dagrun: Option<UtcDateTime>,
}

/// Answers [`GetDagRunState`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DagRunStateResult {
    pub state: String,
}

/// Answers [`GetPreviousDagRun`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviousDagRunResult {
    pub dag_run: Option<Box<DagRun>>,
}

/// Answers [`GetPrevSuccessfulDagRun`]; all null when there is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PrevSuccessfulDagRunResult {
    pub data_interval_start: Option<UtcDateTime>,
    pub data_interval_end: Option<UtcDateTime>,
    pub start_date: Option<UtcDateTime>,
    pub end_date: Option<UtcDateTime>,
}

/// Answers [`GetDRCount`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DRCount {
    pub count: i64,
}
