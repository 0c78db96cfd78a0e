use std::path::PathBuf;

use crate::section::Section;

/// `[logging]`.
#[derive(Clone, Debug)]
pub struct LoggingConfig {
    /// `base_log_folder`: folder of all log files.
    pub base_log_folder: PathBuf,
    /// `log_filename_template`: path of a task's log file below the folder, in Jinja.
    pub log_filename_template: String,
    /// `dag_processor_child_process_log_directory`: folder of the Dag files' parse logs.
    pub dag_processor_child_process_log_directory: PathBuf,
    /// `logging_level`: least level of messages that are logged.
    pub logging_level: LogLevel,
    /// `namespace_levels`: `logger=LEVEL` pairs that differ from `logging_level`.
    pub namespace_levels: Vec<(String, LogLevel)>,
    /// `json_logs`: write the process log as one JSON object a line.
    pub json_logs: bool,
    /// `colored_console_log`: use colour in the process log on a terminal.
    pub colored_console_log: bool,
    /// `remote_logging`: copy finished task logs to remote storage.
    pub remote_logging: bool,
    /// `remote_base_log_folder`: URL of the remote storage.
    pub remote_base_log_folder: Option<String>,
    /// `remote_log_conn_id`: connection to the remote storage.
    pub remote_log_conn_id: Option<String>,
    /// `delete_local_logs`: remove a local log once it was copied.
    pub delete_local_logs: bool,
    /// `min_length_masked_secret`: characters from which a secret is masked in logs.
    pub min_length_masked_secret: u32,
    /// `worker_log_server_port`: port on which a worker serves the logs of its tasks.
    pub worker_log_server_port: u16,
    /// `trigger_log_server_port`: port on which a triggerer serves the logs of its triggers.
    pub trigger_log_server_port: u16,
    /// `file_task_handler_new_folder_permissions`: mode of a new log folder.
    pub new_folder_permissions: u32,
    /// `file_task_handler_new_file_permissions`: mode of a new log file.
    pub new_file_permissions: u32,
}

/// Least level of messages that are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What changed.
    Info,
    /// What was coped with.
    Warning,
    /// What someone must act on.
    Error,
    /// What ends the process.
    Critical,
}

/// Airflow's names of the levels; some have two.
const LEVELS: [(&str, LogLevel); 7] = [
    ("CRITICAL", LogLevel::Critical),
    ("FATAL", LogLevel::Critical),
    ("ERROR", LogLevel::Error),
    ("WARN", LogLevel::Warning),
    ("WARNING", LogLevel::Warning),
    ("INFO", LogLevel::Info),
    ("DEBUG", LogLevel::Debug),
];

impl LoggingConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            base_log_folder: section.path("base_log_folder"),
            log_filename_template: section.text("log_filename_template"),
            dag_processor_child_process_log_directory: section
                .path("dag_processor_child_process_log_directory"),
            logging_level: section.choice("logging_level", &LEVELS),
            namespace_levels: section
                .optional("namespace_levels", "logger=LEVEL pairs", namespace_levels)
                .unwrap_or_default(),
            json_logs: section.flag("json_logs"),
            colored_console_log: section.flag("colored_console_log"),
            remote_logging: section.flag("remote_logging"),
            remote_base_log_folder: section.optional_text("remote_base_log_folder"),
            remote_log_conn_id: section.optional_text("remote_log_conn_id"),
            delete_local_logs: section.flag("delete_local_logs"),
            min_length_masked_secret: section.count("min_length_masked_secret"),
            worker_log_server_port: section.port("worker_log_server_port"),
            trigger_log_server_port: section.port("trigger_log_server_port"),
            new_folder_permissions: section.mode("file_task_handler_new_folder_permissions"),
            new_file_permissions: section.mode("file_task_handler_new_file_permissions"),
        }
    }
}

/// Pairs between commas or white space: `sqlalchemy=INFO botocore=WARN`.
fn namespace_levels(text: &str) -> Option<Vec<(String, LogLevel)>> {
    let pairs = text
        .split([',', ' ', '\n', '\t'])
        .filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (logger, level) = pair.split_once('=')?;
            let level = level.trim().to_uppercase();
            let (_, level) = LEVELS.iter().find(|(name, _)| *name == level)?;
            Some((logger.trim().to_owned(), *level))
        })
        .collect()
}
