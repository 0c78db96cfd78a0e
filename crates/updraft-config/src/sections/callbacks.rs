use std::time::Duration;

use crate::section::Section;

/// `[callbacks]`.
#[derive(Clone, Debug)]
pub struct CallbacksConfig {
    /// `callback_execution_timeout`: time a callback may take before it is killed; 0 means no
    /// limit.
    pub callback_execution_timeout: Option<Duration>,
}

impl CallbacksConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            callback_execution_timeout: section.seconds_unless_zero("callback_execution_timeout"),
        }
    }
}
