//! Log files of triggers, and what the child says about itself.
//!
//! A trigger of a task instance writes beside the log of its try, in a file that names the job:
//! after a failover another triggerer writes another file. Lines of all other triggers, and lines
//! without a trigger, go to the process log.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;
use tracing::{error, info, warn};
use updraft_execution::LogFile;
use updraft_model::{JobId, TriggerId};

/// Files that are open at once. Thousands of triggers must not use up the process's descriptors.
const OPEN_FILES_MAX: usize = 64;

/// Triggers that have finished and whose last lines may still come.
const FINISHED_KEPT_MAX: usize = 1_000;

/// The log files of one triggerer's triggers.
pub(crate) struct TriggerLogs {
    folder: PathBuf,
    job: JobId,
    files: BTreeMap<TriggerId, LogFile>,
    /// Those with an open file, the one used last at the end.
    open: VecDeque<TriggerId>,
    finished: VecDeque<TriggerId>,
}

impl TriggerLogs {
    pub(crate) fn new(folder: &Path, job: JobId) -> Self {
        Self {
            folder: folder.to_owned(),
            job,
            files: BTreeMap::new(),
            open: VecDeque::new(),
            finished: VecDeque::new(),
        }
    }

    /// The trigger of a task instance starts, whose log is at `log_path`.
    pub(crate) fn begin(&mut self, id: TriggerId, log_path: &str) {
        let path = self.folder.join(trigger_log_path(log_path, self.job));
        self.files.entry(id).or_insert_with(|| LogFile::new(path));
    }

    /// The trigger has finished; some more lines may come.
    pub(crate) fn finish(&mut self, id: TriggerId) {
        if !self.files.contains_key(&id) {
            return;
        }
        self.finished.push_back(id);
        if self.finished.len() > FINISHED_KEPT_MAX
            && let Some(oldest) = self.finished.pop_front()
        {
            self.files.remove(&oldest);
            self.open.retain(|open| *open != oldest);
        }
    }

    /// Writes lines, each with the trigger it belongs to, if to any.
    pub(crate) fn write(&mut self, lines: Vec<(Option<TriggerId>, String)>, now: Timestamp) {
        let mut by_trigger: BTreeMap<TriggerId, Vec<String>> = BTreeMap::new();
        for (id, line) in lines {
            match id.filter(|id| self.files.contains_key(id)) {
                Some(id) => by_trigger.entry(id).or_default().push(line),
                None => tell_process_log(id, &line),
            }
        }
        for (id, lines) in by_trigger {
            self.append(id, &lines, now);
        }
    }

    fn append(&mut self, id: TriggerId, lines: &[String], now: Timestamp) {
        let Some(file) = self.files.get_mut(&id) else {
            return;
        };
        file.append(lines, now);
        match self.open.iter().rposition(|open| *open == id) {
            Some(at) => drop(self.open.remove(at)),
            None if self.open.len() >= OPEN_FILES_MAX => {
                let oldest = self.open.pop_front();
                if let Some(file) = oldest.and_then(|id| self.files.get_mut(&id)) {
                    file.close();
                }
            }
            None => {}
        }
        self.open.push_back(id);
    }
}

/// Where a trigger's lines go, beside the log of its try.
fn trigger_log_path(log_path: &str, job: JobId) -> String {
    format!("{log_path}.trigger.{job}.log")
}

/// A line of a log file as one of the process log. Its form is ours: a JSON object.
fn tell_process_log(trigger: Option<TriggerId>, line: &str) {
    let fields: Value = serde_json::from_str(line).unwrap_or_default();
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
    let said = fields.get("event").and_then(Value::as_str).unwrap_or(line);
    let trigger_id = trigger.map(|id| id.0);
    let logger = text("logger");
    match text("level") {
        "error" | "critical" | "exception" => {
            let details = fields.get("error_detail").or_else(|| fields.get("error"));
            let details = details.map(ToString::to_string);
            error!(trigger_id, logger, details, "trigger runner: {said}");
        }
        "warning" | "warn" => warn!(trigger_id, logger, "trigger runner: {said}"),
        "debug" => tracing::debug!(trigger_id, logger, "trigger runner: {said}"),
        _ => info!(trigger_id, logger, "trigger runner: {said}"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use updraft_execution::LogFile;
    use updraft_model::{JobId, TriggerId};

    use super::{FINISHED_KEPT_MAX, OPEN_FILES_MAX, TriggerLogs};

    #[test]
    fn many_triggers_write_with_few_open_files_and_late_lines_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut logs = TriggerLogs::new(folder.path(), JobId(3));
        let count = i64::try_from(OPEN_FILES_MAX * 3).unwrap();
        for id in 0..count {
            let path = folder.path().join(format!("{id}.log"));
            logs.files.insert(TriggerId(id), LogFile::new(path));
        }
        for round in 0..2 {
            let lines = (0..count).map(|id| (Some(TriggerId(id)), format!("{round}")));
            logs.write(lines.collect(), Timestamp::UNIX_EPOCH);
            assert!(logs.open.len() <= OPEN_FILES_MAX);
        }
        logs.finish(TriggerId(0));
        logs.write(
            vec![
                (Some(TriggerId(0)), "late".to_owned()),
                (None, "{}".to_owned()),
            ],
            Timestamp::UNIX_EPOCH,
        );
        let text = std::fs::read_to_string(folder.path().join("0.log")).unwrap();
        assert_eq!(text, "0\n1\nlate\n");
        let text = std::fs::read_to_string(folder.path().join("100.log")).unwrap();
        assert_eq!(text, "0\n1\n");
        for id in 1..count {
            logs.finish(TriggerId(id));
        }
        assert!(logs.files.len() <= FINISHED_KEPT_MAX);
    }
}
