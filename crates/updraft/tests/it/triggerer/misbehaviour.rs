//! Triggers that harm the process they share with others.

use updraft_testkit::SECOND;

use super::{leave_sign, wait_for_sign, wait_for_states, waiting};

#[test]
fn a_harmful_trigger_fails_alone_and_its_task_says_why() {
    let updraft = waiting(
        "misbehaving.py",
        include_str!("../../dags/triggerer/misbehaving.py"),
    );
    let mut updraft = updraft.with("AIRFLOW__TRIGGERER__RUNNER_HEALTH_CHECK_THRESHOLD", "3");
    let client = updraft.start();
    client.wait_for_dag("misbehaving", 60 * SECOND);
    let run = client.trigger("misbehaving");
    for number in 0..3 {
        wait_for_sign(&updraft, &format!("waits-good_{number}"));
    }
    wait_for_states(
        &client,
        "misbehaving",
        &run,
        &[
            "blocks[-1]: failed, try 1",
            "dies[-1]: failed, try 1",
            "floods[-1]: success, try 1",
            "good_0[-1]: deferred, try 1",
            "good_1[-1]: deferred, try 1",
            "good_2[-1]: deferred, try 1",
            "is_killed[-1]: failed, try 1",
            "reads_address_zero[-1]: failed, try 1",
            "says_a_generator[-1]: failed, try 1",
            "says_what_nobody_can_read[-1]: failed, try 1",
        ],
    );
    for number in 0..3 {
        leave_sign(&updraft, &format!("good_{number}"));
    }
    client.wait_for_run("misbehaving", &run, 60 * SECOND);
    let states = client.states("misbehaving", &run);
    let good = |state: &&String| state.starts_with("good") && state.contains("success, try 1");
    assert_eq!(states.iter().filter(good).count(), 3, "{states:?}");

    for (task_id, reason) in [
        ("blocks", "in blocks"),
        ("dies", "exited with code 7"),
        ("is_killed", "SIGKILL"),
        ("reads_address_zero", "SIGSEGV"),
        ("says_what_nobody_can_read", "`__classname__` is reserved"),
        ("says_a_generator", "generator"),
    ] {
        let log = client.log("misbehaving", &run, task_id, 1);
        assert!(log.contains(reason), "{task_id}: {log}");
    }
}
