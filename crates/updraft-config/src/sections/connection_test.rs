use std::time::Duration;

use crate::section::Section;

/// `[connection_test]`.
#[derive(Clone, Debug)]
pub struct ConnectionTestConfig {
    /// `timeout`: time one test may take.
    pub timeout: Duration,
    /// `max_concurrency`: tests that run at a time.
    pub max_concurrency: u32,
    /// `reaper_interval`: pause between two searches for tests that never answered.
    pub reaper_interval: Duration,
}

impl ConnectionTestConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            timeout: section.seconds("timeout"),
            max_concurrency: section.positive("max_concurrency"),
            reaper_interval: section.seconds("reaper_interval"),
        }
    }
}
