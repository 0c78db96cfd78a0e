//! Brings the schema up to date: forward only, under a lock, safe to run twice.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migrate, Migration, MigrationType, Migrator};

use crate::{Dialect, Error, Store};
use steps::{STEPS, Step};

mod steps;

/// The table in which sqlx notes which steps ran.
const STEPS_TABLE: &str = "_sqlx_migrations";

/// How the database's schema relates to the one this program was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// Ready to use.
    Current,
    /// So many steps are missing; [`Store::migrate`] adds them.
    Behind { missing: usize },
    /// A newer program migrated it.
    Ahead { found: i64 },
}

impl Store {
    /// Applies the missing steps. Concurrent calls, also from other processes, wait for each other.
    ///
    /// # Errors
    /// [`Error::SchemaAhead`], [`Error::Migrate`] or [`Error::Database`].
    pub async fn migrate(&self) -> Result<(), Error> {
        if let SchemaState::Ahead { found } = self.check().await? {
            return Err(Error::SchemaAhead {
                place: self.place().to_owned(),
                found,
                known: newest(),
            });
        }
        let migrator = self.migrator();
        let failed = |source| Error::Migrate {
            place: self.place().to_owned(),
            source,
        };
        match self.dialect() {
            // SQLite knows no advisory locks; the write lock does the same.
            Dialect::Sqlite => {
                let mut tx = self.write().await?;
                migrator
                    .run_direct(None, tx.connection(), false)
                    .await
                    .map_err(failed)?;
                tx.commit().await
            }
            Dialect::Postgres => {
                let mut connection = self.migration_connection().await?;
                migrator
                    .run_direct(None, &mut *connection, false)
                    .await
                    .map_err(failed)
            }
        }
    }

    /// Compares the schema with the one this program knows. Changes nothing.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn check(&self) -> Result<SchemaState, Error> {
        let mut connection = self.migration_connection().await?;
        let exists = match self.dialect() {
            Dialect::Sqlite => "SELECT COUNT(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'",
            Dialect::Postgres => "SELECT COUNT(to_regclass('_sqlx_migrations')::TEXT)",
        };
        let tables: i64 = sqlx::query_scalar(exists)
            .fetch_one(&mut *connection)
            .await
            .map_err(|source| self.failed("look for the schema", source))?;
        if tables == 0 {
            return Ok(SchemaState::Behind {
                missing: STEPS.len(),
            });
        }
        let applied = connection
            .list_applied_migrations(STEPS_TABLE)
            .await
            .map_err(|source| Error::Migrate {
                place: self.place().to_owned(),
                source,
            })?;
        let found = applied.iter().map(|step| step.version).max().unwrap_or(0);
        if found > newest() {
            return Ok(SchemaState::Ahead { found });
        }
        match STEPS.len().saturating_sub(applied.len()) {
            0 => Ok(SchemaState::Current),
            missing => Ok(SchemaState::Behind { missing }),
        }
    }

    /// Deletes every table with everything in it, then migrates from nothing.
    ///
    /// # Errors
    /// As [`Store::migrate`].
    pub async fn reset(&self) -> Result<(), Error> {
        match self.dialect() {
            Dialect::Sqlite => self.drop_sqlite_tables().await?,
            Dialect::Postgres => {
                let mut connection = self.migration_connection().await?;
                for statement in ["DROP SCHEMA public CASCADE", "CREATE SCHEMA public"] {
                    sqlx::query(statement)
                        .execute(&mut *connection)
                        .await
                        .map_err(|source| self.failed("drop the schema", source))?;
                }
            }
        }
        self.migrate().await
    }

    async fn drop_sqlite_tables(&self) -> Result<(), Error> {
        let failed = |source| self.failed("drop the tables", source);
        let mut connection = self.migration_connection().await?;
        // Switched off for this connection only, and outside of a transaction: tables refer to each
        // other in circles, so no order of dropping would please the checks.
        for statement in ["PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE"] {
            sqlx::query(statement)
                .persistent(false)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
        }
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        )
        .persistent(false)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
        for table in tables {
            let drop = crate::row::assembled(format!("DROP TABLE \"{table}\""));
            sqlx::query(drop)
                .persistent(false)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
        }
        for statement in ["COMMIT", "PRAGMA foreign_keys = ON"] {
            sqlx::query(statement)
                .persistent(false)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
        }
        Ok(())
    }

    async fn migration_connection(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Any>, Error> {
        self.writers()
            .acquire()
            .await
            .map_err(|source| self.failed("open a connection", source))
    }

    fn migrator(&self) -> Migrator {
        let text = |step: &Step| match self.dialect() {
            Dialect::Sqlite => step.sqlite,
            Dialect::Postgres => step.postgres,
        };
        let steps = STEPS
            .iter()
            .map(|step| {
                Migration::new(
                    step.number,
                    step.description.into(),
                    MigrationType::Simple,
                    text(step).into_sql_str(),
                    false,
                )
            })
            .collect();
        Migrator::with_migrations(steps)
    }
}

fn newest() -> i64 {
    STEPS.iter().map(|step| step.number).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
