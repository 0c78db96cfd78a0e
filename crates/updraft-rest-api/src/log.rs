//! Task logs.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::time::{ApiTime, parse_time};

/// A part of a log.
#[derive(Clone, Debug, Serialize)]
pub struct TaskInstancesLogResponse {
    pub content: Vec<Value>,
    pub continuation_token: Option<String>,
}

/// One line of a log file as a structured message: a JSON object with an `event` as it is, other
/// text as the event of one. Instants are rewritten to the API's form.
#[must_use]
pub fn message_of(line: &str) -> Map<String, Value> {
    match serde_json::from_str(line) {
        Ok(Value::Object(fields)) if fields.contains_key("event") => ordered(fields),
        _ => {
            let mut message = Map::new();
            message.insert("event".to_owned(), line.into());
            message
        }
    }
}

/// Timestamp and event first, as the API writes them.
fn ordered(mut fields: Map<String, Value>) -> Map<String, Value> {
    let mut message = Map::new();
    if let Some(timestamp) = fields.shift_remove("timestamp") {
        let instant = timestamp.as_str().and_then(|text| parse_time(text).ok());
        let written = instant.map_or(timestamp, |instant| ApiTime(instant).to_string().into());
        message.insert("timestamp".to_owned(), written);
    }
    if let Some(event) = fields.shift_remove("event") {
        let event = match event {
            Value::String(text) => Value::String(text),
            other => other.to_string().into(),
        };
        message.insert("event".to_owned(), event);
    }
    message.append(&mut fields);
    message
}

/// The lines that say where a log comes from, shown as a closed group in front of it.
#[must_use]
pub fn source_lines(sources: &[String]) -> Vec<Map<String, Value>> {
    let mut lines = vec![event("::group::Log message source details")];
    lines.extend(sources.iter().map(|source| event(source)));
    lines.push(event("::endgroup::"));
    lines
}

/// A message that is nothing but an event.
#[must_use]
pub fn event(text: &str) -> Map<String, Value> {
    let mut message = Map::new();
    message.insert("event".to_owned(), text.into());
    message
}

/// A message as a line of NDJSON, where a missing timestamp is `null`. Quirk, HTTP surface §1.9.
#[must_use]
pub fn ndjson_line(message: &Map<String, Value>) -> String {
    let mut line = Map::new();
    line.insert("timestamp".to_owned(), Value::Null);
    for (key, value) in message {
        line.insert(key.clone(), value.clone());
    }
    let mut text = json!(line).to_string();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::{event, message_of, ndjson_line};

    #[test]
    fn lines_become_messages_whatever_they_hold() {
        let structured = message_of(
            r#"{"level":"info","event":"hi","timestamp":"2026-01-01T00:00:00.5+00:00"}"#,
        );
        assert_eq!(
            ndjson_line(&structured),
            "{\"timestamp\":\"2026-01-01T00:00:00.500000Z\",\"event\":\"hi\",\"level\":\"info\"}\n"
        );
        assert_eq!(message_of("plain text"), event("plain text"));
        assert_eq!(message_of("{\"a\": 1}"), event("{\"a\": 1}"));
        assert_eq!(
            ndjson_line(&event("x")),
            "{\"timestamp\":null,\"event\":\"x\"}\n"
        );
    }
}
