//! Why a question has no answer.

use std::time::Duration;

use updraft_python::ChildStatus;

/// What went wrong. Every message names who was asked and for what.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The user's code raised.
    #[error("`{asked}` raised in {doing}: {kind}: {message}")]
    Raised {
        asked: String,
        doing: String,
        /// Class of the exception.
        kind: String,
        message: String,
        traceback: String,
    },
    /// The user's code did not come back; its process was killed.
    #[error(
        "`{asked}` took more than {limit:?} in {doing} and was killed with its process; \
         [updraft] plugin_timeout gives it more time"
    )]
    TimedOut {
        asked: String,
        doing: &'static str,
        limit: Duration,
    },
    /// The process ended in the middle of the question.
    #[error("the process that asked `{asked}` in {doing} ended ({}){}", shown(*.status), after(.output))]
    Died {
        asked: String,
        doing: &'static str,
        status: ChildStatus,
        /// The last lines it printed.
        output: String,
    },
    /// It is left alone, because it hung or killed its process before.
    #[error("`{asked}` is not asked again within {retry_in:?}, because {cause}")]
    LeftAlone {
        asked: String,
        cause: String,
        retry_in: Duration,
    },
    /// The answer is not what was asked for.
    #[error("the answer of `{asked}` in {doing} is of no use: {problem}")]
    Nonsense {
        asked: String,
        doing: &'static str,
        problem: String,
    },
    /// There is no Python to ask at the moment.
    #[error("there is no Python to ask `{asked}`: {reason}")]
    NotReady { asked: String, reason: String },
    /// Too many questions wait already.
    #[error("`{asked}` was not asked, because {waiting} questions wait already")]
    Busy { asked: String, waiting: usize },
}

impl Error {
    /// Whether the same question may have an answer soon, without anybody changing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::NotReady { .. } | Self::Busy { .. } => true,
            Self::Raised { .. }
            | Self::TimedOut { .. }
            | Self::Died { .. }
            | Self::LeftAlone { .. }
            | Self::Nonsense { .. } => false,
        }
    }

    /// Whose code it is about.
    #[must_use]
    pub fn asked(&self) -> &str {
        match self {
            Self::Raised { asked, .. }
            | Self::TimedOut { asked, .. }
            | Self::Died { asked, .. }
            | Self::LeftAlone { asked, .. }
            | Self::Nonsense { asked, .. }
            | Self::NotReady { asked, .. }
            | Self::Busy { asked, .. } => asked,
        }
    }

    /// The traceback, where there is one.
    #[must_use]
    pub fn traceback(&self) -> Option<&str> {
        match self {
            Self::Raised { traceback, .. } => Some(traceback),
            _ => None,
        }
    }
}

fn shown(status: ChildStatus) -> String {
    match status {
        ChildStatus::Exited(code) => format!("exit code {code}"),
        ChildStatus::Signaled(signal) => format!("signal {signal}"),
        ChildStatus::Unknown => "nobody knows how".to_owned(),
    }
}

fn after(output: &str) -> String {
    if output.is_empty() {
        String::new()
    } else {
        format!(" after printing: {output}")
    }
}
