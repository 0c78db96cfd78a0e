//! What becomes of a task whose trigger fires, fails, or never does anything.

use serde_json::json;
use updraft_testkit::SECOND;

use super::{deferring, xcom};

#[test]
fn a_deferred_task_goes_on_with_its_event_in_the_same_try() {
    let mut updraft = deferring();
    let client = updraft.start();
    client.wait_for_dag("deferring", 60 * SECOND);
    let run = client.trigger("deferring");
    client.wait_for_run("deferring", &run, 60 * SECOND);
    assert_eq!(
        client.states("deferring", &run),
        [
            "echo[-1]: success, try 1",
            "hears[-1]: success, try 1",
            "mapped[0]: success, try 1",
            "mapped[1]: success, try 1",
            "sensor[-1]: success, try 1",
            "twice[-1]: success, try 1",
        ]
    );
    let said = json!({"kept": 1, "event": {"said": "echo"}});
    assert_eq!(
        xcom(&client, "deferring", &run, "hears", "return_value"),
        said
    );
    let twice = xcom(&client, "deferring", &run, "twice", "return_value");
    assert_eq!(twice, json!([{"said": "twice"}, "first"]));
}

#[test]
fn a_task_may_begin_in_its_trigger_with_its_templates_rendered() {
    let mut updraft = deferring();
    let client = updraft.start();
    client.wait_for_dag("beginning", 60 * SECOND);
    let run = client.trigger("beginning");
    let end = client.wait_for_run("beginning", &run, 60 * SECOND);
    let log = client.log("beginning", &run, "begins", 1);
    assert_eq!(end, "success", "{log}");
    assert_eq!(
        xcom(&client, "beginning", &run, "begins", "return_value"),
        json!({"kept": 2, "event": {"said": run}})
    );
}

#[test]
fn a_task_whose_trigger_gives_nothing_fails_and_says_why() {
    let mut updraft = deferring();
    let client = updraft.start();
    client.wait_for_dag("failing", 60 * SECOND);
    let run = client.trigger("failing");
    assert_eq!(client.wait_for_run("failing", &run, 60 * SECOND), "failed");
    assert_eq!(
        client.states("failing", &run),
        [
            "ends[-1]: failed, try 1",
            "exits[-1]: failed, try 1",
            "raises[-1]: failed, try 1",
            "times_out[-1]: failed, try 1",
            "unloadable[-1]: failed, try 1",
        ]
    );
    for (task_id, reason) in [
        ("ends", "Trigger exited without sending an event"),
        ("exits", "SystemExit"),
        ("raises", "RuntimeError: the trigger broke"),
        ("times_out", "TaskDeferralTimeout"),
        ("unloadable", "unexpected keyword argument 'surplus'"),
    ] {
        let log = client.log("failing", &run, task_id, 1);
        assert!(log.contains(reason), "{task_id}: {log}");
    }
}

#[test]
fn a_trigger_may_end_its_task_without_a_worker() {
    let mut updraft = deferring();
    let client = updraft.start();
    client.wait_for_dag("ending", 60 * SECOND);
    let run = client.trigger("ending");
    assert_eq!(client.wait_for_run("ending", &run, 60 * SECOND), "failed");
    assert_eq!(
        client.states("ending", &run),
        [
            "fails[-1]: failed, try 2",
            "skips[-1]: skipped, try 1",
            "succeeds[-1]: success, try 1",
        ]
    );
    assert_eq!(
        xcom(&client, "ending", &run, "succeeds", "return_value"),
        json!([1, 2])
    );
    assert_eq!(
        xcom(&client, "ending", &run, "succeeds", "other"),
        json!("succeeds")
    );
}

#[test]
fn the_log_of_a_try_shows_what_its_trigger_said_in_between() {
    let mut updraft = deferring();
    let client = updraft.start();
    let connection = json!({
        "connection_id": "vault", "conn_type": "generic", "password": "sesame-open",
    });
    let created = client.call("POST", "/api/v2/connections", Some(&connection));
    assert_eq!(created.status, 201, "{}", created.body);
    client.wait_for_dag("talking", 60 * SECOND);
    let run = client.trigger("talking");
    assert_eq!(client.wait_for_run("talking", &run, 60 * SECOND), "success");

    let log = client.log("talking", &run, "talks", 1);
    let mut last = 0;
    for line in [
        "about to wait",
        "printed by the trigger",
        "complained by the trigger",
        "logged by the trigger",
        "the password is ***",
        "going on",
    ] {
        let at = log.find(line).unwrap_or_else(|| panic!("{line}: {log}"));
        assert!(at > last, "`{line}` stands too early: {log}");
        last = at;
    }
    assert!(!log.contains("sesame-open"), "{log}");
    assert!(log.contains(".log.trigger."), "{log}");
    assert_eq!(client.get("/api/v2/variables/heard")["value"], "yes");
}
