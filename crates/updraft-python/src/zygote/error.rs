//! Why a child could not be forked.

use std::io;
use std::sync::Arc;

/// Errors of the zygote. They are cloned for everybody who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Python did not come up; the next attempt is already scheduled.
    #[error("the Python runtime does not start: {reason}{}", tail(output))]
    StartFailed {
        /// What happened to the process.
        reason: String,
        /// The last lines it printed.
        output: String,
    },
    /// Python came up with an Airflow that we cannot speak to.
    #[error("expected apache-airflow-task-sdk {expected}, found {found}")]
    UnsupportedVersion {
        /// What this Updraft speaks.
        expected: &'static str,
        /// What is installed.
        found: String,
    },
    /// The zygote died before it answered.
    #[error("the Python zygote ended before it forked the child")]
    Lost,
    /// The zygote could not fork.
    #[error("the Python zygote refused to fork: {reason}")]
    Refused {
        /// In its own words.
        reason: String,
    },
    /// The environment of one child does not fit a packet.
    #[error("expected at most {max} bytes of environment for a child, found {found}")]
    EnvironmentTooLarge {
        /// Limit in bytes.
        max: usize,
        /// Size in bytes.
        found: usize,
    },
    /// All handles were dropped, or the process is stopping.
    #[error("the Python zygote is stopping")]
    Closed,
    /// The operating system said no.
    #[error("failed to {doing}")]
    Io {
        /// In words that finish "failed to …".
        doing: &'static str,
        /// What it said.
        #[source]
        source: Arc<io::Error>,
    },
}

impl Error {
    /// For `map_err`: names the operation in words that finish "failed to …".
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            doing,
            source: Arc::new(source),
        }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Lost | Self::Refused { .. } | Self::StartFailed { .. } | Self::Io { .. } => true,
            Self::Closed | Self::UnsupportedVersion { .. } | Self::EnvironmentTooLarge { .. } => {
                false
            }
        }
    }
}

fn tail(output: &str) -> String {
    let output = output.trim_end();
    if output.is_empty() {
        String::new()
    } else {
        format!("\n{output}")
    }
}
