//! What can go wrong between us and the database.

/// A failed store call. Losing a compare-and-set or finding no row is a return value, not an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("database URL `{url}`: {problem}")]
    Location { url: String, problem: &'static str },
    #[error("fernet key {position} of the list is not 32 bytes of URL-safe base64")]
    FernetKey { position: usize },
    #[error("failed to open {place}: {problem}")]
    Unusable {
        place: String,
        problem: String,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to {doing}: {place}{}", hint_of(source))]
    Database {
        doing: &'static str,
        place: String,
        #[source]
        source: sqlx::Error,
    },
    #[error("failed to migrate {place}")]
    Migrate {
        place: String,
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    #[error(
        "{place} was written by a newer version of Updraft (its schema has step {found}, this version knows {known})"
    )]
    SchemaAhead {
        place: String,
        found: i64,
        known: i64,
    },
    #[error("row of `{table}` does not make sense")]
    Row {
        table: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("failed to decrypt {what}: none of the configured fernet keys fits")]
    Undecryptable { what: String },
    #[error("{place} is gone: the file was deleted or replaced while in use")]
    FileGone { place: String },
}

impl Error {
    /// Whether the same call may succeed when it is made again: another process held a lock, the
    /// server restarted, the connection broke.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database { source, .. } => is_transient(source),
            Self::Migrate { source, .. } => match source {
                sqlx::migrate::MigrateError::Execute(source)
                | sqlx::migrate::MigrateError::ExecuteMigration(source, _) => is_transient(source),
                _ => false,
            },
            Self::Location { .. }
            | Self::FernetKey { .. }
            | Self::Unusable { .. }
            | Self::SchemaAhead { .. }
            | Self::Row { .. }
            | Self::Undecryptable { .. }
            | Self::FileGone { .. } => false,
        }
    }

    /// Whether a row with the same key exists already.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        match self {
            Self::Database { source, .. } => source
                .as_database_error()
                .is_some_and(sqlx::error::DatabaseError::is_unique_violation),
            _ => false,
        }
    }
}

fn is_transient(source: &sqlx::Error) -> bool {
    match source {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            match code.as_ref() {
                // PostgreSQL: serialization failure, deadlock, lock not available, too many
                // connections, shutting down, crashed, starting up.
                "40001" | "40P01" | "55P03" | "53300" | "57P01" | "57P02" | "57P03" => true,
                // SQLite: an extended code holds the primary one in its low byte; 5 busy, 6 locked.
                code => code
                    .parse::<u32>()
                    .is_ok_and(|code| code < 10_000 && matches!(code & 0xff, 5 | 6)),
            }
        }),
        _ => false,
    }
}

/// What the reader of the message can do about it, where the database's own words are terse.
fn hint_of(source: &sqlx::Error) -> &'static str {
    let Some(code) = source
        .as_database_error()
        .and_then(|error| error.code()?.parse::<u32>().ok())
    else {
        return match source {
            sqlx::Error::PoolTimedOut => " (no connection became free in time)",
            sqlx::Error::Io(_) => " (the connection broke)",
            _ => "",
        };
    };
    // PostgreSQL's five-digit codes never reach these numbers: theirs start at 01000.
    match if code < 10_000 { code & 0xff } else { 0 } {
        5 | 6 => " (another process holds the lock on the file)",
        8 => " (the file or its folder is not writable)",
        10 => " (the disk reported an error)",
        11 | 26 => " (the file is damaged or is not an SQLite database)",
        13 => " (the disk is full)",
        14 => " (the file cannot be opened or created)",
        _ => "",
    }
}
