//! How a task instance ended, in the child's words.

use serde::{Deserialize, Serialize};

use crate::json::JsonText;
use crate::message::AssetProfile;
use crate::scalar::{TimeDelta, UtcDateTime};

/// The message that ends a try, or its present stay on a worker.
///
/// Each also carries its target state as text (`state`); only [`TaskState`] leaves a choice,
/// so only there it is kept.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub enum Outcome {
    TaskState(TaskState),
    SucceedTask(SucceedTask),
    RetryTask(RetryTask),
    DeferTask(DeferTask),
    RescheduleTask(RescheduleTask),
    AwaitInputTask(AwaitInputTask),
}

impl Outcome {
    /// The task instance state this outcome asks for, in Airflow's spelling.
    pub fn state(&self) -> &'static str {
        match self {
            Self::TaskState(message) => message.state.as_str(),
            Self::SucceedTask(_) => "success",
            Self::RetryTask(_) => "up_for_retry",
            Self::DeferTask(_) => "deferred",
            Self::RescheduleTask(_) => "up_for_reschedule",
            Self::AwaitInputTask(_) => "awaiting_input",
        }
    }
}

/// The task failed for good, was skipped, or is gone from its Dag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    pub state: TerminalState,
    pub end_date: Option<UtcDateTime>,
    pub rendered_map_index: Option<String>,
}

/// The states [`TaskState`] may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TerminalState {
    Failed,
    Skipped,
    Removed,
}

impl TerminalState {
    /// Airflow's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Removed => "removed",
        }
    }
}

/// The task succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SucceedTask {
    pub end_date: UtcDateTime,
    pub task_outlets: Option<Vec<AssetProfile>>,
    /// Objects with `dest_asset_key`, `extra` and, for aliases, `source_alias_name`.
    pub outlet_events: Option<Vec<JsonText>>,
    pub rendered_map_index: Option<String>,
}

/// The task failed and asks for another try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryTask {
    pub end_date: UtcDateTime,
    pub rendered_map_index: Option<String>,
    pub retry_delay_seconds: Option<f64>,
    pub retry_reason: Option<String>,
}

/// The task hands over to a trigger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeferTask {
    pub classpath: String,
    /// An object, or text that is encrypted already.
    pub trigger_kwargs: Option<JsonText>,
    pub trigger_timeout: Option<TimeDelta>,
    pub queue: Option<String>,
    pub next_method: String,
    pub next_kwargs: Option<JsonText>,
    pub rendered_map_index: Option<String>,
}

/// The task wants to run again later, in the same try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RescheduleTask {
    pub reschedule_date: UtcDateTime,
    pub end_date: UtcDateTime,
}

/// The task waits for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AwaitInputTask {
    pub timeout: Option<TimeDelta>,
    pub next_method: String,
    pub next_kwargs: Option<JsonText>,
    pub rendered_map_index: Option<String>,
}
