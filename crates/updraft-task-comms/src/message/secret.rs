//! Connections, variables and secrets.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::json::JsonText;

/// Reads a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetConnection {
    pub conn_id: String,
}

/// Reads a variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetVariable {
    pub key: String,
}

/// Lists the keys of variables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetVariableKeys {
    pub prefix: Option<String>,
    #[serde(default = "GetVariableKeys::default_limit")]
    pub limit: i64,
    #[serde(default)]
    pub offset: i64,
}

impl GetVariableKeys {
    fn default_limit() -> i64 {
        1000
    }
}

/// Writes a variable.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct PutVariable {
    pub key: String,
    pub value: Option<String>,
    pub description: Option<String>,
}

/// Removes a variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeleteVariable {
    pub key: String,
}

/// Adds a secret to the log masker.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct MaskSecret {
    pub value: JsonText,
    pub name: Option<String>,
}

/// Answers [`GetConnection`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionResult {
    pub conn_id: String,
    pub conn_type: String,
    pub host: Option<String>,
    pub schema: Option<String>,
    pub login: Option<String>,
    pub password: Option<String>,
    pub port: Option<i64>,
    /// JSON text, as entered.
    pub extra: Option<String>,
}

/// Answers [`GetVariable`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct VariableResult {
    pub key: String,
    pub value: Option<String>,
}

/// Answers [`GetVariableKeys`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariableKeysResult {
    pub keys: Vec<String>,
    pub total_entries: i64,
}

// Debug output ends in logs, so these show what is named and never what is secret.

impl fmt::Debug for PutVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutVariable")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MaskSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskSecret")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ConnectionResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionResult")
            .field("conn_id", &self.conn_id)
            .field("conn_type", &self.conn_type)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for VariableResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VariableResult")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
