//! The process that runs triggers: there when there is something to wait for, replaced when it dies.

use serde_json::json;
use updraft_testkit::{RestClient, SECOND, Standalone, wait_until};

use super::{deferring, kill_9, leave_sign, lives, pid_at_sign, sign, wait_for_states};

const WAITING: [&str; 2] = ["one[-1]: deferred, try 1", "two[-1]: deferred, try 1"];
const DONE: [&str; 2] = ["one[-1]: success, try 1", "two[-1]: success, try 1"];

/// A run that waits for two signs, and the process that does.
fn waiting_run(updraft: &Standalone, client: &RestClient) -> (String, i32) {
    client.wait_for_dag("waiting_for_a_sign", 60 * SECOND);
    let run = client.trigger("waiting_for_a_sign");
    let pid = pid_at_sign(updraft, "waits-one");
    assert_eq!(pid_at_sign(updraft, "waits-two"), pid);
    wait_for_states(client, "waiting_for_a_sign", &run, &WAITING);
    (run, pid)
}

/// Waits until another process waits for the same signs.
#[track_caller]
fn wait_for_another(updraft: &Standalone, before: i32) -> i32 {
    wait_until("another process waits for both", 60 * SECOND, || {
        let one = pid_at_sign(updraft, "waits-one");
        let two = pid_at_sign(updraft, "waits-two");
        if one == two && one != before {
            Ok(one)
        } else {
            Err((one, two))
        }
    })
}

fn finish(updraft: &Standalone, client: &RestClient, run: &str) {
    leave_sign(updraft, "one");
    leave_sign(updraft, "two");
    wait_for_states(client, "waiting_for_a_sign", run, &DONE);
}

#[test]
fn a_killed_process_is_replaced_and_waits_go_on() {
    let mut updraft = deferring();
    let client = updraft.start();
    let (run, first) = waiting_run(&updraft, &client);
    kill_9(first);
    let second = wait_for_another(&updraft, first);
    kill_9(second);
    wait_for_another(&updraft, second);
    finish(&updraft, &client, &run);
}

#[test]
fn waits_outlive_updraft_itself() {
    let mut updraft = deferring();
    let client = updraft.start();
    let (run, first) = waiting_run(&updraft, &client);
    updraft.kill();
    // What it waits for comes while nothing runs.
    leave_sign(&updraft, "one");
    let client = updraft.start();
    wait_for_states(
        &client,
        "waiting_for_a_sign",
        &run,
        &["one[-1]: success, try 1", "two[-1]: deferred, try 1"],
    );
    wait_until("the old process is gone", 60 * SECOND, || {
        (!lives(&updraft, first)).then_some(()).ok_or(first)
    });
    finish(&updraft, &client, &run);
}

#[test]
fn the_process_is_there_only_while_something_waits() {
    let mut updraft = deferring().with("AIRFLOW__UPDRAFT__TRIGGER_IDLE_TIMEOUT", "1");
    let client = updraft.start();
    let (run, first) = waiting_run(&updraft, &client);
    finish(&updraft, &client, &run);
    wait_until("the process is gone", 60 * SECOND, || {
        (!lives(&updraft, first)).then_some(()).ok_or(first)
    });
    std::fs::remove_dir_all(updraft.home().path().join("signals")).unwrap();
    let (run, second) = waiting_run(&updraft, &client);
    assert_ne!(first, second);
    let health = client.get("/api/v2/monitor/health");
    assert_eq!(health["triggerer"]["status"], "healthy");
    finish(&updraft, &client, &run);
}

#[test]
fn a_marked_or_cleared_task_no_longer_waits() {
    let mut updraft = deferring();
    let client = updraft.start();
    client.wait_for_dag("waiting_for_ever", 60 * SECOND);
    let run = client.trigger("waiting_for_ever");
    pid_at_sign(&updraft, "waits-one");
    pid_at_sign(&updraft, "waits-two");
    wait_for_states(&client, "waiting_for_ever", &run, &WAITING);

    let path = format!(
        "/api/v2/dags/waiting_for_ever/dagRuns/{}",
        run.replace('+', "%2B")
    );
    let mark = json!({"new_state": "success"});
    let marked = client.call("PATCH", &format!("{path}/taskInstances/one"), Some(&mark));
    assert_eq!(marked.status, 200, "{}", marked.body);
    pid_at_sign(&updraft, "killed-one");

    std::fs::remove_file(sign(&updraft, "waits-two")).unwrap();
    let clear = json!({
        "dag_run_id": run, "task_ids": ["two"], "only_failed": false, "dry_run": false,
    });
    let cleared = client.call(
        "POST",
        "/api/v2/dags/waiting_for_ever/clearTaskInstances",
        Some(&clear),
    );
    assert_eq!(cleared.status, 200, "{}", cleared.body);
    pid_at_sign(&updraft, "killed-two");
    // The next try waits again.
    pid_at_sign(&updraft, "waits-two");
    wait_for_states(
        &client,
        "waiting_for_ever",
        &run,
        &["one[-1]: success, try 1", "two[-1]: deferred, try 2"],
    );
    let mark = json!({"state": "failed"});
    let marked = client.call("PATCH", &path, Some(&mark));
    assert_eq!(marked.status, 200, "{}", marked.body);
    std::fs::remove_file(sign(&updraft, "killed-two")).unwrap();
    pid_at_sign(&updraft, "killed-two");
    wait_for_states(
        &client,
        "waiting_for_ever",
        &run,
        &["one[-1]: success, try 1", "two[-1]: failed, try 2"],
    );
}
