//! From a failed store call to what a child is told and a session concludes.

use updraft_store::Error;
use updraft_task_comms::message::{ErrorResponse, StoreRequest};
use updraft_task_comms::session::{Failure, FailureKind};

/// What a child is told when the store fails. The cause is for the process log.
pub fn failure_of(error: &Error) -> Failure {
    tracing::warn!(error = %chain(error), "failed to answer a child");
    Failure {
        kind: FailureKind::Unavailable,
        error: ErrorResponse::api_server_error(500, "the metadata store could not be reached"),
    }
}

/// The call is wrong: `status` is what Airflow's API server would have answered.
pub(crate) fn rejected(status: u16, message: &str) -> Failure {
    Failure {
        kind: FailureKind::Rejected,
        error: ErrorResponse::api_server_error(status, message),
    }
}

/// The call is one that this child may not make, or that is not available.
pub(crate) fn not_for(asker: &str, request: &StoreRequest) -> Failure {
    // `Debug` begins with the name of the message; the rest may be anything.
    let shown = format!("{request:?}");
    let name = shown.split(['(', ' ']).next().unwrap_or_default();
    rejected(400, &format!("{asker} cannot send `{name}`"))
}

/// An error with its causes, on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The row belongs to another try, or is gone.
pub(crate) fn superseded() -> Failure {
    Failure {
        kind: FailureKind::NotOurs,
        error: ErrorResponse::api_server_error(
            404,
            "the task instance does not exist or has begun another try",
        ),
    }
}
