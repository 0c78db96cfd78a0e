//! How a command ends that could not do what it should.

use std::fmt;
use std::process::ExitCode;

use crate::output::remark;

/// Exit status of a command that was called wrongly.
pub(super) const USAGE: u8 = 2;

/// Exit status of a command that failed.
const FAILED: u8 = 1;

/// How a command went; what it found is on standard output already.
pub(super) type Outcome = Result<(), Failure>;

/// Why a command failed, and what may help.
#[derive(Debug)]
pub(super) struct Failure {
    exit_code: u8,
    /// `None`: the output said it already.
    reason: Option<anyhow::Error>,
    hint: Option<String>,
}

impl Failure {
    /// The command failed for this reason.
    pub(super) fn because(reason: impl fmt::Display) -> Self {
        Self::from(anyhow::anyhow!("{reason}"))
    }

    /// The command was called wrongly.
    pub(super) fn usage(reason: impl fmt::Display) -> Self {
        Self {
            exit_code: USAGE,
            ..Self::because(reason)
        }
    }

    /// The command failed, as its output shows.
    pub(super) fn already_said() -> Self {
        Self {
            exit_code: FAILED,
            reason: None,
            hint: None,
        }
    }

    /// Adds what to try.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Tells it on standard error: the reason, its causes indented, the hint.
    pub(super) fn report(self) -> ExitCode {
        if let Some(reason) = &self.reason {
            let mut said = String::new();
            for cause in reason.chain().map(ToString::to_string) {
                // A database driver repeats its cause in its own words.
                if said.is_empty() {
                    remark(&format!("error: {cause}"));
                } else if !said.ends_with(&cause) {
                    remark(&format!("  {cause}"));
                }
                said = cause;
            }
        }
        if let Some(hint) = &self.hint {
            remark(&format!("hint: {hint}"));
        }
        ExitCode::from(self.exit_code)
    }
}

impl fmt::Display for Failure {
    /// On one line, for a failure that is not the end yet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{reason:#}"),
            None => f.write_str("failed"),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            exit_code: FAILED,
            reason: Some(error.into()),
            hint: None,
        }
    }
}
