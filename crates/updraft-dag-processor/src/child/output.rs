//! What a child prints and logs: into the log file, up to a limit.

use std::collections::VecDeque;

use jiff::Timestamp;
use updraft_execution::LogFile;
use updraft_task_comms::json::Json;
use updraft_task_comms::line_splitter::Line;
use updraft_task_comms::log_line::{self, Level, child_line, output_line, own_line};
use updraft_task_comms::masker::{MaskerConfig, SecretsMasker};

/// Bytes of output that are kept of one parse. A file that prints more is printing by mistake.
const LOGGED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How many lines an import error repeats.
const LAST_LINES_MAX: usize = 20;

/// How much of a line an import error repeats.
const LAST_LINE_CHARS_MAX: usize = 500;

/// The log of one child.
pub(super) struct Output {
    log: LogFile,
    masker: SecretsMasker,
    logged_bytes: usize,
    is_cut: bool,
    last_lines: VecDeque<String>,
}

impl Output {
    pub(super) fn new(log: LogFile, masker: MaskerConfig) -> Self {
        Self {
            log,
            masker: SecretsMasker::new(masker),
            logged_bytes: 0,
            is_cut: false,
            last_lines: VecDeque::new(),
        }
    }

    pub(super) fn masker(&mut self) -> &mut SecretsMasker {
        &mut self.masker
    }

    /// A line of the log channel.
    pub(super) fn log_line(&mut self, line: &Line, now: Timestamp) {
        if self.is_cut {
            return;
        }
        let text = String::from_utf8_lossy(&line.bytes);
        let written = child_line(&text, &self.masker, now);
        if let Ok(json) = Json::parse(&written)
            && let Some(Json::Text(event)) = json.get("event")
        {
            self.remember(event);
        }
        self.write(written, now);
    }

    /// A line of standard output or standard error.
    pub(super) fn std_line(&mut self, stream: log_line::Output, line: &Line, now: Timestamp) {
        if self.is_cut {
            return;
        }
        let text = String::from_utf8_lossy(&line.bytes);
        let masked = self.masker.mask(&text).into_owned();
        self.remember(&masked);
        self.write(output_line(stream, &text, &self.masker, now), now);
    }

    /// The last lines, one under the other; empty when there were none.
    pub(super) fn last_lines(&self) -> String {
        let lines: Vec<&str> = self.last_lines.iter().map(String::as_str).collect();
        lines.join("\n")
    }

    fn remember(&mut self, line: &str) {
        if self.last_lines.len() == LAST_LINES_MAX {
            self.last_lines.pop_front();
        }
        let line = line.trim_end();
        let end = line.char_indices().nth(LAST_LINE_CHARS_MAX);
        let kept = end.map_or(line, |(end, _)| &line[..end]);
        self.last_lines.push_back(kept.to_owned());
    }

    fn write(&mut self, line: String, now: Timestamp) {
        self.logged_bytes += line.len();
        if self.logged_bytes <= LOGGED_BYTES_MAX {
            self.log.append(&[line], now);
            return;
        }
        self.is_cut = true;
        let event = "The Dag file writes more than is kept of one parse; the rest is left out";
        let limit = i64::try_from(LOGGED_BYTES_MAX).unwrap_or(i64::MAX);
        let fields = [("bytes_max", Json::Int(limit))];
        let note = own_line(Level::Warning, event, &fields, &self.masker, now);
        self.log.append(&[note], now);
    }
}
