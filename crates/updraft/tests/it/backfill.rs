//! `updraft backfill`.

use serde_json::Value;

use crate::dags::filled;

#[test]
fn a_dry_run_shows_what_airflow_shows() {
    let home = filled();
    let shown = home.run(&[
        "backfill",
        "create",
        "--dag-id",
        "etl",
        "--from-date",
        "2026-01-06",
        "--to-date",
        "2026-01-07",
        "--dry-run",
        "--dag-run-conf",
        r#"{"limit": 2}"#,
        "--reprocess-behavior",
        "failed",
        "--max-active-runs",
        "3",
        "--run-backwards",
    ]);
    assert_eq!(
        shown.fine(),
        "Performing dry run of backfill.\n\
         Printing params:\n    \
         - dag_id = etl\n    \
         - from_date = 2026-01-06 00:00:00+00:00\n    \
         - to_date = 2026-01-07 00:00:00+00:00\n    \
         - max_active_runs = 3\n    \
         - reverse = True\n    \
         - dag_run_conf = {'limit': 2}\n    \
         - reprocess_behavior = ReprocessBehavior.FAILED\n    \
         - run_on_latest_version = True\n\
         Runs to be attempted:\n\
         +---------------------------+-----------------+------------------+\n\
         | logical_date              | partition_key   | partition_date   |\n\
         +===========================+=================+==================+\n\
         | 2026-01-07 00:00:00+00:00 |                 |                  |\n\
         +---------------------------+-----------------+------------------+\n\
         | 2026-01-06 00:00:00+00:00 |                 |                  |\n\
         +---------------------------+-----------------+------------------+\n"
    );
    assert_eq!(home.line("dags list-runs etl -o json").fine(), "[]\n");
}

#[test]
fn a_backfill_is_created_paused_unpaused_and_cancelled() {
    let home = filled();
    let create = "backfill create --dag-id etl --from-date 2026-01-01 --to-date 2026-01-03";
    let created = home.line(create);
    assert!(
        created
            .err
            .contains("created backfill 1 of etl: 3 runs for 3 dates"),
        "{created:?}"
    );
    assert_eq!(created.fine(), "");
    let runs = home.line("dags list-runs etl -o json").fine();
    let runs: Vec<Value> = serde_json::from_str(&runs).unwrap();
    assert_eq!(runs.len(), 3);
    assert_eq!(runs[2]["run_id"], "backfill__2026-01-01T00:00:00+00:00");
    let again = home.line(create).refused(1);
    assert!(
        again.contains("There can be only one running backfill per Dag."),
        "{again}"
    );
    assert!(
        again.contains("hint: `updraft backfill list --dag-id etl`"),
        "{again}"
    );

    let paused = home.line("backfill pause --backfill-id 1").fine();
    assert_eq!(paused, "Backfill 1 of etl is paused\n");
    let list = home.line("backfill list --dag-id etl -o json").fine();
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    assert_eq!(
        (&list[0]["is_paused"], &list[0]["completed_at"]),
        (&Value::from("True"), &Value::from(""))
    );
    let unpaused = home.line("backfill unpause --backfill-id 1").fine();
    assert_eq!(unpaused, "Backfill 1 of etl is unpaused\n");
    let cancelled = home.line("backfill cancel --backfill-id 1").fine();
    assert_eq!(cancelled, "Backfill 1 of etl is cancelled\n");
    let over = home.line("backfill pause --backfill-id 1").refused(1);
    assert!(over.contains("backfill 1 is already completed"), "{over}");
    let failed = home
        .line("dags list-runs etl --state failed -o json")
        .fine();
    let failed: Vec<Value> = serde_json::from_str(&failed).unwrap();
    assert_eq!(failed.len(), 3);
    let unknown = home.line("backfill pause --backfill-id 7").refused(1);
    assert!(unknown.contains("there is no backfill 7"), "{unknown}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let home = filled();
    for (line, code, reason) in [
        ("backfill create --dag-id etl", 2, "--from-date"),
        (
            "backfill create --dag-id etl --from-date 2026-01-01 --to-date 2026-01-02 \
             --max-active-runs 0",
            2,
            "0 is not in 1..",
        ),
        (
            "backfill create --dag-id etl --from-date soon --to-date 2026-01-02",
            2,
            "--from-date: expected a date",
        ),
        (
            "backfill create --dag-id nope --from-date 2026-01-01 --to-date 2026-01-02",
            1,
            "Could not find dag nope",
        ),
        (
            "backfill create --dag-id etl --from-date 2026-01-03 --to-date 2026-01-02",
            1,
            "must not be after to_date",
        ),
        (
            "backfill create --dag-id etl --from-date 2026-01-01T01:00:00 --to-date \
             2026-01-01T02:00:00",
            1,
            "No runs to create for Dag etl in the range",
        ),
    ] {
        let error = home.line(line).refused(code);
        assert!(error.contains(reason), "{line}: {error}");
    }
}
