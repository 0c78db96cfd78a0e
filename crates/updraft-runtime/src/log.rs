//! The process log: one line an event, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::UtcTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// How a line of the process log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for log collectors (`[logging] json_logs`).
    Json,
}

/// Sends the log of this process to standard error.
///
/// `filter` is a list such as `info,updraft_scheduler=debug`; a part that cannot be read is
/// ignored.
///
/// # Errors
/// When the process has a log already.
pub fn init_log(filter: &str, format: LogFormat) -> Result<(), TryInitError> {
    let filter = EnvFilter::builder().parse_lossy(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => registry
            .with(
                layer
                    .with_timer(UtcTime::rfc_3339())
                    .with_ansi(std::io::stderr().is_terminal()),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(
                layer
                    .json()
                    .flatten_event(true)
                    .with_timer(UtcTime::rfc_3339()),
            )
            .try_init(),
    }
}
