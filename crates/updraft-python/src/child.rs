//! One forked child as its supervisor sees it: sockets, a pid, and how it ended.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use crate::fds;

/// What a child is started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChildKind {
    /// Airflow's task runner. Its first frame is `StartupDetails`.
    Task,
    /// Airflow's Dag parser. Its first frame is `DagFileParseRequest`.
    DagParse,
    /// One callback that an executor was handed. Its first frame is ours, `ExecuteCallback`.
    Callback,
    /// Answers our own questions about the installation, frame by frame.
    Helper,
    /// Airflow's trigger runner, which goes on until it is told to stop. Its first frame is
    /// `StartTriggerer`.
    Triggerer,
    /// Opens a Dag bundle through its class. Its first frame is ours, `OpenBundle`.
    Bundle,
}

/// A running child. Dropping the sockets makes the child fail at its next request; it is not
/// killed.
#[derive(Debug)]
pub struct ChildHandle {
    /// Process id, which is also the id of the child's process group.
    pub pid: Pid,
    /// Frames, both ways.
    pub requests: UnixStream,
    /// What the child prints.
    pub stdout: UnixStream,
    /// What the child prints to its standard error.
    pub stderr: UnixStream,
    /// JSON log lines.
    pub logs: UnixStream,
    /// The value of [`CHILD_VARIABLE`](crate::process_tree::CHILD_VARIABLE) in its environment.
    pub marker: String,
    /// How it ends.
    pub exit: ChildExit,
}

/// Waits for the end of a child.
#[derive(Debug)]
pub struct ChildExit {
    pidfd: OwnedFd,
    /// What the zygote will say; `None` once it is dead.
    reported: Option<oneshot::Receiver<ExitReport>>,
    known: Option<ExitReport>,
}

/// The end of a child.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExitReport {
    /// Exit code or signal.
    pub status: ChildStatus,
    /// Processor time of the child and of the descendants it waited for. Not known when the
    /// zygote died before the child.
    pub cpu: Option<Duration>,
    /// Largest resident set. Not known when the zygote died before the child.
    pub max_rss_bytes: Option<u64>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildStatus {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
    /// It is gone, and whoever reaped it died before telling how it ended.
    Unknown,
}

impl ChildHandle {
    /// Builds the handle from what the zygote sent: the pidfd, then the four sockets.
    pub(crate) fn from_fds(
        pid: Pid,
        marker: String,
        fds: Vec<OwnedFd>,
        reported: oneshot::Receiver<ExitReport>,
    ) -> io::Result<Self> {
        let count = fds.len();
        let [pidfd, requests, stdout, stderr, logs] =
            <[OwnedFd; 5]>::try_from(fds).map_err(|_| {
                io::Error::other(format!(
                    "expected 5 descriptors of a new child, found {count}"
                ))
            })?;
        Ok(Self {
            pid,
            requests: into_stream(requests)?,
            stdout: into_stream(stdout)?,
            stderr: into_stream(stderr)?,
            logs: into_stream(logs)?,
            marker,
            exit: ChildExit {
                pidfd,
                reported: Some(reported),
                known: None,
            },
        })
    }
}

impl ChildExit {
    /// Waits for the end of the child. May be cancelled and called again.
    pub async fn wait(&mut self) -> ExitReport {
        if let Some(report) = self.known {
            return report;
        }
        let report = match self.told().await {
            Some(report) => report,
            // As the nearest subreaper we have inherited the child.
            None => ExitReport {
                status: wait_for_adopted(self.pidfd.as_fd()).await,
                cpu: None,
                max_rss_bytes: None,
            },
        };
        self.known = Some(report);
        report
    }

    /// What the zygote says, or `None` when it is dead. It is asked only as long as it lives: the
    /// waits that follow may be cancelled and begun again.
    async fn told(&mut self) -> Option<ExitReport> {
        let told = self.reported.as_mut()?.await.ok();
        self.reported = None;
        told
    }

    /// Stands for the process, whatever happens to its number.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

async fn wait_for_adopted(pidfd: BorrowedFd<'_>) -> ChildStatus {
    match pidfd.try_clone_to_owned().and_then(fds::watch) {
        // An error of `readable` leaves only the question below, which then answers "unknown".
        Ok(watched) => drop(watched.readable().await),
        Err(error) => {
            tracing::warn!(%error, "failed to watch a child of a dead zygote");
            return ChildStatus::Unknown;
        }
    }
    match waitid(
        Id::PIDFd(pidfd),
        WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG,
    ) {
        Ok(WaitStatus::Exited(_, code)) => ChildStatus::Exited(code),
        Ok(WaitStatus::Signaled(_, signal, _)) => ChildStatus::Signaled(signal as i32),
        Ok(_) | Err(Errno::ECHILD | Errno::EINVAL) => ChildStatus::Unknown,
        Err(error) => {
            tracing::warn!(%error, "failed to reap a child of a dead zygote");
            ChildStatus::Unknown
        }
    }
}

fn into_stream(fd: OwnedFd) -> io::Result<UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(fd);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
