//! Rows of `task_state_store` and `asset_state_store`: small values that outlive a try.

use jiff::Timestamp;
use updraft_model::task_instance::TaskInstance;

use crate::row::{Columns, micros};
use crate::session::Statement;
use crate::{Error, Reader, Tx};

/// Who wrote a value of an asset.
#[derive(Clone, Debug)]
pub enum AssetStateWriter<'a> {
    Task(&'a TaskInstance),
    Watcher,
}

impl Reader {
    /// A value that a task keeps for itself; it survives retries. An expired one is gone.
    pub async fn find_task_state(
        &mut self,
        ti: &TaskInstance,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<String>, Error> {
        let sql = "SELECT value
               FROM task_state_store
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4 AND key = $5
                AND (expires_at IS NULL OR expires_at > $6)";
        let statement = of_task(sql, ti).bind(key.to_owned()).bind(micros(now));
        self.fetch_optional("load a task's state", statement)
            .await?
            .map(|row| Columns::of("task_state_store", &row).owned())
            .transpose()
    }

    /// A value kept with an asset.
    pub async fn find_asset_state(
        &mut self,
        asset_id: i64,
        key: &str,
    ) -> Result<Option<String>, Error> {
        let statement =
            sqlx::query("SELECT value FROM asset_state_store WHERE asset_id = $1 AND key = $2")
                .bind(asset_id)
                .bind(key);
        self.fetch_optional("load an asset's state", statement)
            .await?
            .map(|row| Columns::of("asset_state_store", &row).owned())
            .transpose()
    }
}

impl Tx {
    /// Keeps a value for a task, until `expires_at` if that is given.
    pub async fn set_task_state(
        &mut self,
        ti: &TaskInstance,
        key: &str,
        value: &str,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let sql = "INSERT INTO task_state_store
                 (dag_id, run_id, task_id, map_index, key, value, updated_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (dag_id, run_id, task_id, map_index, key) DO UPDATE
                SET value = excluded.value, updated_at = excluded.updated_at,
                    expires_at = excluded.expires_at";
        let statement = of_task(sql, ti)
            .bind(key.to_owned())
            .bind(value.to_owned())
            .bind(micros(now))
            .bind(expires_at.map(micros));
        self.execute("keep a task's state", statement).await?;
        Ok(())
    }

    /// Deletes a value of a task. `false`: there was none.
    pub async fn delete_task_state(&mut self, ti: &TaskInstance, key: &str) -> Result<bool, Error> {
        let sql = "DELETE FROM task_state_store
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4 AND key = $5";
        let statement = of_task(sql, ti).bind(key.to_owned());
        Ok(self.execute("delete a task's state", statement).await? == 1)
    }

    /// Deletes all values of a task.
    pub async fn clear_task_state_store(&mut self, ti: &TaskInstance) -> Result<(), Error> {
        let sql = "DELETE FROM task_state_store
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4";
        self.execute("clear a task's state", of_task(sql, ti))
            .await?;
        Ok(())
    }

    /// Keeps a value with an asset, and who wrote it.
    pub async fn set_asset_state(
        &mut self,
        asset_id: i64,
        key: &str,
        value: &str,
        writer: &AssetStateWriter<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (kind, ti) = match writer {
            AssetStateWriter::Task(ti) => ("task", Some(ti)),
            AssetStateWriter::Watcher => ("watcher", None),
        };
        let statement = sqlx::query(
            "INSERT INTO asset_state_store (asset_id, key, value, updated_at, writer_kind,
                 writer_dag_id, writer_run_id, writer_task_id, writer_map_index)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (asset_id, key) DO UPDATE
                SET value = excluded.value, updated_at = excluded.updated_at,
                    writer_kind = excluded.writer_kind, writer_dag_id = excluded.writer_dag_id,
                    writer_run_id = excluded.writer_run_id,
                    writer_task_id = excluded.writer_task_id,
                    writer_map_index = excluded.writer_map_index",
        )
        .bind(asset_id)
        .bind(key)
        .bind(value)
        .bind(micros(now))
        .bind(kind)
        .bind(ti.map(|ti| ti.dag_id.to_string()))
        .bind(ti.map(|ti| ti.run_id.to_string()))
        .bind(ti.map(|ti| ti.task_id.to_string()))
        .bind(ti.map(|ti| ti.map_index.0));
        self.execute("keep an asset's state", statement).await?;
        Ok(())
    }

    /// Deletes a value of an asset. `false`: there was none.
    pub async fn delete_asset_state(&mut self, asset_id: i64, key: &str) -> Result<bool, Error> {
        let statement =
            sqlx::query("DELETE FROM asset_state_store WHERE asset_id = $1 AND key = $2")
                .bind(asset_id)
                .bind(key);
        Ok(self.execute("delete an asset's state", statement).await? == 1)
    }

    /// Deletes all values of an asset.
    pub async fn clear_asset_state_store(&mut self, asset_id: i64) -> Result<(), Error> {
        let statement =
            sqlx::query("DELETE FROM asset_state_store WHERE asset_id = $1").bind(asset_id);
        self.execute("clear an asset's state", statement).await?;
        Ok(())
    }
}

/// Binds whose values are meant, as the first four parameters.
fn of_task<'q>(sql: &'static str, ti: &TaskInstance) -> Statement<'q> {
    sqlx::query(sql)
        .bind(ti.dag_id.to_string())
        .bind(ti.run_id.to_string())
        .bind(ti.task_id.to_string())
        .bind(ti.map_index.0)
}
