//! Assets as a user meets them: Dags that wait for each other's updates, with the user's own code on
//! both sides.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use updraft_testkit::{Home, RestClient, SECOND, Standalone, wait_until};

const DAGS: &str = include_str!("../../dags/assets.py");
const MAPPER: &str = include_str!("../../dags/halves.py");

fn started() -> (Standalone, RestClient) {
    let home = Home::new();
    let plugins = home.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    fs::write(plugins.join("halves.py"), MAPPER).unwrap();
    home.write_dag("assets.py", DAGS);
    let mut updraft = Standalone::new(Path::new(env!("CARGO_BIN_EXE_updraft")), home);
    let client = updraft.start();
    for dag_id in [
        "orders",
        "writes_by_alias",
        "reads_both",
        "at_orders_or_new_year",
        "by_half",
    ] {
        client.wait_for_dag(dag_id, 60 * SECOND);
        let path = format!("/api/v2/dags/{dag_id}");
        let unpaused = client.call("PATCH", &path, Some(&json!({"is_paused": false})));
        assert_eq!(unpaused.status, 200, "{unpaused:?}");
    }
    (updraft, client)
}

fn asset_id(client: &RestClient, name: &str) -> i64 {
    wait_until("the asset is active", 30 * SECOND, || {
        let found = client.list(&format!("/api/v2/assets?name_pattern={name}"), "assets");
        found
            .first()
            .and_then(|asset| asset["id"].as_i64())
            .ok_or(found)
    })
}

fn post(client: &RestClient, path: &str, body: &Value) -> Value {
    let answer = client.call("POST", path, Some(body));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// The first run of a Dag that updates of assets made, once it has succeeded.
fn made_run(client: &RestClient, dag_id: &str) -> Value {
    let path = format!("/api/v2/dags/{dag_id}/dagRuns?run_type=asset_triggered");
    wait_until("a run succeeded", 60 * SECOND, || {
        let runs = client.list(&path, "dag_runs");
        match &runs[..] {
            [run] if run["state"] == "success" => Ok(run.clone()),
            _ => Err(runs),
        }
    })
}

fn returned(client: &RestClient, run: &Value, task_id: &str) -> Value {
    let (dag_id, run_id) = (&run["dag_id"], &run["dag_run_id"]);
    let path = format!(
        "/api/v2/dags/{}/dagRuns/{}/taskInstances/{task_id}/xcomEntries/return_value",
        dag_id.as_str().unwrap(),
        run_id.as_str().unwrap().replace('+', "%2B"),
    );
    client.get(&path)["value"].clone()
}

/// What a task returned that is more than a text; the API may show its JSON.
fn returned_json(client: &RestClient, run: &Value, task_id: &str) -> Value {
    let value = returned(client, run, task_id);
    match value.as_str() {
        Some(text) => serde_json::from_str(text).unwrap(),
        None => value,
    }
}

#[test]
fn updates_of_assets_make_runs_that_know_what_they_are_for() {
    let (_updraft, client) = started();
    let orders = asset_id(&client, "orders");
    let materialized = post(
        &client,
        &format!("/api/v2/assets/{orders}/materialize"),
        &json!({}),
    );
    assert_eq!(materialized["run_type"], "asset_materialization");
    made_run(&client, "at_orders_or_new_year");

    // Half of what it waits for.
    let queued = client.get("/api/v2/dags/reads_both/assets/queuedEvents");
    assert_eq!(queued["queued_events"][0]["asset_id"], orders, "{queued}");
    let written = client.trigger("writes_by_alias");
    let state = client.wait_for_run("writes_by_alias", &written, 60 * SECOND);
    assert_eq!(state, "success");
    let run = made_run(&client, "reads_both");
    let expected = json!({
        "inlet": [{"rows": 7}], "triggering": ["latest", "orders", "report"],
        "watermark": "2026-03-01",
    });
    assert_eq!(returned_json(&client, &run, "read"), expected);
    let run_id = run["dag_run_id"].as_str().unwrap().replace('+', "%2B");
    let of_run = format!("/api/v2/dags/reads_both/dagRuns/{run_id}");
    let events = client.get(&format!("{of_run}/upstreamAssetEvents"));
    assert_eq!(events["total_entries"], 2, "{events}");
    let kept = client.get(&format!("{of_run}/taskInstances/read/state-store/seen"));
    assert_eq!(kept["value"], 1, "{kept}");
    let left = client.get("/api/v2/dags/reads_both/assets/queuedEvents");
    assert_eq!(left["total_entries"], 0, "{left}");
}

#[test]
fn a_partition_mapper_of_a_plugin_is_asked() {
    let (_updraft, client) = started();
    let parts = asset_id(&client, "parts");
    for key in ["one", "eu-1"] {
        let event = json!({"asset_id": parts, "partition_key": key});
        post(&client, "/api/v2/assets/events", &event);
    }
    let run = made_run(&client, "by_half");
    assert_eq!(run["partition_key"], "eu");
    assert_eq!(returned(&client, &run, "tell"), "eu");
    let path = "/api/v2/eventLogs?event=failed%20to%20map%20partition_key";
    let told = wait_until("the audit log says why", 30 * SECOND, || {
        let rows = client.list(path, "event_logs");
        rows.first().cloned().ok_or(rows)
    });
    let told = told["extra"].as_str().unwrap();
    assert!(
        told.ends_with("ValueError: one has one half only"),
        "{told}"
    );
}

/// A Dag that waits until a file appears in the home folder.
const WATCHED: &str = r#"
from airflow.providers.standard.triggers.file import FileDeleteTrigger
from airflow.sdk import DAG, Asset, AssetWatcher, task

watcher = AssetWatcher(name="flag", trigger=FileDeleteTrigger(filepath="FLAG", poke_interval=0.1))
with DAG("on_flag", schedule=[Asset("flag", watchers=[watcher])]):

    @task
    def tell(*, triggering_asset_events):
        return [event.extra for events in triggering_asset_events.values() for event in events]

    tell()
"#;

#[test]
fn a_watched_file_makes_an_event_and_a_run() {
    let home = Home::new();
    let flag = home.path().join("flag");
    home.write_dag(
        "watched.py",
        &WATCHED.replace("FLAG", flag.to_str().unwrap()),
    );
    let mut updraft = Standalone::new(Path::new(env!("CARGO_BIN_EXE_updraft")), home);
    let client = updraft.start();
    client.wait_for_dag("on_flag", 60 * SECOND);
    let unpaused = json!({"is_paused": false});
    let unpaused = client.call("PATCH", "/api/v2/dags/on_flag", Some(&unpaused));
    assert_eq!(unpaused.status, 200, "{unpaused:?}");
    let id = asset_id(&client, "flag");
    let asset = client.get(&format!("/api/v2/assets/{id}"));
    assert_eq!(asset["watchers"][0]["name"], "flag", "{asset}");
    fs::write(&flag, "").unwrap();
    let run = made_run(&client, "on_flag");
    let expected = json!([{"from_trigger": true, "payload": true}]);
    assert_eq!(returned_json(&client, &run, "tell"), expected);
}
