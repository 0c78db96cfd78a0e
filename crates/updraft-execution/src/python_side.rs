//! What answers to children may need of the user's Python: a secrets backend, timetable classes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;
use updraft_plugins::{Plugins, SecretWanted, SecretsBackend};
use updraft_runtime::Clock;
use updraft_task_comms::message::{ConnectionResult, VariableResult};

/// Secrets that are remembered at most; a wild Dag folder must not fill the memory.
const REMEMBERED_MAX: usize = 10_000;

/// The user's Python, as far as answers go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PythonSide {
    plugins: Plugins,
    backend: Option<Arc<SecretsBackend>>,
    remembered: Option<Arc<Remembered>>,
}

/// `[secrets] use_cache`: what a backend said, for Dag files, which ask the same again and again.
struct Remembered {
    ttl: Duration,
    clock: Clock,
    found: Mutex<HashMap<(Kind, String), (Instant, Found)>>,
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What it holds are secrets.
        f.debug_struct("Remembered").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Connection,
    Variable,
}

#[derive(Clone)]
enum Found {
    Connection(Option<ConnectionResult>),
    Variable(Option<String>),
}

impl PythonSide {
    /// `backend` is that of `[secrets]`, if there is one.
    #[must_use]
    pub fn new(plugins: Plugins, backend: Option<SecretsBackend>) -> Self {
        Self {
            plugins,
            backend: backend.map(Arc::new),
            remembered: None,
        }
    }

    /// The same, remembering what the secrets backend said for `ttl`: for Dag files.
    #[must_use]
    pub fn remembering(self, ttl: Duration, clock: Clock) -> Self {
        let found = Mutex::default();
        Self {
            remembered: Some(Arc::new(Remembered { ttl, clock, found })),
            ..self
        }
    }

    /// The same, without its secrets backend.
    #[must_use]
    pub fn without_secrets(self) -> Self {
        Self {
            backend: None,
            ..self
        }
    }

    /// Asks Python.
    #[must_use]
    pub const fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// A connection that the secrets backend has. A backend that fails is passed by, as in Airflow.
    pub(crate) async fn find_connection(&self, conn_id: &str) -> Option<ConnectionResult> {
        let backend = self.backend.as_ref()?;
        if let Some(Found::Connection(found)) = self.recall(Kind::Connection, conn_id) {
            return found;
        }
        let found = match self.plugins.secret_connection(backend, conn_id, None).await {
            Ok(found) => found.map(|found| ConnectionResult {
                conn_id: conn_id.to_owned(),
                conn_type: found.conn_type.unwrap_or_default(),
                host: found.host,
                schema: found.schema,
                login: found.login,
                password: found.password,
                port: found.port.map(i64::from),
                extra: found.extra,
            }),
            Err(error) => {
                warn!(conn_id, %error, "the secrets backend failed; the store is asked for the connection");
                return None;
            }
        };
        self.remember(Kind::Connection, conn_id, Found::Connection(found.clone()));
        found
    }

    /// A variable that the secrets backend has.
    pub(crate) async fn find_variable(&self, key: &str) -> Option<VariableResult> {
        let backend = self.backend.as_ref()?;
        let known = self.recall(Kind::Variable, key);
        let value = match known {
            Some(Found::Variable(value)) => value,
            _ => {
                let wanted = SecretWanted::Variable;
                let asked = self.plugins.secret_value(backend, wanted, key, None);
                let value = match asked.await {
                    Ok(value) => value,
                    Err(error) => {
                        warn!(key, %error, "the secrets backend failed; the store is asked for the variable");
                        return None;
                    }
                };
                self.remember(Kind::Variable, key, Found::Variable(value.clone()));
                value
            }
        };
        value.map(|value| VariableResult {
            key: key.to_owned(),
            value: Some(value),
        })
    }

    /// A variable was written or deleted: what was remembered is old.
    pub(crate) fn forget_variable(&self, key: &str) {
        if let Some(remembered) = &self.remembered {
            let mut found = remembered
                .found
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            found.remove(&(Kind::Variable, key.to_owned()));
        }
    }

    fn recall(&self, kind: Kind, key: &str) -> Option<Found> {
        let remembered = self.remembered.as_ref()?;
        let now = remembered.clock.monotonic();
        let found = remembered
            .found
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (since, found) = found.get(&(kind, key.to_owned()))?;
        (now.duration_since(*since) < remembered.ttl).then(|| found.clone())
    }

    fn remember(&self, kind: Kind, key: &str, value: Found) {
        let Some(remembered) = &self.remembered else {
            return;
        };
        let now = remembered.clock.monotonic();
        let mut found = remembered
            .found
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if found.len() >= REMEMBERED_MAX {
            found.clear();
        }
        found.insert((kind, key.to_owned()), (now, value));
    }
}
