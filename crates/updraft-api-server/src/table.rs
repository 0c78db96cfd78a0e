//! The route table: joins an operation with its handler, and lets in only who may call it.

use std::future::Future;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{RawPathParams, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};

use updraft_rest_api::contract::ContractOperation;

use crate::access::Access;
use crate::audit;
use crate::auth::{User, authenticate};
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::state::ApiState;

/// A body is read into memory, so it must not be larger than this: room for a bulk request of
/// thousands of entities.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// An operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The HTTP method.
    pub method: &'static str,
    /// The path, as Airflow's document writes it.
    pub path: &'static str,
    /// The operation id, also the event's name in the audit log.
    pub id: &'static str,
    pub(crate) access: Access,
    pub(crate) audited: bool,
}

impl Operation {
    const fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        access: Access,
    ) -> Self {
        Self {
            method,
            path,
            id,
            access,
            audited: false,
        }
    }

    pub(crate) const fn get(path: &'static str, id: &'static str, access: Access) -> Self {
        Self::new("GET", path, id, access)
    }

    pub(crate) const fn post(path: &'static str, id: &'static str, access: Access) -> Self {
        Self::new("POST", path, id, access)
    }

    pub(crate) const fn put(path: &'static str, id: &'static str, access: Access) -> Self {
        Self::new("PUT", path, id, access)
    }

    pub(crate) const fn patch(path: &'static str, id: &'static str, access: Access) -> Self {
        Self::new("PATCH", path, id, access)
    }

    pub(crate) const fn delete(path: &'static str, id: &'static str, access: Access) -> Self {
        Self::new("DELETE", path, id, access)
    }

    /// The same, leaving a row in the audit log whenever somebody may call it and does.
    pub(crate) const fn audited(mut self) -> Self {
        self.audited = true;
        self
    }
}

/// Places where the name of an operation stands in the way of an id: the end of a path, its
/// parameter, and the words that are ids as well for every method but that of the operation.
const SHADOWING: &[(&str, &str, &[&str])] = &[
    ("/dagRuns/{dag_run_id}", "dag_run_id", &["list"]),
    ("/taskInstances/{task_id}", "task_id", &["list"]),
    (
        "/connections/{connection_id}",
        "connection_id",
        &["test", "defaults"],
    ),
];

/// Operations and the router that serves them.
pub(crate) struct Table {
    state: ApiState,
    router: Router,
    operations: Vec<Operation>,
}

impl Table {
    pub(crate) fn new(state: ApiState) -> Self {
        Self {
            state,
            router: Router::new(),
            operations: Vec::new(),
        }
    }

    /// Adds an operation.
    pub(crate) fn add<H, F>(&mut self, operation: Operation, handler: H)
    where
        H: Fn(Call) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        self.route(operation, operation.path.to_owned(), None, handler.clone());
        for (end, name, words) in SHADOWING {
            let Some(start) = operation.path.strip_suffix(end) else {
                continue;
            };
            let head = end.trim_end_matches(|c| c != '/');
            for word in *words {
                let place = format!("{start}{head}{word}");
                self.route(operation, place, Some((name, word)), handler.clone());
            }
        }
        self.operations.push(operation);
    }

    /// Serves `operation` at `place`; `fixed` is a parameter that the place spells out.
    fn route<H, F>(
        &mut self,
        operation: Operation,
        place: String,
        fixed: Option<(&'static str, &'static str)>,
        handler: H,
    ) where
        H: Fn(Call) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let state = self.state.clone();
        let serve = move |path: RawPathParams, request: Request| {
            let (state, handler) = (state.clone(), handler.clone());
            let path = path.iter().chain(fixed);
            let path = path
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            async move { serve(state, operation, path, request, handler).await }
        };
        let router = std::mem::take(&mut self.router);
        self.router = router.route(&place, on(filter(operation.method), serve));
    }

    /// Adds an operation that answers that it is not available.
    pub(crate) fn add_unavailable(&mut self, operation: ContractOperation) {
        let ContractOperation { method, path, id } = operation;
        self.add(
            Operation::new(method, path, id, Access::View),
            move |_| async move {
                Err(ApiError::new(
                    StatusCode::NOT_IMPLEMENTED,
                    format!("Operation `{id}` is not available in this version of Updraft"),
                ))
            },
        );
        self.operations.pop();
    }

    pub(crate) fn finish(self) -> (Router, Vec<Operation>) {
        (self.router, self.operations)
    }
}

fn filter(method: &str) -> MethodFilter {
    match method {
        "GET" => MethodFilter::GET,
        "POST" => MethodFilter::POST,
        "PUT" => MethodFilter::PUT,
        "PATCH" => MethodFilter::PATCH,
        _ => MethodFilter::DELETE,
    }
}

/// Who, whether they may, with what body; then the audit log, then the handler.
async fn serve<H, F>(
    state: ApiState,
    operation: Operation,
    path: Vec<(String, String)>,
    request: Request,
    handler: H,
) -> Response
where
    H: Fn(Call) -> F,
    F: Future<Output = Answer>,
{
    let call = match admit(state, operation, path, request).await {
        Ok(call) => call,
        Err(error) => return error.into_response(),
    };
    let record = operation
        .audited
        .then(|| audit::Record::of(&operation, &call))
        .flatten();
    // What was tried is of interest, too, so the row does not depend on the outcome.
    if let Some(record) = record {
        record.write(&call.state).await;
    }
    handler(call)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

/// Authentication, then authorization, and only then a look at the request itself.
async fn admit(
    state: ApiState,
    operation: Operation,
    path: Vec<(String, String)>,
    request: Request,
) -> Result<Call, ApiError> {
    let (parts, body) = request.into_parts();
    let user = match operation.access {
        Access::Open => User::anonymous(),
        _ => authenticate(&state, &parts.headers)?,
    };
    if !user.role.may(operation.access) {
        return Err(ApiError::forbidden("Forbidden"));
    }
    Ok(Call {
        state,
        user,
        path,
        raw_query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: read_whole(body).await?,
    })
}

async fn read_whole(body: Body) -> Result<Bytes, ApiError> {
    to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The request body did not arrive, or is larger than {BODY_BYTES_MAX} bytes"),
        )
    })
}
