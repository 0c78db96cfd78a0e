//! Why a scheduler ends or a step fails.

use updraft_model::JobId;

/// A failed step, or the end of the scheduler.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] updraft_store::Error),
    #[error(
        "job {job_id} of this scheduler was declared dead; it was silent for longer than \
         `[scheduler] scheduler_health_check_threshold`"
    )]
    DeclaredDead { job_id: JobId },
}

impl Error {
    /// Whether going on would only do harm: somebody else took over, or what is written goes
    /// into a file that nobody will find again.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::DeclaredDead { .. } => true,
            Self::Store(error) => matches!(error, updraft_store::Error::FileGone { .. }),
        }
    }
}
