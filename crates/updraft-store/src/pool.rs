//! Rows of `slot_pool`, and how many of their slots are taken.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use updraft_model::PoolName;
use updraft_model::pool::{DEFAULT_POOL, Pool, PoolUsage};

use crate::change::Change;
use crate::row::{Columns, assembled};
use crate::{Error, Reader, Tx};

pub(crate) const POOL_COLUMNS: &str = "pool, slots, description, include_deferred";

/// The condition of the partial index over task instances that hold, or wait for, something
/// limited. SQLite uses the index only for a query that repeats it word for word.
pub(crate) const BUSY: &str =
    "state IN ('scheduled', 'queued', 'running', 'restarting', 'deferred', 'awaiting_input')";

impl Reader {
    /// All pools, by name.
    pub async fn load_pools(&mut self) -> Result<Vec<Pool>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {POOL_COLUMNS} FROM slot_pool ORDER BY pool"
        )));
        self.fetch_all("load the pools", statement)
            .await?
            .iter()
            .map(pool_from)
            .collect()
    }

    /// One pool.
    pub async fn find_pool(&mut self, name: &PoolName) -> Result<Option<Pool>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {POOL_COLUMNS} FROM slot_pool WHERE pool = $1"
        )))
        .bind(name.as_str());
        self.fetch_optional("load a pool", statement)
            .await?
            .as_ref()
            .map(pool_from)
            .transpose()
    }

    /// The slots taken in each pool, counted from the task instances. Pools nobody uses at the
    /// moment are missing.
    pub async fn load_pool_usage(&mut self) -> Result<BTreeMap<PoolName, PoolUsage>, Error> {
        let statement = sqlx::query(assembled(usage_sql()));
        self.fetch_all("count pool slots", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("slot_pool", row);
                let name = columns.id()?;
                let usage = PoolUsage {
                    running: columns.big()?,
                    queued: columns.big()?,
                    scheduled: columns.big()?,
                    deferred: columns.big()?,
                };
                Ok((name, usage))
            })
            .collect()
    }
}

impl Tx {
    /// Creates the pool every task uses that names no other, unless it exists.
    pub async fn ensure_default_pool(&mut self, slots: i32) -> Result<(), Error> {
        let statement = sqlx::query(
            "INSERT INTO slot_pool (pool, slots, description, include_deferred)
             VALUES ($1, $2, 'Default pool', FALSE)
             ON CONFLICT (pool) DO NOTHING",
        )
        .bind(DEFAULT_POOL)
        .bind(slots);
        self.execute("create the default pool", statement).await?;
        Ok(())
    }

    /// Creates a pool. `false`: one with this name exists.
    pub async fn create_pool(&mut self, pool: &Pool) -> Result<bool, Error> {
        let statement = sqlx::query(
            "INSERT INTO slot_pool (pool, slots, description, include_deferred)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (pool) DO NOTHING",
        )
        .bind(pool.name.as_str())
        .bind(pool.slots)
        .bind(pool.description.as_deref())
        .bind(pool.include_deferred);
        self.changed(Change::Capacity);
        Ok(self.execute("create a pool", statement).await? == 1)
    }

    /// Replaces everything but the name. `false`: there is no such pool.
    pub async fn update_pool(&mut self, pool: &Pool) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE slot_pool
                SET slots = $2, description = $3, include_deferred = $4
              WHERE pool = $1",
        )
        .bind(pool.name.as_str())
        .bind(pool.slots)
        .bind(pool.description.as_deref())
        .bind(pool.include_deferred);
        self.changed(Change::Capacity);
        Ok(self.execute("update a pool", statement).await? == 1)
    }

    /// Deletes a pool. `false`: there is no such pool. Who may delete which is the caller's rule.
    pub async fn delete_pool(&mut self, name: &PoolName) -> Result<bool, Error> {
        let statement = sqlx::query("DELETE FROM slot_pool WHERE pool = $1").bind(name.as_str());
        Ok(self.execute("delete a pool", statement).await? == 1)
    }
}

pub(crate) fn pool_from(row: &AnyRow) -> Result<Pool, Error> {
    let mut columns = Columns::of("slot_pool", row);
    Ok(Pool {
        name: columns.id()?,
        slots: columns.int()?,
        description: columns.owned_or_null()?,
        include_deferred: columns.flag()?,
    })
}

/// What [`Reader::load_pool_usage`] runs.
pub(crate) fn usage_sql() -> String {
    format!(
        "SELECT pool,
                    CAST(SUM(CASE WHEN state = 'running' THEN pool_slots ELSE 0 END) AS BIGINT),
                    CAST(SUM(CASE WHEN state = 'queued' THEN pool_slots ELSE 0 END) AS BIGINT),
                    CAST(SUM(CASE WHEN state = 'scheduled' THEN pool_slots ELSE 0 END) AS BIGINT),
                    CAST(SUM(CASE WHEN state = 'deferred' THEN pool_slots ELSE 0 END) AS BIGINT)
               FROM task_instance
              WHERE {BUSY}
              GROUP BY pool"
    )
}
