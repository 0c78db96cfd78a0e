//! Triggers that watch assets, and rows of `asset_watcher`.
//!
//! Watchers with the same class path and the same arguments share one trigger, whichever assets
//! they watch. Source: scheduling semantics §2.5.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use updraft_model::TriggerId;
use uuid::Uuid;

use super::sealed;
use crate::execution::outcome::TriggerKwargs;
use crate::row::{Columns, assembled, int_array, micros};
use crate::{Change, Error, Reader, Tx};

/// Under this name fingerprints of triggers are made; any fixed value does.
const FINGERPRINTS: Uuid = Uuid::from_u128(0x7261_6674_2d74_4269_8167_6765_7200_0002);

/// A watcher of an asset as its Dag file defines it.
#[derive(Clone, Debug, PartialEq)]
pub struct AssetWatcher {
    pub name: String,
    pub classpath: String,
    /// The arguments as the serialized Dag holds them: a JSON object.
    pub kwargs: Value,
}

impl Tx {
    /// Makes the watchers of an asset be these; none: nobody watches it, because no active,
    /// unpaused Dag is scheduled on it. `false`: they were these already.
    ///
    /// A trigger that nobody needs any more is stopped and deleted by the triggerer.
    pub async fn set_asset_watchers(
        &mut self,
        asset_id: i64,
        watchers: &[AssetWatcher],
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut wanted = BTreeMap::new();
        for watcher in watchers {
            let trigger = self.require_asset_trigger(watcher, now).await?;
            wanted.entry(trigger).or_insert(watcher.name.as_str());
        }
        let theirs = self.dialect().one_of_ints("trigger_id", "$2");
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM asset_watcher WHERE asset_id = $1 AND NOT {theirs}"
        )))
        .bind(asset_id)
        .bind(int_array(wanted.keys().map(|id| id.0)));
        let mut changed = self.execute("detach asset watchers", statement).await?;
        for (trigger, name) in wanted {
            let statement = sqlx::query(
                "INSERT INTO asset_watcher (asset_id, trigger_id, name)
                 VALUES ($1, $2, $3)
                 ON CONFLICT (asset_id, trigger_id) DO UPDATE SET name = excluded.name
                    WHERE asset_watcher.name <> excluded.name",
            )
            .bind(asset_id)
            .bind(trigger.0)
            .bind(name);
            changed += self.execute("attach an asset watcher", statement).await?;
        }
        if changed > 0 {
            self.changed(Change::Trigger);
        }
        Ok(changed > 0)
    }

    /// The trigger of a watcher, made if there is none, and held so that nobody deletes it before
    /// the watcher is attached.
    async fn require_asset_trigger(
        &mut self,
        watcher: &AssetWatcher,
        now: Timestamp,
    ) -> Result<TriggerId, Error> {
        let fingerprint = fingerprint(&watcher.classpath, &watcher.kwargs);
        let kwargs = TriggerKwargs::Plain(watcher.kwargs.to_string());
        let statement = sqlx::query(
            "INSERT INTO trigger (kind, classpath, kwargs, created_date, fingerprint)
             VALUES ('asset', $1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(watcher.classpath.as_str())
        .bind(sealed(&self.keyring(), &kwargs))
        .bind(micros(now))
        .bind(fingerprint.as_str());
        self.execute("create a trigger", statement).await?;
        let statement = sqlx::query(assembled(format!(
            "SELECT id FROM trigger WHERE fingerprint = $1 {}",
            self.dialect().for_update("trigger"),
        )))
        .bind(fingerprint);
        let row = self.fetch_one("find a trigger", statement).await?;
        Columns::of("trigger", &row).big().map(TriggerId)
    }
}

impl Reader {
    /// The row numbers of the assets that a trigger watches.
    pub async fn load_assets_of_trigger(&mut self, trigger: TriggerId) -> Result<Vec<i64>, Error> {
        let statement = sqlx::query(
            "SELECT asset_id FROM asset_watcher WHERE trigger_id = $1 ORDER BY asset_id",
        )
        .bind(trigger.0);
        self.fetch_all("load watched assets", statement)
            .await?
            .iter()
            .map(|row| Columns::of("asset_watcher", row).big())
            .collect()
    }

    /// Names and URIs of what each of these triggers watches.
    pub(super) async fn load_watched_assets(
        &mut self,
        ids: &[TriggerId],
    ) -> Result<BTreeMap<TriggerId, Vec<(String, String)>>, Error> {
        let theirs = self.dialect().one_of_ints("w.trigger_id", "$1");
        let statement = sqlx::query(assembled(format!(
            "SELECT w.trigger_id, a.name, a.uri
               FROM asset_watcher AS w
               JOIN asset AS a ON a.id = w.asset_id
              WHERE {theirs}
              ORDER BY w.trigger_id, a.name, a.uri"
        )))
        .bind(int_array(ids.iter().map(|id| id.0)));
        let mut watched: BTreeMap<TriggerId, Vec<(String, String)>> = BTreeMap::new();
        for row in &self.fetch_all("load watched assets", statement).await? {
            let mut columns = Columns::of("asset_watcher", row);
            let assets = watched.entry(TriggerId(columns.big()?)).or_default();
            assets.push((columns.owned()?, columns.owned()?));
        }
        Ok(watched)
    }
}

/// Equal for equal class paths and arguments, in whatever order the arguments stand.
pub(crate) fn fingerprint(classpath: &str, kwargs: &Value) -> String {
    let mut text = format!("{classpath}\n");
    write_sorted(kwargs, &mut text);
    Uuid::new_v5(&FINGERPRINTS, text.as_bytes()).to_string()
}

fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(entries) => {
            let sorted: BTreeMap<_, _> = entries.iter().collect();
            text.push('{');
            for (key, value) in sorted {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_sorted(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_sorted(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}
