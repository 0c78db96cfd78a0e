//! Which Dags and tasks point at which assets.
//!
//! Source: fact sheet "scheduling semantics" §2.5.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_model::asset::AssetKey;
use updraft_model::{DagId, TaskId};

use crate::dialect::Kind;
use crate::row::{Columns, assembled, micros, text_array};
use crate::{AssetWatcher, Error, Tx};

/// Everything about assets in one Dag.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DagAssets {
    /// Assets in the schedule.
    pub scheduled_on: Vec<AssetDefinition>,
    /// Aliases in the schedule.
    pub scheduled_on_aliases: Vec<AssetAliasDefinition>,
    /// References by name in the schedule.
    pub scheduled_on_names: Vec<String>,
    /// References by URI in the schedule.
    pub scheduled_on_uris: Vec<String>,
    pub outlets: Vec<(TaskId, AssetDefinition)>,
    pub inlets: Vec<(TaskId, AssetDefinition)>,
    /// Aliases among outlets and inlets.
    pub other_aliases: Vec<AssetAliasDefinition>,
    /// Who watches assets in the schedule.
    pub watchers: BTreeMap<AssetKey, Vec<AssetWatcher>>,
}

/// An asset as a Dag file defines it.
#[derive(Clone, Debug, PartialEq)]
pub struct AssetDefinition {
    pub name: String,
    pub uri: String,
    pub group: String,
    pub extra: Value,
}

/// An asset alias as a Dag file defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetAliasDefinition {
    pub name: String,
    pub group: String,
}

/// A table of references from Dags: its name and the columns beside `dag_id` and `created_at`.
struct ReferenceTable {
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
}

const SCHEDULE_ASSETS: ReferenceTable = ReferenceTable {
    name: "dag_schedule_asset_reference",
    columns: &[("asset_id", Kind::Int)],
};
const SCHEDULE_ALIASES: ReferenceTable = ReferenceTable {
    name: "dag_schedule_asset_alias_reference",
    columns: &[("alias_id", Kind::Int)],
};
const SCHEDULE_NAMES: ReferenceTable = ReferenceTable {
    name: "dag_schedule_asset_name_reference",
    columns: &[("name", Kind::Text)],
};
const SCHEDULE_URIS: ReferenceTable = ReferenceTable {
    name: "dag_schedule_asset_uri_reference",
    columns: &[("uri", Kind::Text)],
};
const OUTLETS: ReferenceTable = ReferenceTable {
    name: "task_outlet_asset_reference",
    columns: &[("asset_id", Kind::Int), ("task_id", Kind::Text)],
};
const INLETS: ReferenceTable = ReferenceTable {
    name: "task_inlet_asset_reference",
    columns: &[("asset_id", Kind::Int), ("task_id", Kind::Text)],
};

impl Tx {
    /// An asset expression with the row number of every asset in it, as the API shows it.
    pub(crate) async fn number_assets(
        &mut self,
        expression: Option<&Value>,
        assets: &DagAssets,
        now: Timestamp,
    ) -> Result<Option<Value>, Error> {
        let Some(expression) = expression else {
            return Ok(None);
        };
        let mut ids = BTreeMap::new();
        for asset in &assets.scheduled_on {
            let key = (asset.name.as_str(), asset.uri.as_str());
            ids.insert(key, self.upsert_asset(asset, now).await?);
        }
        let mut numbered = expression.clone();
        number(&mut numbered, &ids);
        Ok(Some(numbered))
    }

    pub(crate) async fn replace_asset_references(
        &mut self,
        dag_id: &DagId,
        assets: &DagAssets,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (mut rows, mut watched) = (Vec::new(), Vec::new());
        for asset in &assets.scheduled_on {
            let asset_id = self.upsert_asset(asset, now).await?;
            rows.push(json!({"asset_id": asset_id}));
            let key = AssetKey {
                name: asset.name.clone(),
                uri: asset.uri.clone(),
            };
            let watchers = assets.watchers.get(&key).map_or(&[][..], Vec::as_slice);
            watched.push((asset_id, watchers));
        }
        let mut changed = self.replace(&SCHEDULE_ASSETS, dag_id, rows, now).await?;
        self.define_watchers(dag_id, &watched).await?;
        let mut rows = Vec::new();
        for alias in &assets.scheduled_on_aliases {
            rows.push(json!({"alias_id": self.upsert_asset_alias(alias, now).await?}));
        }
        changed += self.replace(&SCHEDULE_ALIASES, dag_id, rows, now).await?;
        for alias in &assets.other_aliases {
            self.upsert_asset_alias(alias, now).await?;
        }
        let names = assets.scheduled_on_names.iter();
        let rows = names.map(|name| json!({"name": name})).collect();
        changed += self.replace(&SCHEDULE_NAMES, dag_id, rows, now).await?;
        let uris = assets.scheduled_on_uris.iter();
        let rows = uris.map(|uri| json!({"uri": uri})).collect();
        changed += self.replace(&SCHEDULE_URIS, dag_id, rows, now).await?;
        for (table, references) in [(&OUTLETS, &assets.outlets), (&INLETS, &assets.inlets)] {
            let mut rows = Vec::new();
            for (task_id, asset) in references {
                let asset_id = self.upsert_asset(asset, now).await?;
                rows.push(json!({"asset_id": asset_id, "task_id": task_id}));
            }
            changed += self.replace(table, dag_id, rows, now).await?;
        }
        if changed > 0 {
            self.refresh_active_assets(now).await?;
        }
        Ok(())
    }

    /// Makes the references of a Dag in one table be `rows`; those that stay keep their
    /// `created_at`, from which on events count. Returns how many came or went.
    async fn replace(
        &mut self,
        table: &ReferenceTable,
        dag_id: &DagId,
        rows: Vec<Value>,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let given = self.dialect().rows("$2", "given", table.columns);
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let rows = Value::from(rows).to_string();
        let name = table.name;
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM {name}
              WHERE dag_id = $1 AND ({names}) NOT IN (SELECT {names} FROM {given})"
        )))
        .bind(dag_id.as_str())
        .bind(rows.as_str());
        let gone = self.execute("replace asset references", statement).await?;
        let statement = sqlx::query(assembled(format!(
            "INSERT INTO {name} (dag_id, {names}, created_at)
             SELECT $1, {names}, $3 FROM {given} WHERE TRUE
             ON CONFLICT DO NOTHING"
        )))
        .bind(dag_id.as_str())
        .bind(rows)
        .bind(micros(now));
        Ok(gone + self.execute("replace asset references", statement).await?)
    }

    /// Creates or refreshes an asset; gives its row number.
    pub(crate) async fn upsert_asset(
        &mut self,
        asset: &AssetDefinition,
        now: Timestamp,
    ) -> Result<i64, Error> {
        // An insert that finds the row there would use up a number each time a file is parsed.
        let refreshed = self.refresh_asset(asset, now).await?;
        if let Some(id) = refreshed {
            return Ok(id);
        }
        self.tell_of_new_asset(asset, now).await?;
        let statement = sqlx::query(
            "INSERT INTO asset (name, uri, asset_group, extra, is_active, created_at, updated_at)
             VALUES ($1, $2, $3, $4, FALSE, $5, $5)
             ON CONFLICT (name, uri) DO UPDATE
                SET asset_group = excluded.asset_group, extra = excluded.extra
             RETURNING id",
        )
        .bind(asset.name.as_str())
        .bind(asset.uri.as_str())
        .bind(asset.group.as_str())
        .bind(asset.extra.to_string())
        .bind(micros(now));
        let row = self.fetch_one("write an asset", statement).await?;
        Columns::of("asset", &row).big()
    }

    async fn refresh_asset(
        &mut self,
        asset: &AssetDefinition,
        now: Timestamp,
    ) -> Result<Option<i64>, Error> {
        let statement = sqlx::query(
            "UPDATE asset
                SET asset_group = $3, extra = $4,
                    updated_at = CASE WHEN asset_group = $3 AND extra = $4 THEN updated_at
                                      ELSE $5 END
              WHERE name = $1 AND uri = $2
             RETURNING id",
        )
        .bind(asset.name.as_str())
        .bind(asset.uri.as_str())
        .bind(asset.group.as_str())
        .bind(asset.extra.to_string())
        .bind(micros(now));
        let row = self.fetch_optional("refresh an asset", statement).await?;
        row.map(|row| Columns::of("asset", &row).big()).transpose()
    }

    async fn tell_of_new_asset(
        &mut self,
        asset: &AssetDefinition,
        now: Timestamp,
    ) -> Result<(), Error> {
        if !self.has_listeners("on_asset_created").await? {
            return Ok(());
        }
        let facts = json!({
            "name": asset.name, "uri": asset.uri, "group": asset.group, "extra": asset.extra,
        });
        self.tell_listeners("on_asset_created", || json!({ "asset": facts }), now)
            .await
    }

    async fn tell_of_new_alias(
        &mut self,
        alias: &AssetAliasDefinition,
        now: Timestamp,
    ) -> Result<(), Error> {
        if !self.has_listeners("on_asset_alias_created").await? {
            return Ok(());
        }
        let facts = json!({ "name": alias.name, "group": alias.group });
        self.tell_listeners(
            "on_asset_alias_created",
            || json!({ "asset_alias": facts }),
            now,
        )
        .await
    }

    pub(crate) async fn upsert_asset_alias(
        &mut self,
        alias: &AssetAliasDefinition,
        now: Timestamp,
    ) -> Result<i64, Error> {
        let statement =
            sqlx::query("UPDATE asset_alias SET asset_group = $2 WHERE name = $1 RETURNING id")
                .bind(alias.name.as_str())
                .bind(alias.group.as_str());
        let row = self
            .fetch_optional("refresh an asset alias", statement)
            .await?;
        if let Some(row) = row {
            return Columns::of("asset_alias", &row).big();
        }
        self.tell_of_new_alias(alias, now).await?;
        let statement = sqlx::query(
            "INSERT INTO asset_alias (name, asset_group)
             VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET asset_group = excluded.asset_group
             RETURNING id",
        )
        .bind(alias.name.as_str())
        .bind(alias.group.as_str());
        let row = self.fetch_one("write an asset alias", statement).await?;
        Columns::of("asset_alias", &row).big()
    }

    /// The row number of an alias, which keeps its group if it is there.
    pub(crate) async fn require_asset_alias(
        &mut self,
        alias: &AssetAliasDefinition,
        now: Timestamp,
    ) -> Result<i64, Error> {
        let statement =
            sqlx::query("SELECT id FROM asset_alias WHERE name = $1").bind(alias.name.as_str());
        match self
            .fetch_optional("find an asset alias", statement)
            .await?
        {
            Some(row) => Columns::of("asset_alias", &row).big(),
            None => self.upsert_asset_alias(alias, now).await,
        }
    }

    /// Removes what Dags that are gone wait for and write.
    ///
    /// Quirk: what they read stays, and keeps its asset active.
    pub(crate) async fn forget_asset_references(&mut self, dags: &[DagId]) -> Result<(), Error> {
        let theirs = self.dialect().one_of_texts("dag_id", "$1");
        for table in [
            &SCHEDULE_ASSETS,
            &SCHEDULE_ALIASES,
            &SCHEDULE_NAMES,
            &SCHEDULE_URIS,
            &OUTLETS,
        ] {
            let name = table.name;
            let statement = sqlx::query(assembled(format!("DELETE FROM {name} WHERE {theirs}")))
                .bind(text_array(dags));
            self.execute("forget asset references", statement).await?;
        }
        Ok(())
    }
}

/// Adds `id` to every `{"asset": {"name": …, "uri": …}}` within.
fn number(expression: &mut Value, ids: &BTreeMap<(&str, &str), i64>) {
    match expression {
        Value::Array(items) => items.iter_mut().for_each(|item| number(item, ids)),
        Value::Object(entries) => {
            for (key, value) in entries {
                if key != "asset" {
                    number(value, ids);
                    continue;
                }
                let text = |key: &str| value.get(key).and_then(Value::as_str);
                let id = text("name")
                    .zip(text("uri"))
                    .and_then(|key| ids.get(&key).copied());
                if let (Some(id), Value::Object(asset)) = (id, value) {
                    asset.insert("id".to_owned(), id.into());
                }
            }
        }
        _ => {}
    }
}
