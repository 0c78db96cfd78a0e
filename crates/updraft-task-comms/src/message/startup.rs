//! What a task child is told when it starts.

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
    pub map_index: Option<i64>,
    pub hostname: Option<String>,
    /// A W3C trace carrier.
    pub context_carrier: Option<JsonText>,
    pub queue: Option<String>,
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
    pub task_reschedule_count: Option<i64>,
    pub max_tries: i64,
    /// Always empty today.
    pub variables: Option<Vec<VariableResult>>,
    /// Always empty today.
    pub connections: Option<Vec<ConnectionResult>>,
    pub next_method: Option<String>,
    /// A JSON object.
    pub next_kwargs: Option<JsonText>,
    /// XComs that the child removes before user code; empty on resumption.
    pub xcom_keys_to_clear: Option<Vec<String>>,
    /// The child's only input for "retry or fail". Null means false.
    pub should_retry: Option<bool>,
    pub start_date: Option<UtcDateTime>,
}
