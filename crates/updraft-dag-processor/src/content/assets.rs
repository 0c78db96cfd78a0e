//! The assets a Dag waits for, reads and writes.
//!
//! Source: runtime protocols §4.7.

use serde_json::{Value, json};
use updraft_model::TaskId;
use updraft_model::asset::AssetKey;
use updraft_model::serialized::SerializedDag;
use updraft_store::{AssetAliasDefinition, AssetDefinition, AssetWatcher, DagAssets};
use updraft_timetable::Timetable;

/// Conditions are nested by hand; deeper is a mistake.
const DEPTH_MAX: usize = 64;

/// Everything about assets in one Dag.
pub(super) fn of(dag: &SerializedDag, timetable: &Timetable) -> DagAssets {
    let mut assets = DagAssets::default();
    if let Some(asset_schedule) = timetable.asset_schedule() {
        schedule(&asset_schedule.serialized, &mut assets, 0);
    }
    for task in dag.tasks() {
        for outlet in &task.outlets {
            port(
                outlet,
                &task.task_id,
                &mut assets.outlets,
                &mut assets.other_aliases,
            );
        }
        for inlet in &task.inlets {
            port(
                inlet,
                &task.task_id,
                &mut assets.inlets,
                &mut assets.other_aliases,
            );
        }
    }
    assets
}

/// The condition in the form the Dag row shows; `None` for what is no condition.
pub(super) fn expression(condition: &Value) -> Option<Value> {
    express(condition, 0)
}

fn express(condition: &Value, depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    let objects = || {
        let objects = fields(condition).get("objects")?.as_array()?;
        let expressed = objects.iter().map(|object| express(object, depth + 1));
        expressed.collect::<Option<Vec<Value>>>()
    };
    Some(match kind(condition)? {
        "asset" => {
            let asset = asset(condition)?;
            json!({"asset": {"uri": asset.uri, "name": asset.name, "group": asset.group}})
        }
        "asset_alias" => {
            let alias = alias(condition)?;
            json!({"alias": {"name": alias.name, "group": alias.group}})
        }
        "asset_ref" => match (text(condition, "name"), text(condition, "uri")) {
            (Some(name), _) => json!({"asset_ref": {"name": name}}),
            (None, uri) => json!({"asset_ref": {"uri": uri?}}),
        },
        "asset_any" => json!({"any": objects()?}),
        "asset_all" => json!({"all": objects()?}),
        _ => return None,
    })
}

fn schedule(condition: &Value, assets: &mut DagAssets, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    match kind(condition) {
        Some("asset") => {
            if let Some(asset) = asset(condition) {
                watch(condition, &asset, assets);
                assets.scheduled_on.push(asset);
            }
        }
        Some("asset_alias") => assets.scheduled_on_aliases.extend(alias(condition)),
        Some("asset_ref") => {
            let owned = |key| text(condition, key).map(str::to_owned);
            assets.scheduled_on_names.extend(owned("name"));
            assets.scheduled_on_uris.extend(owned("uri"));
        }
        _ => {
            let objects = fields(condition).get("objects").and_then(Value::as_array);
            for object in objects.into_iter().flatten() {
                schedule(object, assets, depth + 1);
            }
        }
    }
}

/// The watchers that stand at an asset.
fn watch(value: &Value, asset: &AssetDefinition, assets: &mut DagAssets) {
    let watchers = fields(value).get("watchers").and_then(Value::as_array);
    for watcher in watchers.into_iter().flatten() {
        let trigger = &watcher["trigger"];
        let (Some(name), Some(classpath)) = (text(watcher, "name"), text(trigger, "classpath"))
        else {
            continue;
        };
        let key = AssetKey {
            name: asset.name.clone(),
            uri: asset.uri.clone(),
        };
        assets.watchers.entry(key).or_default().push(AssetWatcher {
            name: name.to_owned(),
            classpath: classpath.to_owned(),
            kwargs: trigger.get("kwargs").cloned().unwrap_or_else(|| json!({})),
        });
    }
}

/// An inlet or outlet; other things than assets may stand there, too.
fn port(
    value: &Value,
    task_id: &TaskId,
    assets: &mut Vec<(TaskId, AssetDefinition)>,
    aliases: &mut Vec<AssetAliasDefinition>,
) {
    match kind(value) {
        Some("asset") => {
            assets.extend(asset(value).map(|asset| (task_id.clone(), asset)));
        }
        Some("asset_alias") => aliases.extend(alias(value)),
        _ => {}
    }
}

fn asset(value: &Value) -> Option<AssetDefinition> {
    let name = text(value, "name")?.to_owned();
    let extra = fields(value).get("extra").unwrap_or(&Value::Null);
    // Within operators the extra is wrapped, within timetables it is not.
    let extra = extra.get("__var").unwrap_or(extra);
    Some(AssetDefinition {
        uri: text(value, "uri").unwrap_or(&name).to_owned(),
        group: text(value, "group").unwrap_or("asset").to_owned(),
        extra: if extra.is_null() {
            json!({})
        } else {
            extra.clone()
        },
        name,
    })
}

fn alias(value: &Value) -> Option<AssetAliasDefinition> {
    Some(AssetAliasDefinition {
        name: text(value, "name")?.to_owned(),
        group: text(value, "group").unwrap_or("asset").to_owned(),
    })
}

fn kind(value: &Value) -> Option<&str> {
    value.get("__type")?.as_str()
}

/// In timetables the fields stand beside `__type`, in operators within `__var`.
fn fields(value: &Value) -> &Value {
    value.get("__var").unwrap_or(value)
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    fields(value).get(key)?.as_str()
}
