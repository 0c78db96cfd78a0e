//! A full disk, a store that is locked or gone, and a start that cannot work.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::json;
use updraft_testkit::{Home, SECOND, wait_until};

const BYSTANDER: &str = include_str!("../../dags/bystander.py");
const STEPS: &str = include_str!("../../dags/steps.py");

#[test]
fn a_full_disk_for_logs_costs_the_log_and_not_the_task() {
    let mut updraft = super::installation(&[("bystander.py", BYSTANDER)]);
    let client = updraft.start();
    client.wait_for_dag("bystander", 60 * SECOND);
    // Everything that is written there fails as on a full disk.
    let folder = updraft
        .home()
        .path()
        .join("logs/dag_id=bystander/run_id=full/task_id=give");
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.join("attempt=1.log")).unwrap();
    let body = json!({ "logical_date": null, "dag_run_id": "full" });
    let answer = client.call("POST", "/api/v2/dags/bystander/dagRuns", Some(&body));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        client.wait_for_run("bystander", "full", 60 * SECOND),
        "success"
    );
    let output = updraft.output();
    assert!(output.contains("No space left on device"), "{output}");
}

#[test]
fn a_log_folder_that_is_none_costs_the_log_and_not_the_task() {
    let mut updraft = super::installation(&[("bystander.py", BYSTANDER)]);
    let client = updraft.start();
    client.wait_for_dag("bystander", 60 * SECOND);
    fs::write(
        updraft.home().path().join("logs/dag_id=bystander"),
        "in the way",
    )
    .unwrap();
    let run_id = client.trigger("bystander");
    assert_eq!(
        client.wait_for_run("bystander", &run_id, 60 * SECOND),
        "success"
    );
    let output = updraft.output();
    assert!(output.contains("dag_id=bystander"), "{output}");
}

#[test]
fn a_store_that_is_locked_for_ten_seconds_loses_nothing() {
    let mut updraft = super::installation(&[("steps.py", STEPS)]);
    let client = updraft.start();
    client.wait_for_dag("steps", 60 * SECOND);
    let run_id = client.trigger("steps");
    wait_until("the first step is done", 60 * SECOND, || {
        let states = client.states("steps", &run_id);
        let is_done = states.iter().any(|state| state.contains("success"));
        if is_done { Ok(()) } else { Err(states) }
    });
    let began = Instant::now();
    let mut lock = lock_store(updraft.home(), 10);
    assert!(
        lock.wait().unwrap().success(),
        "the store could not be locked"
    );
    assert!(began.elapsed() > 10 * SECOND);
    assert_eq!(
        client.wait_for_run("steps", &run_id, 60 * SECOND),
        "success"
    );
    let states = client.states("steps", &run_id);
    let first_try = states.iter().all(|state| state.ends_with("success, try 1"));
    assert!(
        first_try,
        "a lock must cost no try: {states:#?}\n{}",
        updraft.output()
    );
}

/// Locks the store as a backup or a curious user would.
fn lock_store(home: &Home, seconds: u32) -> Child {
    const SCRIPT: &str = "
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute('BEGIN EXCLUSIVE')
time.sleep(int(sys.argv[2]))
connection.execute('ROLLBACK')
";
    Command::new(std::env::var_os("UPDRAFT_TEST_PYTHON").unwrap())
        .args(["-c", SCRIPT])
        .arg(home.database())
        .arg(seconds.to_string())
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_store_that_is_deleted_ends_the_process_with_a_clear_error() {
    let mut updraft = super::installation(&[("bystander.py", BYSTANDER)]);
    let client = updraft.start();
    client.wait_for_dag("bystander", 60 * SECOND);
    fs::remove_file(updraft.home().database()).unwrap();
    let ended = updraft.wait_for_end(30 * SECOND);
    assert!(!ended.status.success(), "{}", ended.output);
    let database = updraft.home().database().display().to_string();
    assert!(ended.output.contains(&database), "{}", ended.output);
}

#[test]
fn a_second_process_on_the_same_home_is_refused() {
    let mut updraft = super::installation(&[("bystander.py", BYSTANDER)]);
    let client = updraft.start();
    let pid = updraft.pid().to_string();
    let second = updraft.run_to_end();
    assert!(!second.status.success());
    assert!(
        second.output.contains("another updraft") && second.output.contains(&pid),
        "{}",
        second.output
    );
    client.wait_for_dag("bystander", 60 * SECOND);
    let run_id = client.trigger("bystander");
    assert_eq!(
        client.wait_for_run("bystander", &run_id, 60 * SECOND),
        "success"
    );
}

#[test]
fn a_port_that_is_taken_is_named_with_a_way_out() {
    let mut updraft = super::installation(&[]);
    let port = updraft.port();
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let ended = updraft.run_to_end();
    assert!(!ended.status.success());
    for expected in [&format!("127.0.0.1:{port}"), "--port", "in use"] {
        assert!(
            ended.output.contains(expected),
            "expected `{expected}`: {}",
            ended.output
        );
    }
}

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let home = Home::new();
    let no_folder = home.path().join("file/home");
    fs::write(home.path().join("file"), "").unwrap();
    let mut updraft = super::installation(&[]).with("AIRFLOW_HOME", &no_folder.to_string_lossy());
    let ended = updraft.run_to_end();
    assert!(!ended.status.success());
    let named = no_folder.display().to_string();
    assert!(ended.output.contains(&named), "{}", ended.output);
}
