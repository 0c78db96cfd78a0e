//! Settings of a Dag processor, as plain values.

use std::path::PathBuf;
use std::time::Duration;

use updraft_execution::PythonSide;

use crate::discovery::{DiscoveryRules, IgnoreSyntax};

/// What the configuration says about Dag processing.
#[derive(Clone, Debug)]
pub struct DagProcessorOptions {
    /// `[logging] dag_processor_child_process_log_directory`.
    pub log_folder: PathBuf,
    /// `[dag_processor] parsing_processes`: children at a time.
    pub parsing_processes: usize,
    /// `[dag_processor] min_file_process_interval`: when a file is parsed again that asked for
    /// variables or connections while it was parsed.
    pub min_file_process_interval: Duration,
    /// `[dag_processor] refresh_interval`: when any file is parsed again although nothing changed.
    pub refresh_interval: Duration,
    /// `[dag_processor] bundle_refresh_check_interval`: how often bundles are listed, should the
    /// file system not tell what changed.
    pub bundle_refresh_check_interval: Duration,
    /// `[dag_processor] dag_file_processor_timeout`.
    pub file_timeout: Duration,
    /// `[dag_processor] max_callbacks_per_loop`: callbacks that are taken from the store at once.
    pub callbacks_max: usize,
    /// `[dag_processor] dag_processor_health_check_threshold`: a job silent for so long is dead.
    pub health_check_threshold: Duration,
    /// What makes a file a Dag file.
    pub discovery: DiscoveryRules,
    /// `[core] dags_are_paused_at_creation`.
    pub dags_are_paused_at_creation: bool,
    /// `[scheduler] job_heartbeat_sec`.
    pub heartbeat_interval: Duration,
    /// The user's Python outside of Dag files: timetable classes, a secrets backend. `None`: neither is
    /// asked.
    pub python: Option<PythonSide>,
    /// Shown with the job.
    pub hostname: String,
    /// The user that runs this process; shown with the job.
    pub unixname: String,
}

impl DagProcessorOptions {
    /// Airflow's defaults.
    #[must_use]
    pub fn new(log_folder: PathBuf) -> Self {
        Self {
            log_folder,
            parsing_processes: 2,
            min_file_process_interval: Duration::from_secs(30),
            refresh_interval: Duration::from_secs(300),
            bundle_refresh_check_interval: Duration::from_secs(5),
            file_timeout: Duration::from_secs(50),
            callbacks_max: 20,
            health_check_threshold: Duration::from_secs(30),
            discovery: DiscoveryRules {
                ignore_syntax: IgnoreSyntax::Glob,
                safe_mode: true,
            },
            dags_are_paused_at_creation: true,
            heartbeat_interval: Duration::from_secs(5),
            python: None,
            hostname: String::new(),
            unixname: String::new(),
        }
    }
}
