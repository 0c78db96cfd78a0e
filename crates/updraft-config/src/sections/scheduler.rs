use std::time::Duration;

use crate::section::Section;

/// `[scheduler]`.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// `scheduler_heartbeat_sec`: pause between two heartbeats of the scheduler job.
    pub heartbeat: Duration,
    /// `job_heartbeat_sec`: pause between two heartbeats of any other job.
    pub job_heartbeat: Duration,
    /// `scheduler_health_check_threshold`: silence after which a scheduler counts as dead.
    pub health_check_threshold: Duration,
    /// `enable_health_check`: answer health checks on a port of their own.
    pub enable_health_check: bool,
    /// `scheduler_health_check_server_host`: address of the health check port.
    pub health_check_server_host: String,
    /// `scheduler_health_check_server_port`: number of the health check port.
    pub health_check_server_port: u16,
    /// `max_tis_per_query`: task instances that one queueing step looks at; 0 means as many as
    /// `[core] parallelism`.
    pub max_tis_per_query: u32,
    /// `max_dagruns_to_create_per_loop`: Dags whose due runs one step creates.
    pub max_dagruns_to_create_per_loop: u32,
    /// `max_dagruns_per_loop_to_schedule`: Dag runs that one step looks at.
    pub max_dagruns_per_loop_to_schedule: u32,
    /// `use_job_schedule`: create runs for schedules and asset events at all.
    pub use_job_schedule: bool,
    /// `allowed_run_id_pattern`: regular expression that a run id given by a user must match.
    pub allowed_run_id_pattern: String,
    /// `partition_mapper_max_downstream_keys`: partition keys that one event may map to.
    pub partition_mapper_max_downstream_keys: u32,
    /// `orphaned_tasks_check_interval`: pause between two searches for tasks of dead schedulers.
    pub orphaned_tasks_check_interval: Duration,
    /// `task_instance_heartbeat_timeout`: silence after which a running task counts as dead.
    pub task_instance_heartbeat_timeout: Duration,
    /// `task_instance_heartbeat_timeout_detection_interval`: pause between two searches for
    /// silent tasks.
    pub task_instance_heartbeat_timeout_detection_interval: Duration,
    /// `task_queued_timeout`: time a task may stay queued before it is queued again or fails.
    pub task_queued_timeout: Duration,
    /// `task_queued_timeout_check_interval`: pause between two searches for stuck tasks.
    pub task_queued_timeout_check_interval: Duration,
    /// Times a stuck try is queued again: `num_stuck_in_queued_retries`, which Airflow reads without
    /// having it in its table of options.
    pub num_stuck_in_queued_retries: u32,
    /// `trigger_timeout_check_interval`: pause between two searches for triggers out of time.
    pub trigger_timeout_check_interval: Duration,
    /// `parsing_cleanup_interval`: pause between two searches for Dags whose file is gone.
    pub parsing_cleanup_interval: Duration,
    /// `pool_metrics_interval`: pause between two reports of the pools' gauges.
    pub pool_metrics_interval: Duration,
    /// `ti_metrics_interval`: pause between two reports of the task instances' gauges.
    pub ti_metrics_interval: Duration,
    /// `dagrun_metrics_interval`: pause between two reports of the Dag runs' gauges.
    pub dagrun_metrics_interval: Duration,
}

impl SchedulerConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            heartbeat: section.seconds("scheduler_heartbeat_sec"),
            job_heartbeat: section.seconds("job_heartbeat_sec"),
            health_check_threshold: section.seconds("scheduler_health_check_threshold"),
            enable_health_check: section.flag("enable_health_check"),
            health_check_server_host: section.text("scheduler_health_check_server_host"),
            health_check_server_port: section.port("scheduler_health_check_server_port"),
            max_tis_per_query: section.count("max_tis_per_query"),
            max_dagruns_to_create_per_loop: section.positive("max_dagruns_to_create_per_loop"),
            max_dagruns_per_loop_to_schedule: section.positive("max_dagruns_per_loop_to_schedule"),
            use_job_schedule: section.flag("use_job_schedule"),
            allowed_run_id_pattern: section.text("allowed_run_id_pattern"),
            partition_mapper_max_downstream_keys: section
                .positive("partition_mapper_max_downstream_keys"),
            orphaned_tasks_check_interval: section.seconds("orphaned_tasks_check_interval"),
            task_instance_heartbeat_timeout: section.seconds("task_instance_heartbeat_timeout"),
            task_instance_heartbeat_timeout_detection_interval: section
                .seconds("task_instance_heartbeat_timeout_detection_interval"),
            task_queued_timeout: section.seconds("task_queued_timeout"),
            task_queued_timeout_check_interval: section
                .seconds("task_queued_timeout_check_interval"),
            num_stuck_in_queued_retries: section
                .optional_count("num_stuck_in_queued_retries")
                .unwrap_or(2),
            trigger_timeout_check_interval: section.seconds("trigger_timeout_check_interval"),
            parsing_cleanup_interval: section.seconds("parsing_cleanup_interval"),
            pool_metrics_interval: section.seconds("pool_metrics_interval"),
            ti_metrics_interval: section.seconds("ti_metrics_interval"),
            dagrun_metrics_interval: section.seconds("dagrun_metrics_interval"),
        }
    }
}
