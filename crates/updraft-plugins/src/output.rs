//! What helpers print and log: into the process log, up to a limit, without secrets.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};
use updraft_task_comms::json::Json;
use updraft_task_comms::line_splitter::Line;
use updraft_task_comms::log_line;
use updraft_task_comms::masker::{MaskerConfig, SecretsMasker};
use updraft_task_comms::message::Response;

/// Lines that a helper may write within [`PERIOD`]. Whoever prints more is printing by mistake.
const LINES_MAX: u32 = 200;

const PERIOD: Duration = Duration::from_secs(10);

/// How many lines an error repeats.
const LAST_LINES_MAX: usize = 5;

/// How much of a line is kept.
const LINE_CHARS_MAX: usize = 1_000;

/// The output of one helper.
pub(crate) struct Output {
    masker: SecretsMasker,
    last_lines: VecDeque<String>,
    period_began: Instant,
    written: u32,
}

impl Output {
    pub(crate) fn new(masker: MaskerConfig) -> Self {
        Self {
            masker: SecretsMasker::new(masker),
            last_lines: VecDeque::new(),
            period_began: Instant::now(),
            written: 0,
        }
    }

    pub(crate) fn masker(&mut self) -> &mut SecretsMasker {
        &mut self.masker
    }

    /// What the helper was told in confidence does not belong into the log.
    pub(crate) fn learn_secrets(&mut self, response: &Response) {
        match response {
            Response::ConnectionResult(connection) => {
                for secret in [&connection.password, &connection.extra]
                    .into_iter()
                    .flatten()
                {
                    self.masker.add(secret);
                }
            }
            Response::VariableResult(variable) => {
                if let Some(value) = &variable.value {
                    self.masker.add_named(value, &variable.key);
                }
            }
            _ => {}
        }
    }

    /// A line of the log channel.
    pub(crate) fn log_line(&mut self, line: &Line) {
        let text = String::from_utf8_lossy(&line.bytes);
        let Ok(json) = Json::parse(&text) else {
            return self.write(&text, Level::Info);
        };
        let field = |name: &str| match json.get(name) {
            Some(Json::Text(text)) => Some(text.as_ref()),
            _ => None,
        };
        let level = match field("level") {
            Some("debug") => return,
            Some("warning" | "error" | "critical") => Level::Warning,
            _ => Level::Info,
        };
        let event = field("event").unwrap_or_default();
        let told = match field("logger") {
            Some(logger) => format!("{logger}: {event}"),
            None => event.to_owned(),
        };
        self.write(&told, level);
        if let Some(error) = json.get("error_detail") {
            let mut text = String::new();
            error.write(&mut text);
            self.write(&text, level);
        }
    }

    /// A line of standard output or standard error.
    pub(crate) fn std_line(&mut self, stream: log_line::Output, line: &Line) {
        let level = match stream {
            log_line::Output::Stdout => Level::Info,
            log_line::Output::Stderr => Level::Warning,
        };
        self.write(&String::from_utf8_lossy(&line.bytes), level);
    }

    /// The last lines, one after the other; empty when there were none.
    pub(crate) fn last_lines(&self) -> String {
        let lines: Vec<&str> = self.last_lines.iter().map(String::as_str).collect();
        lines.join(" | ")
    }

    fn write(&mut self, text: &str, level: Level) {
        let masked = self.masker.mask(text.trim_end());
        let end = masked.char_indices().nth(LINE_CHARS_MAX);
        let line = end.map_or(&*masked, |(end, _)| &masked[..end]);
        if line.is_empty() {
            return;
        }
        if self.last_lines.len() == LAST_LINES_MAX {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line.to_owned());
        if self.period_began.elapsed() > PERIOD {
            self.period_began = Instant::now();
            self.written = 0;
        }
        self.written = self.written.saturating_add(1);
        match self.written {
            ..=LINES_MAX if level == Level::Info => info!(line, "a plugin wrote"),
            ..=LINES_MAX => warn!(line, "a plugin wrote"),
            written if written == LINES_MAX + 1 => {
                warn!("a plugin writes more than is kept; the rest is left out for a while");
            }
            _ => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Info,
    Warning,
}
