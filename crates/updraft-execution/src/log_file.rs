//! The log file of one try.
//!
//! A task is worth more than its log: when the file cannot be written (the disk is full, the
//! folder is gone), the task goes on, the process log says so once, and the file says how many
//! lines are missing as soon as it can be written again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use jiff::Timestamp;
use tracing::warn;
use updraft_task_comms::log_line::{Level, own_line};
use updraft_task_comms::masker::{MaskerConfig, SecretsMasker};

/// As `[logging] file_task_handler_new_file_permissions`.
const FILE_MODE: u32 = 0o664;

/// As `[logging] file_task_handler_new_folder_permissions`.
const FOLDER_MODE: u32 = 0o775;

/// Appends lines to the log file of a try; lines of later tries of a rescheduled sensor too.
pub struct LogFile {
    path: PathBuf,
    file: Option<File>,
    lost_lines: u64,
}

impl LogFile {
    /// A log that is opened at its first line.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            lost_lines: 0,
        }
    }

    /// Appends whole lines, each without its line break.
    pub fn append(&mut self, lines: &[String], now: Timestamp) {
        if lines.is_empty() {
            return;
        }
        match self.try_append(lines, now) {
            Ok(()) => self.lost_lines = 0,
            Err(error) => {
                if self.lost_lines == 0 {
                    warn!(path = %self.path.display(), %error, "failed to write a task log; the task goes on");
                }
                self.lost_lines += lines.len() as u64;
                // The next attempt opens it anew: the file or its folder may have been replaced.
                self.file = None;
            }
        }
    }

    /// Closes the file; the next lines open it again.
    pub fn close(&mut self) {
        self.file = None;
    }

    fn try_append(&mut self, lines: &[String], now: Timestamp) -> io::Result<()> {
        let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        if self.lost_lines > 0 {
            // A write that failed half-way may have left a piece of a line.
            text.push('\n');
            text.push_str(&lost_lines(self.lost_lines, now));
            text.push('\n');
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        if self.file.is_none() {
            self.file = Some(open(&self.path)?);
        }
        match &mut self.file {
            Some(file) => file.write_all(text.as_bytes()),
            None => Ok(()),
        }
    }
}

fn open(path: &std::path::Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(FILE_MODE);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(FOLDER_MODE)
                    .create(folder)?;
            }
            options.open(path)
        }
        opened => opened,
    }
}

fn lost_lines(count: u64, now: Timestamp) -> String {
    let fields = [("lines", i32::try_from(count).unwrap_or(i32::MAX).into())];
    let event = "Lines are missing here: the log file could not be written";
    own_line(
        Level::Error,
        event,
        &fields,
        &SecretsMasker::new(MaskerConfig::default()),
        now,
    )
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::LogFile;

    #[test]
    fn folders_are_made_and_lines_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dag_id=d/run_id=r/attempt=1.log");
        LogFile::new(path.clone()).append(&["a".to_owned(), "b".to_owned()], Timestamp::UNIX_EPOCH);
        LogFile::new(path.clone()).append(&["c".to_owned()], Timestamp::UNIX_EPOCH);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "a\nb\nc\n");
    }

    #[test]
    fn a_log_that_could_not_be_written_says_how_many_lines_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attempt=1.log");
        std::fs::create_dir(&path).unwrap();
        let mut log = LogFile::new(path.clone());
        log.append(&["a".to_owned(), "b".to_owned()], Timestamp::UNIX_EPOCH);
        log.append(&["c".to_owned()], Timestamp::UNIX_EPOCH);
        std::fs::remove_dir(&path).unwrap();
        log.append(&["d".to_owned()], Timestamp::UNIX_EPOCH);
        log.append(&["e".to_owned()], Timestamp::UNIX_EPOCH);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains("\"lines\":3"), "{text}");
        assert!(text.ends_with("d\ne\n"), "{text}");
    }
}
