//! Why a serialized Dag could not be read: always with the Dag, the task and the key.

use std::fmt;

/// Where in a serialized Dag something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The Dag, once its id is known.
    pub dag_id: Option<String>,
    /// The task, or the task group, that holds the key.
    pub node_id: Option<String>,
}

/// A serialized Dag that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}key `{key}`: {problem}")]
pub struct Error {
    /// The Dag and the task.
    pub place: Place,
    /// The key whose value is wrong or missing.
    pub key: String,
    /// What was expected, and what was found.
    pub problem: String,
}

impl Place {
    /// A place in this Dag, outside its tasks.
    #[must_use]
    pub fn dag(dag_id: &str) -> Self {
        Self {
            dag_id: Some(dag_id.to_owned()),
            node_id: None,
        }
    }

    /// The same Dag, at this task or group.
    #[must_use]
    pub fn node(&self, node_id: &str) -> Self {
        Self {
            dag_id: self.dag_id.clone(),
            node_id: Some(node_id.to_owned()),
        }
    }

    /// An error about `key` at this place.
    pub(super) fn error(&self, key: &str, problem: impl Into<String>) -> Error {
        Error {
            place: self.clone(),
            key: key.to_owned(),
            problem: problem.into(),
        }
    }

    /// An error about a value that is not what `key` demands.
    pub(super) fn expected(&self, key: &str, what: &str, found: &serde_json::Value) -> Error {
        self.error(key, format!("expected {what}, found {}", shorten(found)))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.dag_id, &self.node_id) {
            (Some(dag_id), Some(node_id)) => write!(f, "Dag `{dag_id}`, task `{node_id}`, "),
            (Some(dag_id), None) => write!(f, "Dag `{dag_id}`, "),
            (None, _) => f.write_str("serialized Dag, "),
        }
    }
}

/// Text of `value` for a message; a whole Dag would drown the error.
fn shorten(value: &serde_json::Value) -> String {
    const CHARS_MAX: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
