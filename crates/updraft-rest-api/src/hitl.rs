//! Human in the loop: the questions of tasks, and the answers of people.

use serde::Serialize;
use serde_json::{Map, Value, json};
use updraft_model::hitl::{HitlDetail, HitlResponse, HitlUser};

use crate::fields::{Body, Fields};
use crate::issue::{Checked, Issue};
use crate::time::{ApiTime, api_time};
use crate::value;

/// Keys by which a task tells a serialized object from a plain one.
const RESERVED: &[&str] = &["__classname__", "__id__"];

/// The body that answers a question.
#[derive(Clone, Debug, Default)]
pub struct UpdateHITLDetailPayload {
    /// At least one.
    pub chosen_options: Vec<String>,
    pub params_input: Map<String, Value>,
}

impl Body for UpdateHITLDetailPayload {
    const IS_STRICT: bool = false;

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            chosen_options: fields.required("chosen_options", some_texts),
            params_input: fields.or("params_input", Map::new(), plain_mapping),
        }
    }
}

fn some_texts(value: &Value) -> Checked<Vec<String>> {
    let texts = value::list_of(value::text)(value)?;
    if texts.is_empty() {
        let msg = "List should have at least 1 item after validation, not 0";
        let limits = json!({"field_type": "List", "min_length": 1, "actual_length": 0});
        return Err(vec![Issue::new("too_short", msg, value).with(limits)]);
    }
    Ok(texts)
}

/// An object that a task can take for nothing else.
fn plain_mapping(value: &Value) -> Checked<Map<String, Value>> {
    let object = value::object(value)?;
    match reserved_key(value) {
        None => Ok(object),
        Some(key) => {
            let msg = format!("`{key}` is reserved for internal use");
            Err(vec![Issue::rule(msg, value)])
        }
    }
}

fn reserved_key(value: &Value) -> Option<&'static str> {
    match value {
        Value::Object(object) => object.iter().find_map(|(key, value)| {
            let reserved = RESERVED.iter().find(|reserved| *reserved == key);
            reserved.copied().or_else(|| reserved_key(value))
        }),
        Value::Array(items) => items.iter().find_map(reserved_key),
        _ => None,
    }
}

/// A person.
#[derive(Clone, Debug, Serialize)]
pub struct HITLUserResponse {
    pub id: String,
    pub name: String,
}

impl From<&HitlUser> for HITLUserResponse {
    fn from(user: &HitlUser) -> Self {
        Self {
            id: user.id.clone(),
            name: user.name.clone(),
        }
    }
}

/// What was written down of an answer.
#[derive(Clone, Debug, Serialize)]
pub struct HITLDetailResponse {
    pub responded_by: HITLUserResponse,
    pub responded_at: ApiTime,
    pub chosen_options: Vec<String>,
    pub params_input: Map<String, Value>,
}

impl HITLDetailResponse {
    /// The answer of `user`.
    #[must_use]
    pub fn new(response: &HitlResponse, user: &HitlUser) -> Self {
        Self {
            responded_by: user.into(),
            responded_at: ApiTime(response.responded_at),
            chosen_options: response.chosen_options.clone(),
            params_input: response.params_input.clone(),
        }
    }
}

/// A question with its task instance `T`: a present one or one of the history.
#[derive(Clone, Debug, Serialize)]
pub struct HITLDetail<T> {
    pub options: Vec<String>,
    pub subject: String,
    pub body: Option<String>,
    pub defaults: Option<Vec<String>>,
    pub multiple: bool,
    pub params: Map<String, Value>,
    pub assigned_users: Vec<HITLUserResponse>,
    pub created_at: ApiTime,
    pub responded_by_user: Option<HITLUserResponse>,
    pub responded_at: Option<ApiTime>,
    pub chosen_options: Option<Vec<String>>,
    pub params_input: Map<String, Value>,
    pub response_received: bool,
    pub task_instance: T,
}

impl<T> HITLDetail<T> {
    /// The answer for a row.
    #[must_use]
    pub fn new(detail: &HitlDetail, task_instance: T) -> Self {
        let (question, response) = (&detail.question, detail.response.as_ref());
        let params = question.params.iter();
        Self {
            options: question.options.clone(),
            subject: question.subject.clone(),
            body: question.body.clone(),
            defaults: question.defaults.clone(),
            multiple: question.multiple,
            params: params
                .map(|(name, param)| (name.clone(), param_of(param)))
                .collect(),
            assigned_users: question.assigned_users.iter().map(Into::into).collect(),
            created_at: ApiTime(detail.created_at),
            responded_by_user: response
                .and_then(|response| response.responded_by.as_ref())
                .map(Into::into),
            responded_at: api_time(response.map(|response| response.responded_at)),
            chosen_options: response.map(|response| response.chosen_options.clone()),
            params_input: response
                .map(|response| response.params_input.clone())
                .unwrap_or_default(),
            response_received: response.is_some(),
            task_instance,
        }
    }
}

/// A field of a form in full, also when only its value was written down.
fn param_of(param: &Value) -> Value {
    let is_full = ["description", "schema", "value"]
        .iter()
        .all(|key| param.get(key).is_some());
    if is_full {
        param.clone()
    } else {
        json!({"value": param, "description": null, "schema": {}})
    }
}

/// A page of questions.
#[derive(Clone, Debug, Serialize)]
pub struct HITLDetailCollection<T> {
    pub hitl_details: Vec<HITLDetail<T>>,
    pub total_entries: i64,
}
