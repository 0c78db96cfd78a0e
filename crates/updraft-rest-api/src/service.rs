//! Version, health and tokens.

use jiff::Timestamp;
use serde::Serialize;

use crate::time::PythonIso;

/// Which Airflow this speaks like.
#[derive(Clone, Debug, Serialize)]
pub struct VersionInfo {
    pub version: String,
    pub git_version: Option<String>,
}

/// Health of one part.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BaseInfoResponse {
    pub status: Option<&'static str>,
}

/// Health of the scheduler.
#[derive(Clone, Debug, Serialize)]
pub struct SchedulerInfoResponse {
    pub status: Option<&'static str>,
    pub latest_scheduler_heartbeat: Option<String>,
}

/// Health of the triggerer.
#[derive(Clone, Debug, Serialize)]
pub struct TriggererInfoResponse {
    pub status: Option<&'static str>,
    pub latest_triggerer_heartbeat: Option<String>,
}

/// Health of the Dag processor.
#[derive(Clone, Debug, Serialize)]
pub struct DagProcessorInfoResponse {
    pub status: Option<&'static str>,
    pub latest_dag_processor_heartbeat: Option<String>,
}

/// Health of everything.
#[derive(Clone, Debug, Serialize)]
pub struct HealthInfoResponse {
    pub metadatabase: BaseInfoResponse,
    pub scheduler: SchedulerInfoResponse,
    pub triggerer: TriggererInfoResponse,
    pub dag_processor: DagProcessorInfoResponse,
}

/// The word for a part that works.
pub const HEALTHY: &str = "healthy";

/// The word for a part that does not.
pub const UNHEALTHY: &str = "unhealthy";

/// A heartbeat as the health answer prints it: with `+00:00`, unlike all other instants.
#[must_use]
pub fn heartbeat(instant: Timestamp) -> String {
    PythonIso(instant).to_string()
}

/// A fresh token.
#[derive(Clone, Debug, Serialize)]
pub struct LoginResponse {
    pub access_token: String,
}
