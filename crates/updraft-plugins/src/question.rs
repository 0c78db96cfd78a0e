//! A question on its way to a helper, and the answer on its way back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::Error;

/// What is asked of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Which function of the shim answers.
    pub(crate) kind: &'static str,
    /// A JSON text.
    pub(crate) body: Arc<str>,
    /// Whose code runs: a class path or the name of a listener. It is who is left alone when the
    /// question hangs.
    pub(crate) asked: Arc<str>,
    /// Finishes "raised in …".
    pub(crate) doing: &'static str,
}

impl Question {
    pub(crate) fn new(kind: &'static str, asked: &str, doing: &'static str, body: &Value) -> Self {
        Self {
            kind,
            body: body.to_string().into(),
            asked: asked.into(),
            doing,
        }
    }

    pub(crate) fn raised(&self, raised: Raised) -> Error {
        Error::Raised {
            asked: raised.by.unwrap_or_else(|| self.asked.to_string()),
            doing: raised.doing.unwrap_or_else(|| self.doing.to_owned()),
            kind: raised.kind,
            message: raised.message,
            traceback: raised.traceback,
        }
    }

    pub(crate) fn nonsense(&self, problem: impl std::fmt::Display) -> Error {
        Error::Nonsense {
            asked: self.asked.to_string(),
            doing: self.doing,
            problem: problem.to_string(),
        }
    }

    pub(crate) fn not_ready(&self, reason: impl std::fmt::Display) -> Error {
        Error::NotReady {
            asked: self.asked.to_string(),
            reason: reason.to_string(),
        }
    }
}

/// A question with somebody who waits for the answer.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) question: Question,
    pub(crate) reply: oneshot::Sender<Result<Value, Error>>,
}

/// The first frame of a question.
#[derive(Serialize)]
pub(crate) struct QuestionFrame<'a> {
    #[serde(rename = "type")]
    frame: &'static str,
    kind: &'static str,
    body: &'a str,
}

impl<'a> QuestionFrame<'a> {
    pub(crate) fn of(question: &'a Question) -> Self {
        Self {
            frame: "HelperQuestion",
            kind: question.kind,
            body: &question.body,
        }
    }
}

/// The name of the frame that answers.
pub(crate) const ANSWER: &str = "HelperAnswer";

/// The frame that answers.
#[derive(Deserialize)]
pub(crate) struct AnswerFrame {
    pub(crate) body: String,
}

/// What the user's code raised.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Raised {
    /// Whose code raised, where one question asks several.
    pub(crate) by: Option<String>,
    /// The function of it.
    pub(crate) doing: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) traceback: String,
}

/// The body of an answer.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Ok(Value),
    Raised(Raised),
}
