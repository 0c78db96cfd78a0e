//! The lines of a task log file: one JSON object each, in Airflow's form.
//!
//! `timestamp`, `level` and `event` come first, the rest as the child sent it. Every text
//! is masked here; nothing else may write to a task log.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::json::Json;
use crate::masker::SecretsMasker;
use crate::scalar::UtcDateTime;

/// The two text outputs of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Stdout,
    Stderr,
}

/// How serious a line of our own is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl Output {
    fn logger(self) -> &'static str {
        match self {
            Self::Stdout => "task.stdout",
            Self::Stderr => "task.stderr",
        }
    }

    fn level(self) -> Level {
        match self {
            Self::Stdout => Level::Info,
            Self::Stderr => Level::Error,
        }
    }
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Turns one line of the log channel into a line of the file.
///
/// Airflow drops lines that are not JSON objects from the task log. We keep their text:
/// whoever looks for a lost message looks there.
pub fn child_line(line: &str, masker: &SecretsMasker, now: Timestamp) -> String {
    match Json::parse(line) {
        Ok(Json::Object(entries)) => {
            let mut fields = in_file_order(entries, now);
            masker.mask_json(&mut fields);
            written(&fields)
        }
        _ => plain_line(Level::Info, line, "task", &[], masker, now),
    }
}

/// Turns one line of the triggerer child's log channel into a line of a file, and names the
/// trigger that wrote it.
pub fn trigger_line(line: &str, masker: &SecretsMasker, now: Timestamp) -> (Option<i64>, String) {
    let Ok(Json::Object(mut entries)) = Json::parse(line) else {
        return (None, child_line(line, masker, now));
    };
    let at = entries.iter().position(|(key, _)| key == "trigger_id");
    let trigger = match at.map(|at| entries.remove(at).1) {
        Some(Json::Int(id)) => Some(id),
        _ => None,
    };
    let mut fields = in_file_order(entries, now);
    masker.mask_json(&mut fields);
    (trigger, written(&fields))
}

/// Turns one line of stdout or stderr into a line of the file.
pub fn output_line(output: Output, line: &str, masker: &SecretsMasker, now: Timestamp) -> String {
    plain_line(
        output.level(),
        line.trim_end(),
        output.logger(),
        &[],
        masker,
        now,
    )
}

/// A line of our own, as logger `task`.
pub fn own_line(
    level: Level,
    event: &str,
    fields: &[(&'static str, Json<'_>)],
    masker: &SecretsMasker,
    now: Timestamp,
) -> String {
    plain_line(level, event, "task", fields, masker, now)
}

fn plain_line(
    level: Level,
    event: &str,
    logger: &'static str,
    fields: &[(&'static str, Json<'_>)],
    masker: &SecretsMasker,
    now: Timestamp,
) -> String {
    let mut entries = vec![
        ("timestamp".into(), UtcDateTime(now).to_string().into()),
        ("level".into(), level.as_str().into()),
        ("event".into(), event.into()),
        ("logger".into(), logger.into()),
    ];
    entries.extend(
        fields
            .iter()
            .map(|(key, value)| (Cow::from(*key), value.clone())),
    );
    let mut line = Json::Object(entries);
    masker.mask_json(&mut line);
    written(&line)
}

/// Puts the three fixed keys first and gives the exception the name it has in files.
fn in_file_order<'a>(mut entries: Vec<(Cow<'a, str>, Json<'a>)>, now: Timestamp) -> Json<'a> {
    let mut take = |key: &str| {
        let at = entries.iter().position(|(name, _)| name == key)?;
        Some(entries.remove(at).1)
    };
    let timestamp = take("timestamp").unwrap_or_else(|| UtcDateTime(now).to_string().into());
    let level = take("level").unwrap_or(Level::Info.as_str().into());
    let event = take("event").unwrap_or("".into());
    let exception = take("exception");

    let mut ordered = Vec::with_capacity(entries.len() + 4);
    ordered.push(("timestamp".into(), timestamp));
    ordered.push(("level".into(), level));
    ordered.push(("event".into(), event));
    ordered.append(&mut entries);
    ordered.extend(exception.map(|exception| ("error_detail".into(), exception)));
    Json::Object(ordered)
}

fn written(line: &Json<'_>) -> String {
    let mut text = String::new();
    line.write(&mut text);
    text
}
