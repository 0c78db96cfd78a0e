//! Human in the loop: what a task asks people, and what they answered.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::TaskInstanceId;

/// A person who may answer, or who answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HitlUser {
    pub id: String,
    pub name: String,
}

/// The part of a question that the task writes.
#[derive(Clone, Debug, PartialEq)]
pub struct HitlQuestion {
    /// Never empty.
    pub options: Vec<String>,
    pub subject: String,
    /// Markdown.
    pub body: Option<String>,
    /// The answer when nobody gives one in time; `None`: the task fails then.
    pub defaults: Option<Vec<String>>,
    /// Whether several options may be chosen.
    pub multiple: bool,
    /// The fields of a form: serialized params by name.
    pub params: Map<String, Value>,
    /// Who may answer; empty: everybody who may work on the Dag.
    pub assigned_users: Vec<HitlUser>,
}

/// An answer, by a person or by the defaults when the time was up.
#[derive(Clone, Debug, PartialEq)]
pub struct HitlResponse {
    pub responded_at: Timestamp,
    /// `None`: nobody did, the defaults count.
    pub responded_by: Option<HitlUser>,
    pub chosen_options: Vec<String>,
    pub params_input: Map<String, Value>,
}

/// A row of `hitl_detail` or `hitl_detail_history`: the question of one try.
#[derive(Clone, Debug, PartialEq)]
pub struct HitlDetail {
    pub ti_id: TaskInstanceId,
    pub question: HitlQuestion,
    pub created_at: Timestamp,
    pub response: Option<HitlResponse>,
}
