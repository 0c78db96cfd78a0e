//! What can be wrong with settings, and what is merely worth a word.

use std::fmt;
use std::path::PathBuf;

use crate::value::Origin;

/// One bad setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The value is there and means nothing.
    #[error("[{section}] {key}: expected {expected}, found {found} ({origin})")]
    BadValue {
        section: String,
        key: String,
        expected: String,
        found: String,
        origin: Origin,
    },
    /// The value could not be obtained: a failed command, an unanswered secret, a bad reference.
    #[error("[{section}] {key}: {reason} ({origin})")]
    NoValue {
        section: String,
        key: String,
        reason: String,
        origin: Origin,
    },
    /// Two good values do not go together.
    #[error("[{section}] {key}: {reason}")]
    Conflict {
        section: String,
        key: String,
        reason: String,
    },
    /// A line of `airflow.cfg` cannot be read.
    #[error("{}, line {line}: {reason}", path.display())]
    BadLine {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    /// `airflow.cfg` is there and cannot be opened.
    #[error("cannot read {}: {reason}", path.display())]
    UnreadableFile { path: PathBuf, reason: String },
}

/// All bad settings of one start, reported together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSettings {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl std::error::Error for BadSettings {}

impl fmt::Display for BadSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(f, "a setting is wrong: {only}"),
            many => {
                write!(f, "{} settings are wrong:", many.len())?;
                many.iter()
                    .try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

/// A setting that works today and should be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The value stands under the name that the option had in Airflow 2.
    OldName {
        old: (String, String),
        new: (String, String),
        origin: Origin,
    },
    /// The value is one that Airflow 3 replaces by another.
    OldValue {
        section: String,
        key: String,
        replaced_by: String,
        origin: Origin,
    },
    /// Nobody reads the option; often a misspelt name.
    Unknown {
        section: String,
        key: String,
        origin: Origin,
    },
    /// The setting is understood and Updraft does something else.
    NotHonoured {
        section: String,
        key: String,
        reason: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldName { old, new, origin } => write!(
                f,
                "[{}] {} is now [{}] {}; the old name was used ({origin})",
                old.0, old.1, new.0, new.1
            ),
            Self::OldValue {
                section,
                key,
                replaced_by,
                origin,
            } => {
                write!(
                    f,
                    "[{section}] {key}: its old value counts as {replaced_by:?} ({origin})"
                )
            }
            Self::Unknown {
                section,
                key,
                origin,
            } => {
                write!(
                    f,
                    "[{section}] {key} is not an option that Updraft knows ({origin})"
                )
            }
            Self::NotHonoured {
                section,
                key,
                reason,
            } => {
                write!(f, "[{section}] {key}: {reason}")
            }
        }
    }
}
