//! Failures: what retry policies decide about them, and what notifiers tell of them.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use updraft_testkit::{RestClient, SECOND, Standalone, wait_until};

use crate::standalone::installation;

const DAGS: &str = include_str!("../../dags/people/fails.py");

fn started() -> (Standalone, RestClient) {
    let mut updraft = installation(&[("fails.py", DAGS)]);
    let client = updraft.start();
    client.wait_for_dag("relieved", 60 * SECOND);
    (updraft, client)
}

/// State and number of the last try of a task.
fn end_of(client: &RestClient, run: &str, task_id: &str) -> (String, i64) {
    let run = run.replace('+', "%2B");
    let ti = client.get(&format!(
        "/api/v2/dags/policies/dagRuns/{run}/taskInstances/{task_id}"
    ));
    let state = ti["state"].as_str().unwrap().to_owned();
    (state, ti["try_number"].as_i64().unwrap())
}

#[test]
fn a_retry_policy_decides_by_the_exception_whether_and_when_a_task_is_tried_again() {
    let (updraft, client) = started();
    let run = client.trigger("policies");
    // Every delay of the tasks themselves that matters is an hour.
    assert_eq!(client.wait_for_run("policies", &run, 60 * SECOND), "failed");
    let end = |task_id| end_of(&client, &run, task_id);
    assert_eq!(end("forbidden"), ("failed".to_owned(), 1));
    assert_eq!(end("flaky"), ("success".to_owned(), 2));
    assert_eq!(end("hopeless"), ("failed".to_owned(), 3));
    assert_eq!(end("unlucky"), ("failed".to_owned(), 2));

    let log = |task_id: &str, attempt: u32| {
        let place = format!("logs/dag_id=policies/run_id={run}/task_id={task_id}");
        let file = format!("attempt={attempt}.log");
        fs::read_to_string(updraft.home().path().join(place).join(file)).unwrap()
    };
    for (task_id, attempt, expected) in [
        ("forbidden", 1, "not ours to open"),
        ("flaky", 1, "try again at once"),
        ("hopeless", 2, "try 2 of 2"),
        ("unlucky", 1, "the policy itself is broken"),
    ] {
        let log = log(task_id, attempt);
        assert!(log.contains(expected), "{task_id}: {log}");
    }
}

#[test]
fn notifiers_of_tasks_and_dags_tell_what_happened_even_when_one_of_them_fails() {
    let (updraft, client) = started();
    let run = client.trigger("telling");
    assert_eq!(client.wait_for_run("telling", &run, 60 * SECOND), "failed");
    let run = client.trigger("relieved");
    assert_eq!(
        client.wait_for_run("relieved", &run, 60 * SECOND),
        "success"
    );
    let expected: BTreeSet<&str> = [
        "fails starts",
        "fails tries again",
        "fails failed",
        "works is done",
        "telling: task_failure",
        "relieved: success",
    ]
    .into();
    let path = updraft.home().path().join("told");
    wait_until("everything is told", 60 * SECOND, || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let told: BTreeSet<String> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        if told.iter().map(String::as_str).eq(expected.iter().copied()) {
            Ok(())
        } else {
            Err(told)
        }
    });
    let waiting = || updraft.home().rows("SELECT COUNT(*) FROM callback_request");
    wait_until("nothing is asked for any more", 60 * SECOND, || {
        let rows = waiting();
        if rows == [[json!(0)]] {
            Ok(())
        } else {
            Err::<(), Vec<Vec<Value>>>(rows)
        }
    });
}
