//! Values that tasks and assets keep.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use updraft_model::state_store::{AssetState, StateWriter, TaskState};
use updraft_model::{DagId, RunId, TaskId};

use crate::fields::{Body, Fields};
use crate::issue::{Checked, Issue, under};
use crate::time::{ApiTime, api_time};
use crate::value;
use crate::xcom::stored_value;
use updraft_model::python_repr::dumps;

/// A value of a task.
#[derive(Clone, Debug, Serialize)]
pub struct TaskStateStoreResponse {
    pub key: String,
    pub value: Value,
    pub updated_at: ApiTime,
    pub expires_at: Option<ApiTime>,
}

impl From<&TaskState> for TaskStateStoreResponse {
    fn from(state: &TaskState) -> Self {
        Self {
            key: state.key.clone(),
            value: stored_value(&state.value),
            updated_at: ApiTime(state.updated_at),
            expires_at: api_time(state.expires_at),
        }
    }
}

/// A page of values of a task.
#[derive(Clone, Debug, Serialize)]
pub struct TaskStateStoreCollectionResponse {
    pub task_state_store: Vec<TaskStateStoreResponse>,
    pub total_entries: i64,
}

/// A value of an asset.
#[derive(Clone, Debug, Serialize)]
pub struct AssetStateStoreResponse {
    pub key: String,
    pub value: Value,
    pub updated_at: ApiTime,
    pub last_updated_by: StateWriterResponse,
}

/// Who wrote a value last.
#[derive(Clone, Debug, Serialize)]
pub struct StateWriterResponse {
    pub kind: &'static str,
    pub dag_id: Option<DagId>,
    pub run_id: Option<RunId>,
    pub task_id: Option<TaskId>,
    pub map_index: Option<i32>,
}

impl From<&AssetState> for AssetStateStoreResponse {
    fn from(state: &AssetState) -> Self {
        Self {
            key: state.key.clone(),
            value: stored_value(&state.value),
            updated_at: ApiTime(state.updated_at),
            last_updated_by: (&state.writer).into(),
        }
    }
}

impl From<&StateWriter> for StateWriterResponse {
    fn from(writer: &StateWriter) -> Self {
        Self {
            kind: writer.kind.as_str(),
            dag_id: writer.dag_id.clone(),
            run_id: writer.run_id.clone(),
            task_id: writer.task_id.clone(),
            map_index: writer.map_index.map(|index| index.0),
        }
    }
}

/// A page of values of an asset.
#[derive(Clone, Debug, Serialize)]
pub struct AssetStateStoreCollectionResponse {
    pub asset_state_store: Vec<AssetStateStoreResponse>,
    pub total_entries: i64,
}

/// The body that keeps a value.
#[derive(Clone, Debug, Default)]
pub struct StateBody {
    pub value: Value,
}

impl Body for StateBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            value: fields.required("value", kept_value),
        }
    }
}

/// The body that keeps a value of a task.
#[derive(Clone, Debug, Default)]
pub struct TaskStateBody {
    pub value: Value,
    pub expires_at: Expiry,
}

/// How long a value is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// As long as the configuration says.
    #[default]
    Default,
    Never,
    At(Timestamp),
}

impl Body for TaskStateBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            value: fields.required("value", kept_value),
            expires_at: fields.or("expires_at", Expiry::Default, expiry),
        }
    }
}

fn kept_value(value: &Value) -> Checked<Value> {
    match value {
        Value::Null => Err(vec![Issue::rule("value cannot be null", value)]),
        value => Ok(value.clone()),
    }
}

/// An instant with an offset, `null` or `"default"`. What is none of these has one problem for each
/// of the alternatives.
fn expiry(value: &Value) -> Checked<Expiry> {
    match value {
        Value::Null => return Ok(Expiry::Never),
        Value::String(word) if word == "default" => return Ok(Expiry::Default),
        _ => {}
    }
    let mut issues = match under(value::aware_instant(value), "datetime") {
        Ok(instant) => return Ok(Expiry::At(instant)),
        Err(issues) => issues,
    };
    let literal = value::literal(&["default"])(value);
    issues.extend(
        literal
            .err()
            .into_iter()
            .flatten()
            .map(|issue| issue.under("literal['default']")),
    );
    Err(issues)
}

/// Whether a value may be kept; `bytes_max` of 0 means any.
///
/// # Errors
/// With the problem of the field.
pub fn require_size(value: &Value, bytes_max: u64) -> Checked<()> {
    let length = u64::try_from(dumps(value).len()).unwrap_or(u64::MAX);
    if bytes_max == 0 || length <= bytes_max {
        return Ok(());
    }
    let msg = format!(
        "value exceeds max_value_storage_bytes ({bytes_max}); raise [state_store] \
         max_value_storage_bytes or set it to 0 to disable the limit"
    );
    Err(vec![Issue::rule(msg, value).under("value")])
}
