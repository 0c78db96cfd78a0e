//! Tasks that wait without a worker, with real triggers in a real process.

mod deferral;
mod misbehaviour;
mod process;

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use updraft_testkit::{RestClient, SECOND, Standalone, processes_of, wait_until};

/// An installation with the triggers of these tests and these Dags.
fn waiting(file: &str, text: &str) -> Standalone {
    let triggers = include_str!("../dags/triggerer/waiting.py");
    crate::standalone::installation(&[("waiting.py", triggers), (file, text)])
}

/// An installation with Dags that defer.
fn deferring() -> Standalone {
    waiting(
        "deferring.py",
        include_str!("../dags/triggerer/deferring.py"),
    )
}

/// What triggers and tests tell each other by.
fn sign(updraft: &Standalone, name: &str) -> PathBuf {
    updraft.home().path().join("signals").join(name)
}

#[track_caller]
fn wait_for_sign(updraft: &Standalone, name: &str) {
    let sign = sign(updraft, name);
    wait_until(&format!("there is a sign `{name}`"), 60 * SECOND, || {
        sign.exists().then_some(()).ok_or(())
    });
}

fn leave_sign(updraft: &Standalone, name: &str) {
    fs::create_dir_all(updraft.home().path().join("signals")).unwrap();
    fs::write(sign(updraft, name), "").unwrap();
}

/// The process in which a trigger left its sign.
#[track_caller]
fn pid_at_sign(updraft: &Standalone, name: &str) -> i32 {
    wait_for_sign(updraft, name);
    let text = fs::read_to_string(sign(updraft, name)).unwrap();
    text.parse().unwrap()
}

fn lives(updraft: &Standalone, pid: i32) -> bool {
    processes_of(updraft.home().path()).contains(&pid)
}

fn kill_9(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

fn xcom(client: &RestClient, dag_id: &str, run_id: &str, task_id: &str, key: &str) -> Value {
    let run_id = run_id.replace('+', "%2B");
    let place = format!("/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}");
    client.get(&format!("{place}/xcomEntries/{key}"))["value"].clone()
}

#[track_caller]
fn wait_for_states(client: &RestClient, dag_id: &str, run_id: &str, expected: &[&str]) {
    wait_until(&format!("{dag_id} is {expected:?}"), 60 * SECOND, || {
        let states = client.states(dag_id, run_id);
        if states == expected {
            Ok(())
        } else {
            Err(states)
        }
    });
}
