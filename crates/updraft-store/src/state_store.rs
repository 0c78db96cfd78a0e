//! Rows of `task_state_store` and `asset_state_store`: small values that outlive a try.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::filter::Page;
use updraft_model::state_store::{AssetState, StateWriter, TaskScope, TaskState};
use updraft_model::{DagId, MapIndex, RunId, TaskId};

use crate::listing::Listed;
use crate::row::{Columns, micros};
use crate::session::Statement;
use crate::{Error, Reader, Tx};

impl Reader {
    /// A value that a task keeps for itself; it survives retries. An expired one is gone.
    pub async fn find_task_state(
        &mut self,
        scope: &TaskScope,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<String>, Error> {
        let sql = "SELECT value
               FROM task_state_store
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4 AND key = $5
                AND (expires_at IS NULL OR expires_at > $6)";
        let statement = of_task(sql, scope).bind(key.to_owned()).bind(micros(now));
        self.fetch_optional("load a task's state", statement)
            .await?
            .map(|row| Columns::of("task_state_store", &row).owned())
            .transpose()
    }

    /// Values of a task by key, expired ones included.
    pub async fn list_task_states(
        &mut self,
        scope: &TaskScope,
        page: &Page,
    ) -> Result<Listed<TaskState>, Error> {
        let sql = "SELECT key, value, updated_at, expires_at
               FROM task_state_store
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4
              ORDER BY key
              LIMIT $5 OFFSET $6";
        let statement = of_task(sql, scope).bind(page.limit).bind(page.offset);
        let rows = self
            .fetch_all("list a task's states", statement)
            .await?
            .iter()
            .map(task_state_from)
            .collect::<Result<Vec<_>, _>>()?;
        let sql = "SELECT COUNT(*)
               FROM task_state_store
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4";
        let row = self
            .fetch_one("count a task's states", of_task(sql, scope))
            .await?;
        Ok(Listed {
            rows,
            total: Columns::of("task_state_store", &row).big()?,
        })
    }

    /// Which values of tasks have expired: whose, and the key.
    pub async fn load_expired_task_states(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<(TaskScope, String)>, Error> {
        let statement = sqlx::query(
            "SELECT dag_id, run_id, task_id, map_index, key
               FROM task_state_store
              WHERE expires_at < $1
              ORDER BY dag_id, run_id, task_id, map_index, key",
        )
        .bind(micros(now));
        self.fetch_all("load expired states", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("task_state_store", row);
                let scope = TaskScope {
                    dag_id: columns.id()?,
                    run_id: columns.id()?,
                    task_id: columns.id()?,
                    map_index: MapIndex(columns.int()?),
                };
                Ok((scope, columns.owned()?))
            })
            .collect()
    }

    /// A value of a task with everything about it, expired or not.
    pub async fn find_kept_task_state(
        &mut self,
        scope: &TaskScope,
        key: &str,
    ) -> Result<Option<TaskState>, Error> {
        let sql = "SELECT key, value, updated_at, expires_at
               FROM task_state_store
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4 AND key = $5";
        let statement = of_task(sql, scope).bind(key.to_owned());
        self.fetch_optional("load a task's state", statement)
            .await?
            .as_ref()
            .map(task_state_from)
            .transpose()
    }

    /// A value kept with an asset.
    pub async fn find_asset_state(
        &mut self,
        asset_id: i64,
        key: &str,
    ) -> Result<Option<AssetState>, Error> {
        let statement = sqlx::query(
            "SELECT key, value, updated_at, writer_kind, writer_dag_id, writer_run_id,
                    writer_task_id, writer_map_index
               FROM asset_state_store
              WHERE asset_id = $1 AND key = $2",
        )
        .bind(asset_id)
        .bind(key);
        self.fetch_optional("load an asset's state", statement)
            .await?
            .as_ref()
            .map(asset_state_from)
            .transpose()
    }

    /// Values kept with an asset, by key.
    pub async fn list_asset_states(
        &mut self,
        asset_id: i64,
        page: &Page,
    ) -> Result<Listed<AssetState>, Error> {
        let statement = sqlx::query(
            "SELECT key, value, updated_at, writer_kind, writer_dag_id, writer_run_id,
                    writer_task_id, writer_map_index
               FROM asset_state_store
              WHERE asset_id = $1
              ORDER BY key
              LIMIT $2 OFFSET $3",
        )
        .bind(asset_id)
        .bind(page.limit)
        .bind(page.offset);
        let rows = self
            .fetch_all("list an asset's states", statement)
            .await?
            .iter()
            .map(asset_state_from)
            .collect::<Result<Vec<_>, _>>()?;
        let statement = sqlx::query("SELECT COUNT(*) FROM asset_state_store WHERE asset_id = $1")
            .bind(asset_id);
        let row = self.fetch_one("count an asset's states", statement).await?;
        Ok(Listed {
            rows,
            total: Columns::of("asset_state_store", &row).big()?,
        })
    }
}

fn task_state_from(row: &AnyRow) -> Result<TaskState, Error> {
    let mut columns = Columns::of("task_state_store", row);
    Ok(TaskState {
        key: columns.owned()?,
        value: columns.owned()?,
        updated_at: columns.instant()?,
        expires_at: columns.instant_or_null()?,
    })
}

fn asset_state_from(row: &AnyRow) -> Result<AssetState, Error> {
    let mut columns = Columns::of("asset_state_store", row);
    Ok(AssetState {
        key: columns.owned()?,
        value: columns.owned()?,
        updated_at: columns.instant()?,
        writer: StateWriter {
            kind: columns.parsed()?,
            dag_id: columns.id_or_null()?,
            run_id: columns.id_or_null()?,
            task_id: columns.id_or_null()?,
            map_index: columns.int_or_null()?.map(MapIndex),
        },
    })
}

impl Tx {
    /// Keeps a value for a task, until `expires_at` if that is given.
    pub async fn set_task_state(
        &mut self,
        scope: &TaskScope,
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
        let statement = of_task(sql, scope)
            .bind(key.to_owned())
            .bind(value.to_owned())
            .bind(micros(now))
            .bind(expires_at.map(micros));
        self.execute("keep a task's state", statement).await?;
        Ok(())
    }

    /// Deletes a value of a task. `false`: there was none.
    pub async fn delete_task_state(&mut self, scope: &TaskScope, key: &str) -> Result<bool, Error> {
        let sql = "DELETE FROM task_state_store
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4 AND key = $5";
        let statement = of_task(sql, scope).bind(key.to_owned());
        Ok(self.execute("delete a task's state", statement).await? == 1)
    }

    /// Deletes all values of a task.
    pub async fn clear_task_state_store(&mut self, scope: &TaskScope) -> Result<(), Error> {
        let sql = "DELETE FROM task_state_store
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4";
        self.execute("clear a task's state", of_task(sql, scope))
            .await?;
        Ok(())
    }

    /// Deletes all values of a task, whatever the map index.
    pub async fn clear_mapped_task_state_stores(&mut self, scope: &TaskScope) -> Result<(), Error> {
        let sql = "DELETE FROM task_state_store
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3";
        let statement = sqlx::query(sql)
            .bind(scope.dag_id.as_str())
            .bind(scope.run_id.as_str())
            .bind(scope.task_id.as_str());
        self.execute("clear a task's state", statement).await?;
        Ok(())
    }

    /// Deletes values of tasks that have expired, at most `limit`; says how many those were.
    pub async fn delete_expired_task_states(
        &mut self,
        now: Timestamp,
        limit: i64,
    ) -> Result<u64, Error> {
        let statement = sqlx::query(
            "DELETE FROM task_state_store
              WHERE (dag_id, run_id, task_id, map_index, key) IN
                    (SELECT dag_id, run_id, task_id, map_index, key
                       FROM task_state_store
                      WHERE expires_at < $1
                      LIMIT $2)",
        )
        .bind(micros(now))
        .bind(limit);
        self.execute("delete expired states", statement).await
    }

    /// Keeps a value with an asset, and who wrote it.
    pub async fn set_asset_state(
        &mut self,
        asset_id: i64,
        key: &str,
        value: &str,
        writer: &StateWriter,
        now: Timestamp,
    ) -> Result<(), Error> {
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
        .bind(writer.kind.as_str())
        .bind(writer.dag_id.as_ref().map(DagId::as_str))
        .bind(writer.run_id.as_ref().map(RunId::as_str))
        .bind(writer.task_id.as_ref().map(TaskId::as_str))
        .bind(writer.map_index.map(|index| index.0));
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
fn of_task<'q>(sql: &'static str, scope: &TaskScope) -> Statement<'q> {
    sqlx::query(sql)
        .bind(scope.dag_id.to_string())
        .bind(scope.run_id.to_string())
        .bind(scope.task_id.to_string())
        .bind(scope.map_index.0)
}
