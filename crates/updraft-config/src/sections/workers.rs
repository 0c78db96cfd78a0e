use std::time::Duration;

use secrecy::SecretString;

use crate::section::Section;

/// `[workers]`.
#[derive(Clone, Debug)]
pub struct WorkersConfig {
    /// `min_heartbeat_interval`: shortest pause between two heartbeats of a running task.
    pub min_heartbeat_interval: Duration,
    /// `max_failed_heartbeats`: failed heartbeats in a row after which a task is stopped.
    pub max_failed_heartbeats: u32,
    /// `execution_api_retries`: attempts of a remote worker at one call.
    pub execution_api_retries: u32,
    /// `execution_api_retry_wait_min`: shortest pause between two attempts.
    pub execution_api_retry_wait_min: Duration,
    /// `execution_api_retry_wait_max`: longest pause between two attempts.
    pub execution_api_retry_wait_max: Duration,
    /// `execution_api_timeout`: time one call may take.
    pub execution_api_timeout: Duration,
    /// `socket_cleanup_timeout`: time to wait for the last output of an ended task.
    pub socket_cleanup_timeout: Duration,
    /// `missing_dag_retries`: attempts at a Dag that its file does not hold.
    pub missing_dag_retries: u32,
    /// `missing_dag_retry_delay`: pause between two such attempts.
    pub missing_dag_retry_delay: Duration,
    /// `secrets_backend`: Python class that tasks ask first for connections and variables.
    pub secrets_backend: Option<String>,
    /// `secrets_backend_kwargs`: JSON object with the arguments of that class.
    pub secrets_backend_kwargs: Option<SecretString>,
}

impl WorkersConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            min_heartbeat_interval: section.seconds("min_heartbeat_interval"),
            max_failed_heartbeats: section.count("max_failed_heartbeats"),
            execution_api_retries: section.count("execution_api_retries"),
            execution_api_retry_wait_min: section.seconds("execution_api_retry_wait_min"),
            execution_api_retry_wait_max: section.seconds("execution_api_retry_wait_max"),
            execution_api_timeout: section.seconds("execution_api_timeout"),
            socket_cleanup_timeout: section.seconds("socket_cleanup_timeout"),
            missing_dag_retries: section.count("missing_dag_retries"),
            missing_dag_retry_delay: section.seconds("missing_dag_retry_delay"),
            secrets_backend: section.optional_text("secrets_backend"),
            secrets_backend_kwargs: section.optional_secret("secrets_backend_kwargs"),
        }
    }
}
