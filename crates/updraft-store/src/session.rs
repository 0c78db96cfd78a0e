//! One conversation with the database: a [`Reader`] looks, a [`Tx`] also writes.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::AnyConnection;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::{Any, Transaction};

use crate::change::{Change, Changes};
use crate::gate::{Gate, Passage};
use crate::{Dialect, Error, Keyring};

/// A statement with its values, ready to run.
pub(crate) type Statement<'q> = Query<'q, Any, AnyArguments>;

/// What every conversation knows of its store.
#[derive(Clone, Debug)]
pub(crate) struct Backdrop {
    pub(crate) dialect: Dialect,
    pub(crate) keyring: Arc<Keyring>,
    /// Names the database in messages.
    pub(crate) place: Arc<str>,
    pub(crate) gate: Gate,
}

enum Link {
    Pooled(PoolConnection<Any>),
    Transaction(Transaction<'static, Any>),
}

/// Reads rows, each statement by itself: two statements may see different moments.
pub struct Reader {
    link: Link,
    backdrop: Backdrop,
}

/// A write transaction. It reads what it wrote; dropping it without [`Tx::commit`] undoes all.
///
/// On SQLite it holds the only write lock from its first moment, so it never fails half-way because
/// somebody else wrote.
pub struct Tx {
    reader: Reader,
    changes: Changes,
    made: Vec<Change>,
    /// What is known of the plugin inventory since the transaction began.
    settling: Option<i32>,
    hooks: Option<BTreeSet<String>>,
}

impl Reader {
    pub(crate) fn new(connection: PoolConnection<Any>, backdrop: Backdrop) -> Self {
        Self {
            link: Link::Pooled(connection),
            backdrop,
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.backdrop.dialect
    }

    pub(crate) fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.backdrop.keyring)
    }

    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        match &mut self.link {
            Link::Pooled(connection) => connection,
            Link::Transaction(transaction) => transaction,
        }
    }

    /// Every failed statement becomes an [`Error`] here. `doing` finishes "failed to …".
    fn failed(&self, doing: &'static str, source: sqlx::Error) -> Error {
        Error::Database {
            doing,
            place: self.backdrop.place.to_string(),
            source,
        }
    }

    async fn pass(&mut self, doing: &'static str) -> Result<(), Error> {
        let passed = self.backdrop.gate.pass(Passage::Statement(doing)).await;
        passed.map_err(|source| self.failed(doing, source))
    }

    /// Runs a statement for its effect; gives the number of rows it touched.
    pub(crate) async fn execute(
        &mut self,
        doing: &'static str,
        statement: Statement<'_>,
    ) -> Result<u64, Error> {
        self.pass(doing).await?;
        match statement.execute(self.connection()).await {
            Ok(done) => Ok(done.rows_affected()),
            Err(source) => Err(self.failed(doing, source)),
        }
    }

    pub(crate) async fn fetch_all(
        &mut self,
        doing: &'static str,
        statement: Statement<'_>,
    ) -> Result<Vec<AnyRow>, Error> {
        self.pass(doing).await?;
        match statement.fetch_all(self.connection()).await {
            Ok(rows) => Ok(rows),
            Err(source) => Err(self.failed(doing, source)),
        }
    }

    pub(crate) async fn fetch_optional(
        &mut self,
        doing: &'static str,
        statement: Statement<'_>,
    ) -> Result<Option<AnyRow>, Error> {
        self.pass(doing).await?;
        match statement.fetch_optional(self.connection()).await {
            Ok(row) => Ok(row),
            Err(source) => Err(self.failed(doing, source)),
        }
    }

    /// For statements that always give a row.
    pub(crate) async fn fetch_one(
        &mut self,
        doing: &'static str,
        statement: Statement<'_>,
    ) -> Result<AnyRow, Error> {
        self.pass(doing).await?;
        match statement.fetch_one(self.connection()).await {
            Ok(row) => Ok(row),
            Err(source) => Err(self.failed(doing, source)),
        }
    }
}

impl Tx {
    pub(crate) fn new(
        transaction: Transaction<'static, Any>,
        backdrop: Backdrop,
        changes: Changes,
    ) -> Self {
        Self {
            reader: Reader {
                link: Link::Transaction(transaction),
                backdrop,
            },
            changes,
            made: Vec::new(),
            settling: None,
            hooks: None,
        }
    }

    pub(crate) fn known_settling(&self) -> Option<i32> {
        self.settling
    }

    pub(crate) fn remember_settling(&mut self, settling: i32) {
        self.settling = Some(settling);
    }

    pub(crate) fn known_hooks(&self) -> Option<&BTreeSet<String>> {
        self.hooks.as_ref()
    }

    pub(crate) fn remember_hooks(&mut self, hooks: BTreeSet<String>) {
        self.hooks = Some(hooks);
    }

    /// Notes where this transaction changed something; told to listeners after the commit.
    pub fn changed(&mut self, change: Change) {
        if !self.made.contains(&change) {
            self.made.push(change);
        }
    }

    /// Makes everything permanent, then tells listeners.
    ///
    /// # Errors
    /// [`Error::Database`]; nothing was written then, unless the connection broke during the commit
    /// itself.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.notify_other_processes().await?;
        let Reader { link, backdrop } = self.reader;
        if let Link::Transaction(transaction) = link {
            let gate = &backdrop.gate;
            let committed = async {
                gate.pass(Passage::Commit).await?;
                transaction.commit().await?;
                gate.pass_committed(&self.made).await
            };
            committed.await.map_err(|source| Error::Database {
                doing: "commit",
                place: backdrop.place.to_string(),
                source,
            })?;
        }
        self.changes.tell(self.made);
        Ok(())
    }

    /// Queues the hints with the transaction: PostgreSQL delivers them if and when it commits.
    async fn notify_other_processes(&mut self) -> Result<(), Error> {
        if self.dialect() != Dialect::Postgres {
            return Ok(());
        }
        for payload in self.changes.payloads(&self.made) {
            let statement = sqlx::query("SELECT pg_notify($1, $2)")
                .bind(crate::change::CHANNEL)
                .bind(payload);
            self.reader
                .execute("notify other processes", statement)
                .await?;
        }
        Ok(())
    }
}

impl Deref for Tx {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Reader {
        &mut self.reader
    }
}
