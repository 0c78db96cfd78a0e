//! Triggers: the conversation with the triggerer child.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::decode::{self, DecodeError};
use crate::frame::msgpack;
use crate::json::{self, JsonText};
use crate::scalar::UtcDateTime;

/// The first frame to a triggerer child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub struct StartTriggerer {}

/// What the triggers did since the last report, about once a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerStateChanges {
    pub events: Option<Vec<TriggerEventEntry>>,
    /// Trigger ids with the lines of a traceback, or null if the trigger just ended.
    pub failures: Option<Vec<(i64, Option<Vec<String>>)>>,
    /// Ids of triggers whose coroutine ended.
    pub finished: Option<Vec<i64>>,
}

/// Trigger id, event, and the number to acknowledge in
/// [`TriggerStateSync::events_persisted`], if it has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerEventEntry(pub i64, pub TriggerEvent, pub Option<i64>);

/// What a trigger yielded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerEvent {
    /// Timestamps in it have Airflow's serde form, ready for `next_kwargs`.
    #[serde(
        default = "JsonText::null",
        deserialize_with = "json::with_serde_timestamps"
    )]
    pub payload: JsonText,
    /// Present for events that end the task instance without a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_instance_state: Option<String>,
    /// A JSON object of XComs to store with the end state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xcoms: Option<JsonText>,
    /// Why the event cannot be kept; nothing else is set then.
    #[serde(skip)]
    pub problem: Option<String>,
}

impl TriggerStateChanges {
    /// Decodes the fields of a message body. An event that has no JSON form spoils only itself:
    /// the child would not survive the refusal of the whole message, and all triggers with it.
    pub(super) fn decode(message_type: &str, body: &Bytes) -> Result<Self, DecodeError> {
        decode::fields(message_type, body)
            .or_else(|error| Self::decode_one_by_one(body).ok_or(error))
    }

    fn decode_one_by_one(body: &Bytes) -> Option<Self> {
        let mut changes = Self {
            events: None,
            failures: None,
            finished: None,
        };
        for (key, value) in msgpack::pairs(body, 0).ok()? {
            let value = body.slice(value);
            match rmp_serde::from_slice::<&str>(&body[key]).ok()? {
                "events" => changes.events = decode_events(&value)?,
                "failures" => changes.failures = rmp_serde::from_slice(&value).ok()?,
                "finished" => changes.finished = rmp_serde::from_slice(&value).ok()?,
                _ => {}
            }
        }
        Some(changes)
    }
}

fn decode_events(events: &[u8]) -> Option<Option<Vec<TriggerEventEntry>>> {
    let Ok((count, mut at)) = msgpack::array_header(events, 0) else {
        return Some(None);
    };
    let mut decoded = Vec::new();
    for _ in 0..count {
        let entry = msgpack::value_at(events, at).ok()?;
        at = entry.end;
        let (_, id_at) = msgpack::array_header(events, entry.start).ok()?;
        let id = msgpack::value_at(events, id_at).ok()?;
        let event = msgpack::value_at(events, id.end).ok()?;
        let seq = events.get(event.end..entry.end)?;
        let decoded_event = decode::fields("TriggerEvent", &events[event]);
        decoded.push(TriggerEventEntry(
            rmp_serde::from_slice(&events[id]).ok()?,
            decoded_event.unwrap_or_else(|error| TriggerEvent::unusable(&error)),
            rmp_serde::from_slice(seq).ok()?,
        ));
    }
    Some(Some(decoded))
}

impl TriggerEvent {
    fn unusable(error: &DecodeError) -> Self {
        Self {
            payload: JsonText::null(),
            task_instance_state: None,
            xcoms: None,
            problem: Some(error.to_string()),
        }
    }
}

/// Answers [`TriggerStateChanges`] with what to do next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerStateSync {
    pub to_create: Vec<RunTrigger>,
    pub to_cancel: Vec<i64>,
    pub events_persisted: Option<Vec<i64>>,
}

/// A trigger to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub struct RunTrigger {
    pub id: i64,
    pub classpath: String,
    /// Text that starts with `{` is taken as plain JSON: decrypt first, and the child
    /// needs no key.
    pub encrypted_kwargs: String,
    /// Null for asset watchers and callbacks.
    pub ti: Option<TaskInstanceDTO>,
    pub timeout_after: Option<UtcDateTime>,
    /// A serialized Dag, for start-from-trigger tasks with template fields.
    pub dag_data: Option<JsonText>,
    pub dag_run_data: Option<JsonText>,
    /// Asset names with their URIs: gives the trigger the state store of the assets.
    pub watched_assets: Option<JsonText>,
}

/// A task instance with what an executor or a trigger needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskInstanceDTO {
    #[serde(with = "crate::scalar::uuid_text")]
    pub id: Uuid,
    pub task_id: String,
    pub dag_id: String,
    pub run_id: String,
    pub try_number: i64,
    #[serde(with = "crate::scalar::uuid_text")]
    pub dag_version_id: Uuid,
    pub map_index: i64,
    pub hostname: Option<String>,
    /// A W3C trace carrier.
    pub context_carrier: Option<JsonText>,
    pub queue: String,
    pub pool_slots: i64,
    pub priority_weight: i64,
    pub external_executor_id: Option<String>,
    pub executor_config: Option<JsonText>,
}
