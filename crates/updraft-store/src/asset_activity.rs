//! Which assets are active: those that something points at, as long as name and URI are theirs
//! alone.
//!
//! Source: fact sheet "scheduling semantics" §2.5.

use std::collections::BTreeMap;

use jiff::Timestamp;
use updraft_model::DagId;

use crate::parse::NewDagWarning;
use crate::row::{Columns, assembled, text_array};
use crate::{Dialect, Error, Tx};

/// Names the advisory lock of this pass among all that Updraft takes on PostgreSQL: two passes at
/// once could each activate one of two assets of the same name.
const ACTIVITY_LOCK: i64 = 0x7570_6472_6166_7402;

/// Of a Dag whose asset cannot be active.
const ASSET_CONFLICT: &str = "asset conflict";

/// An asset that is pointed at and not active.
struct Waiting {
    id: i64,
    name: String,
    uri: String,
    group: String,
}

impl Tx {
    /// Deactivates assets that nothing points at, with what is kept about their state, and
    /// activates those that may be. An asset whose name or URI is taken by another active one stays
    /// inactive, and its Dags have a warning until that is resolved.
    pub async fn refresh_active_assets(&mut self, now: Timestamp) -> Result<(), Error> {
        self.lock_asset_activity().await?;
        let statement = sqlx::query(assembled(format!(
            "UPDATE asset SET is_active = FALSE WHERE is_active AND NOT ({IS_REFERENCED})"
        )));
        self.execute("deactivate assets", statement).await?;
        let mut conflicts: BTreeMap<DagId, Vec<String>> = BTreeMap::new();
        for asset in self.load_waiting_assets().await? {
            let Some(conflict) = self.find_conflict(&asset).await? else {
                self.activate_asset(&asset).await?;
                continue;
            };
            for dag_id in self.load_dags_of_asset(asset.id).await? {
                conflicts.entry(dag_id).or_default().push(conflict.clone());
            }
        }
        let statement = sqlx::query(
            "DELETE FROM asset_state_store
              WHERE asset_id IN (SELECT id FROM asset WHERE NOT is_active)",
        );
        self.execute("forget the states of inactive assets", statement)
            .await?;
        self.replace_conflict_warnings(&conflicts, now).await?;
        self.refresh_asset_watchers(now).await
    }

    pub(crate) async fn lock_asset_activity(&mut self) -> Result<(), Error> {
        if self.dialect() == Dialect::Postgres {
            let statement = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(ACTIVITY_LOCK);
            self.execute("lock the activity of assets", statement)
                .await?;
        }
        Ok(())
    }

    async fn load_waiting_assets(&mut self) -> Result<Vec<Waiting>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT id, name, uri, asset_group
               FROM asset
              WHERE NOT is_active AND ({IS_REFERENCED})
              ORDER BY id"
        )));
        self.fetch_all("find assets to activate", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("asset", row);
                Ok(Waiting {
                    id: columns.big()?,
                    name: columns.owned()?,
                    uri: columns.owned()?,
                    group: columns.owned()?,
                })
            })
            .collect()
    }

    /// What stands against activating an asset, in Airflow's words.
    async fn find_conflict(&mut self, asset: &Waiting) -> Result<Option<String>, Error> {
        let Waiting {
            name, uri, group, ..
        } = asset;
        let statement = sqlx::query(
            "SELECT name, uri
               FROM asset
              WHERE is_active AND (name = $1 OR uri = $2)
              ORDER BY CASE WHEN name = $1 THEN 0 ELSE 1 END
              LIMIT 1",
        )
        .bind(name.as_str())
        .bind(uri.as_str());
        let row = self
            .fetch_optional("find an asset in conflict", statement)
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let mut columns = Columns::of("asset", &row);
        let (other_name, other_uri) = (columns.text()?, columns.text()?);
        let (attribute, taken_by) = match other_name == name {
            true => ("name", other_uri),
            false => ("uri", other_name),
        };
        Ok(Some(format!(
            "Cannot activate asset Asset(name=\"{name}\", uri=\"{uri}\", group=\"{group}\"); \
             {attribute} is already associated to '{taken_by}'"
        )))
    }

    async fn activate_asset(&mut self, asset: &Waiting) -> Result<(), Error> {
        let statement =
            sqlx::query("UPDATE asset SET is_active = TRUE WHERE id = $1").bind(asset.id);
        self.execute("activate an asset", statement).await?;
        // A reference by name or URI may hold from now on.
        let statement = sqlx::query(
            "SELECT target_dag_id FROM asset_dag_run_queue WHERE asset_id = $1 ORDER BY 1",
        )
        .bind(asset.id);
        for row in self
            .fetch_all("find who waits for an asset", statement)
            .await?
        {
            let dag_id = Columns::of("asset_dag_run_queue", &row).id()?;
            self.may_create_runs(&dag_id);
        }
        self.touch_partitions_of_asset(asset.id).await
    }

    /// The Dags that point at an asset, once for each time they do.
    async fn load_dags_of_asset(&mut self, asset_id: i64) -> Result<Vec<DagId>, Error> {
        let statement = sqlx::query(
            "SELECT dag_id FROM dag_schedule_asset_reference WHERE asset_id = $1
             UNION ALL SELECT dag_id FROM task_outlet_asset_reference WHERE asset_id = $1
             UNION ALL SELECT dag_id FROM task_inlet_asset_reference WHERE asset_id = $1",
        )
        .bind(asset_id);
        self.fetch_all("find the Dags of an asset", statement)
            .await?
            .iter()
            .map(|row| Columns::of("dag", row).id())
            .collect()
    }

    async fn replace_conflict_warnings(
        &mut self,
        conflicts: &BTreeMap<DagId, Vec<String>>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let kept = self.dialect().one_of_texts("dag_id", "$2");
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM dag_warning WHERE warning_type = $1 AND NOT ({kept})"
        )))
        .bind(ASSET_CONFLICT)
        .bind(text_array(conflicts.keys()));
        self.execute("resolve asset conflicts", statement).await?;
        for (dag_id, messages) in conflicts {
            let warning = NewDagWarning {
                dag_id: dag_id.clone(),
                warning_type: ASSET_CONFLICT.to_owned(),
                message: messages.join("\n"),
            };
            self.warn_dag(&warning, now).await?;
        }
        Ok(())
    }
}

/// Whether anything points at `asset`.
const IS_REFERENCED: &str = "
    EXISTS (SELECT 1 FROM dag_schedule_asset_reference AS r WHERE r.asset_id = asset.id)
    OR EXISTS (SELECT 1 FROM task_outlet_asset_reference AS r WHERE r.asset_id = asset.id)
    OR EXISTS (SELECT 1 FROM task_inlet_asset_reference AS r WHERE r.asset_id = asset.id)
    OR EXISTS (SELECT 1 FROM asset_alias_asset AS r WHERE r.asset_id = asset.id)";
