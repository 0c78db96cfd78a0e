//! Human in the loop.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::json::JsonText;
use crate::scalar::UtcDateTime;

/// A person who may answer, or who answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HITLUser {
    pub id: String,
    pub name: String,
}

/// Puts a question to people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateHITLDetailPayload {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
    pub options: Vec<String>,
    pub subject: String,
    pub body: Option<String>,
    pub defaults: Option<Vec<String>>,
    /// Whether several options may be chosen. Null means false.
    pub multiple: Option<bool>,
    /// A JSON object.
    pub params: Option<JsonText>,
    pub assigned_users: Option<Vec<HITLUser>>,
}

/// Answers [`CreateHITLDetailPayload`] with the question as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HITLDetailRequestResult {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
    pub options: Vec<String>,
    pub subject: String,
    pub body: Option<String>,
    pub defaults: Option<Vec<String>>,
    pub multiple: Option<bool>,
    /// A JSON object.
    pub params: Option<JsonText>,
    pub assigned_users: Option<Vec<HITLUser>>,
}

/// Answers the question in the name of its defaults; only triggers send it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateHITLDetail {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
    pub chosen_options: Vec<String>,
    /// A JSON object.
    pub params_input: Option<JsonText>,
}

/// Asks for the answer of a person; only triggers send it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetHITLDetailResponse {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
}

/// Answers [`UpdateHITLDetail`] and [`GetHITLDetailResponse`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HITLDetailResponseResult {
    pub response_received: bool,
    pub responded_by_user: Option<HITLUser>,
    pub responded_at: Option<UtcDateTime>,
    pub chosen_options: Option<Vec<String>>,
    /// A JSON object.
    pub params_input: Option<JsonText>,
}
