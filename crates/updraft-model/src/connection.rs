//! A row of `connection`, with its secrets in the clear; the store encrypts at rest.

/// How to reach an outside system.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    pub conn_id: String,
    pub conn_type: String,
    pub description: Option<String>,
    pub host: Option<String>,
    pub schema: Option<String>,
    pub login: Option<String>,
    pub password: Option<String>,
    pub port: Option<i32>,
    pub extra: Option<String>,
    pub team_name: Option<String>,
}

impl std::fmt::Debug for Connection {
    /// Leaves the secrets out, so that a connection may stand in a log line or an assertion.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("conn_id", &self.conn_id)
            .field("conn_type", &self.conn_type)
            .field("host", &self.host)
            .field("login", &self.login)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
