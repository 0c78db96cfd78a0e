//! A stop that was asked for, and the start after it.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use updraft_testkit::{SECOND, processes_of, wait_until};

/// The first try sleeps until it is stopped, later ones end at once.
const SLEEPER: &str = include_str!("../../dags/sleeper.py");

#[test]
fn a_stopped_task_is_taken_up_again_at_the_next_start() {
    let mut updraft = super::installation(&[("sleeper.py", SLEEPER)])
        .with("AIRFLOW__UPDRAFT__SHUTDOWN_TIMEOUT", "10");
    let client = updraft.start();
    client.wait_for_dag("sleeper", 60 * SECOND);
    let run_id = client.trigger("sleeper");
    wait_for_try(updraft.home(), "sleep");
    assert_eq!(client.run_state("sleeper", &run_id), "running");

    let began = Instant::now();
    let ended = updraft.stop(20 * SECOND);
    assert!(ended.status.success(), "{}: {}", ended.status, ended.output);
    assert!(
        began.elapsed() < 10 * SECOND,
        "it took {:?}",
        began.elapsed()
    );
    assert_eq!(
        processes_of(updraft.home().path()),
        Vec::<i32>::new(),
        "{}",
        ended.output
    );

    let client = updraft.start();
    assert_eq!(
        client.wait_for_run("sleeper", &run_id, 60 * SECOND),
        "success"
    );
    let states = client.states("sleeper", &run_id);
    assert_eq!(
        states,
        ["after[-1]: success, try 1", "sleep[-1]: success, try 2"]
    );
}

#[test]
fn a_task_that_will_not_stop_delays_the_end_no_longer_than_allowed() {
    let mut updraft = super::installation(&[("sleeper.py", SLEEPER)])
        .with("AIRFLOW__UPDRAFT__SHUTDOWN_TIMEOUT", "2");
    let client = updraft.start();
    client.wait_for_dag("stubborn", 60 * SECOND);
    let run_id = client.trigger("stubborn");
    wait_for_try(updraft.home(), "ignore_signals");

    let began = Instant::now();
    let ended = updraft.stop(20 * SECOND);
    assert!(
        began.elapsed() < 6 * SECOND,
        "it took {:?}:\n{}",
        began.elapsed(),
        ended.output
    );

    let client = updraft.start();
    assert_eq!(
        client.wait_for_run("stubborn", &run_id, 60 * SECOND),
        "success"
    );
}

#[test]
fn a_second_interrupt_ends_the_process_at_once() {
    let mut updraft = super::installation(&[("sleeper.py", SLEEPER)])
        .with("AIRFLOW__UPDRAFT__SHUTDOWN_TIMEOUT", "60");
    let client = updraft.start();
    client.wait_for_dag("stubborn", 60 * SECOND);
    let _run_id = client.trigger("stubborn");
    wait_for_try(updraft.home(), "ignore_signals");

    let pid = Pid::from_raw(updraft.pid());
    kill(pid, Signal::SIGINT).unwrap();
    wait_until("the stop began", 10 * SECOND, || {
        let output = updraft.output();
        if output.contains("stopping: interrupted") {
            Ok(())
        } else {
            Err(output)
        }
    });
    kill(pid, Signal::SIGINT).unwrap();
    let ended = updraft.wait_for_end(Duration::from_secs(3));
    assert!(!ended.status.success());
    assert!(
        ended.output.contains("interrupted again"),
        "{}",
        ended.output
    );
}

fn wait_for_try(home: &updraft_testkit::Home, task_id: &str) {
    let seen = home.path().join(format!("{task_id}.seen"));
    wait_until("the first try runs", 60 * SECOND, || {
        if seen.exists() {
            Ok(())
        } else {
            Err(format!("no {}", seen.display()))
        }
    });
}
