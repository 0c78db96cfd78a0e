//! The handle: opens the database, hands out readers and transactions, retries.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, AssertSqlSafe, ConnectOptions, Connection, Executor};
use uuid::Uuid;

use crate::change::Changes;
use crate::gate::{Gate, Passage};
use crate::location::Location;
use crate::session::{Backdrop, Reader, Tx};
use crate::{Dialect, Error, Keyring};

/// Readers of SQLite at a time. More would only compete for two cores and the page cache.
const SQLITE_READERS_MAX: u32 = 4;

/// How long a call waits for a free connection before it fails.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a write waits for another process that locks an SQLite file: a backup or a curious
/// user may take that long, and no task shall fail for it.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// How often [`Store::retry`] runs a step that keeps losing to others.
const ATTEMPTS_MAX: u32 = 6;

/// Pause before the second attempt; doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// In WAL mode `NORMAL` survives the death of the process; only a power cut may take the last
/// commits with it, and never the consistency.
const SQLITE_WRITER_SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA foreign_keys = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -32000;
";

const SQLITE_READER_SETTINGS: &str = "
    PRAGMA query_only = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -8000;
";

/// How to open the store.
#[derive(Debug)]
pub struct StoreOptions {
    /// `[database] sql_alchemy_conn`.
    pub url: String,
    /// `[core] fernet_key`.
    pub keyring: Keyring,
    /// PostgreSQL connections of this process at a time.
    pub connections_max: u32,
    /// How long to wait for another *process* that writes to the SQLite file.
    pub lock_wait: Duration,
    /// Who may hold up or break a conversation: nobody, but in simulations.
    pub gate: Gate,
}

impl StoreOptions {
    /// The usual limits.
    #[must_use]
    pub fn new(url: impl Into<String>, keyring: Keyring) -> Self {
        Self {
            url: url.into(),
            keyring,
            connections_max: 10,
            lock_wait: LOCK_WAIT,
            gate: Gate::default(),
        }
    }
}

/// The metadata store. Cheap to clone; all clones share connections.
#[derive(Clone)]
pub struct Store {
    writers: AnyPool,
    readers: AnyPool,
    changes: Changes,
    pub(crate) backdrop: Backdrop,
    pub(crate) location: Arc<Location>,
    file: Option<Arc<FileIdentity>>,
}

/// Which file was opened, to notice that it was replaced under our feet.
struct FileIdentity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Store {
    /// Connects, creating the SQLite file if there is none. Does not migrate.
    ///
    /// # Errors
    /// When the URL makes no sense, the file cannot be used, or the server does not answer.
    pub async fn open(options: StoreOptions) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let location = Location::parse(&options.url)?;
        let backdrop = Backdrop {
            dialect: location.dialect(),
            keyring: Arc::new(options.keyring),
            place: location.shown().into(),
            gate: options.gate,
        };
        let (writers, readers, file) = match &location {
            Location::Sqlite(path) => {
                require_usable(path, &backdrop)?;
                let (writers, readers) = open_sqlite(path, options.lock_wait, &backdrop).await?;
                (
                    writers,
                    readers,
                    Some(Arc::new(identity_of(path, &backdrop)?)),
                )
            }
            Location::Postgres { url, .. } => {
                let pool = open_postgres(url, options.connections_max, &backdrop).await?;
                (pool.clone(), pool, None)
            }
        };
        Ok(Self {
            writers,
            readers,
            changes: Changes::new(Uuid::new_v4()),
            backdrop,
            location: Arc::new(location),
            file,
        })
    }

    /// Which database this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.backdrop.dialect
    }

    /// Names the database in messages; holds no password.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.backdrop.place
    }

    /// Hints about commits.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Forwards the hints of other processes to [`Store::changes`]. Never returns; a role runs it
    /// as one of its tasks. On SQLite all that can be known is that another process wrote.
    pub async fn forward_notifications(&self) {
        match &*self.location {
            Location::Sqlite(_) => self.watch_other_writers().await,
            Location::Postgres { url, .. } => self.changes.forward_from(url).await,
        }
    }

    /// A connection to read with.
    ///
    /// # Errors
    /// When none becomes free in time, or the database is gone.
    pub async fn read(&self) -> Result<Reader, Error> {
        let gate = &self.backdrop.gate;
        let connection = async {
            gate.pass(Passage::Read).await?;
            self.readers.acquire().await
        }
        .await
        .map_err(|source| self.failed("open a connection", source))?;
        Ok(Reader::new(connection, self.backdrop.clone()))
    }

    /// Starts a write transaction.
    ///
    /// # Errors
    /// When the write lock or a connection is not to be had in time, or the database is gone.
    pub async fn write(&self) -> Result<Tx, Error> {
        let begin = match self.dialect() {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        };
        let gate = &self.backdrop.gate;
        let transaction = async {
            gate.pass(Passage::Write).await?;
            self.writers.begin_with(begin).await
        }
        .await
        .map_err(|source| self.failed("start a transaction", source))?;
        Ok(Tx::new(
            transaction,
            self.backdrop.clone(),
            self.changes.clone(),
        ))
    }

    /// Runs `step` again while it fails for a transient reason, with growing pauses.
    ///
    /// The step opens and commits its own transaction, and does nothing else that lasts.
    ///
    /// # Errors
    /// The step's own error, or that of the last attempt.
    pub async fn retry<T, F>(&self, mut step: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS_MAX {
            match step().await {
                Err(error) if error.is_transient() => {
                    self.backdrop.gate.pause(pause).await;
                    pause *= 2;
                }
                done => return done,
            }
        }
        step().await
    }

    /// Asks the database for a sign of life; notices a deleted or replaced SQLite file.
    ///
    /// # Errors
    /// [`Error::FileGone`] or whatever the database says.
    pub async fn ping(&self) -> Result<(), Error> {
        if let Some(file) = &self.file {
            let now = identity_of(&file.path, &self.backdrop).ok();
            if now.is_none_or(|now| (now.device, now.inode) != (file.device, file.inode)) {
                return Err(Error::FileGone {
                    place: self.place().to_owned(),
                });
            }
        }
        let mut reader = self.read().await?;
        reader
            .fetch_one("ping the database", sqlx::query("SELECT 1"))
            .await?;
        Ok(())
    }

    /// Closes all connections; waits for those in use.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }

    pub(crate) fn writers(&self) -> &AnyPool {
        &self.writers
    }

    pub(crate) fn failed(&self, doing: &'static str, source: sqlx::Error) -> Error {
        Error::Database {
            doing,
            place: self.place().to_owned(),
            source,
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("place", &self.backdrop.place)
            .finish_non_exhaustive()
    }
}

/// Says in plain words what SQLite would only call "unable to open database file".
fn require_usable(path: &Path, backdrop: &Backdrop) -> Result<(), Error> {
    let unusable = |problem: String, source| Error::Unusable {
        place: backdrop.place.to_string(),
        problem,
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    if let Err(source) = std::fs::read_dir(folder) {
        let problem = format!("its folder `{}` cannot be read", folder.display());
        return Err(unusable(problem, source));
    }
    match std::fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
    {
        Ok(_) => Ok(()),
        Err(source) => Err(unusable("the file cannot be written".to_owned(), source)),
    }
}

fn identity_of(path: &Path, backdrop: &Backdrop) -> Result<FileIdentity, Error> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).map_err(|source| Error::Unusable {
        place: backdrop.place.to_string(),
        problem: "the file cannot be examined".to_owned(),
        source,
    })?;
    Ok(FileIdentity {
        path: path.to_owned(),
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}

/// One writer, so that transactions queue up inside the process instead of failing; a few readers,
/// which WAL lets run beside it.
async fn open_sqlite(
    path: &Path,
    lock_wait: Duration,
    backdrop: &Backdrop,
) -> Result<(AnyPool, AnyPool), Error> {
    let url = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path)
        .to_url_lossy();
    let settings = |more| {
        let wait = lock_wait.as_millis();
        Arc::<str>::from(format!("PRAGMA busy_timeout = {wait}; {more}"))
    };
    let pool = async |size, settings: Arc<str>| {
        // Writers queue behind one that waits for the lock.
        pool_options(size, lock_wait + ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(move |connection, _| {
                let settings = Arc::clone(&settings);
                Box::pin(async move {
                    connection.execute(AssertSqlSafe(settings)).await?;
                    Ok(())
                })
            })
            // SQLite itself ends a transaction that met a full disk. The driver does not notice,
            // and would refuse every later transaction on the connection.
            .before_acquire(|connection, _| {
                let is_usable = !connection.is_in_transaction();
                Box::pin(async move { Ok(is_usable) })
            })
            .connect_with(options_for(url.as_str(), backdrop)?)
            .await
            .map_err(|source| could_not_connect(backdrop, source))
    };
    let for_writer = settings(SQLITE_WRITER_SETTINGS);
    probe(url.as_str(), &for_writer, backdrop).await?;
    let writers = pool(1, for_writer).await?;
    let readers = pool(SQLITE_READERS_MAX, settings(SQLITE_READER_SETTINGS)).await?;
    Ok((writers, readers))
}

async fn open_postgres(url: &str, size: u32, backdrop: &Backdrop) -> Result<AnyPool, Error> {
    probe(url, "SELECT 1", backdrop).await?;
    pool_options(size, ACQUIRE_TIMEOUT)
        .connect_with(options_for(url, backdrop)?)
        .await
        .map_err(|source| could_not_connect(backdrop, source))
}

/// Connects once by hand: a pool would retry for a while and then only say that time ran out.
async fn probe(url: &str, settings: &str, backdrop: &Backdrop) -> Result<(), Error> {
    let attempt = async {
        let mut connection = options_for(url, backdrop)?
            .connect()
            .await
            .map_err(|source| could_not_connect(backdrop, source))?;
        connection
            .execute(AssertSqlSafe(settings))
            .await
            .map_err(|source| could_not_connect(backdrop, source))?;
        connection
            .close()
            .await
            .map_err(|source| could_not_connect(backdrop, source))
    };
    tokio::time::timeout(ACQUIRE_TIMEOUT, attempt)
        .await
        .unwrap_or_else(|_| Err(could_not_connect(backdrop, sqlx::Error::PoolTimedOut)))
}

fn pool_options(size: u32, acquire_timeout: Duration) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .min_connections(1)
        .max_connections(size.max(1))
        .acquire_timeout(acquire_timeout)
}

fn options_for(url: &str, backdrop: &Backdrop) -> Result<AnyConnectOptions, Error> {
    let options: AnyConnectOptions = url
        .parse()
        .map_err(|source| could_not_connect(backdrop, source))?;
    Ok(options.disable_statement_logging())
}

fn could_not_connect(backdrop: &Backdrop, source: sqlx::Error) -> Error {
    Error::Database {
        doing: "open a connection",
        place: backdrop.place.to_string(),
        source,
    }
}

#[cfg(test)]
mod tests;
