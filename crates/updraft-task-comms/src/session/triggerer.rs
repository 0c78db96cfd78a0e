//! The session of one triggerer child, as a pure machine: events in, effects out.
//!
//! One child runs many triggers. It speaks first, about once a second and whenever something
//! happened: what its triggers did. The answer is what to start and what to stop.
//!
//! | phase | enters | leaves |
//! |---|---|---|
//! | starting | session made | forked: loading; no child: finished |
//! | loading | `StartTriggerer` sent | first message: running; too late: stopping |
//! | running | the child speaks | silent for too long: blocked; stop: stopping; exit: draining |
//! | blocked | asked for a traceback | a moment later SIGKILL |
//! | stopping | SIGTERM sent | exit: draining; one step later SIGKILL |
//! | draining | exit status known | channels closed or given up: finished |
//!
//! Deliberate differences from Airflow's supervisor:
//! - What the triggers did is acknowledged when it is stored, not before. A slow store slows the
//!   child's reports down instead of filling our memory.
//! - A trigger is told once to stop. Airflow repeats it every second and so interrupts the
//!   trigger's `on_kill`.
//! - A child whose loop is blocked is asked where it is and replaced.
//! - A trigger that could not be loaded counts as finished; Airflow's supervisor keeps it for good.

mod machine;
mod requests;

use std::time::Duration;

use bytes::Bytes;

use super::{Answer, AskId, Channel, ExitStatus};
use crate::frame::{BadFrame, Frame};
use crate::line_splitter::Line;
use crate::log_line::Output;
use crate::message::{RunTrigger, StoreRequest, TriggerEventEntry};

pub use machine::TriggererSession;

/// Times and limits of a session.
#[derive(Debug, Clone)]
pub struct TriggererConfig {
    /// How long the child may take to load before its first message.
    pub start_timeout: Duration,
    /// `[triggerer] runner_health_check_threshold`: silence after which the child's loop counts as
    /// blocked; zero: never.
    pub silence_max: Duration,
    /// `[triggerer] on_kill_timeout`: how long a trigger that was told to stop may clean up.
    pub on_kill_timeout: Duration,
    /// From the question where a blocked child is to its end.
    pub dump_step: Duration,
    /// From SIGTERM to SIGKILL.
    pub kill_step: Duration,
    /// How long a dead child's channels may stay open.
    pub drain_timeout: Duration,
}

impl Default for TriggererConfig {
    fn default() -> Self {
        Self {
            start_timeout: Duration::from_secs(120),
            silence_max: Duration::from_secs(30),
            on_kill_timeout: Duration::from_secs(30),
            dump_step: Duration::from_secs(1),
            kill_step: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// The child exists and waits for its first frame.
    Forked,
    /// There will be no child.
    ForkFailed { why: String },
    /// Triggers to run.
    Start(Vec<RunTrigger>),
    /// Triggers that nobody needs.
    Cancel(Vec<i64>),
    /// What [`Effect::Report`] told is stored.
    Stored,
    /// A frame on the request channel.
    Frame(Result<Frame, BadFrame>),
    /// The answer to an [`Effect::Ask`].
    StoreAnswer { ask: AskId, answer: Answer },
    /// A line on a log channel.
    LogLine(Line),
    /// A line on stdout or stderr.
    StdLine(Output, Line),
    /// End of file on a channel.
    ChannelClosed(Channel),
    /// The exit status is known. Channels may still hold data.
    Exited(ExitStatus),
    /// The child is no longer wanted.
    Stop,
    /// The time of [`TriggererSession::next_deadline`] has come.
    Tick,
}

/// Something the triggerer must do, in the given order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write these bytes, one whole frame, to the request channel.
    Send(Bytes),
    /// As the task session's effect of this name.
    SendLogChannel(Bytes),
    /// Call the store; the answer comes back as [`Event::StoreAnswer`].
    Ask { ask: AskId, request: StoreRequest },
    /// Store what the triggers did, and say so with [`Event::Stored`]. One at a time.
    Report(Report),
    /// Append this line, which has no line break, to the log of a trigger, or to the process log.
    WriteLog { trigger: Option<i64>, line: String },
    /// Signal the child.
    Signal(Signal),
    /// Stop reading all channels.
    CloseChannels,
    /// The session is over; nothing follows.
    Finish(Ended),
}

/// What triggers did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// In the order in which they were fired.
    pub events: Vec<TriggerEventEntry>,
    /// Triggers that failed before they had any event, with the lines of a traceback.
    pub failures: Vec<(i64, Option<Vec<String>>)>,
    /// Triggers that do not run any more, failed ones among them.
    pub finished: Vec<i64>,
}

impl Report {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.failures.is_empty() && self.finished.is_empty()
    }
}

/// A signal for the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Write a traceback to stderr.
    DumpTraceback,
    Terminate,
    Kill,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    pub reason: EndReason,
    /// Triggers that the child was told to run and that are not finished.
    pub unfinished: Vec<i64>,
    /// Whether it ever spoke.
    pub was_running: bool,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    #[error("it was no longer wanted")]
    Stopped,
    #[error("there was no process: {why}")]
    NotStarted { why: String },
    #[error("it did not get ready within {} seconds", .after.as_secs())]
    StartTimeout { after: Duration },
    #[error(
        "its event loop was blocked for {} seconds, most likely by a trigger that does not await \
         what it waits for",
        .silent.as_secs()
    )]
    Blocked { silent: Duration },
    #[error("it sent data that is no request and cannot be answered")]
    ProtocolViolation,
    #[error("its process {0}")]
    Died(ExitStatus),
}
