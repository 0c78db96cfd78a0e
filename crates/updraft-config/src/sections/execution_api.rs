use std::time::Duration;

use crate::section::Section;

/// `[execution_api]`.
#[derive(Clone, Debug)]
pub struct ExecutionApiConfig {
    /// `jwt_expiration_time`: life of a running task's token; heartbeats renew it.
    pub jwt_expiration_time: Duration,
    /// `jwt_audience`: audiences that task tokens may name; the first is written into new ones.
    pub jwt_audience: Vec<String>,
}

impl ExecutionApiConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            jwt_expiration_time: section.seconds("jwt_expiration_time"),
            jwt_audience: section.list("jwt_audience"),
        }
    }
}
