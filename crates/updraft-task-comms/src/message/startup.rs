//! What a task child is told when it starts.
//!
//! The same types go to children that run callbacks, whose models are stricter: where those
//! refuse null, the fields here are not optional, although a task child would take it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::json::JsonText;
use crate::message::{ConnectionResult, DagRun, VariableResult};
use crate::scalar::UtcDateTime;

/// The first frame to a task child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub struct StartupDetails {
    pub ti: TaskInstance,
    /// Relative to the root of the bundle; the child loads exactly this file.
    pub dag_rel_path: String,
    pub bundle_info: BundleInfo,
    /// When this try started; on resumption from deferral, when it first did.
    pub start_date: UtcDateTime,
    pub ti_context: TIRunContext,
    /// Class path of a Sentry integration, or empty.
    pub sentry_integration: String,
}

/// The task instance a child works on or a callback is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskInstance {
    /// Changes with every try.
    #[serde(with = "crate::scalar::uuid_text")]
    pub id: Uuid,
    pub task_id: String,
    pub dag_id: String,
    pub run_id: String,
    pub try_number: i64,
    #[serde(with = "crate::scalar::uuid_text")]
    pub dag_version_id: Uuid,
    /// -1 for a task that is not mapped.
    #[serde(default = "TaskInstance::unmapped")]
    pub map_index: i64,
    pub hostname: Option<String>,
    /// A W3C trace carrier.
    pub context_carrier: Option<JsonText>,
    #[serde(default = "TaskInstance::default_queue")]
    pub queue: String,
}

impl TaskInstance {
    fn unmapped() -> i64 {
        -1
    }

    fn default_queue() -> String {
        "default".to_owned()
    }
}

/// The Dag bundle, which the child resolves with its own configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleInfo {
    pub name: String,
    pub version: Option<String>,
}

/// What the store says when it accepts that a task instance runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TIRunContext {
    pub dag_run: DagRun,
    #[serde(default)]
    pub task_reschedule_count: i64,
    pub max_tries: i64,
    /// Always empty today.
    #[serde(default)]
    pub variables: Vec<VariableResult>,
    /// Always empty today.
    #[serde(default)]
    pub connections: Vec<ConnectionResult>,
    pub next_method: Option<String>,
    /// A JSON object.
    pub next_kwargs: Option<JsonText>,
    /// XComs that the child removes before user code; empty on resumption.
    #[serde(default)]
    pub xcom_keys_to_clear: Vec<String>,
    /// The child's only input for "retry or fail".
    #[serde(default)]
    pub should_retry: bool,
    pub start_date: Option<UtcDateTime>,
}
