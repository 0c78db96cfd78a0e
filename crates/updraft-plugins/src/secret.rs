//! Look-ups in a secrets backend of the server side.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use updraft_python::{ChildStatus, PythonRuntime, run_part};

use crate::Error;
use crate::plugins::Plugins;
use crate::question::{Answer, Question};

/// The kind of question that a secrets backend answers.
pub(crate) const SECRET: &str = "GetSecret";

/// `[secrets] backend` and `backend_kwargs`.
#[derive(Clone)]
pub struct SecretsBackend {
    pub class_path: String,
    pub kwargs: Map<String, Value>,
}

impl std::fmt::Debug for SecretsBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its arguments may be passwords.
        f.debug_struct("SecretsBackend")
            .field("class_path", &self.class_path)
            .finish_non_exhaustive()
    }
}

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretWanted {
    Connection,
    Variable,
    Config,
}

/// A connection that a backend knows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct SecretConnection {
    pub conn_type: Option<String>,
    pub host: Option<String>,
    pub schema: Option<String>,
    pub login: Option<String>,
    pub password: Option<String>,
    pub port: Option<i32>,
    pub extra: Option<String>,
    pub description: Option<String>,
}

#[derive(Deserialize)]
struct ConnectionAnswer {
    connection: Option<SecretConnection>,
}

#[derive(Deserialize)]
struct ValueAnswer {
    value: Option<String>,
}

impl SecretsBackend {
    fn question(&self, wanted: SecretWanted, key: &str, team_name: Option<&str>) -> Question {
        let (word, doing) = match wanted {
            SecretWanted::Connection => ("connection", "get_connection"),
            SecretWanted::Variable => ("variable", "get_variable"),
            SecretWanted::Config => ("config", "get_config"),
        };
        let body = json!({
            "class": self.class_path,
            "kwargs": self.kwargs,
            "wanted": word,
            "key": key,
            "team_name": team_name,
        });
        Question::new(SECRET, &self.class_path, doing, &body)
    }
}

/// How much longer than the backend Python itself may take.
const START_MAX: Duration = Duration::from_secs(30);

impl SecretsBackend {
    /// Looks a setting up in a Python of its own, for the time before there is a zygote. Blocks.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn setting(
        &self,
        python: &PythonRuntime,
        environment: Vec<(String, String)>,
        name: &str,
        limit: Duration,
    ) -> Result<Option<String>, Error> {
        let question = self.question(SecretWanted::Config, name, None);
        let limit = limit + START_MAX;
        let mut body: Value =
            serde_json::from_str(&question.body).map_err(|error| question.nonsense(error))?;
        body["timeout_secs"] = limit.as_secs().max(1).into();
        let printed = run_part(python, "secret", environment, body.to_string().as_bytes())
            .map_err(|error| question.not_ready(error))?;
        let asked = question.asked.to_string();
        let doing = question.doing;
        match printed.status {
            ChildStatus::Exited(0) => {}
            ChildStatus::Signaled(ALARM) => {
                return Err(Error::TimedOut {
                    asked,
                    doing,
                    limit,
                });
            }
            status => {
                return Err(Error::Died {
                    asked,
                    doing,
                    status,
                    // It went where everything else is said.
                    output: String::new(),
                });
            }
        }
        let answer: Answer =
            serde_json::from_slice(&printed.stdout).map_err(|error| question.nonsense(error))?;
        match answer {
            Answer::Ok(value) => {
                let answer: ValueAnswer =
                    serde_json::from_value(value).map_err(|error| question.nonsense(error))?;
                Ok(answer.value)
            }
            Answer::Raised(raised) => Err(question.raised(raised)),
        }
    }
}

/// Ends a Python whose time is up.
const ALARM: i32 = Signal::SIGALRM as i32;

impl Plugins {
    /// Looks a connection up; `None`: the backend does not have it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn secret_connection(
        &self,
        backend: &SecretsBackend,
        conn_id: &str,
        team_name: Option<&str>,
    ) -> Result<Option<SecretConnection>, Error> {
        let question = backend.question(SecretWanted::Connection, conn_id, team_name);
        let answer: ConnectionAnswer = self.ask(question).await?;
        Ok(answer.connection)
    }

    /// Looks a variable or a setting up; `None`: the backend does not have it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn secret_value(
        &self,
        backend: &SecretsBackend,
        wanted: SecretWanted,
        key: &str,
        team_name: Option<&str>,
    ) -> Result<Option<String>, Error> {
        let answer: ValueAnswer = self.ask(backend.question(wanted, key, team_name)).await?;
        Ok(answer.value)
    }
}
