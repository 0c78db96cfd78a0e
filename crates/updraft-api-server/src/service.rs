//! Version, health, and what is answered where nothing is.

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::json;
use tracing::warn;
use updraft_model::job::{Job, JobType};
use updraft_rest_api::service::{
    BaseInfoResponse, DagProcessorInfoResponse, HEALTHY, HealthInfoResponse, SchedulerInfoResponse,
    TriggererInfoResponse, UNHEALTHY, VersionInfo, heartbeat,
};

use crate::call::{Answer, Call, ok};
use crate::error::ApiError;

/// Which Airflow this server speaks like.
pub(crate) async fn version(call: Call) -> Answer {
    ok(&VersionInfo {
        version: call.state.settings().airflow_version.clone(),
        git_version: Some(format!("updraft-{}", env!("CARGO_PKG_VERSION"))),
    })
}

/// Health of the store and of every role. Never fails: who asks wants to know.
pub(crate) async fn health(call: Call) -> Answer {
    let store = call.state.store();
    let now = call.state.clock().now();
    let thresholds = call.state.settings().health;
    let mut newest: [Option<Job>; 3] = [None, None, None];
    let metadatabase = match load_newest(store, &mut newest).await {
        Ok(()) => HEALTHY,
        Err(error) => {
            warn!(%error, "the store did not answer a health check");
            UNHEALTHY
        }
    };
    let [scheduler, triggerer, dag_processor] = newest;
    let status = |job: &Option<Job>, threshold: std::time::Duration| {
        job.as_ref()
            .map(|job| freshness(job.latest_heartbeat, now, threshold))
    };
    let beat = |job: &Option<Job>| job.as_ref().map(|job| heartbeat(job.latest_heartbeat));
    ok(&HealthInfoResponse {
        metadatabase: BaseInfoResponse {
            status: Some(metadatabase),
        },
        scheduler: SchedulerInfoResponse {
            // A scheduler that never ran is a problem; the others may not be needed.
            status: status(&scheduler, thresholds.scheduler).or(Some(UNHEALTHY)),
            latest_scheduler_heartbeat: beat(&scheduler),
        },
        triggerer: TriggererInfoResponse {
            status: status(&triggerer, thresholds.triggerer),
            latest_triggerer_heartbeat: beat(&triggerer),
        },
        dag_processor: DagProcessorInfoResponse {
            status: status(&dag_processor, thresholds.dag_processor),
            latest_dag_processor_heartbeat: beat(&dag_processor),
        },
    })
}

async fn load_newest(
    store: &updraft_store::Store,
    newest: &mut [Option<Job>; 3],
) -> Result<(), updraft_store::Error> {
    store.ping().await?;
    let mut reader = store.read().await?;
    for (slot, job_type) in newest.iter_mut().zip([
        JobType::Scheduler,
        JobType::Triggerer,
        JobType::DagProcessor,
    ]) {
        *slot = reader.find_latest_job(job_type).await?;
    }
    Ok(())
}

fn freshness(heartbeat: Timestamp, now: Timestamp, threshold: std::time::Duration) -> &'static str {
    let age = now.duration_since(heartbeat);
    if age.as_secs_f64() <= threshold.as_secs_f64() {
        HEALTHY
    } else {
        UNHEALTHY
    }
}

/// What is answered where nothing is.
pub(crate) fn nothing_here(method: &Method, path: &str) -> Response {
    let error = |text: &str| {
        ApiError::with_body(StatusCode::NOT_FOUND, json!({"error": text})).into_response()
    };
    match path {
        _ if path == "/api/v1" || path.starts_with("/api/v1/") => error(
            "/api/v1 has been removed in Airflow 3, please use its upgraded version /api/v2 instead.",
        ),
        "/health" => {
            error("Moved in Airflow 3. Please change config to check `/api/v2/monitor/health`")
        }
        _ if path.starts_with("/api/") && *method == Method::GET => error("API route not found"),
        _ if *method == Method::GET => error("page not found"),
        _ => wrong_method(),
    }
}

/// A path that is there, for another method.
pub(crate) fn wrong_method() -> Response {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed").into_response()
}
