//! Callbacks: user code that runs because something happened.
//!
//! Those that need the Dag file run in the Dag processor and are rows of `callback_request`. Those
//! that are named by an import path, at present callbacks of deadlines, run in the triggerer or in
//! an executor and are rows of `callback`.

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::str_enum::str_enum;
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

str_enum! {
    /// Who runs a callback that is a row of `callback`.
    pub enum CallbackType("callback type") {
        Triggerer = "triggerer",
        Executor = "executor",
    }
}

str_enum! {
    /// How far a callback has come.
    pub enum CallbackState("callback state") {
        /// Its occasion may come.
        Scheduled = "scheduled",
        /// Its occasion has come; it waits for a slot.
        Pending = "pending",
        /// The triggerer or an executor has it.
        Queued = "queued",
        Running = "running",
        Success = "success",
        Failed = "failed",
    }
}

/// A row of `callback`.
#[derive(Clone, Debug, PartialEq)]
pub struct Callback {
    pub id: Uuid,
    pub runs_in: CallbackType,
    /// `path`, `kwargs`, `executor` and what else belongs to the callback.
    pub data: Map<String, Value>,
    pub bundle_name: Option<BundleName>,
    pub state: CallbackState,
    /// What it returned, or why it failed.
    pub output: Option<String>,
    pub priority_weight: i32,
    pub created_at: Timestamp,
    pub deadline_id: Option<Uuid>,
    /// How often it was started.
    pub attempts: i32,
}

impl CallbackState {
    /// Nothing more will come of it.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }
}
