//! Where the metadata lives: `[database] sql_alchemy_conn`, given a type.
//!
//! Users bring URLs that SQLAlchemy reads, which is not how browsers read them: the driver
//! stands behind a `+`, a password may hold `/`, `?` or `#` unescaped, and SQLite counts
//! slashes. This module reads them as SQLAlchemy does and writes a strict URL for our driver.

mod percent;

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

/// The database of this installation.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    /// One file, for one machine.
    Sqlite(PathBuf),
    /// A server, for any number of machines.
    Postgres(PostgresUrl),
}

/// A PostgreSQL server, with credentials.
#[derive(Clone)]
pub struct PostgresUrl {
    user: Option<String>,
    password: Option<SecretString>,
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    parameters: Vec<(String, String)>,
}

/// Why a URL cannot be used. Never quotes the URL: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    #[error("a database URL such as postgresql://user:password@host/name")]
    NotAUrl,
    #[error("a sqlite:// or postgresql:// URL (MySQL is not supported)")]
    MySql,
    #[error("a sqlite:// or postgresql:// URL")]
    UnknownDatabase,
    #[error("an absolute SQLite path (four slashes: sqlite:////path/to/updraft.db)")]
    RelativePath,
    #[error("a SQLite file (a database in memory is lost and cannot be shared)")]
    InMemory,
    #[error("a port from 1 to 65535 in the database URL")]
    BadPort,
}

impl DatabaseUrl {
    /// Reads a URL as SQLAlchemy would.
    pub fn parse(url: &str) -> Result<Self, DatabaseUrlError> {
        let (scheme, rest) = url
            .trim()
            .split_once("://")
            .ok_or(DatabaseUrlError::NotAUrl)?;
        // The driver is ours to choose: `postgresql+psycopg2` and `postgresql+asyncpg` are one.
        let dialect = scheme.split('+').next().unwrap_or_default();
        match dialect {
            "sqlite" => parse_sqlite(rest),
            "postgresql" | "postgres" => PostgresUrl::parse(rest).map(Self::Postgres),
            "mysql" | "mariadb" => Err(DatabaseUrlError::MySql),
            _ => Err(DatabaseUrlError::UnknownDatabase),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    /// For logs: no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:///{}", path.display()),
            Self::Postgres(url) => write!(f, "{url}"),
        }
    }
}

fn parse_sqlite(rest: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
    let location = rest.split('?').next().unwrap_or_default();
    let path = location.strip_prefix('/').unwrap_or(location);
    if path.is_empty() || path == ":memory:" || path.starts_with("file:") {
        return Err(DatabaseUrlError::InMemory);
    }
    if !path.starts_with('/') {
        return Err(DatabaseUrlError::RelativePath);
    }
    Ok(DatabaseUrl::Sqlite(PathBuf::from(path)))
}

impl PostgresUrl {
    fn parse(rest: &str) -> Result<Self, DatabaseUrlError> {
        // As in SQLAlchemy's pattern: the user has no `/`, the password has no `@`.
        let (credentials, location) = match rest.split_once('@') {
            Some((before, after))
                if !before.split(':').next().unwrap_or_default().contains('/') =>
            {
                (Some(before), after)
            }
            _ => (None, rest),
        };
        let (user, password) = match credentials {
            Some(text) => match text.split_once(':') {
                Some((user, password)) => (Some(user), Some(password)),
                None => (Some(text), None),
            },
            None => (None, None),
        };
        let (location, query) = location.split_once('?').unwrap_or((location, ""));
        let (address, database) = location.split_once('/').unwrap_or((location, ""));
        let (host, port) = split_address(address)?;
        let present = |text: &str| (!text.is_empty()).then(|| percent::decode(text));
        Ok(Self {
            user: user.and_then(present),
            password: password.map(|text| SecretString::from(percent::decode(text))),
            host: present(host),
            port,
            database: present(database),
            parameters: parameters(query),
        })
    }

    /// The URL for the driver, password and all.
    pub fn connect_url(&self) -> SecretString {
        let mut url = String::from("postgresql://");
        if let Some(user) = &self.user {
            url.push_str(&percent::encode(user));
            if let Some(password) = &self.password {
                url.push(':');
                url.push_str(&percent::encode(password.expose_secret()));
            }
            url.push('@');
        }
        url.push_str(&self.address());
        let mut separator = '?';
        for (name, value) in &self.parameters {
            url.push(separator);
            url.push_str(&format!(
                "{}={}",
                percent::encode(name),
                percent::encode(value)
            ));
            separator = '&';
        }
        SecretString::from(url)
    }

    fn address(&self) -> String {
        let host = self.host.as_deref().unwrap_or("localhost");
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            percent::encode(host)
        };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let database = self
            .database
            .as_deref()
            .map(percent::encode)
            .unwrap_or_default();
        format!("{host}{port}/{database}")
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgresql://{}", self.address())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// `host`, `host:5432`, `[::1]:5432`.
fn split_address(address: &str) -> Result<(&str, Option<u16>), DatabaseUrlError> {
    let (host, port) = match address.strip_prefix('[').and_then(|it| it.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':').unwrap_or_default()),
        None => address.rsplit_once(':').unwrap_or((address, "")),
    };
    if port.is_empty() {
        return Ok((host, None));
    }
    let port = port
        .parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or(DatabaseUrlError::BadPort)?;
    Ok((host, Some(port)))
}

fn parameters(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // asyncpg's word for what every other client calls `sslmode`.
            let name = if name == "ssl" { "sslmode" } else { name };
            (
                percent::decode(name),
                percent::decode(&value.replace('+', " ")),
            )
        })
        .collect()
}
