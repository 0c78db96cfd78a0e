//! One request as a handler sees it, and the answers a handler gives.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};
use updraft_model::filter::Page;
use updraft_model::serialized::SerializedDag;
use updraft_model::{DagId, MapIndex, RunId, TaskId};
use updraft_rest_api::fields::{self, read_body};
use updraft_rest_api::issue::{Checked, Issue, under};
use updraft_rest_api::query::Query;
use updraft_rest_api::value;
use updraft_store::{Reader, RunKey};

use crate::auth::User;
use crate::bulk::changed_fields;
use crate::error::ApiError;
use crate::state::ApiState;

/// What a handler returns.
pub(crate) type Answer = Result<Response, ApiError>;

/// Stands for "any" where a path would name a Dag, a run or a task.
pub(crate) const ANY: &str = "~";

/// An authorized request with its body.
pub(crate) struct Call {
    pub(crate) state: ApiState,
    pub(crate) user: User,
    pub(crate) headers: HeaderMap,
    pub(crate) path: Vec<(String, String)>,
    pub(crate) raw_query: String,
    pub(crate) body: Bytes,
}

impl Call {
    /// A part of the path; the route guarantees that it is there.
    pub(crate) fn path(&self, name: &str) -> &str {
        self.path
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn dag_id(&self) -> DagId {
        self.path("dag_id").into()
    }

    pub(crate) fn run_id(&self) -> RunId {
        self.path("dag_run_id").into()
    }

    pub(crate) fn run_key(&self) -> RunKey {
        RunKey {
            dag_id: self.dag_id(),
            run_id: self.run_id(),
        }
    }

    pub(crate) fn task_id(&self) -> TaskId {
        self.path("task_id").into()
    }

    /// A whole number in the path.
    pub(crate) fn path_number(&self, name: &str) -> Result<i64, ApiError> {
        let text = Value::from(self.path(name));
        Ok(in_path(name, value::integer(&text))?)
    }

    /// A whole number of at least `min` in the path.
    pub(crate) fn path_number_from(&self, name: &str, min: i64) -> Result<i64, ApiError> {
        let text = Value::from(self.path(name));
        Ok(in_path(name, value::integer_from(min)(&text))?)
    }

    /// `{map_index}` in the path.
    pub(crate) fn path_map_index(&self) -> Result<MapIndex, ApiError> {
        let index = self.path_number("map_index")?;
        Ok(MapIndex(i32::try_from(index).unwrap_or(i32::MAX)))
    }

    /// Refuses a path that names one thing where the operation is about all.
    pub(crate) fn require_any(&self, name: &'static str) -> Result<(), ApiError> {
        let text = Value::from(self.path(name));
        in_path(name, value::literal(&[ANY])(&text))?;
        Ok(())
    }

    pub(crate) fn query(&self) -> Query {
        let pairs = form_urlencoded::parse(self.raw_query.as_bytes());
        Query::new(pairs.into_owned().collect())
    }

    /// `limit`, `offset` and `order_by`.
    pub(crate) fn page(&self, query: &mut Query) -> Page {
        let api = &self.state.settings().api;
        let limit = query
            .read("limit", value::integer_from(0))
            .unwrap_or(i64::from(api.fallback_page_limit));
        Page {
            limit: limit.min(api.maximum_page_limit.into()),
            offset: query.read("offset", value::integer_from(0)).unwrap_or(0),
            order_by: query.texts("order_by"),
        }
    }

    /// The page that a list body asks for.
    pub(crate) fn page_of(&self, limit: i64, offset: i64, order_by: Option<String>) -> Page {
        Page {
            limit: limit.min(self.state.settings().api.maximum_page_limit.into()),
            offset,
            order_by: order_by.into_iter().collect(),
        }
    }

    /// `update_mask`, if given.
    pub(crate) fn update_mask(&self) -> Option<Vec<String>> {
        let mask = self.query().texts("update_mask");
        (!mask.is_empty()).then_some(mask)
    }

    /// The fields of the body that are to be changed: those that were sent and, with an
    /// `update_mask`, are named in it.
    pub(crate) fn changed_fields(&self) -> Result<Vec<String>, ApiError> {
        Ok(changed_fields(&self.json()?, self.update_mask().as_deref()))
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, ApiError> {
        if self.body.is_empty() {
            return Err(vec![in_body(Issue::new(
                "missing",
                "Field required",
                &Value::Null,
            ))]
            .into());
        }
        if !self.has_json() {
            let text = String::from_utf8_lossy(&self.body).into_owned();
            return Ok(Value::from(text));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| vec![json_issue(&error, &self.body)].into())
    }

    /// The body with its fields read.
    pub(crate) fn read<T: fields::Body>(&self) -> Result<T, ApiError> {
        Ok(under(read_body(&self.json()?), "body")?)
    }

    fn has_json(&self) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE);
        // FastAPI takes a body without a type for JSON.
        kind.is_none_or(|kind| {
            kind.to_str()
                .is_ok_and(|kind| kind.contains("/json") || kind.contains("+json"))
        })
    }

    /// The best media type among `offered` that the client accepts; the first when it accepts
    /// anything.
    pub(crate) fn accepted(&self, offered: &[&'static str]) -> Option<&'static str> {
        let Some(accept) = self.headers.get(header::ACCEPT) else {
            return offered.first().copied();
        };
        let accept = accept.to_str().unwrap_or_default().to_ascii_lowercase();
        if accept.contains("*/*") {
            return offered.first().copied();
        }
        offered
            .iter()
            .copied()
            .find(|kind| accept.contains(kind.split(';').next().unwrap_or(kind)))
    }

    /// `application/json` or `text/plain`, whichever the client wants.
    pub(crate) fn json_or_text(&self) -> Result<&'static str, ApiError> {
        self.accepted(&["application/json", "text/plain"])
            .ok_or_else(|| {
                ApiError::not_acceptable("Only application/json or text/plain is supported")
            })
    }

    /// A connection to read with.
    pub(crate) async fn reader(&self) -> Result<Reader, ApiError> {
        Ok(self.state.store().read().await?)
    }

    /// The newest structure of a Dag.
    pub(crate) async fn require_serialized(
        &self,
        reader: &mut Reader,
        dag_id: &DagId,
    ) -> Result<Arc<SerializedDag>, ApiError> {
        let latest = self
            .state
            .dags()
            .latest(&self.state, reader, dag_id)
            .await?;
        latest
            .map(|(_, dag)| dag)
            .ok_or_else(|| dag_not_found(dag_id.as_str()))
    }
}

/// The usual refusal for a Dag that is not there.
pub(crate) fn dag_not_found(dag_id: &str) -> ApiError {
    ApiError::not_found(format!("The Dag with ID: `{dag_id}` was not found"))
}

/// Places problems in the path.
fn in_path<T>(name: &str, checked: Checked<T>) -> Checked<T> {
    under(under(checked, name), "path")
}

fn in_body(issue: Issue) -> Issue {
    issue.under("body")
}

fn json_issue(error: &serde_json::Error, body: &[u8]) -> Issue {
    let line_start = body
        .split_inclusive(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum::<usize>();
    let issue = Issue::new("json_invalid", "JSON decode error", &json!({}))
        .under(line_start + error.column())
        .with(json!({"error": python_words(&error.to_string())}));
    in_body(issue)
}

/// What Python's JSON reader calls a problem.
fn python_words(problem: &str) -> &'static str {
    let words = [
        (
            "parsing an object",
            "Expecting property name enclosed in double quotes",
        ),
        (
            "key must be a string",
            "Expecting property name enclosed in double quotes",
        ),
        (
            "trailing comma",
            "Illegal trailing comma before end of object",
        ),
        ("parsing a string", "Unterminated string starting at"),
        ("expected `:`", "Expecting ':' delimiter"),
        ("expected `,`", "Expecting ',' delimiter"),
        ("parsing a list", "Expecting ',' delimiter"),
        ("trailing characters", "Extra data"),
        ("control character", "Invalid control character at"),
        ("escape", "Invalid \\escape"),
    ];
    let found = words.iter().find(|(sign, _)| problem.contains(sign));
    found.map_or("Expecting value", |(_, words)| words)
}

/// 200 with JSON.
pub(crate) fn ok<T: Serialize>(value: &T) -> Answer {
    json_answer(StatusCode::OK, value)
}

/// 201 with JSON.
pub(crate) fn created<T: Serialize>(value: &T) -> Answer {
    json_answer(StatusCode::CREATED, value)
}

fn json_answer<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    let bytes = json_bytes(value);
    Ok(bytes_answer(status, bytes, "application/json"))
}

/// A value as JSON.
pub(crate) fn json_bytes<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value)
        .expect("answers have text keys and no failing serializers")
        .into()
}

/// Any body.
pub(crate) fn bytes_answer(
    status: StatusCode,
    bytes: impl Into<Body>,
    kind: &'static str,
) -> Response {
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// 200 with text.
pub(crate) fn text_answer(text: String) -> Response {
    bytes_answer(StatusCode::OK, text, "text/plain; charset=utf-8")
}

/// 202 with JSON.
pub(crate) fn accepted<T: Serialize>(value: &T) -> Answer {
    json_answer(StatusCode::ACCEPTED, value)
}

/// 204.
pub(crate) fn no_content() -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// 307 to another place.
pub(crate) fn redirect(location: &str) -> Answer {
    let location = HeaderValue::try_from(location)
        .map_err(|_| ApiError::bad_request("Invalid or unsafe next URL"))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}
