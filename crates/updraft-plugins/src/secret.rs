//! Look-ups in a secrets backend of the server side.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Error;
use crate::plugins::Plugins;
use crate::question::Question;

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
