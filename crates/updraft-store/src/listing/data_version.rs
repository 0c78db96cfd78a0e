//! Says whether anything was committed since the last look.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Connection};
use tokio::sync::Mutex;

use crate::location::Location;
use crate::row::Columns;
use crate::{Error, Store};

/// A number that differs from an earlier one whenever somebody committed in between.
///
/// SQLite keeps one per connection: it changes when *another* connection, of this process or of any
/// other, changed the database. So the question is asked on a connection of its own, which never
/// writes.
pub struct DataVersion {
    store: Store,
    connection: Mutex<Option<AnyConnection>>,
}

impl DataVersion {
    /// Watches `store`; connects at the first question.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            connection: Mutex::new(None),
        }
    }

    /// The present number; `None` where the database cannot tell.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn now(&self) -> Result<Option<i64>, Error> {
        let Location::Sqlite(path) = &*self.store.location else {
            return Ok(None);
        };
        let mut guard = self.connection.lock().await;
        let failed = |source| self.store.failed("ask for the data version", source);
        let mut connection = match guard.take() {
            Some(connection) => connection,
            None => {
                let url = SqliteConnectOptions::new().filename(path).to_url_lossy();
                AnyConnection::connect(url.as_str()).await.map_err(failed)?
            }
        };
        // Put back only when it answered: a broken connection is replaced at the next question.
        let row = sqlx::query("PRAGMA data_version")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        *guard = Some(connection);
        Ok(Some(Columns::of("data_version", &row).big()?))
    }
}

impl std::fmt::Debug for DataVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataVersion").finish_non_exhaustive()
    }
}
