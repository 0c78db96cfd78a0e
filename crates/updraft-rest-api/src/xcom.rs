//! XCom entries.

use serde::Serialize;
use serde_json::Value;
use updraft_model::xcom::XCom;

use crate::fields::{Body, Fields};
use crate::issue::{Checked, Issue};
use crate::time::ApiTime;
use crate::value;
use updraft_model::python_repr;

/// Keys that mark serialized objects; a value from outside must not forge them.
const RESERVED: &[&str] = &[
    "__classname__",
    "__type",
    "__var",
    "__version__",
    "__data__",
];

/// An entry without its value.
#[derive(Clone, Debug, Serialize)]
pub struct XComResponse {
    pub key: String,
    pub timestamp: ApiTime,
    pub logical_date: Option<ApiTime>,
    pub map_index: i32,
    pub task_id: String,
    pub dag_id: String,
    pub run_id: String,
    pub dag_display_name: String,
    pub task_display_name: String,
    pub run_after: ApiTime,
}

/// An entry with its value.
#[derive(Clone, Debug, Serialize)]
pub struct XComResponseNative {
    /// Golden tests pin the keys.
    #[serde(flatten)]
    pub entry: XComResponse,
    pub value: Value,
}

/// What an entry's answer needs from the rows around it.
#[derive(Clone, Debug)]
pub struct XComContext {
    pub logical_date: Option<jiff::Timestamp>,
    pub run_after: jiff::Timestamp,
    pub dag_display_name: String,
    pub task_display_name: String,
}

impl XComResponse {
    /// The answer for a row.
    #[must_use]
    pub fn new(xcom: &XCom, context: &XComContext) -> Self {
        Self {
            key: xcom.key.clone(),
            timestamp: ApiTime(xcom.timestamp),
            logical_date: context.logical_date.map(ApiTime),
            map_index: xcom.map_index.0,
            task_id: xcom.task_id.to_string(),
            dag_id: xcom.dag_id.to_string(),
            run_id: xcom.run_id.to_string(),
            dag_display_name: context.dag_display_name.clone(),
            task_display_name: context.task_display_name.clone(),
            run_after: ApiTime(context.run_after),
        }
    }
}

/// A page of entries.
#[derive(Clone, Debug, Serialize)]
pub struct XComCollectionResponse {
    pub xcom_entries: Vec<XComResponse>,
    pub total_entries: i64,
}

/// The stored text as a JSON value. Python's `NaN` and infinities, which JSON cannot say, and
/// anything else that is not JSON come as text.
#[must_use]
pub fn stored_value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// The body that creates an entry.
#[derive(Clone, Debug, Default)]
pub struct XComCreateBody {
    pub key: String,
    pub value: Value,
    pub map_index: i32,
}

impl Body for XComCreateBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            key: fields.required("key", value::text),
            value: fields.required("value", xcom_value),
            map_index: fields.or("map_index", -1, map_index),
        }
    }
}

/// The body that replaces a value.
#[derive(Clone, Debug, Default)]
pub struct XComUpdateBody {
    pub value: Value,
    pub map_index: i32,
}

impl Body for XComUpdateBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            value: fields.required("value", xcom_value),
            map_index: fields.or("map_index", -1, map_index),
        }
    }
}

fn map_index(value: &Value) -> Checked<i32> {
    let index = value::integer(value)?;
    Ok(i32::try_from(index).unwrap_or(i32::MAX))
}

fn xcom_value(value: &Value) -> Checked<Value> {
    let mut found = Vec::new();
    collect_reserved(value, &mut found);
    if found.is_empty() {
        return Ok(value.clone());
    }
    found.sort_unstable();
    found.dedup();
    let keys = found.join(", ");
    let msg = format!(
        "XCom value contains reserved serialization keys: {keys}. These keys are reserved for \
         internal use."
    );
    Err(vec![Issue::rule(msg, value)])
}

fn collect_reserved(value: &Value, found: &mut Vec<&'static str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_reserved(item, found)),
        Value::Object(object) => {
            found.extend(RESERVED.iter().filter(|key| object.contains_key(**key)));
            object
                .values()
                .for_each(|item| collect_reserved(item, found));
        }
        _ => {}
    }
}

/// A value with typed objects replaced by a text that names the type and shows the content; nothing
/// is ever constructed from them.
#[must_use]
pub fn without_types(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_types).collect(),
        Value::Object(object) => match (object.get("__classname__"), object.get("__data__")) {
            (Some(Value::String(class)), data) => typed_text(
                class,
                object.get("__version__"),
                data.unwrap_or(&Value::Null),
            )
            .into(),
            _ => object
                .iter()
                .map(|(key, item)| (key.clone(), without_types(item)))
                .collect(),
        },
        other => other.clone(),
    }
}

fn typed_text(class: &str, version: Option<&Value>, data: &Value) -> String {
    let version = version.map_or_else(|| "1".to_owned(), Value::to_string);
    let content = match without_types(data) {
        Value::String(text) => text,
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, field)| format!("{name}={}", python_repr::repr(field)))
                .collect();
            fields.join(",")
        }
        other => python_repr::repr(&other),
    };
    format!("{class}@version={version}({content})")
}
