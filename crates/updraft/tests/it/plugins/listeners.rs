//! Listeners that plugins bring.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_testkit::{RestClient, SECOND, Standalone, wait_until};

use super::{read, with_plugins};

const PLUGIN: &str = include_str!("../../plugins/ears.py");
const DAGS: &str = include_str!("../../plugins/ears_dags.py");

/// Less than a hanging listener takes, with room for a busy machine.
const LATE_MAX: Duration = Duration::from_secs(4);

fn started(timeout_secs: &str) -> (Standalone, RestClient) {
    let mut updraft = with_plugins(&[("ears_dags.py", DAGS)], &[("ears.py", PLUGIN)])
        .with("AIRFLOW__UPDRAFT__PLUGIN_TIMEOUT", timeout_secs);
    let client = updraft.start();
    client.wait_for_dag("waits", 90 * SECOND);
    (updraft, client)
}

/// Waits for a line that begins so, and gives every line.
#[track_caller]
fn wait_for_line(updraft: &Standalone, start: &str) -> Vec<String> {
    wait_until(&format!("a listener hears `{start}`"), 90 * SECOND, || {
        let heard = read(updraft.home(), "heard");
        let lines: Vec<_> = heard.lines().map(str::to_owned).collect();
        match lines.iter().any(|line| line.starts_with(start)) {
            true => Ok(lines),
            false => Err(lines),
        }
    })
}

#[test]
fn listeners_hear_of_runs_tasks_assets_and_files_and_one_that_raises_harms_nobody() {
    let (mut updraft, client) = started("60");
    let run = client.trigger("quiet");
    let heard = wait_for_line(&updraft, &format!("quiet {run} success"));
    let of_run: Vec<_> = heard
        .iter()
        .filter(|line| line.starts_with("quiet") || line.starts_with("asset"))
        .map(|line| line.replace(&run, "RUN"))
        .collect();
    let position = |expected: &str| {
        let found = of_run.iter().position(|line| line == expected);
        found.unwrap_or_else(|| panic!("`{expected}` is not in {of_run:#?}"))
    };
    let running = position("quiet RUN running quiet {}");
    let changed = position("asset changed noise");
    let success = position("quiet RUN success [('make', 'success')]");
    let task_running = position("quiet make task running");
    let task_success = position("quiet make task success");
    assert!(task_running < task_success && task_success < success);
    assert!(position("asset created noise") < running);
    assert!(running < changed && changed < success);
    assert!(position("asset event noise make") < success);
    assert!(heard.contains(&"starting Job".to_owned()), "{heard:#?}");
    wait_until("what was raised is logged", 30 * SECOND, || {
        let log = updraft.output();
        let is_said = |line: &&str| {
            line.contains("ears.Raises") && line.contains("ValueError: heard too much")
        };
        log.lines().find(is_said).map(drop).ok_or(log.clone())
    });

    let run = client.trigger("endings");
    let heard = wait_for_line(&updraft, &format!("endings {run} failed"));
    for line in [
        "endings fails task failed no use",
        "endings skips task skipped",
    ] {
        assert!(
            heard.contains(&line.to_owned()),
            "`{line}` is not in {heard:#?}"
        );
    }

    let run = client.trigger("waits");
    mark_failed(&client, &run);
    wait_for_line(&updraft, "waits wait task failed");
    wait_for_line(&updraft, &format!("waits {run} failed"));

    updraft
        .home()
        .write_dag("broken.py", "from airflow.sdk import DAG\nboom(");
    let heard = wait_for_line(&updraft, "new import error broken.py");
    assert!(
        heard
            .iter()
            .any(|line| line.contains("SyntaxError: '(' was never closed")),
        "{heard:#?}"
    );
    updraft
        .home()
        .write_dag("broken.py", "from airflow.sdk import DAG\nboom((");
    wait_for_line(&updraft, "old import error broken.py");
    updraft.stop(60 * SECOND);
    wait_for_line(&updraft, "stopping Job");
}

#[test]
fn a_listener_that_hangs_is_killed_and_nothing_else_is_late() {
    let (updraft, client) = started("6");
    let run = client.trigger("deafening");
    assert_eq!(
        client.wait_for_run("deafening", &run, 60 * SECOND),
        "success"
    );
    let line = wait_until("the hang is logged", 90 * SECOND, || {
        let log = updraft.output();
        match log.lines().find(|line| line.contains("took more than 6s")) {
            Some(line) => Ok(line.to_owned()),
            None => Err(log),
        }
    });
    assert!(
        line.contains("ears.Hangs") && line.contains("on_dag_run_success"),
        "{line}"
    );
    let lateness = |run: &Value| at(&run["queued_at"]).duration_since(at(&run["run_after"]));
    let runs = client.list("/api/v2/dags/often/dagRuns?order_by=run_after", "dag_runs");
    let latest = runs.iter().skip(1).map(lateness).max();
    let latest = latest.expect("there were runs meanwhile");
    assert!(
        latest.unsigned_abs() < LATE_MAX,
        "a run was created {latest} late"
    );
    // The others hear of what came after.
    let run = client.trigger("quiet");
    wait_for_line(&updraft, &format!("quiet {run} success"));
}

#[test]
fn what_nobody_was_told_when_everything_died_is_told_later() {
    let (mut updraft, client) = started("60");
    // The listener that hangs holds up what comes after it.
    let deafening = client.trigger("deafening");
    wait_for_line(&updraft, &format!("deafening {deafening} success"));
    let quiet = client.trigger("quiet");
    assert_eq!(client.wait_for_run("quiet", &quiet, 60 * SECOND), "success");
    assert!(!read(updraft.home(), "heard").contains(&format!("quiet {quiet} success")));
    updraft.kill();
    let mut updraft = updraft.with("AIRFLOW__UPDRAFT__PLUGIN_TIMEOUT", "2");
    updraft.start();
    let heard = wait_for_line(&updraft, &format!("quiet {quiet} success"));
    let again = format!("deafening {deafening} success");
    let times = heard.iter().filter(|line| line.starts_with(&again)).count();
    assert_eq!(times, 2, "{heard:#?}");
}

#[track_caller]
fn mark_failed(client: &RestClient, run: &str) {
    let place = format!(
        "/api/v2/dags/waits/dagRuns/{}/taskInstances/wait",
        run.replace('+', "%2B")
    );
    wait_until("the task runs", 60 * SECOND, || {
        let answer = client.call("GET", &place, None);
        if answer.body["state"] == "running" {
            Ok(())
        } else {
            Err(answer)
        }
    });
    let body = json!({ "new_state": "failed" });
    let answer = client.call("PATCH", &place, Some(&body));
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[track_caller]
fn at(value: &Value) -> Timestamp {
    value.as_str().expect("a date").parse().expect("a date")
}
