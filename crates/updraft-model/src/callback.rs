//! A row of `callback_request`: user code that the Dag processor must run for the scheduler.

use jiff::Timestamp;
use serde_json::Value;

use crate::{BundleName, DagId, RunId};

/// A stored callback request.
#[derive(Clone, Debug, PartialEq)]
pub struct CallbackRequest {
    pub id: i64,
    pub priority_weight: i32,
    pub created_at: Timestamp,
    pub bundle_name: BundleName,
    pub bundle_version: Option<String>,
    /// Relative to the bundle.
    pub filepath: String,
    pub dag_id: DagId,
    pub run_id: RunId,
    /// The body of `TaskCallbackRequest`, `DagCallbackRequest` or `EmailRequest` as the child
    /// expects it, except for the file's absolute place.
    pub body: Value,
    /// How often a child was started for it; bounded, so a callback that kills its child ends.
    pub attempts: i32,
}
