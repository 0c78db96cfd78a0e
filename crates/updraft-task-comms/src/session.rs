//! The session of one task child, as a pure machine: events in, effects out.
//!
//! | phase | enters | leaves |
//! |---|---|---|
//! | starting | session made | run accepted: running; refused: the child is killed |
//! | running | `StartupDetails` sent | outcome stored: ended; stop: stopping; exit: draining |
//! | ended | outcome stored | exit: draining; overtime: stopping |
//! | stopping | SIGTERM sent | exit: draining; one step later SIGKILL |
//! | draining | exit status known | channels closed or given up, outcome settled: finished |
//!
//! Deliberate differences from Airflow's supervisor:
//! - Every outcome goes to the store at once, `TaskState` too; Airflow waits for the exit.
//!   Successors start earlier; the child's callbacks then run after the row is final, as they
//!   always did for success.
//! - A child that dies without an outcome yields [`Conclusion::Crashed`], retries left or not,
//!   exit code 0 or not. Airflow leaves such rows `running` for the scheduler to find.
//! - Every request is answered, also one that cannot be read; Airflow lets the child hang.

mod channels;
mod conclusion;
mod heartbeat;
mod log;
mod machine;
pub mod triggerer;

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::frame::{BadFrame, Frame};
use crate::line_splitter::Line;
use crate::message::{
    BundleInfo, ErrorResponse, Outcome, Response, StoreRequest, TIRunContext, TaskInstance,
};

pub use channels::Channel;
pub use conclusion::{Conclusion, Crash, CrashReason, ExitStatus, StopReason};
pub use machine::TaskSession;

/// What the worker was told to run.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub ti: TaskInstance,
    pub dag_rel_path: String,
    pub bundle_info: BundleInfo,
    pub sentry_integration: String,
}

/// Times and limits of a session.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// `[workers] min_heartbeat_interval`.
    pub heartbeat_interval: Duration,
    /// `[workers] max_failed_heartbeats`: so many in a row and the task is stopped.
    pub failed_heartbeats_max: u32,
    /// `[core] task_success_overtime`: how long a child may live on after its outcome.
    pub overtime: Duration,
    /// From SIGTERM to SIGKILL.
    pub kill_step: Duration,
    /// `[workers] socket_cleanup_timeout`: how long a dead child's channels may stay open.
    pub drain_timeout: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(5),
            failed_heartbeats_max: 3,
            overtime: Duration::from_secs(20),
            kill_step: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(60),
        }
    }
}

/// The time of an event on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// For what is stored and logged.
    pub at: Timestamp,
    /// For timers: monotonic, since any fixed point before the session.
    pub elapsed: Duration,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// The child exists and waits for its first frame.
    ForkedChild { pid: u32 },
    /// There will be no child.
    ForkFailed { why: String },
    /// The store marked the row as running by this child.
    RunAccepted(Box<TIRunContext>),
    /// The store did not, or could not be asked; nobody else may be disturbed.
    RunRefused(Failure),
    /// A frame on the request channel.
    Frame(Result<Frame, BadFrame>),
    /// The answer to an [`Effect::Ask`].
    StoreAnswer { ask: AskId, answer: Answer },
    /// A line on a log channel.
    LogLine(Line),
    /// A line on stdout or stderr.
    StdLine(crate::log_line::Output, Line),
    /// End of file on a channel.
    ChannelClosed(Channel),
    /// The exit status is known. Channels may still hold data.
    Exited(ExitStatus),
    /// The answer to an [`Effect::Heartbeat`].
    HeartbeatAnswer(HeartbeatAnswer),
    /// Somebody wants the task to end.
    StopRequested(StopReason),
    /// The time of [`TaskSession::next_deadline`] has come.
    Tick,
}

/// Something the worker must do, in the given order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the store to mark the row as running by this process; the answer comes back as
    /// [`Event::RunAccepted`] or [`Event::RunRefused`].
    StartRun { pid: u32 },
    /// Write these bytes, one whole frame, to the request channel.
    Send(Bytes),
    /// Make a new log channel, read it as [`Channel::ExtraLogs`], and write these bytes to the
    /// request channel with the child's end attached to the first four of them.
    SendLogChannel(Bytes),
    /// Call the store; the answer comes back as [`Event::StoreAnswer`].
    Ask { ask: AskId, call: StoreCall },
    /// Tell the store that the task is alive, and learn whether it should be.
    Heartbeat,
    /// Append this line, which has no line break, to the task log.
    WriteLog(String),
    /// Signal the child's process group.
    Signal(Signal),
    /// Stop reading all channels.
    CloseChannels,
    /// The session is over; nothing follows.
    Finish(Box<Conclusion>),
}

/// Names a pending [`Effect::Ask`]; never used twice in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(u64);

/// What is asked of the store.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreCall {
    /// Write how the task instance ended. Any success means it is stored.
    Outcome(Outcome),
    /// Carry out the request; the answer is the one named at [`Response`].
    Request(StoreRequest),
}

/// What the store said: a body, nothing, or why it failed.
pub type Answer = Result<Option<Response>, Failure>;

/// A store call that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub kind: FailureKind,
    /// Goes to the child's error slot.
    pub error: ErrorResponse,
}

/// What a failure means for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The row belongs to another try or another process, or is gone.
    NotOurs,
    /// The call itself is wrong; repeating it would not help.
    Rejected,
    /// The store could not be reached or was busy for too long.
    Unavailable,
}

/// What the store said to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeartbeatAnswer {
    /// Keep going.
    Alive,
    /// The row is no longer running under this child: cleared, marked or taken over.
    NotOurs,
    /// No answer; the task keeps running for now.
    Unavailable,
}

/// A signal for the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Terminate,
    Kill,
}
