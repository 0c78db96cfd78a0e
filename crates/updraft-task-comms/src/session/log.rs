//! Lines from the child's channels, on their way to the task log.
//!
//! Whole lines are simple. A line that is too long comes in pieces, and a secret may lie
//! across the border of two; the end of a piece that could be the start of a secret is
//! therefore held back until the next one is there.

use jiff::Timestamp;

use crate::line_splitter::Line;
use crate::log_line::{Output, child_line, output_line, trigger_line};
use crate::masker::SecretsMasker;

/// Turns channel lines into file lines.
#[derive(Debug, Default)]
pub(super) struct LogLines {
    held_logs: String,
    held_stdout: String,
    held_stderr: String,
}

impl LogLines {
    /// A line of a log channel.
    pub(super) fn log_line(
        &mut self,
        line: &Line,
        masker: &SecretsMasker,
        now: Timestamp,
    ) -> Option<String> {
        let text = with_held(&mut self.held_logs, line, masker)?;
        Some(child_line(&text, masker, now))
    }

    /// A line of the triggerer's log channel, and the trigger that wrote it.
    pub(super) fn trigger_line(
        &mut self,
        line: &Line,
        masker: &SecretsMasker,
        now: Timestamp,
    ) -> Option<(Option<i64>, String)> {
        let text = with_held(&mut self.held_logs, line, masker)?;
        Some(trigger_line(&text, masker, now))
    }

    /// A line of stdout or stderr.
    pub(super) fn std_line(
        &mut self,
        output: Output,
        line: &Line,
        masker: &SecretsMasker,
        now: Timestamp,
    ) -> Option<String> {
        let held = match output {
            Output::Stdout => &mut self.held_stdout,
            Output::Stderr => &mut self.held_stderr,
        };
        let text = with_held(held, line, masker)?;
        Some(output_line(output, &text, masker, now))
    }
}

/// The text to write now; `None` if all of a piece must wait for the next one.
fn with_held(held: &mut String, line: &Line, masker: &SecretsMasker) -> Option<String> {
    let mut text = std::mem::take(held);
    text.push_str(&String::from_utf8_lossy(&line.bytes));
    if !line.is_last {
        *held = text.split_off(masker.safe_cut(&text));
    }
    (line.is_last || !text.is_empty()).then_some(text)
}
