//! Assets, partitions and what tasks keep, on the command line.

use serde_json::{Value, json};
use updraft_model::dag_run::NewDagRun;
use updraft_model::state_store::TaskScope;
use updraft_model::{DagRunTriggeredBy, DagRunType, MapIndex};
use updraft_runtime::Clock;
use updraft_store::{
    AssetAliasDefinition, AssetDefinition, ParsedDag, ParsedFile, RunCreation, Store,
};

use crate::dags::{etl, in_store, only_row};
use crate::home::Home;

fn asset(name: &str, extra: Value) -> AssetDefinition {
    AssetDefinition {
        name: name.to_owned(),
        uri: format!("s3://bucket/{name}"),
        group: "files".to_owned(),
        extra,
    }
}

/// `write` makes `raw` and `clean`, `write_too` makes `clean`; `daily` has partitions.
fn dags() -> Vec<ParsedDag> {
    let (raw, clean) = (asset("raw", json!({"rows": 7})), asset("clean", json!({})));
    let mut write = etl("write");
    write.assets.outlets = vec![("load".into(), raw), ("load".into(), clean.clone())];
    write.assets.other_aliases = vec![AssetAliasDefinition {
        name: "latest".to_owned(),
        group: "aliases".to_owned(),
    }];
    let mut write_too = etl("write_too");
    write_too.assets.outlets = vec![("load".into(), clean)];
    let mut daily = etl("daily");
    let mut document: Value = serde_json::from_str(&daily.data).unwrap();
    document["dag"]["timetable"] = json!({
        "__type": "airflow.timetables.trigger.CronPartitionTimetable",
        "__var": {
            "expression": "0 0 * * *", "timezone": "America/New_York", "run_offset": 0,
            "run_immediately": false, "key_format": "%Y-%m-%d",
        },
    });
    daily.data = document.to_string();
    daily.dag.timetable_partitioned = true;
    vec![write, write_too, daily]
}

fn filled() -> Home {
    let home = Home::migrated();
    in_store(&home, async |store| {
        let mut tx = store.write().await.unwrap();
        tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
        let file = ParsedFile {
            bundle_name: "dags-folder".into(),
            relative_fileloc: "etl.py".into(),
            dags: dags(),
            import_errors: Vec::new(),
            warnings: Vec::new(),
            duration_secs: 0.25,
            content_hash: None,
        };
        let now = Clock::machine().now();
        tx.persist_parse(&file, now).await.unwrap();
        tx.commit().await.unwrap();
        for day in 1..=3 {
            create_day(store, day).await;
        }
    });
    home
}

/// A run of `daily` at midnight in New York.
async fn create_day(store: &Store, day: u32) {
    let now = Clock::machine().now();
    let mut tx = store.write().await.unwrap();
    let version = tx
        .find_latest_version(&"daily".into())
        .await
        .unwrap()
        .unwrap();
    let date = format!("2026-03-0{day}T05:00:00Z").parse().unwrap();
    let run = NewDagRun {
        dag_id: "daily".into(),
        run_id: format!("day{day}").as_str().into(),
        run_type: DagRunType::Manual,
        triggered_by: DagRunTriggeredBy::Cli,
        triggering_user_name: None,
        logical_date: None,
        data_interval: None,
        run_after: now,
        conf: json!({}),
        note: None,
        partition_key: Some(format!("2026-03-0{day}")),
        partition_date: Some(date),
        backfill_id: None,
        creating_job_id: None,
        created_dag_version_id: version.id,
        bundle_name: None,
        bundle_version: None,
    };
    let created = tx.create_dag_run(&run, now).await.unwrap();
    assert!(matches!(created, RunCreation::Created(_)));
    tx.commit().await.unwrap();
}

#[test]
fn assets_are_listed_and_shown() {
    let home = filled();
    let list = "name  | uri               | group | extra      \n\
                ======+===================+=======+============\n\
                clean | s3://bucket/clean | files | {}         \n\
                raw   | s3://bucket/raw   | files | {'rows': 7}\n";
    assert!(home.line("assets list").fine().starts_with(list));
    let ids = home
        .line("assets list --columns nothing,uri -o json")
        .fine();
    let uris = r#"[{"uri": "s3://bucket/clean"}, {"uri": "s3://bucket/raw"}]"#;
    assert_eq!(ids, format!("{uris}\n"));
    let aliases = home.line("assets list --alias -o json").fine();
    assert_eq!(
        aliases,
        "[{\"name\": \"latest\", \"group\": \"aliases\"}]\n"
    );

    let raw = only_row(&home.line("assets details --name raw -o json").fine());
    assert_eq!(raw["producing_tasks"][0]["dag_id"], "write");
    assert_eq!(raw["last_asset_event"], Value::Null);
    let alias = home
        .line("assets details --alias --name latest -o plain")
        .fine();
    assert!(alias.contains("aliases"), "{alias}");
    for (line, reason) in [
        ("assets details", "Either --name or --uri is required"),
        ("assets details --alias", "Required --name with --alias"),
        (
            "assets details --name no --uri s3://x",
            "Asset with name no and URI s3://x does not exist.",
        ),
        (
            "assets details --alias --name no",
            "Asset alias with name no does not exist.",
        ),
        (
            "assets details --alias --name latest --uri x",
            "Cannot use --uri with --alias",
        ),
        ("assets materialize", "Either --name or --uri is required"),
        (
            "assets materialize --uri no",
            "Asset with URI no does not exist.",
        ),
        (
            "assets materialize --name clean",
            "More than one DAG materializes asset with name clean.",
        ),
    ] {
        let error = home.line(line).refused(1);
        assert!(error.contains(reason), "{line}: {error}");
    }
}

#[test]
fn an_asset_is_materialized_by_a_run_of_its_dag() {
    let home = filled();
    let run = only_row(&home.line("assets materialize --name raw -o json").fine());
    assert_eq!(run["dag_id"], "write");
    assert_eq!(run["run_type"], "asset_materialization");
    assert_eq!(run["triggered_by"], "cli");
    assert_eq!(run["dag_versions"][0]["dag_id"], "write");
    let run_id = run["dag_run_id"].as_str().unwrap();
    assert!(run_id.starts_with("asset_materialization__"), "{run_id}");
    let state = home.run(&["dags", "state", "write", run_id]).fine();
    assert!(state.starts_with("queued"), "{state}");
}

#[test]
fn runs_are_taken_off_their_partitions() {
    let home = filled();
    let say = |line: &str| {
        home.line(&format!("partitions clear -d daily {line}"))
            .fine()
    };
    assert_eq!(
        say("--date 2026-03-01~2026-03-02 --dry-run"),
        "DagRun day1: partition_key='2026-03-01' -> None, \
         partition_date=2026-03-01T05:00:00+00:00 -> None\n\
         DagRun day2: partition_key='2026-03-02' -> None, \
         partition_date=2026-03-02T05:00:00+00:00 -> None\n\
         Dry run: would clear 2 DagRun(s). No changes written.\n"
    );
    let cleared = say("-k 2026-03-01");
    assert!(
        cleared.ends_with("Cleared partition fields on 1 DagRun(s).\n"),
        "{cleared}"
    );
    let again = "DagRun day1: already cleared, skipping.\n\
                 Cleared partition fields on 0 DagRun(s).\n";
    assert_eq!(say("--run-id day1"), again);
    let rest = say("-s 2026-03-03T00:00:00 --clear-task-instances");
    let instances = "Cleared task instances on 1 DagRun(s) (0 task instance(s)).\n";
    assert!(rest.contains(instances), "{rest}");
    assert_eq!(
        say("-e 2026-03-01"),
        "No matching DagRuns found for dag_id=daily.\n"
    );
    for (line, reason) in [
        (
            "",
            "Specify exactly one of --run-id, --partition-key, or a partition_date range",
        ),
        (" --run-id x -k y", "Specify exactly one of"),
        (" --date 2026-01-02", "--date must be in the form 'a~b'"),
        (
            " --date 2026-01-02~x",
            "--date sides must be parseable as a date or datetime.",
        ),
        (
            " --date 2026-01-03~2026-01-02",
            "the start of the range ('2026-01-03') must be on or before",
        ),
        (
            " -s 2026-01-03 -e 2026-01-02",
            "--start-date must be on or before --end-date.",
        ),
        (" -s 2026-01-03 --date a~b", "--date cannot be combined"),
    ] {
        let error = home
            .line(&format!("partitions clear -d daily{line}"))
            .refused(1);
        assert!(error.contains(reason), "{line}: {error}");
    }
}

#[test]
fn runs_are_cleared_by_their_partition() {
    let home = filled();
    let window = "--partition-date-start 2026-03-02 --partition-date-end 2026-03-03";
    let cleared = home.line(&format!("dags clear daily {window} -y")).fine();
    assert_eq!(cleared, "Cleared 0 task instance(s) across 2 Dag run(s).\n");
    let asked = home.line("dags clear daily --run-id day1").fine();
    assert_eq!(
        asked,
        "You are about to clear 1 Dag run(s) of 'daily':\n  day1  partition_key=2026-03-01  \
         partition_date=2026-03-01 05:00:00+00:00\n\nAre you sure? [y/n] Cancelled, nothing was \
         cleared.\n"
    );
    let none = home.line("dags clear daily --partition-key x -y").fine();
    assert_eq!(none, "No matching Dag runs found.\n");
    for (line, reason) in [
        ("dags clear daily", "must be provided."),
        (
            "dags clear daily --run-id x --partition-key y",
            "mutually exclusive",
        ),
        ("dags clear no --run-id x", "no not found"),
        (
            "dags clear daily --partition-date-start 2026-03-03 --partition-date-end 2026-03-02",
            "--partition-date-start must be on or before --partition-date-end.",
        ),
    ] {
        let error = home.line(line).refused(1);
        assert!(error.contains(reason), "{line}: {error}");
    }
}

#[test]
fn expired_values_of_tasks_are_cleaned() {
    let home = filled();
    let clean = || home.line("state-store clean --dry-run").fine();
    assert_eq!(clean(), "Nothing to delete.\n");
    in_store(&home, async |store| {
        let scope = TaskScope {
            dag_id: "daily".into(),
            run_id: "day1".into(),
            task_id: "load".into(),
            map_index: MapIndex::UNMAPPED,
        };
        let now = Clock::machine().now();
        let mut tx = store.write().await.unwrap();
        for (key, expires_at) in [("old", Some(now)), ("kept", None)] {
            tx.set_task_state(&scope, key, "1", expires_at, now)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
    });
    let line = "  Dag 'daily', run 'day1', task 'load', map_index -1, key 'old'\n";
    assert_eq!(
        clean(),
        format!("Would delete 1 task state store row(s):\n\n{line}")
    );
    home.line("state-store clean").fine();
    assert_eq!(clean(), "Nothing to delete.\n");
}
