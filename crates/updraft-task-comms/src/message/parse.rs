//! Dag files: what a parse child is told and what it answers.

use serde::{Deserialize, Serialize};

use crate::json::JsonText;
use crate::message::{DagRun, TIRunContext, TaskInstance};
use crate::scalar::UtcDateTime;

/// The first frame to a parse child.
///
/// With callbacks the child runs them and sends no result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub struct DagFileParseRequest {
    pub file: String,
    pub bundle_path: String,
    pub bundle_name: String,
    pub callback_requests: Vec<CallbackRequest>,
}

/// A callback that the scheduler wants to be run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum CallbackRequest {
    TaskCallbackRequest(TaskCallbackRequest),
    DagCallbackRequest(DagCallbackRequest),
    EmailRequest(EmailRequest),
}

/// Runs `on_retry_callback` or `on_failure_callback` of a task that could not do so itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskCallbackRequest {
    pub filepath: String,
    pub bundle_name: String,
    pub bundle_version: Option<String>,
    pub msg: Option<String>,
    pub ti: TaskInstance,
    /// `up_for_retry` runs the retry callback; `failed`, `upstream_failed` or null the other.
    pub task_callback_type: Option<String>,
    pub context_from_server: Option<TIRunContext>,
}

/// Runs `on_success_callback` or `on_failure_callback` of a Dag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DagCallbackRequest {
    pub filepath: String,
    pub bundle_name: String,
    pub bundle_version: Option<String>,
    pub msg: Option<String>,
    pub dag_id: String,
    pub run_id: String,
    pub context_from_server: Option<DagRunContext>,
    #[serde(default = "DagCallbackRequest::is_about_failure")]
    pub is_failure_callback: bool,
}

impl DagCallbackRequest {
    fn is_about_failure() -> bool {
        true
    }
}

/// The run a Dag callback is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DagRunContext {
    pub dag_run: Option<DagRun>,
    pub last_ti: Option<TaskInstance>,
}

/// Sends the mail about a failed or retried task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmailRequest {
    pub filepath: String,
    pub bundle_name: String,
    pub bundle_version: Option<String>,
    pub msg: Option<String>,
    pub ti: TaskInstance,
    #[serde(default)]
    pub email_type: EmailType,
    pub context_from_server: TIRunContext,
}

/// The occasion of an [`EmailRequest`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailType {
    #[default]
    Failure,
    Retry,
}

/// What a Dag file holds. Dags and errors may come together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DagFileParsingResult {
    pub fileloc: String,
    pub serialized_dags: Vec<LazyDeserializedDAG>,
    /// Objects with `dag_id`, `warning_type` and `message`.
    pub warnings: Option<Vec<JsonText>>,
    /// An object from the path relative to the bundle to a traceback.
    pub import_errors: Option<ImportErrors>,
}

/// Tracebacks by path relative to the bundle, in the order of discovery.
pub type ImportErrors = std::collections::BTreeMap<String, String>;

/// One serialized Dag: `{"__version": 3, "dag": {…}}`, exactly as the child wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LazyDeserializedDAG {
    pub data: JsonText,
    pub last_loaded: Option<UtcDateTime>,
}
