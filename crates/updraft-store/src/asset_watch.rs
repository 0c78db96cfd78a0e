//! Who watches which asset: what the Dags that are scheduled on it define, as long as the asset is
//! active and they are neither paused nor stale.
//!
//! Source: fact sheet "scheduling semantics" §2.5.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_model::DagId;

use crate::dialect::Kind;
use crate::row::{Columns, assembled};
use crate::trigger::watcher::fingerprint;
use crate::{AssetWatcher, Error, Tx};

/// The watchers of an asset by the fingerprints of their triggers.
type Watchers = BTreeMap<String, AssetWatcher>;

impl Tx {
    /// Notes what a Dag defines about assets that it is scheduled on.
    pub(crate) async fn define_watchers(
        &mut self,
        dag_id: &DagId,
        watched: &[(i64, &[AssetWatcher])],
    ) -> Result<(), Error> {
        if watched.is_empty() {
            return Ok(());
        }
        let columns = [("asset_id", Kind::Int), ("watchers", Kind::Text)];
        let given = self.dialect().rows("$2", "given", &columns);
        let rows = watched.iter().map(|(asset_id, watchers)| {
            let watchers: Vec<Value> = watchers.iter().map(to_json).collect();
            json!({"asset_id": asset_id, "watchers": Value::from(watchers).to_string()})
        });
        let statement = sqlx::query(assembled(format!(
            "UPDATE dag_schedule_asset_reference AS known
                SET watchers = given.watchers
               FROM {given}
              WHERE known.dag_id = $1 AND known.asset_id = given.asset_id
                AND known.watchers <> given.watchers"
        )))
        .bind(dag_id.as_str())
        .bind(Value::from_iter(rows).to_string());
        self.execute("note the watchers of assets", statement)
            .await?;
        Ok(())
    }

    /// Lets every asset be watched as it should be, and no other.
    pub async fn refresh_asset_watchers(&mut self, now: Timestamp) -> Result<(), Error> {
        if self.load_watcher_changes().await?.is_empty() {
            return Ok(());
        }
        // Two at once would each miss what the other is about to commit.
        self.lock_asset_activity().await?;
        for (asset_id, watchers) in self.load_watcher_changes().await? {
            let watchers: Vec<AssetWatcher> = watchers.into_values().collect();
            self.set_asset_watchers(asset_id, &watchers, now).await?;
        }
        Ok(())
    }

    /// Assets whose watchers are not what they should be, with those they should have.
    async fn load_watcher_changes(&mut self) -> Result<BTreeMap<i64, Watchers>, Error> {
        let mut wanted = self.load_wanted_watchers().await?;
        let statement = sqlx::query(
            "SELECT w.asset_id, w.name, t.fingerprint
               FROM asset_watcher AS w
               JOIN trigger AS t ON t.id = w.trigger_id",
        );
        let mut current: BTreeMap<i64, BTreeMap<String, String>> = BTreeMap::new();
        for row in &self.fetch_all("load asset watchers", statement).await? {
            let mut columns = Columns::of("asset_watcher", row);
            let (asset_id, name) = (columns.big()?, columns.owned()?);
            let fingerprint = columns.owned_or_null()?.unwrap_or_default();
            current
                .entry(asset_id)
                .or_default()
                .insert(fingerprint, name);
        }
        for (asset_id, current) in current {
            let wanted_here = wanted.entry(asset_id).or_default();
            let names = wanted_here
                .iter()
                .map(|(key, watcher)| (key, &watcher.name));
            if names.eq(current.iter()) {
                wanted.remove(&asset_id);
            }
        }
        Ok(wanted)
    }

    async fn load_wanted_watchers(&mut self) -> Result<BTreeMap<i64, Watchers>, Error> {
        let statement = sqlx::query(
            "SELECT r.asset_id, r.watchers
               FROM dag_schedule_asset_reference AS r
               JOIN asset AS a ON a.id = r.asset_id
               JOIN dag AS d ON d.dag_id = r.dag_id
              WHERE r.watchers <> '[]' AND a.is_active AND NOT d.is_paused AND NOT d.is_stale
              ORDER BY r.asset_id, r.dag_id",
        );
        let mut wanted: BTreeMap<i64, Watchers> = BTreeMap::new();
        for row in &self
            .fetch_all("load defined asset watchers", statement)
            .await?
        {
            let mut columns = Columns::of("dag_schedule_asset_reference", row);
            let of_asset = wanted.entry(columns.big()?).or_default();
            let defined: Value = columns.json()?;
            for watcher in defined.as_array().into_iter().flatten() {
                let watcher = from_json(watcher);
                let key = fingerprint(&watcher.classpath, &watcher.kwargs);
                of_asset.entry(key).or_insert(watcher);
            }
        }
        Ok(wanted)
    }
}

fn to_json(watcher: &AssetWatcher) -> Value {
    json!({
        "name": watcher.name, "classpath": watcher.classpath, "kwargs": watcher.kwargs,
    })
}

fn from_json(value: &Value) -> AssetWatcher {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    AssetWatcher {
        name: text("name"),
        classpath: text("classpath"),
        kwargs: value["kwargs"].clone(),
    }
}
