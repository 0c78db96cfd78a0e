//! Why a bundle could not be opened.

use std::io;
use std::time::Duration;

use updraft_model::BundleName;

/// Why a bundle could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "the Dag bundle `{0}` is not configured; add it to [dag_processor] dag_bundle_config_list"
    )]
    NotConfigured(BundleName),
    /// The class raised, which it may or may not do again.
    #[error("the class of the Dag bundle `{name}` failed: {reason}")]
    Refused { name: BundleName, reason: String },
    /// The child ended without an answer, so it may have left something half done.
    #[error("the process that opened the Dag bundle `{name}` {how}")]
    Interrupted { name: BundleName, how: String },
    #[error("found no process to open the Dag bundle `{name}`: {reason}")]
    NoChild { name: BundleName, reason: String },
    /// This process is stopping.
    #[error("Updraft is stopping")]
    Stopping,
    #[error("waited {} s for the Dag bundle `{name}`: another process is opening {what}", waited.as_secs())]
    Busy {
        name: BundleName,
        what: String,
        waited: Duration,
    },
    #[error("failed to {doing} of the Dag bundle `{name}`")]
    Storage {
        doing: &'static str,
        name: BundleName,
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: names the operation in words that finish "failed to … of the bundle".
    pub(crate) fn storage(
        doing: &'static str,
        name: &BundleName,
    ) -> impl FnOnce(io::Error) -> Self {
        let name = name.clone();
        move |source| Self::Storage {
            doing,
            name,
            source,
        }
    }
}
