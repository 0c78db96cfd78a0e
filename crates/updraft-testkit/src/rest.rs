//! A REST client that knows no more than any other client of Airflow's API.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Method, Request};

use crate::wait::wait_until;

/// No call takes longer on a healthy server, not even on a busy machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest page the API gives.
const PAGE_LIMIT: usize = 100;

/// Talks to one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RestClient {
    agent: Agent,
    base: String,
    token: String,
}

/// Status and JSON body (`null` when there was none).
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl RestClient {
    /// Logs in as the administrator.
    ///
    /// # Panics
    /// When the server does not let us in.
    #[must_use]
    pub fn log_in(port: u16, password: &str) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_TIMEOUT))
            .build();
        let mut client = Self {
            agent: agent.into(),
            base: format!("http://127.0.0.1:{port}"),
            token: String::new(),
        };
        let body = json!({ "username": "admin", "password": password });
        let answer = client.call("POST", "/auth/token", Some(&body));
        let token = answer.body["access_token"].as_str();
        client.token = token
            .unwrap_or_else(|| panic!("failed to log in: {answer:?}"))
            .to_owned();
        client
    }

    /// One call, or why there was no answer.
    pub fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, ureq::Error> {
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).map_err(ureq::http::Error::from)?)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token));
        let mut response = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string())?)?
            }
            None => self.agent.run(request.body(())?)?,
        };
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string()?;
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        };
        Ok(Answer { status, body })
    }

    /// One call that must be answered, whatever the answer is.
    ///
    /// # Panics
    /// When there is no answer.
    #[must_use]
    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        match self.try_call(method, path, body) {
            Ok(answer) => answer,
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    /// Reads something that must be there.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, None);
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.body);
        answer.body
    }

    /// Reads every page of a collection whose rows stand under `key`.
    ///
    /// # Panics
    /// When there is no such collection.
    #[must_use]
    #[track_caller]
    pub fn list(&self, path: &str, key: &str) -> Vec<Value> {
        let joiner = if path.contains('?') { '&' } else { '?' };
        let mut rows = Vec::new();
        loop {
            let mut page = self.get(&format!(
                "{path}{joiner}limit={PAGE_LIMIT}&offset={}",
                rows.len()
            ));
            let Value::Array(found) = page[key].take() else {
                panic!("GET {path}: expected an array under `{key}`, found {page}");
            };
            let is_last = found.len() < PAGE_LIMIT;
            rows.extend(found);
            if is_last {
                return rows;
            }
        }
    }

    /// Waits until a Dag has been read from its file.
    ///
    /// # Panics
    /// When it does not appear.
    #[track_caller]
    pub fn wait_for_dag(&self, dag_id: &str, timeout: Duration) {
        let path = format!("/api/v2/dags/{dag_id}");
        wait_until(&format!("Dag `{dag_id}` is there"), timeout, || {
            let answer = self.call("GET", &path, None);
            if answer.status == 200 {
                Ok(())
            } else {
                Err(answer)
            }
        });
    }

    /// Starts a run and returns its id.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    #[track_caller]
    pub fn trigger(&self, dag_id: &str) -> String {
        let body = json!({ "logical_date": null });
        let answer = self.call(
            "POST",
            &format!("/api/v2/dags/{dag_id}/dagRuns"),
            Some(&body),
        );
        assert_eq!(
            answer.status, 200,
            "failed to trigger `{dag_id}`: {}",
            answer.body
        );
        text(&answer.body["dag_run_id"])
    }

    /// The state of a run.
    ///
    /// # Panics
    /// When there is no such run.
    #[must_use]
    #[track_caller]
    pub fn run_state(&self, dag_id: &str, run_id: &str) -> String {
        text(&self.get(&run_path(dag_id, run_id))["state"])
    }

    /// Waits until a run ended, and returns its state.
    ///
    /// # Panics
    /// When it does not end in time; the message shows its task instances.
    #[track_caller]
    pub fn wait_for_run(&self, dag_id: &str, run_id: &str, timeout: Duration) -> String {
        wait_until(
            &format!("run `{run_id}` of `{dag_id}` ended"),
            timeout,
            || match self.run_state(dag_id, run_id) {
                state if matches!(state.as_str(), "success" | "failed") => Ok(state),
                state => Err((state, self.states(dag_id, run_id))),
            },
        )
    }

    /// Task instances of a run.
    ///
    /// # Panics
    /// When there is no such run.
    #[must_use]
    #[track_caller]
    pub fn task_instances(&self, dag_id: &str, run_id: &str) -> Vec<Value> {
        self.list(
            &format!("{}/taskInstances", run_path(dag_id, run_id)),
            "task_instances",
        )
    }

    /// What became of the task instances of a run, sorted: `task[map index]: state, try number`.
    ///
    /// # Panics
    /// When there is no such run.
    #[must_use]
    #[track_caller]
    pub fn states(&self, dag_id: &str, run_id: &str) -> Vec<String> {
        let describe = |ti: &Value| {
            format!(
                "{}[{}]: {}, try {}",
                text(&ti["task_id"]),
                ti["map_index"],
                ti["state"].as_str().unwrap_or("no status"),
                ti["try_number"]
            )
        };
        let mut states: Vec<_> = self
            .task_instances(dag_id, run_id)
            .iter()
            .map(describe)
            .collect();
        states.sort();
        states
    }

    /// The log of one try of a task that is not mapped.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    #[track_caller]
    pub fn log(&self, dag_id: &str, run_id: &str, task_id: &str, try_number: u32) -> String {
        let run = run_path(dag_id, run_id);
        let answer = self.call(
            "GET",
            &format!("{run}/taskInstances/{task_id}/logs/{try_number}"),
            None,
        );
        assert_eq!(answer.status, 200, "log of `{task_id}`: {}", answer.body);
        answer.body["content"].to_string()
    }
}

/// Where a run is.
fn run_path(dag_id: &str, run_id: &str) -> String {
    // Run ids of triggered runs hold an offset, whose plus would read as a blank.
    format!(
        "/api/v2/dags/{dag_id}/dagRuns/{}",
        run_id.replace('+', "%2B")
    )
}

#[track_caller]
fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("expected text, found {value}"))
        .to_owned()
}
