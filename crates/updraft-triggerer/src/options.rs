//! Settings of a triggerer.

use std::path::PathBuf;
use std::time::Duration;

use updraft_execution::{AnswerOptions, LogNames};
use updraft_store::TriggerQueues;
use updraft_task_comms::masker::MaskerConfig;
use updraft_task_comms::session::triggerer::TriggererConfig;

/// Settings of a triggerer.
#[derive(Clone, Debug)]
pub struct TriggererOptions {
    /// Where this process runs, for its row in `job`.
    pub hostname: String,
    pub unixname: String,
    /// `[logging] base_log_folder`.
    pub log_folder: PathBuf,
    /// `[logging] log_filename_template`.
    pub log_names: LogNames,
    /// For a small file that the child and we share.
    pub scratch_folder: PathBuf,
    /// `[triggerer] capacity`: triggers that run here at a time.
    pub capacity: usize,
    /// `[triggerer] max_trigger_to_select_per_loop`.
    pub claimed_at_once_max: usize,
    /// Whose triggers are run here.
    pub queues: TriggerQueues,
    /// `[triggerer] job_heartbeat_sec`.
    pub job_heartbeat: Duration,
    /// `[triggerer] triggerer_health_check_threshold`: a job silent for so long is dead.
    pub health_check_threshold: Duration,
    /// `[updraft] full_scan_interval`: pause between two looks for what no hint told.
    pub full_scan_interval: Duration,
    /// `[updraft] trigger_idle_timeout`: how long the child lives on without triggers.
    pub idle_timeout: Duration,
    pub session: TriggererConfig,
    pub masker: MaskerConfig,
    /// What the answers to a trigger depend on.
    pub answers: AnswerOptions,
    /// Nobody else uses the store: every other triggerer job in it is dead.
    pub is_alone: bool,
}

impl TriggererOptions {
    /// How long another job is silent before it counts as dead. `None`: all others are dead,
    /// whatever their heartbeats say.
    pub(crate) fn deadly_silence(&self) -> Option<Duration> {
        (!self.is_alone).then_some(self.health_check_threshold)
    }
}
