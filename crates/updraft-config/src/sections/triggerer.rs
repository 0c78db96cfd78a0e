use std::time::Duration;

use crate::section::Section;

/// `[triggerer]`.
#[derive(Clone, Debug)]
pub struct TriggererConfig {
    /// `capacity`: triggers that one triggerer runs at a time.
    pub capacity: u32,
    /// `max_trigger_to_select_per_loop`: triggers that one step claims.
    pub max_trigger_to_select_per_loop: u32,
    /// `job_heartbeat_sec`: pause between two heartbeats of the triggerer job.
    pub job_heartbeat: Duration,
    /// `triggerer_health_check_threshold`: silence after which a triggerer counts as dead and
    /// others take its triggers.
    pub triggerer_health_check_threshold: Duration,
    /// `runner_health_check_threshold`: silence of the process that runs triggers after which it is
    /// replaced; 0 waits for ever.
    pub runner_health_check_threshold: Duration,
    /// `on_kill_timeout`: time a cancelled trigger may take to clean up.
    pub on_kill_timeout: Duration,
    /// `queues_enabled`: a trigger belongs to the queue of its task.
    pub queues_enabled: bool,
}

impl TriggererConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            capacity: section.positive("capacity"),
            max_trigger_to_select_per_loop: section.positive("max_trigger_to_select_per_loop"),
            job_heartbeat: section.seconds("job_heartbeat_sec"),
            triggerer_health_check_threshold: section.seconds("triggerer_health_check_threshold"),
            runner_health_check_threshold: section.seconds("runner_health_check_threshold"),
            on_kill_timeout: section.seconds("on_kill_timeout"),
            queues_enabled: section.flag("queues_enabled"),
        }
    }
}
