//! "Why is this task not running?", asked on the command line beside a running server.

use std::process::Command;

use serde_json::{Value, json};
use updraft_testkit::{RestClient, SECOND, Standalone, wait_until};

const DAGS: &str = include_str!("../../dags/waits.py");

/// What a command prints, which must succeed.
fn updraft(standalone: &Standalone, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_updraft"))
        .args(arguments)
        .env("AIRFLOW_HOME", standalone.home().path())
        .output()
        .unwrap();
    let (out, err) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {err}");
    String::from_utf8(out).unwrap()
}

fn wait_for_state(client: &RestClient, run_id: &str, task_id: &str, state: &str) {
    let path = format!("/api/v2/dags/waits/dagRuns/{run_id}/taskInstances/{task_id}");
    wait_until(&format!("{task_id} is {state}"), 60 * SECOND, || {
        let found = client.get(&path)["state"].clone();
        if found == json!(state) {
            Ok(())
        } else {
            Err(found)
        }
    });
}

#[test]
fn each_waiting_task_says_why_in_one_sentence() {
    let mut standalone = super::installation(&[("waits.py", DAGS)]);
    let client = standalone.start();
    client.wait_for_dag("waits", 60 * SECOND);
    updraft(&standalone, &["pools", "set", "narrow", "0", "no room"]);
    let run_id = client.trigger("waits");
    wait_for_state(&client, &run_id, "slow", "running");
    wait_for_state(&client, &run_id, "crowded", "scheduled");
    wait_for_state(&client, &run_id, "again", "up_for_retry");
    let explain = |task_id: &str| {
        updraft(
            &standalone,
            &["tasks", "explain", "waits", &run_id, task_id],
        )
    };

    assert_eq!(
        explain("below"),
        "`below` waits for 1 of 1 upstream task instances (`slow`), as its trigger rule is \
         all_success.\n"
    );
    assert_eq!(
        explain("crowded"),
        "`crowded` waits: pool `narrow` has 0 of 0 slots open, and the task takes 1.\n"
    );
    let again = explain("again");
    assert!(
        again.starts_with("`again` waits: its next try is due after "),
        "{again}"
    );
    let slow = explain("slow");
    assert!(slow.starts_with("`slow` is running since "), "{slow}");
    assert!(slow.ends_with(", try 1 of 1.\n"), "{slow}");

    // The same over REST, and for a program.
    let path = format!("/updraft/v1/dags/waits/dagRuns/{run_id}/taskInstances/below/explanation");
    assert_eq!(
        format!("{}\n", client.get(&path)["reason"].as_str().unwrap()),
        explain("below")
    );
    let line = ["tasks", "explain", "waits", &run_id, "again", "-o", "json"];
    let rows: Value = serde_json::from_str(&updraft(&standalone, &line)).unwrap();
    assert_eq!(rows[0]["state"], json!("up_for_retry"));
    assert!(rows[0]["until"].is_string(), "{rows}");

    // In Airflow's words.
    let line = ["tasks", "failed-deps", "waits", "crowded", &run_id];
    assert_eq!(
        updraft(&standalone, &line),
        "Task instance dependencies not met:\n\
         Pool Slots Available: Not scheduling since there are 0 open slots in pool narrow and \
         require 1 pool slots\n"
    );

    let paused = json!({"is_paused": true});
    let paused = client.call("PATCH", "/api/v2/dags/waits", Some(&paused));
    assert_eq!(paused.status, 200, "{paused:?}");
    assert_eq!(explain("crowded"), "`crowded` waits: the Dag is paused.\n");
}
