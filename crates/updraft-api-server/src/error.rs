//! What a request gets when it does not get what it asked for.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tracing::{error, warn};
use updraft_execution::chain;
use updraft_rest_api::issue::Issue;
use updraft_runtime::Ids;
use updraft_store::listing::ListError;

/// A refusal. Its body says what was wrong with the request; what went wrong inside goes to the log.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: Value,
    header: Option<(&'static str, &'static str)>,
}

impl ApiError {
    /// `{"detail": detail}`.
    pub(crate) fn new(status: StatusCode, detail: impl Into<Value>) -> Self {
        let detail: Value = detail.into();
        Self {
            status,
            body: json!({"detail": detail}),
            header: None,
        }
    }

    /// A body of any other shape.
    pub(crate) fn with_body(status: StatusCode, body: Value) -> Self {
        Self {
            status,
            body,
            header: None,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<Value>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found(detail: impl Into<Value>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn conflict(detail: impl Into<Value>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    pub(crate) fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    pub(crate) fn not_acceptable(detail: &str) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, detail)
    }

    pub(crate) fn not_authenticated() -> Self {
        let mut error = Self::new(StatusCode::UNAUTHORIZED, "Not authenticated");
        error.header = Some(("www-authenticate", "Bearer"));
        error
    }

    pub(crate) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 422 with a plain text.
    pub(crate) fn unprocessable(detail: impl Into<Value>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 422 with a list of problems.
    pub(crate) fn invalid(issues: &[Issue]) -> Self {
        Self::unprocessable(json!(issues))
    }

    /// A row with this key exists.
    pub(crate) fn unique_violation() -> Self {
        Self::database(StatusCode::CONFLICT, "Unique constraint violation").0
    }

    fn database(status: StatusCode, reason: &str) -> (Self, String) {
        let id = Ids::random().alphanumeric(8);
        let message = format!(
            "Serious error when handling your request. Check logs for more details - you will \
             find it in api server when you look for ID {id}"
        );
        let detail = json!({
            "reason": reason,
            "statement": "hidden",
            "orig_error": "hidden",
            "message": message,
        });
        (Self::new(status, detail), id)
    }

    /// A stored Dag that cannot be read.
    pub(crate) fn unreadable_dag(error: &dyn std::error::Error) -> Self {
        error!(error = %chain(error), "failed to read a stored Dag");
        let detail = "The stored Dag cannot be read; parse its file again";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }
}

impl From<updraft_store::Error> for ApiError {
    fn from(error: updraft_store::Error) -> Self {
        if error.is_unique_violation() {
            let (answer, id) = Self::database(StatusCode::CONFLICT, "Unique constraint violation");
            warn!(error = %chain(&error), id, "refused a second row with the same key");
            return answer;
        }
        let status = if error.is_transient() {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        let (answer, id) = Self::database(status, "Database error");
        error!(error = %chain(&error), id, "a request failed in the store");
        answer
    }
}

impl From<updraft_plugins::Error> for ApiError {
    fn from(error: updraft_plugins::Error) -> Self {
        let traceback = error.traceback().unwrap_or_default();
        warn!(%error, traceback, "a request needs Python code that failed");
        let status = match &error {
            // The user's code refuses what it was asked, as it would in Airflow.
            updraft_plugins::Error::Raised { kind, .. } if kind == "ValueError" => {
                StatusCode::BAD_REQUEST
            }
            error if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<ListError> for ApiError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Store(error) => error.into(),
            ListError::UnknownOrder(_)
            | ListError::TooManyOrders { .. }
            | ListError::CursorShape => Self::bad_request(error.to_string()),
        }
    }
}

impl From<Vec<Issue>> for ApiError {
    fn from(issues: Vec<Issue>) -> Self {
        Self::invalid(&issues)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body.to_string()));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some((name, value)) = self.header {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}
