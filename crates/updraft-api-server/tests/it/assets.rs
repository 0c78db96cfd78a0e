//! Answers about assets, state stores and partitions, against those of Airflow.
//!
//! Recorded with the Dags of `testdata/golden/golden_assets.py`, unpaused and without a scheduler.

use jiff::Timestamp;
use serde_json::Value;
use updraft_model::serialized::SerializedDag;
use updraft_store::{
    AssetAliasDefinition, AssetDefinition, DagAssets, ParsedDag, ParsedFile, Store,
};

use crate::app::{App, parsed_in};
use crate::golden::check;

const ASSETS: &str = include_str!("../../testdata/golden/assets.json");
const SERIALIZED: &str = include_str!("../../testdata/golden/serialized_assets.json");

#[tokio::test]
async fn assets_answer_as_airflow_does() {
    let app = App::seeded(seed).await;
    check(&app, "assets", ASSETS).await;
}

#[tokio::test]
async fn state_stores_answer_as_airflow_does() {
    let app = App::seeded(seed).await;
    let pages = include_str!("../../testdata/golden/state_stores.json");
    let run = serde_json::json!({"dag_run_id": "stateful", "logical_date": null});
    let reply = app
        .admin("POST", "/api/v2/dags/b_produce_clean/dagRuns", Some(run))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    check(&app, "state_stores", pages).await;
}

#[tokio::test]
async fn partitions_answer_as_airflow_does() {
    let app = App::seeded(seed).await;
    let pages = include_str!("../../testdata/golden/partitions.json");
    check(&app, "partitions", pages).await;
}

async fn seed(store: Store) {
    let now: Timestamp = "2026-11-21T21:31:30Z".parse().unwrap();
    let serialized: Value = serde_json::from_str(SERIALIZED).unwrap();
    let source = include_str!("../../testdata/golden/golden_assets.py");
    let dags = serialized.as_object().unwrap().iter();
    let mut dags: Vec<ParsedDag> = dags
        .map(|(dag_id, data)| {
            let mut parsed = parsed_in(dag_id, "golden.py", data, source, now);
            parsed.dag.is_paused = false;
            if dag_id == "l_by_cron" {
                parsed.dag.next_dagrun.run_after = Some(now);
            }
            parsed.assets = assets_of(data);
            parsed
        })
        .collect();
    // Recorded requests name assets by number, so they must come in the recorded order.
    dags.sort_by_key(|parsed| introduces(&parsed.assets));
    let file = ParsedFile {
        bundle_name: "dags-folder".into(),
        relative_fileloc: "golden.py".to_owned(),
        dags,
        import_errors: Vec::new(),
        warnings: Vec::new(),
        duration_secs: 0.25,
        content_hash: None,
    };
    let mut tx = store.write().await.unwrap();
    tx.persist_parse(&file, now).await.unwrap();
    tx.commit().await.unwrap();
}

/// Dags with one asset by its recorded number, then those with more.
fn introduces(assets: &DagAssets) -> (usize, i64) {
    let pages: Vec<Value> = serde_json::from_str(ASSETS).unwrap();
    let page = pages
        .iter()
        .find(|page| page["name"] == "list all")
        .unwrap();
    let recorded = page["answer"]["assets"].as_array().unwrap();
    let number = |asset: &AssetDefinition| {
        let asset = recorded.iter().find(|other| other["name"] == asset.name);
        asset.unwrap()["id"].as_i64().unwrap()
    };
    let tasks = assets.outlets.iter().chain(&assets.inlets);
    let all = assets
        .scheduled_on
        .iter()
        .chain(tasks.map(|(_, asset)| asset));
    let mut numbers: Vec<i64> = all.map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    (numbers.len(), numbers.first().copied().unwrap_or(0))
}

fn assets_of(data: &Value) -> DagAssets {
    let mut assets = DagAssets::default();
    let condition = &data["dag"]["timetable"]["__var"]["asset_condition"];
    collect(condition, &mut assets);
    let dag = SerializedDag::parse(data.clone()).unwrap();
    for task in dag.tasks() {
        for (ports, found) in [
            (&task.outlets, &mut assets.outlets),
            (&task.inlets, &mut assets.inlets),
        ] {
            for port in ports {
                let value = &port["__var"];
                if port["__type"] == "asset" {
                    found.push((task.task_id.clone(), asset(value)));
                } else {
                    assets.other_aliases.push(alias(value));
                }
            }
        }
    }
    assets
}

fn collect(condition: &Value, assets: &mut DagAssets) {
    let text = |key: &str| condition[key].as_str().map(str::to_owned);
    match condition["__type"].as_str() {
        Some("asset") => assets.scheduled_on.push(asset(condition)),
        Some("asset_alias") => assets.scheduled_on_aliases.push(alias(condition)),
        Some("asset_ref") => {
            assets.scheduled_on_names.extend(text("name"));
            assets.scheduled_on_uris.extend(text("uri"));
        }
        _ => {
            let members = condition["objects"].as_array();
            members
                .into_iter()
                .flatten()
                .for_each(|member| collect(member, assets));
        }
    }
}

fn asset(value: &Value) -> AssetDefinition {
    let text = |key: &str| value[key].as_str().unwrap().to_owned();
    let extra = &value["extra"];
    AssetDefinition {
        name: text("name"),
        uri: text("uri"),
        group: text("group"),
        extra: extra.get("__var").unwrap_or(extra).clone(),
    }
}

fn alias(value: &Value) -> AssetAliasDefinition {
    let text = |key: &str| value[key].as_str().unwrap().to_owned();
    AssetAliasDefinition {
        name: text("name"),
        group: text("group"),
    }
}
