//! Checks the conf of a run against the params of its Dag.

use serde_json::{Map, Value};
use updraft_model::serialized::SerializedDag;

use crate::request::Refusal;
use crate::schema;

/// Refuses a conf that breaks the schema of a param, or leaves one without a value.
///
/// A value in `conf` replaces the default of the param of that name; other keys of `conf` are not
/// looked at.
///
/// # Errors
/// Names the param and what is wrong with its value.
pub fn validate_params(dag: &SerializedDag, conf: &Map<String, Value>) -> Result<(), Refusal> {
    for (name, param) in &dag.attributes().params {
        let given = conf.get(name).cloned();
        let value = given.or_else(|| default_of(param));
        let Some(value) = value else {
            return Err(invalid(name, "No value passed"));
        };
        if let Some(schema) = param.get("schema") {
            schema::validate(&plain(schema), &value).map_err(|why| invalid(name, &why))?;
        }
    }
    Ok(())
}

fn invalid(name: &str, why: &str) -> Refusal {
    Refusal::Params(format!("Invalid input for param {name}: {why}"))
}

/// The default of a serialized param; `None` for one that must be given.
fn default_of(param: &Value) -> Option<Value> {
    let Some(default) = param.as_object().filter(|map| map.contains_key("__class")) else {
        return Some(plain(param));
    };
    let default = default.get("default")?;
    let is_missing = default.get("__type").and_then(Value::as_str) == Some("arg_not_set");
    (!is_missing).then(|| plain(default))
}

/// A value without the marks of its serialization.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(object) => match (object.get("__type"), object.get("__var")) {
            (Some(_), Some(inner)) => plain(inner),
            _ => object
                .iter()
                .map(|(key, item)| (key.clone(), plain(item)))
                .collect(),
        },
        other => other.clone(),
    }
}
