//! What a deferred task instance is told when it goes on: the `next_kwargs` of its next method.
//!
//! They are kept as the child wrote them, in the form of Airflow's serde, and so is what is added.

use std::borrow::Cow;

use crate::json::{Json, JsonText, write_json_string};
use crate::message::TriggerEvent;

/// Why a task instance cannot go on as it should; the text for the task that then fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresumable {
    #[error("Could not resume the task: its stored next_kwargs could not be decoded ({0})")]
    Stored(String),
    #[error("Could not resume the task: the event payload could not be serialized ({0})")]
    Event(String),
}

/// Adds the payload of an event to the stored arguments.
///
/// # Errors
/// When the stored arguments are no JSON object, or the event was not usable.
pub fn with_event(stored: Option<&str>, event: &TriggerEvent) -> Result<JsonText, Unresumable> {
    if let Some(problem) = &event.problem {
        return Err(Unresumable::Event(problem.clone()));
    }
    with_payload(stored, &event.payload)
}

/// Adds `event` to the stored arguments.
///
/// # Errors
/// When the stored arguments are no JSON object.
pub fn with_payload(stored: Option<&str>, payload: &JsonText) -> Result<JsonText, Unresumable> {
    let text = stored.unwrap_or("{}");
    let parsed = Json::parse(text).map_err(|error| Unresumable::Stored(error.to_string()))?;
    let entries = match unwrapped(parsed) {
        Json::Object(entries) => entries,
        Json::Null => Vec::new(),
        _ => return Err(Unresumable::Stored("expected a JSON object".to_owned())),
    };
    let mut resumed = String::from("{");
    for (key, value) in entries.iter().filter(|(key, _)| key != "event") {
        write_json_string(&mut resumed, key);
        resumed.push(':');
        value.write(&mut resumed);
        resumed.push(',');
    }
    resumed.push_str("\"event\":");
    resumed.push_str(payload.as_str());
    resumed.push('}');
    Ok(JsonText::from_stored(resumed))
}

/// The arguments of the method that only fails.
pub fn failure(error: &str, traceback: Option<&[String]>) -> JsonText {
    let lines = traceback.map_or(Json::Null, |lines| {
        let lines = lines.iter().map(|line| Json::from(line.as_str()));
        Json::Array(lines.collect())
    });
    JsonText::from(&Json::Object(vec![
        (Cow::from("error"), error.into()),
        (Cow::from("traceback"), lines),
    ]))
}

/// The map within `{"__type": "dict", "__var": …}`, as a serialized Dag holds it.
fn unwrapped(value: Json<'_>) -> Json<'_> {
    let is_wrapper = matches!(value.get("__type"), Some(Json::Text(name)) if name == "dict");
    match value {
        Json::Object(entries) if is_wrapper => {
            let inner = entries.into_iter().find(|(key, _)| key == "__var");
            inner.map_or(Json::Null, |(_, inner)| inner)
        }
        other => other,
    }
}
