//! What a child that is no task prints and logs: into a log file, up to a limit.

use std::collections::VecDeque;

use jiff::Timestamp;
use tracing::{debug, warn};
use updraft_task_comms::json::Json;
use updraft_task_comms::line_splitter::Line;
use updraft_task_comms::log_line::{self, Level, child_line, output_line, own_line};
use updraft_task_comms::masker::{MaskerConfig, SecretsMasker};

use crate::LogFile;

/// Bytes of output that are kept of one child. Code that prints more is printing by mistake.
const LOGGED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How many lines a report of what went wrong repeats.
const LAST_LINES_MAX: usize = 20;

/// How much of a line it repeats.
const LAST_LINE_CHARS_MAX: usize = 500;

/// Where the output of a child goes.
pub enum ChildLog {
    File(LogFile),
    /// The log of this process, with what it is about. What is not serious is for those who look.
    Process {
        about: String,
    },
    /// Nowhere: only its end is remembered.
    Nowhere,
}

/// The log of one child.
pub(crate) struct Output {
    log: ChildLog,
    masker: SecretsMasker,
    logged_bytes: usize,
    is_cut: bool,
    last_lines: VecDeque<String>,
    /// The `error` of the last line that had one.
    last_error: Option<String>,
}

impl Output {
    pub(crate) fn new(log: ChildLog, masker: MaskerConfig) -> Self {
        Self {
            log,
            masker: SecretsMasker::new(masker),
            logged_bytes: 0,
            is_cut: false,
            last_lines: VecDeque::new(),
            last_error: None,
        }
    }

    pub(crate) fn masker(&mut self) -> &mut SecretsMasker {
        &mut self.masker
    }

    /// A line of the log channel.
    pub(crate) fn log_line(&mut self, line: &Line, now: Timestamp) {
        if self.is_cut {
            return;
        }
        let text = String::from_utf8_lossy(&line.bytes);
        let written = child_line(&text, &self.masker, now);
        let mut is_serious = false;
        if let Ok(json) = Json::parse(&written) {
            if let Some(Json::Text(level)) = json.get("level") {
                is_serious = matches!(level.as_ref(), "warning" | "error" | "critical");
            }
            if let Some(Json::Text(event)) = json.get("event") {
                self.remember(event);
            }
            if let Some(Json::Text(error)) = json.get("error") {
                self.last_error = Some(error.to_string());
            }
        }
        self.write(written, is_serious, now);
    }

    /// A line of standard output or standard error.
    pub(crate) fn std_line(&mut self, stream: log_line::Output, line: &Line, now: Timestamp) {
        if self.is_cut {
            return;
        }
        let text = String::from_utf8_lossy(&line.bytes);
        let masked = self.masker.mask(&text).into_owned();
        self.remember(&masked);
        self.write(output_line(stream, &text, &self.masker, now), false, now);
    }

    /// The last lines, one under the other; empty when there were none.
    pub(crate) fn last_lines(&self) -> String {
        let lines: Vec<&str> = self.last_lines.iter().map(String::as_str).collect();
        lines.join("\n")
    }

    /// What the child called an error last, masked.
    pub(crate) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    fn remember(&mut self, line: &str) {
        if self.last_lines.len() == LAST_LINES_MAX {
            self.last_lines.pop_front();
        }
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        let end = line.char_indices().nth(LAST_LINE_CHARS_MAX);
        let kept = end.map_or(line, |(end, _)| &line[..end]);
        self.last_lines.push_back(kept.to_owned());
    }

    fn write(&mut self, line: String, is_serious: bool, now: Timestamp) {
        self.logged_bytes += line.len();
        if self.logged_bytes <= LOGGED_BYTES_MAX {
            self.log.write(line, is_serious, now);
            return;
        }
        self.is_cut = true;
        let event = "This writes more than is kept; the rest is left out";
        let limit = i64::try_from(LOGGED_BYTES_MAX).unwrap_or(i64::MAX);
        let fields = [("bytes_max", Json::Int(limit))];
        let note = own_line(Level::Warning, event, &fields, &self.masker, now);
        self.log.write(note, true, now);
    }
}

impl ChildLog {
    fn write(&mut self, line: String, is_serious: bool, now: Timestamp) {
        match self {
            Self::File(log) => log.append(&[line], now),
            Self::Process { about } if is_serious => warn!(about, line, "a child wrote"),
            Self::Process { about } => debug!(about, line, "a child wrote"),
            Self::Nowhere => {}
        }
    }
}
