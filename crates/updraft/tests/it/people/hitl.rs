//! Tasks that wait for people, from the question to the end, with real operators.

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};
use updraft_testkit::{RestClient, SECOND, Standalone, wait_until};

use crate::standalone::installation;

const DAGS: &str = include_str!("../../dags/people/asks.py");

fn started() -> (Standalone, RestClient) {
    let mut updraft = installation(&[("asks.py", DAGS)]);
    let client = updraft.start();
    client.wait_for_dag("crowd", 60 * SECOND);
    (updraft, client)
}

fn instance(dag_id: &str, run_id: &str, task_id: &str, map_index: i64) -> String {
    let run_id = run_id.replace('+', "%2B");
    format!("/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/{map_index}")
}

#[track_caller]
fn wait_for_state(client: &RestClient, place: &str, state: &str) {
    wait_until(&format!("{place} is {state}"), 60 * SECOND, || {
        let found = client.call("GET", place, None);
        if found.body["state"] == state {
            Ok(())
        } else {
            Err(found)
        }
    });
}

#[track_caller]
fn answer(client: &RestClient, place: &str, options: &[&str], input: &Value) {
    let body = json!({ "chosen_options": options, "params_input": input });
    let answer = client.call("PATCH", &format!("{place}/hitlDetails"), Some(&body));
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn xcom(client: &RestClient, dag_id: &str, run_id: &str, task_id: &str) -> Value {
    let run_id = run_id.replace('+', "%2B");
    let place = format!("/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}");
    client.get(&format!("{place}/xcomEntries/return_value"))["value"].clone()
}

#[test]
fn answers_of_people_decide_how_a_run_goes_on() {
    let (_updraft, client) = started();
    let run = client.trigger("asks");
    for (task_id, options, input) in [
        ("approve", "Approve", json!({})),
        ("reject", "Reject", json!({})),
        ("branch", "Right", json!({})),
        ("enter", "OK", json!({"count": 21})),
    ] {
        let place = instance("asks", &run, task_id, -1);
        wait_for_state(&client, &place, "awaiting_input");
        answer(&client, &place, &[options], &input);
    }
    assert_eq!(client.wait_for_run("asks", &run, 60 * SECOND), "success");
    assert_eq!(
        client.states("asks", &run),
        [
            "approve[-1]: success, try 1",
            "approved[-1]: success, try 1",
            "branch[-1]: success, try 1",
            "counted[-1]: success, try 1",
            "enter[-1]: success, try 1",
            "go_left[-1]: skipped, try 0",
            "go_right[-1]: success, try 1",
            "reject[-1]: success, try 1",
            "rejected[-1]: skipped, try 0",
        ]
    );
    assert_eq!(xcom(&client, "asks", &run, "counted"), json!(42));
    let given = xcom(&client, "asks", &run, "approve");
    assert_eq!(given["chosen_options"], json!(["Approve"]));
    assert_eq!(
        given["responded_by_user"],
        json!({"id": "admin", "name": "admin"})
    );
    let detail = client.get(&format!(
        "{}/hitlDetails",
        instance("asks", &run, "approve", -1)
    ));
    assert_eq!(detail["subject"], json!(format!("Approve {run}?")));
}

#[test]
fn without_an_answer_in_time_defaults_count_or_the_task_fails() {
    let (_updraft, client) = started();
    let run = client.trigger("times_out");
    assert_eq!(
        client.wait_for_run("times_out", &run, 60 * SECOND),
        "failed"
    );
    assert_eq!(
        client.states("times_out", &run),
        [
            "with_defaults[-1]: success, try 1",
            "without[-1]: failed, try 1"
        ]
    );
    let given = xcom(&client, "times_out", &run, "with_defaults");
    assert_eq!(given["chosen_options"], json!(["b"]));
    assert_eq!(given["responded_by_user"], Value::Null);
    let log = client.log("times_out", &run, "without", 1);
    assert!(log.contains("HITLTimeoutError"), "{log}");
    let late = json!({"chosen_options": ["a"]});
    let place = instance("times_out", &run, "with_defaults", -1);
    let refused = client.call("PATCH", &format!("{place}/hitlDetails"), Some(&late));
    assert_eq!(refused.status, 409, "{}", refused.body);
}

/// The question is out before the task waits: its notifiers run in between.
#[test]
fn an_answer_that_comes_before_the_task_waits_is_not_lost() {
    let (updraft, client) = started();
    let run = client.trigger("quick");
    let knocked = updraft.home().path().join("knocked");
    let message = wait_until("the notifier runs", 60 * SECOND, || {
        fs::read_to_string(&knocked)
    });
    let place = instance("quick", &run, "ask", -1);
    let link =
        format!("http://here:1/dags/quick/runs/{run}/tasks/ask/required_actions?map_index=-1");
    assert_eq!(message, format!("Now?\n{link}\n"));
    wait_for_state(&client, &place, "running");
    answer(&client, &place, &["yes"], &json!({}));
    wait_for_state(&client, &place, "running");
    fs::write(updraft.home().path().join("answered"), "").unwrap();
    assert_eq!(client.wait_for_run("quick", &run, 60 * SECOND), "success");
    assert_eq!(
        xcom(&client, "quick", &run, "ask")["chosen_options"],
        json!(["yes"])
    );
}

#[test]
fn waits_outlive_the_process_and_end_when_they_should() {
    let (mut updraft, client) = started();
    let run = client.trigger("patient");
    for task_id in ["ask", "open"] {
        wait_for_state(
            &client,
            &instance("patient", &run, task_id, -1),
            "awaiting_input",
        );
    }
    updraft.kill();
    let killed = Instant::now();
    wait_until("its time is up while nothing runs", 10 * SECOND, || {
        let so_far = killed.elapsed();
        if so_far > 4 * SECOND {
            Ok(())
        } else {
            Err(so_far)
        }
    });
    let client = updraft.start();
    wait_for_state(&client, &instance("patient", &run, "ask", -1), "success");
    let open = instance("patient", &run, "open", -1);
    wait_for_state(&client, &open, "awaiting_input");
    answer(&client, &open, &["a"], &json!({}));
    assert_eq!(client.wait_for_run("patient", &run, 60 * SECOND), "success");

    let clear =
        json!({"dag_run_id": run, "only_failed": false, "task_ids": ["open"], "dry_run": false});
    let cleared = client.call(
        "POST",
        "/api/v2/dags/patient/clearTaskInstances",
        Some(&clear),
    );
    assert_eq!(cleared.status, 200, "{}", cleared.body);
    wait_for_state(&client, &open, "awaiting_input");
    let detail = client.get(&format!("{open}/hitlDetails"));
    assert_eq!(detail["response_received"], json!(false), "asked anew");
    let past = client.get(&format!("{open}/hitlDetails/tries/1"));
    assert_eq!(past["chosen_options"], json!(["a"]));
    assert_eq!(past["responded_by_user"]["id"], "admin");
    assert_eq!(past["task_instance"]["try_number"], json!(1));
}

/// A wait holds no slot, but it counts among the active instances of its task.
#[test]
fn who_waits_takes_no_slot_and_yet_counts_for_its_task() {
    let updraft = installation(&[("asks.py", DAGS)]);
    let mut updraft = updraft.with("AIRFLOW__CORE__PARALLELISM", "1");
    let client = updraft.start();
    client.wait_for_dag("crowd", 60 * SECOND);
    let run = client.trigger("crowd");
    let ask = |index| instance("crowd", &run, "ask", index);
    wait_for_state(&client, &ask(0), "awaiting_input");
    wait_for_state(&client, &ask(1), "awaiting_input");
    wait_for_state(&client, &instance("crowd", &run, "works", -1), "success");
    wait_for_state(&client, &ask(2), "scheduled");
    answer(&client, &ask(0), &["a"], &json!({}));
    wait_for_state(&client, &ask(0), "success");
    wait_for_state(&client, &ask(2), "awaiting_input");
    let open = "/api/v2/dags/~/dagRuns/~/hitlDetails?response_received=false&order_by=subject";
    let open = client.list(open, "hitl_details");
    let subjects: Vec<&str> = open
        .iter()
        .filter_map(|each| each["subject"].as_str())
        .collect();
    assert_eq!(subjects, ["2", "3"]);
    for index in [1, 2] {
        answer(&client, &ask(index), &["a"], &json!({}));
    }
    assert_eq!(client.wait_for_run("crowd", &run, 60 * SECOND), "success");
}
