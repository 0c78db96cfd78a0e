//! XComs and rendered fields.

use serde::{Deserialize, Serialize};

use crate::json::JsonText;

/// Stores one XCom of the running task instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetXCom {
    pub key: String,
    pub value: JsonText,
    pub dag_id: String,
    pub run_id: String,
    pub task_id: String,
    pub map_index: Option<i64>,
    #[serde(default)]
    pub dag_result: bool,
    /// Length of the value: the only source for how often a mapped task expands.
    pub mapped_length: Option<i64>,
}

/// Reads one XCom; a missing one is answered with null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetXCom {
    pub key: String,
    pub dag_id: String,
    pub run_id: String,
    pub task_id: String,
    pub map_index: Option<i64>,
    #[serde(default)]
    pub include_prior_dates: bool,
}

/// Counts the XComs of all map indexes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetXComCount {
    pub key: String,
    pub dag_id: String,
    pub run_id: String,
    pub task_id: String,
}

/// Reads the XCom at a position among all map indexes; negative counts from the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetXComSequenceItem {
    pub key: String,
    pub dag_id: String,
    pub run_id: String,
    pub task_id: String,
    pub offset: i64,
}

/// Reads a Python slice of the XComs of all map indexes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetXComSequenceSlice {
    pub key: String,
    pub dag_id: String,
    pub run_id: String,
    pub task_id: String,
    pub start: Option<i64>,
    pub stop: Option<i64>,
    pub step: Option<i64>,
    #[serde(default)]
    pub include_prior_dates: bool,
}

/// Removes one XCom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeleteXCom {
    pub key: String,
    pub dag_id: String,
    pub run_id: String,
    pub task_id: String,
    pub map_index: Option<i64>,
}

/// Answers [`GetXCom`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct XComResult {
    pub key: String,
    pub value: JsonText,
}

/// Answers [`GetXComCount`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct XComCountResponse {
    pub len: i64,
}

/// Answers [`GetXComSequenceItem`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct XComSequenceIndexResult {
    pub root: JsonText,
}

/// Answers [`GetXComSequenceSlice`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct XComSequenceSliceResult {
    pub root: Vec<JsonText>,
}

/// Stores the rendered template fields, which the child has masked and cut already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetRenderedFields {
    pub rendered_fields: JsonText,
}

/// Stores the display name of a mapped task instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetRenderedMapIndex {
    pub rendered_map_index: String,
}
