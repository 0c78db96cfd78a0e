//! Keep, overwrite or add: what a parse means for the versions of a Dag.
//!
//! Source: fact sheet "scheduling semantics" §2.10.

use jiff::Timestamp;
use updraft_model::DagVersionId;
use updraft_model::dag::DagVersion;

use super::ParsedDag;
use crate::row::{Columns, micros};
use crate::{Error, Tx};

impl Tx {
    /// Whether the structure changed.
    pub(crate) async fn write_version(
        &mut self,
        parsed: &ParsedDag,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let latest = self.find_latest_version(&parsed.dag.dag_id).await?;
        match latest {
            Some(latest) if latest.dag_hash == parsed.dag_hash => {
                self.refresh_bundle_of_version(&latest, parsed, now).await?;
                // Their definitions are part of the hash, their names are not.
                if !parsed.deadlines.is_empty() {
                    self.write_deadline_alerts(latest.id, &parsed.deadlines, now)
                        .await?;
                }
                Ok(false)
            }
            // Nobody ran it yet, so nobody will miss it.
            Some(latest) if !self.version_is_used(latest.id).await? => {
                self.overwrite_version(latest.id, parsed, now).await?;
                Ok(true)
            }
            latest => {
                let number = latest.map_or(1, |latest| latest.version_number + 1);
                self.add_version(number, parsed, now).await?;
                Ok(true)
            }
        }
    }

    async fn version_is_used(&mut self, id: DagVersionId) -> Result<bool, Error> {
        let statement = sqlx::query(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM task_instance WHERE dag_version_id = $1)
                         THEN 1 ELSE 0 END",
        )
        .bind(id.to_string());
        let row = self
            .fetch_one("look for users of a Dag version", statement)
            .await?;
        Columns::of("dag_version", &row).flag()
    }

    async fn refresh_bundle_of_version(
        &mut self,
        latest: &DagVersion,
        parsed: &ParsedDag,
        now: Timestamp,
    ) -> Result<(), Error> {
        let dag = &parsed.dag;
        if latest.bundle_version != dag.bundle_version
            || latest.bundle_name.as_ref() != Some(&dag.bundle_name)
        {
            let statement = sqlx::query(
                "UPDATE dag_version
                    SET bundle_name = $2, bundle_version = $3, last_updated = $4
                  WHERE id = $1",
            )
            .bind(latest.id.to_string())
            .bind(dag.bundle_name.as_str())
            .bind(dag.bundle_version.as_deref())
            .bind(micros(now));
            self.execute("refresh the bundle of a Dag version", statement)
                .await?;
        }
        // A comment changes the code and not the structure.
        let statement = sqlx::query(
            "UPDATE dag_code
                SET source_code = $2, fileloc = $3
              WHERE dag_version_id = $1 AND (source_code <> $2 OR fileloc <> $3)",
        )
        .bind(latest.id.to_string())
        .bind(parsed.source_code.as_str())
        .bind(dag.fileloc.as_str());
        self.execute("refresh the source code of a Dag version", statement)
            .await?;
        Ok(())
    }

    async fn overwrite_version(
        &mut self,
        id: DagVersionId,
        parsed: &ParsedDag,
        now: Timestamp,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "UPDATE dag_version
                SET bundle_name = $2, bundle_version = $3, dag_hash = $4, last_updated = $5
              WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(parsed.dag.bundle_name.as_str())
        .bind(parsed.dag.bundle_version.as_deref())
        .bind(parsed.dag_hash.as_str())
        .bind(micros(now));
        self.execute("overwrite a Dag version", statement).await?;
        self.write_content(id, parsed).await?;
        self.write_deadline_alerts(id, &parsed.deadlines, now).await
    }

    async fn add_version(
        &mut self,
        number: i32,
        parsed: &ParsedDag,
        now: Timestamp,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "INSERT INTO dag_version (id, dag_id, version_number, bundle_name, bundle_version,
                 dag_hash, created_at, last_updated)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        )
        .bind(parsed.new_version_id.to_string())
        .bind(parsed.dag.dag_id.as_str())
        .bind(number)
        .bind(parsed.dag.bundle_name.as_str())
        .bind(parsed.dag.bundle_version.as_deref())
        .bind(parsed.dag_hash.as_str())
        .bind(micros(now));
        self.execute("add a Dag version", statement).await?;
        let id = parsed.new_version_id;
        self.write_content(id, parsed).await?;
        self.write_deadline_alerts(id, &parsed.deadlines, now).await
    }

    async fn write_content(&mut self, id: DagVersionId, parsed: &ParsedDag) -> Result<(), Error> {
        let statement = sqlx::query(
            "INSERT INTO serialized_dag (dag_version_id, data)
             VALUES ($1, $2)
             ON CONFLICT (dag_version_id) DO UPDATE SET data = excluded.data",
        )
        .bind(id.to_string())
        .bind(parsed.data.as_str());
        self.execute("write a serialized Dag", statement).await?;
        let statement = sqlx::query(
            "INSERT INTO dag_code (dag_version_id, fileloc, source_code)
             VALUES ($1, $2, $3)
             ON CONFLICT (dag_version_id) DO UPDATE
                SET fileloc = excluded.fileloc, source_code = excluded.source_code",
        )
        .bind(id.to_string())
        .bind(parsed.dag.fileloc.as_str())
        .bind(parsed.source_code.as_str());
        self.execute("write source code", statement).await?;
        Ok(())
    }
}
