//! How a session can end.

use std::fmt;

use jiff::Timestamp;

use super::Failure;
use crate::message::Outcome;

/// The end of a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Conclusion {
    /// No child ran any user code and the row was not touched.
    NotStarted { why: String },
    /// The store refused the run, or could not be asked; the child was killed before it did
    /// anything.
    Refused(Failure),
    /// The child's outcome is stored. Nothing is left to write.
    Completed {
        state: &'static str,
        status: ExitStatus,
    },
    /// The row was not ours any more; nothing must be written.
    Superseded { status: ExitStatus },
    /// The store did not take the outcome, even when asked again at the end.
    Undelivered {
        outcome: Box<Outcome>,
        failure: Failure,
        status: ExitStatus,
    },
    /// The child ended without a stored outcome. The row must be moved on, together with
    /// the requests for its callbacks.
    Crashed(Crash),
}

/// What to write for a child that ended without an outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Crash {
    pub status: ExitStatus,
    pub reason: CrashReason,
    /// `up_for_retry` if true, else `failed`.
    pub should_retry: bool,
    pub end_date: Timestamp,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    Code(i32),
    Signal(i32),
    /// Whoever would have known died first.
    Unknown,
}

impl ExitStatus {
    /// Reads the convention of Python's `subprocess`: -n is signal n.
    pub fn from_returncode(code: i32) -> Self {
        if code < 0 {
            Self::Signal(-code)
        } else {
            Self::Code(code)
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => {
                write!(f, "was ended by signal {signal} ({})", signal_name(*signal))
            }
            Self::Unknown => f.write_str("is gone and its exit status could not be learnt"),
        }
    }
}

/// Why a session was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The row was cleared, marked or taken over while the task ran.
    Superseded,
    /// The worker shuts down.
    WorkerShutdown,
    /// Too many heartbeats in a row found no store.
    StoreLost,
    /// The child still lived long after its outcome.
    Overtime,
    /// A request could not even be answered.
    ProtocolViolation,
}

/// Why a child ended without an outcome. Its text goes to the task log and the callbacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrashReason {
    /// We stopped it.
    Stopped(StopReason),
    /// SIGKILL from elsewhere.
    KilledBySystem,
    SegmentationFault,
    OtherSignal(i32),
    ExitCode(i32),
    /// Exit code 0 without an outcome: user code ended the process itself.
    NoOutcome,
    /// The store took no outcome because it was wrong.
    OutcomeRejected {
        message: String,
    },
    /// The first frame could not be made.
    Startup {
        message: String,
    },
    StatusUnknown,
}

impl CrashReason {
    /// The reason a process that nobody stopped gives by its status alone.
    pub(super) fn of_status(status: ExitStatus) -> Self {
        match status {
            ExitStatus::Code(0) => Self::NoOutcome,
            ExitStatus::Code(code) => Self::ExitCode(code),
            ExitStatus::Signal(SIGKILL) => Self::KilledBySystem,
            ExitStatus::Signal(SIGSEGV) => Self::SegmentationFault,
            ExitStatus::Signal(signal) => Self::OtherSignal(signal),
            ExitStatus::Unknown => Self::StatusUnknown,
        }
    }
}

impl fmt::Display for CrashReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(reason) => write!(f, "the task was stopped: {reason}"),
            Self::KilledBySystem => f.write_str(
                "the task process was killed with SIGKILL from outside; \
                 most often the system had run out of memory",
            ),
            Self::SegmentationFault => f.write_str(
                "the task process crashed with SIGSEGV; native code of a library broke, \
                 or two libraries do not survive a fork together",
            ),
            Self::OtherSignal(signal) => {
                write!(
                    f,
                    "the task process was ended by signal {signal} ({})",
                    signal_name(*signal)
                )
            }
            Self::ExitCode(code) => {
                write!(
                    f,
                    "the task process exited with code {code} without reporting an outcome"
                )
            }
            Self::NoOutcome => f.write_str(
                "the task process exited with code 0 without reporting an outcome; \
                 did user code call `os._exit`?",
            ),
            Self::OutcomeRejected { message } => {
                write!(
                    f,
                    "the outcome that the task reported was refused: {message}"
                )
            }
            Self::Startup { message } => {
                write!(f, "the task could not be told what to run: {message}")
            }
            Self::StatusUnknown => {
                f.write_str("the task process is gone and its exit status could not be learnt")
            }
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superseded => "the task instance should no longer be running here",
            Self::WorkerShutdown => "the worker is shutting down",
            Self::StoreLost => "too many heartbeats in a row could not be delivered",
            Self::Overtime => "the process was still alive long after it had reported its outcome",
            Self::ProtocolViolation => "it sent data that is no request and cannot be answered",
        })
    }
}

const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;

/// The name of a signal on Linux.
pub(super) fn signal_name(signal: i32) -> &'static str {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    let index = usize::try_from(signal)
        .ok()
        .and_then(|number| number.checked_sub(1));
    index
        .and_then(|index| NAMES.get(index))
        .copied()
        .unwrap_or("a real-time signal")
}
