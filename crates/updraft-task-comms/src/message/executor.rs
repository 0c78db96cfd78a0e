//! What an executor has its children do besides tasks. Airflow forks them with the order in memory,
//! so these messages are ours.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BundleInfo, ConnectionResult};

/// The first frame to a callback child.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ExecutorOrder {
    ExecuteCallback(ExecuteCallback),
    TestConnection(TestConnection),
}

/// Run a function, or an object of a class, that is named by its path.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecuteCallback {
    pub callback_path: String,
    /// In Airflow's serde form.
    pub callback_kwargs: Map<String, Value>,
    pub dag_rel_path: String,
    pub bundle_info: BundleInfo,
}

/// Ask the hook of a connection whether it works.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct TestConnection {
    pub connection: ConnectionResult,
}

/// What the hook said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionTestResult {
    pub status: bool,
    pub message: String,
}
