//! Weight rules of plugins and the policies of `airflow_local_settings.py`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use updraft_testkit::{RestClient, SECOND, Standalone, wait_until};

use super::{with_plugins, write};

const SETTINGS: &str = include_str!("../../plugins/airflow_local_settings.py");
const WEIGHTS: &str = include_str!("../../plugins/weights.py");
const DAGS: &str = include_str!("../../plugins/policies_dags.py");

/// Files that a policy refuses, and one that takes longer than it may.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "forbidden.py",
        "from airflow.sdk import DAG, task\nwith DAG('forbidden'):\n    task(task_id='forbidden')(lambda: None)()\n",
        "AirflowClusterPolicyViolation: no task may be called that",
    ),
    (
        "unowned.py",
        "from airflow.sdk import DAG, task\nwith DAG('unowned'):\n    task(task_id='fine')(lambda: None)()\n",
        "AirflowClusterPolicyViolation: a Dag needs an owner",
    ),
    (
        "slow.py",
        "import time\nfrom airflow.sdk import DAG\ntime.sleep(40)\nDAG('slow')\n",
        "DagBag import timeout",
    ),
];

fn started() -> (Standalone, RestClient) {
    let mut dags = vec![("policies_dags.py", DAGS)];
    dags.extend(REFUSED.iter().map(|(name, text, _)| (*name, *text)));
    let mut updraft = with_plugins(&dags, &[("weights.py", WEIGHTS)]);
    write(updraft.home(), "config/airflow_local_settings.py", SETTINGS);
    let client = updraft.start();
    client.wait_for_dag("policies", 90 * SECOND);
    client.wait_for_dag("weights", 90 * SECOND);
    (updraft, client)
}

/// One column of the task instances of a run.
fn column(client: &RestClient, dag_id: &str, run: &str, name: &str) -> BTreeMap<String, Value> {
    let instances = client.task_instances(dag_id, run);
    let entry = |ti: &Value| {
        let (task_id, index) = (ti["task_id"].as_str().unwrap(), &ti["map_index"]);
        (format!("{task_id}[{index}]"), ti[name].clone())
    };
    instances.iter().map(entry).collect()
}

fn columns<const N: usize>(pairs: [(&str, Value); N]) -> BTreeMap<String, Value> {
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

#[test]
fn policies_refuse_change_and_skip_what_files_say() {
    let (_updraft, client) = started();
    for (name, _, reason) in REFUSED {
        let error = wait_until(&format!("{name} is refused"), 90 * SECOND, || {
            let errors = client.list("/api/v2/importErrors", "import_errors");
            let of_file = errors.iter().find(|error| error["filename"] == json!(name));
            of_file.cloned().ok_or(errors.clone())
        });
        let trace = error["stack_trace"].as_str().unwrap();
        assert!(trace.contains(reason), "{name}: {trace}");
    }
    let dags = client.list("/api/v2/dags", "dags");
    let ids: Vec<_> = dags.iter().map(|dag| &dag["dag_id"]).collect();
    assert_eq!(ids, ["policies", "weights"]);
    assert_eq!(dags[0]["tags"][0]["name"], json!("seen"));
}

#[test]
fn a_hook_changes_task_instances_when_they_are_made_expanded_and_cleared() {
    let (updraft, client) = started();
    let run = client.trigger("policies");
    assert_eq!(
        client.wait_for_run("policies", &run, 60 * SECOND),
        "success"
    );
    assert_eq!(
        column(&client, "policies", &run, "queue"),
        columns([
            ("mapped[0]", json!("shard_0")),
            ("mapped[1]", json!("shard_1")),
            ("numbers[-1]", json!("default")),
            ("patient[-1]", json!("by_policy")),
            ("routed[-1]", json!("by_hook")),
        ])
    );
    let said = client.get(&format!(
        "/api/v2/dags/policies/dagRuns/{}/taskInstances/patient/xcomEntries/return_value",
        run.replace('+', "%2B")
    ));
    assert_eq!(said["value"], json!("policies"));

    // A hook that raises holds back what it has a say in, and is asked again.
    write(updraft.home(), "hook_raises", "");
    let body = json!({ "dry_run": false, "dag_run_id": run, "task_ids": ["routed"], "only_failed": false });
    let cleared = client.call(
        "POST",
        "/api/v2/dags/policies/clearTaskInstances",
        Some(&body),
    );
    assert_eq!(cleared.status, 200, "{}", cleared.body);
    wait_until("the failure is logged", 60 * SECOND, || {
        let log = updraft.output();
        let is_said = log.contains("RuntimeError: no word from the hook");
        if is_said { Ok(()) } else { Err(log) }
    });
    assert_eq!(client.run_state("policies", &run), "running");
    std::fs::remove_file(updraft.home().path().join("hook_raises")).unwrap();
    assert_eq!(
        client.wait_for_run("policies", &run, 120 * SECOND),
        "success"
    );
    let weight = &column(&client, "policies", &run, "priority_weight")["routed[-1]"];
    assert_eq!(*weight, json!(71));
}

#[test]
fn weight_rules_of_plugins_weigh_and_one_that_raises_counts_as_the_tasks_own_weight() {
    let (updraft, client) = started();
    let run = client.trigger("weights");
    assert_eq!(client.wait_for_run("weights", &run, 60 * SECOND), "success");
    assert_eq!(
        column(&client, "weights", &run, "priority_weight"),
        columns([
            ("heavy[-1]", json!(1000)),
            ("lost[0]", json!(3)),
            ("mapped[0]", json!(20)),
            ("mapped[1]", json!(30)),
            ("mapped[2]", json!(40)),
            ("raises[-1]", json!(4)),
        ])
    );
    let log = updraft.output();
    let line = log
        .lines()
        .find(|line| line.contains("ValueError: scales are broken"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("weights.Raises"), "{line}");
}
