//! The audit log: who changed what, with which request.

use serde_json::{Map, Value};
use tracing::error;
use updraft_model::python_repr::dumps;
use updraft_rest_api::mask::{MASK, masked};
use updraft_rest_api::time::parse_time;
use updraft_store::NewEventLog;

use crate::call::Call;
use crate::state::ApiState;
use crate::table::Operation;

/// Parameters that have columns of their own, or say nothing.
const NOT_EXTRA: &[&str] = &[
    "csrf_token",
    "_csrf_token",
    "is_paused",
    "dag_id",
    "task_id",
    "dag_run_id",
    "run_id",
    "logical_date",
];

/// Operations that change nothing unless their body says so.
const DRY_BY_DEFAULT: &[&str] = &["clear_dag_run", "post_clear_task_instances"];

/// A row on its way to the audit log.
pub(crate) struct Record(NewEventLog);

impl Record {
    /// What the log will say of this call, or `None` when there is nothing to say.
    pub(crate) fn of(operation: &Operation, call: &Call) -> Option<Self> {
        let event = operation.id;
        let body = match serde_json::from_slice(&call.body) {
            Ok(Value::Object(body)) => Some(body),
            _ => None,
        };
        if DRY_BY_DEFAULT.contains(&event) && is_dry(body.as_ref()) {
            return None;
        }
        let query = form_urlencoded::parse(call.raw_query.as_bytes()).into_owned();
        let parameters: Vec<(String, String)> = query.chain(call.path.iter().cloned()).collect();
        let find = |names: &[&str]| {
            let in_body = names
                .iter()
                .find_map(|name| Some(body.as_ref()?.get(*name)?.as_str()?.to_owned()));
            in_body.or_else(|| {
                let parameter = parameters
                    .iter()
                    .rev()
                    .find(|(name, _)| names.contains(&name.as_str()));
                parameter.map(|(_, value)| value.clone())
            })
        };
        let mut extra = extra_of(event, body.as_ref(), &parameters);
        extra.insert("method".to_owned(), operation.method.into());
        Some(Self(NewEventLog {
            dttm: call.state.clock().now(),
            event: event.to_owned(),
            owner: Some(call.user.name.clone()),
            dag_id: find(&["dag_id"]).map(Into::into),
            run_id: find(&["dag_run_id", "run_id"]).map(Into::into),
            task_id: find(&["task_id"]).map(Into::into),
            map_index: find(&["map_index"]).and_then(|text| text.parse().ok()),
            try_number: None,
            logical_date: find(&["logical_date"]).and_then(|text| parse_time(&text).ok()),
            extra: Some(dumps(&Value::Object(extra))),
        }))
    }

    /// Writes the row. A failure must not keep anybody from working, so it is only logged.
    pub(crate) async fn write(self, state: &ApiState) {
        let Self(row) = self;
        let written = state
            .store()
            .retry(|| async {
                let mut tx = state.store().write().await?;
                tx.write_event_log(&row).await?;
                tx.commit().await
            })
            .await;
        if let Err(error) = written {
            error!(%error, event = row.event, "failed to write to the audit log");
        }
    }
}

fn is_dry(body: Option<&Map<String, Value>>) -> bool {
    let dry = body.and_then(|body| body.get("dry_run"));
    dry.is_none_or(|dry| dry.as_bool().unwrap_or(true))
}

fn extra_of(
    event: &str,
    body: Option<&Map<String, Value>>,
    parameters: &[(String, String)],
) -> Map<String, Value> {
    let mut extra: Map<String, Value> = parameters
        .iter()
        .filter(|(name, _)| !NOT_EXTRA.contains(&name.as_str()))
        .map(|(name, value)| {
            (
                name.clone(),
                masked(&Value::from(value.as_str()), Some(name)),
            )
        })
        .collect();
    let Some(body) = body else { return extra };
    let body = Value::Object(body.clone());
    let shown = if event.contains("variable") {
        each_entity(&body, &without_values)
    } else if event.contains("connection") {
        each_entity(&body, &without_extras)
    } else {
        masked(&body, None)
    };
    if let Value::Object(mut shown) = shown {
        extra.append(&mut shown);
    }
    extra
}

/// Applies `hide` to the body, or to each entity of a bulk body.
fn each_entity(body: &Value, hide: &dyn Fn(&Value) -> Value) -> Value {
    let Some(actions) = body.get("actions").and_then(Value::as_array) else {
        return hide(body);
    };
    let actions: Value = actions
        .iter()
        .map(|action| {
            let mut action = action.clone();
            if let Some(Value::Array(entities)) = action.get_mut("entities") {
                for entity in entities.iter_mut().filter(|entity| entity.is_object()) {
                    *entity = hide(entity);
                }
            }
            action
        })
        .collect();
    let mut body = body.clone();
    body["actions"] = actions;
    body
}

/// The log says that a variable changed, not what is in it.
fn without_values(entity: &Value) -> Value {
    replace(entity, |name, value| {
        if matches!(name, "val" | "value") {
            MASK.into()
        } else {
            value.clone()
        }
    })
}

/// Extras may hold secrets under any name: the log says only which there are.
fn without_extras(entity: &Value) -> Value {
    replace(entity, |name, value| match (name, value.as_str()) {
        ("extra", Some(text)) if !text.is_empty() => {
            match serde_json::from_str::<Map<String, Value>>(text) {
                Ok(extra) => extra
                    .into_iter()
                    .map(|(key, _)| (key, Value::from(MASK)))
                    .collect(),
                Err(_) => "Encountered non-JSON in `extra` field".into(),
            }
        }
        _ => masked(value, Some(name)),
    })
}

fn replace(entity: &Value, with: impl Fn(&str, &Value) -> Value) -> Value {
    match entity {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), with(name, value)))
            .collect(),
        other => other.clone(),
    }
}
