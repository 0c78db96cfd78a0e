//! The end of a child, waited for once.

use updraft_python::{ChildExit, ChildStatus};
use updraft_task_comms::session::ExitStatus;

/// Whether a child's end is known.
pub enum Exit {
    Awaited(ChildExit),
    Known,
}

impl Exit {
    /// Waits for the end of the child; pending for ever once that was told. Cancel-safe.
    pub async fn wait(&mut self) -> ExitStatus {
        let Self::Awaited(exit) = self else {
            return std::future::pending().await;
        };
        let report = exit.wait().await;
        *self = Self::Known;
        match report.status {
            ChildStatus::Exited(code) => ExitStatus::Code(code),
            ChildStatus::Signaled(signal) => ExitStatus::Signal(signal),
            ChildStatus::Unknown => ExitStatus::Unknown,
        }
    }
}
