//! What the parent answers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::*;
use crate::frame::encode_frame;
use crate::json::JsonText;

/// The body of an answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum Response {
    XComResult(XComResult),
    XComCountResponse(XComCountResponse),
    XComSequenceIndexResult(XComSequenceIndexResult),
    XComSequenceSliceResult(XComSequenceSliceResult),

    ConnectionResult(ConnectionResult),
    VariableResult(VariableResult),
    VariableKeysResult(VariableKeysResult),

    InactiveAssetsResult(InactiveAssetsResult),
    AssetResult(AssetResponse),
    AssetsByAliasResult(AssetsByAliasResult),
    AssetEventsResult(AssetEventsResult),

    DagResult(DagResult),
    DagRunResult(Box<DagRun>),
    DagRunStateResult(DagRunStateResult),
    PreviousDagRunResult(PreviousDagRunResult),
    PrevSuccessfulDagRunResult(PrevSuccessfulDagRunResult),
    DRCount(DRCount),

    TICount(TICount),
    TaskStatesResult(TaskStatesResult),
    PreviousTIResult(PreviousTIResult),
    TaskBreadcrumbsResult(TaskBreadcrumbsResult),
    TaskRescheduleStartDate(TaskRescheduleStartDate),

    HITLDetailRequestResult(HITLDetailRequestResult),
    HITLDetailResponseResult(HITLDetailResponseResult),

    TaskStateStoreResult(TaskStateStoreResult),
    AssetStateStoreResult(AssetStateStoreResult),

    TriggerStateSync(TriggerStateSync),

    /// Done; answers [`TriggerDagRun`], [`DeleteVariable`] and writes to the state stores.
    OKResponse {
        ok: bool,
    },
    /// A descriptor travels beside this frame; the child ignores the numbers.
    SentFDs {
        fds: Vec<i64>,
    },
    /// A normal answer that says "not found" or "exists already".
    ErrorResponse(ErrorResponse),
}

impl Response {
    /// `OKResponse`.
    pub fn ok() -> Self {
        Self::OKResponse { ok: true }
    }

    /// A normal "not found" or "exists already" with a JSON object of details.
    pub fn error(error: ErrorType, detail: &serde_json::Value) -> Self {
        Self::ErrorResponse(ErrorResponse::new(error, detail))
    }
}

/// Encodes the answer to the request frame `id`: a body, nothing, or a failure in the error
/// slot.
///
/// A value may be storable and yet have no msgpack form, such as an integer beyond 64 bits;
/// the child then gets an error that says so.
pub fn answer_frame(id: u64, answer: &Result<Option<Response>, ErrorResponse>) -> Bytes {
    let frame = match answer {
        Ok(body) => encode_frame(id, body.as_ref(), None::<&()>),
        Err(error) => failure_frame(id, error.clone()),
    };
    let frame = frame.or_else(|error| {
        failure_frame(id, ErrorResponse::api_server_error(500, &error.to_string()))
    });
    frame.expect("a failure with plain text always has a frame")
}

fn failure_frame(id: u64, error: ErrorResponse) -> Result<Bytes, crate::frame::EncodeError> {
    encode_frame(id, None::<&()>, Some(&Response::ErrorResponse(error)))
}

/// Says that something is missing (as body) or that it failed (as error slot).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorResponse {
    #[serde(default)]
    pub error: ErrorType,
    /// A JSON object.
    pub detail: Option<JsonText>,
}

impl ErrorResponse {
    pub fn new(error: ErrorType, detail: &serde_json::Value) -> Self {
        Self {
            error,
            detail: Some(JsonText::from(detail)),
        }
    }

    /// The one failure the child expects in the error slot.
    ///
    /// `status_code` is what Airflow's API server would have answered.
    pub fn api_server_error(status_code: u16, message: &str) -> Self {
        let detail = serde_json::json!({
            "status_code": status_code,
            "message": message,
            "detail": null,
        });
        Self::new(ErrorType::ApiServerError, &detail)
    }
}

/// What kind of error an [`ErrorResponse`] is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorType {
    ConnectionNotFound,
    VariableNotFound,
    #[serde(rename = "XCOM_NOT_FOUND")]
    XComNotFound,
    AssetNotFound,
    TaskStoreNotFound,
    AssetStoreNotFound,
    #[serde(rename = "DAGRUN_ALREADY_EXISTS")]
    DagRunAlreadyExists,
    PermissionDenied,
    #[default]
    GenericError,
    ApiServerError,
}
