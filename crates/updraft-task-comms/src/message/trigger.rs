//! Triggers: the conversation with the triggerer child.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
