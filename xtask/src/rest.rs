//! The one REST client that both engines are driven with.
//!
//! It speaks plain HTTP to a loopback port and knows Airflow's public API and nothing else, so
//! that whatever it can do with Airflow it must be able to do with Updraft.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Method, Request};

/// No call on a healthy engine takes longer, not even on a busy machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The largest page Airflow gives.
const PAGE_LIMIT: usize = 100;

/// How much of an error body is quoted.
const QUOTED_CHARS_MAX: usize = 600;

#[derive(Clone)]
pub(crate) struct RestClient {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// An answer: status and JSON body (`null` when there was none).
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl RestClient {
    pub(crate) fn new(port: u16) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_TIMEOUT))
            .build();
        Self {
            agent: config.into(),
            base: format!("http://127.0.0.1:{port}"),
            token: None,
        }
    }

    /// Fetches a token as any client would and uses it from now on.
    pub(crate) fn log_in(&mut self, username: &str, password: &str) -> Result<()> {
        let credentials = json!({ "username": username, "password": password });
        let answer = self.send(Method::POST, "/auth/token", Some(&credentials))?;
        let token = answer.require(201, "POST /auth/token")?["access_token"]
            .as_str()
            .context("`POST /auth/token` answered without an `access_token`")?
            .to_owned();
        self.token = Some(token);
        Ok(())
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, None)?
            .require(200, &format!("GET {path}"))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.send(Method::POST, path, Some(body))?;
        let expected = if answer.status == 201 { 201 } else { 200 };
        answer.require(expected, &format!("POST {path}"))
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(Method::PATCH, path, Some(body))?
            .require(200, &format!("PATCH {path}"))
    }

    /// Reads every page of a collection whose rows stand under `key`.
    pub(crate) fn list(&self, path: &str, key: &str) -> Result<Vec<Value>> {
        let joiner = if path.contains('?') { '&' } else { '?' };
        let mut rows = Vec::new();
        loop {
            let offset = rows.len();
            let mut page =
                self.get(&format!("{path}{joiner}limit={PAGE_LIMIT}&offset={offset}"))?;
            let Value::Array(found) = page[key].take() else {
                bail!("`GET {path}`: expected an array under `{key}`, found {page}");
            };
            let last = found.len() < PAGE_LIMIT;
            rows.extend(found);
            if last {
                return Ok(rows);
            }
        }
    }

    pub(crate) fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method.clone()).uri(&url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let call = || format!("{method} {path}");
        let sent = if let Some(body) = body {
            let request = request
                .header("content-type", "application/json")
                .body(body.to_string())
                .with_context(call)?;
            self.agent.run(request)
        } else {
            self.agent.run(request.body(()).with_context(call)?)
        };
        let mut response = sent.with_context(call)?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().with_context(call)?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        Ok(Answer { status, body })
    }
}

impl Answer {
    fn require(self, status: u16, call: &str) -> Result<Value> {
        if self.status != status {
            let quoted: String = self
                .body
                .to_string()
                .chars()
                .take(QUOTED_CHARS_MAX)
                .collect();
            bail!(
                "`{call}`: expected status {status}, found {}: {quoted}",
                self.status
            );
        }
        Ok(self.body)
    }
}

/// Escapes one segment of a path: ids may hold any character.
pub(crate) fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
