//! A row of `job`: one start of a role, alive while its heartbeat is fresh.

use jiff::Timestamp;

use crate::JobId;
use crate::str_enum::str_enum;

str_enum! {
    /// Which role a job plays.
    pub enum JobType("job type") {
        Scheduler = "SchedulerJob",
        DagProcessor = "DagProcessorJob",
        Triggerer = "TriggererJob",
    }
}

str_enum! {
    /// Whether a job runs, ended well or was declared dead.
    pub enum JobState("job state") {
        Running = "running",
        Success = "success",
        Failed = "failed",
    }
}

/// One start of a role.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub id: JobId,
    pub job_type: JobType,
    pub state: JobState,
    pub start_date: Timestamp,
    pub end_date: Option<Timestamp>,
    pub latest_heartbeat: Timestamp,
    pub hostname: String,
    pub unixname: String,
    pub pid: i32,
}
