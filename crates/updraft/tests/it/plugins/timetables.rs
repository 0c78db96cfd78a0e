//! Timetables that plugins bring.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_testkit::{RestClient, SECOND, wait_until};

use super::{read, with_plugins, write};

const PLUGIN: &str = include_str!("../../plugins/clocks.py");
const DAGS: &str = include_str!("../../plugins/clocks_dags.py");

/// Less than a hanging timetable takes, with room for a busy machine.
const LATE_MAX: Duration = Duration::from_secs(4);

#[test]
fn while_a_timetable_hangs_other_dags_get_their_runs_in_time() {
    let mut updraft = with_plugins(&[("clocks_dags.py", DAGS)], &[("clocks.py", PLUGIN)])
        .with("AIRFLOW__UPDRAFT__PLUGIN_TIMEOUT", "8");
    let client = updraft.start();
    client.wait_for_dag("hangs", 90 * SECOND);
    let log = wait_until("the hang is logged", 90 * SECOND, || {
        let log = updraft.output();
        match log.lines().find(|line| line.contains("took more than 8s")) {
            Some(line) => Ok(line.to_owned()),
            None => Err(()),
        }
    });
    assert!(
        log.contains("clocks.Hangs") && log.contains("hangs"),
        "{log}"
    );
    let lateness = |run: &Value| at(&run["queued_at"]).duration_since(at(&run["run_after"]));
    let runs = client.list("/api/v2/dags/often/dagRuns?order_by=run_after", "dag_runs");
    // The first one was due before the Dag was known.
    let latest = runs.iter().skip(1).map(lateness).max();
    let latest = latest.expect("there were runs meanwhile");
    assert!(
        latest.unsigned_abs() < LATE_MAX,
        "one of {} runs was created {latest} late",
        runs.len()
    );
    assert_eq!(
        client.list("/api/v2/dags/hangs/dagRuns", "dag_runs"),
        [] as [Value; 0]
    );
    // It is not asked again and again.
    let asked = read(updraft.home(), "asked").len();
    assert!(asked <= 2, "asked {asked} times");

    // A plugin that changes is asked anew, at once.
    write(updraft.home(), "mended", "");
    write(
        updraft.home(),
        "plugins/clocks.py",
        &format!("{PLUGIN}\n# mended\n"),
    );
    wait_until("the run that was due is there", 90 * SECOND, || {
        let runs = client.list("/api/v2/dags/hangs/dagRuns", "dag_runs");
        if runs.len() == 1 { Ok(()) } else { Err(runs) }
    });
}

#[test]
fn a_timetable_decides_dates_ids_and_words() {
    let mut updraft = with_plugins(&[("clocks_dags.py", DAGS)], &[("clocks.py", PLUGIN)]);
    write(updraft.home(), "mended", "");
    let client = updraft.start();
    client.wait_for_dag("names", 90 * SECOND);
    let runs = wait_until("both runs are there", 90 * SECOND, || {
        let runs = client.list("/api/v2/dags/names/dagRuns?order_by=run_after", "dag_runs");
        if runs.len() == 2 { Ok(runs) } else { Err(runs) }
    });
    let seen: Vec<_> = runs
        .iter()
        .map(|run| {
            json!([
                run["dag_run_id"],
                run["data_interval_start"],
                run["run_after"]
            ])
        })
        .collect();
    assert_eq!(
        seen,
        [
            json!([
                "each-scheduled-20260101",
                "2026-01-01T00:00:00Z",
                "2026-01-02T00:00:00Z"
            ]),
            json!([
                "each-scheduled-20260102",
                "2026-01-02T00:00:00Z",
                "2026-01-03T00:00:00Z"
            ]),
        ]
    );
    let dag = client.get("/api/v2/dags/names/details");
    assert_eq!(dag["timetable_summary"], json!("two of each"));
    assert_eq!(dag["timetable_description"], json!("Two of them"));
    wait_until("it says that there is none after", 60 * SECOND, || {
        let next = client.get("/api/v2/dags/names")["next_dagrun_run_after"].clone();
        if next.is_null() { Ok(()) } else { Err(next) }
    });

    let run = trigger(&client, "2026-03-08T12:00:00Z");
    assert_eq!(run["dag_run_id"], json!("each-manual-20260301"));
    assert_eq!(run["data_interval_start"], json!("2026-03-01T12:00:00Z"));
    assert_eq!(run["data_interval_end"], json!("2026-03-08T12:00:00Z"));
    assert_eq!(
        client.wait_for_run("names", "each-manual-20260301", 60 * SECOND),
        "success"
    );
}

#[test]
fn backfills_ask_the_timetable_for_their_dates() {
    let mut updraft = with_plugins(&[("clocks_dags.py", DAGS)], &[("clocks.py", PLUGIN)]);
    write(updraft.home(), "mended", "");
    let client = updraft.start();
    client.wait_for_dag("names", 90 * SECOND);
    let wish = json!({
        "dag_id": "names",
        "from_date": "2026-05-01T00:00:00Z",
        "to_date": "2026-05-31T00:00:00Z",
        "max_active_runs": 2,
    });
    let expected = ["2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z"];
    let preview = client.call("POST", "/api/v2/backfills/dry_run", Some(&wish));
    assert_eq!(preview.status, 200, "{}", preview.body);
    let dates: Vec<_> = preview.body["backfills"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tick| &tick["logical_date"])
        .collect();
    assert_eq!(dates, expected);
    let created = client.call("POST", "/api/v2/backfills", Some(&wish));
    assert_eq!(created.status, 200, "{}", created.body);
    let place = format!("/api/v2/backfills/{}", created.body["id"]);
    wait_until("the backfill is completed", 90 * SECOND, || {
        let backfill = client.get(&place);
        match backfill["completed_at"].is_null() {
            true => Err(backfill),
            false => Ok(()),
        }
    });
    let path = "/api/v2/dags/names/dagRuns?run_type=backfill&order_by=run_after";
    let runs = client.list(path, "dag_runs");
    let seen: Vec<_> = runs
        .iter()
        .map(|run| json!([run["dag_run_id"], run["data_interval_end"], run["state"]]))
        .collect();
    assert_eq!(
        seen,
        [
            json!([
                "backfill__2026-05-02T00:00:00+00:00",
                "2026-05-02T00:00:00Z",
                "success"
            ]),
            json!([
                "backfill__2026-05-03T00:00:00+00:00",
                "2026-05-03T00:00:00Z",
                "success"
            ]),
        ]
    );
}

#[track_caller]
fn trigger(client: &RestClient, logical_date: &str) -> Value {
    let body = json!({ "logical_date": logical_date });
    let answer = client.call("POST", "/api/v2/dags/names/dagRuns", Some(&body));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

#[track_caller]
fn at(value: &Value) -> Timestamp {
    value.as_str().expect("a date").parse().expect("a date")
}
