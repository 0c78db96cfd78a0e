//! Dags, runs and tasks, of a store that a Dag processor has filled.

use jiff::Timestamp;
use serde_json::Value;
use updraft_model::dag::{Dag, NextDagRun};
use updraft_model::job::JobType;
use updraft_model::{DagVersionId, MapIndex, TaskInstanceState};
use updraft_runtime::{Clock, Ids};
use updraft_store::{
    DagAssets, FileError, Keyring, NewJob, ParsedDag, ParsedFile, Store, StoreOptions,
};

use crate::home::Home;

/// A Dag with nested groups and a mapped task, serialized by Airflow 3.3.2.
const ETL: &str = include_str!("../../testdata/etl_dag.json");

pub(crate) fn etl(dag_id: &str) -> ParsedDag {
    let mut document: Value = serde_json::from_str(ETL).unwrap();
    document["dag"]["dag_id"] = dag_id.into();
    let dag = Dag {
        dag_id: dag_id.into(),
        dag_display_name: None,
        description: Some("An ETL".into()),
        is_paused: true,
        is_stale: false,
        has_import_errors: false,
        exceeds_max_non_backfill: false,
        bundle_name: "dags-folder".into(),
        bundle_version: None,
        relative_fileloc: "etl.py".into(),
        fileloc: "/dags/etl.py".into(),
        owners: "jo, airflow".into(),
        tags: vec!["a".into(), "b".into()],
        timetable_summary: Some("0 0 * * *".into()),
        timetable_description: Some("At 00:00".into()),
        timetable_type: "cron".into(),
        timetable_partitioned: false,
        asset_expression: None,
        max_active_tasks: 16,
        max_active_runs: 16,
        max_consecutive_failed_dag_runs: 0,
        has_task_concurrency_limits: false,
        fail_fast: false,
        allowed_run_types: None,
        next_dagrun: NextDagRun::default(),
        last_parsed_time: None,
        last_parse_duration_secs: None,
        last_expired: None,
    };
    ParsedDag {
        dag,
        owner_links: Vec::new(),
        data: document.to_string(),
        dag_hash: dag_id.to_owned(),
        source_code: "# etl".into(),
        new_version_id: DagVersionId(Ids::random().uuid()),
        assets: DagAssets::default(),
        deadlines: Vec::new(),
    }
}

/// A home whose store has the Dags `etl` and `etl_2` and a broken file.
pub(crate) fn filled() -> Home {
    let home = Home::migrated();
    in_store(&home, async |store| {
        let mut tx = store.write().await.unwrap();
        tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
        let file = |name: &str, dags, import_errors| ParsedFile {
            bundle_name: "dags-folder".into(),
            relative_fileloc: name.into(),
            dags,
            import_errors,
            warnings: Vec::new(),
            duration_secs: 0.25,
            content_hash: None,
        };
        let good = file("etl.py", vec![etl("etl"), etl("etl_2")], Vec::new());
        let error = FileError {
            filename: "broken.py".into(),
            stacktrace: "Traceback\nModuleNotFoundError: No module named 'x'\n".into(),
        };
        let broken = file("broken.py", Vec::new(), vec![error]);
        tx.persist_parse(&good, Clock::machine().now())
            .await
            .unwrap();
        tx.persist_parse(&broken, Clock::machine().now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    });
    home
}

pub(crate) fn in_store(home: &Home, work: impl AsyncFn(&Store)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let key = std::fs::read_to_string(home.path().join("fernet.key")).unwrap();
        let url = format!("sqlite://{}", home.path().join("updraft.db").display());
        let options = StoreOptions::new(url, Keyring::parse(&key).unwrap());
        let store = Store::open(options).await.unwrap();
        work(&store).await;
        store.close().await;
    });
}

pub(crate) fn only_row(json: &str) -> Value {
    let rows: Vec<Value> = serde_json::from_str(json).unwrap();
    assert_eq!(rows.len(), 1, "{json}");
    rows[0].clone()
}

#[test]
fn dags_are_listed_with_the_columns_asked_for() {
    let home = filled();
    let list = home.line("dags list");
    assert!(list.err.contains("list-import-errors"), "{list:?}");
    let first = "dag_id | fileloc      | owners     | is_paused | bundle_name | bundle_version";
    let list = list.fine();
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines[0], first);
    assert_eq!(
        lines[2],
        "etl    | /dags/etl.py | jo,airflow | True      | dags-folder | None          "
    );
    let list = home.line("dags list --columns dag_id,timetable_periodic,nope -o json");
    assert!(list.err.contains("invalid columns: nope"), "{list:?}");
    let wanted = "[{\"dag_id\": \"etl\", \"timetable_periodic\": \"True\"}, \
                  {\"dag_id\": \"etl_2\", \"timetable_periodic\": \"True\"}]\n";
    assert_eq!(list.fine(), wanted);
    let error = home.line("dags list -B elsewhere").refused(1);
    assert!(
        error.contains("elsewhere") && error.contains("dags-folder"),
        "{error}"
    );
}

#[test]
fn import_errors_are_shown_and_make_the_command_fail() {
    let errors = filled().line("dags list-import-errors -o json");
    assert_eq!(errors.code, 1, "{errors:?}");
    let row = only_row(&errors.out);
    assert_eq!(row["bundle_name"], "dags-folder");
    assert_eq!(row["filepath"], "broken.py");
    assert!(
        row["error"]
            .as_str()
            .unwrap()
            .contains("ModuleNotFoundError")
    );
}

#[test]
fn details_have_a_line_for_each_property() {
    let home = filled();
    let details = home.line("dags details etl").fine();
    assert!(
        details.starts_with("property_name                   | property_value"),
        "{details}"
    );
    assert!(
        details.contains("\nis_backfillable                 | True"),
        "{details}"
    );
    let details = only_row(&home.line("dags details etl -o json").fine());
    assert_eq!(details["tags"][0]["name"], "a");
    assert!(home.line("dags details nope").refused(1).contains("nope"));
}

#[test]
fn a_triggered_run_is_queued_with_its_task_instances() {
    let home = filled();
    let trigger = [
        "dags",
        "trigger",
        "etl",
        "-r",
        "r1",
        "-c",
        "{\"n\": 5}",
        "-l",
        "2024-05-05T10:00:00.123456+00:00",
        "-o",
        "json",
    ];
    let before = Clock::machine().now();
    let run = only_row(&home.run(&trigger).fine());
    assert_eq!(run["dag_run_id"], "r1");
    assert_eq!(run["logical_date"], "2024-05-05 10:00:00+00:00");
    assert_eq!(run["conf"]["n"], "5");
    assert_eq!(
        (&run["state"], &run["run_type"]),
        (&"queued".into(), &"manual".into())
    );
    // The command line infers the interval from the present, not from the logical date.
    let start = run["data_interval_start"]
        .as_str()
        .unwrap()
        .replacen(' ', "T", 1);
    let start: Timestamp = start.parse().unwrap();
    assert!(
        start.duration_since(before).as_hours().abs() <= 48,
        "{start}"
    );
    assert_eq!(
        home.line("dags state etl r1").fine(),
        "queued, {\"n\": 5}\n"
    );
    assert_eq!(
        home.line("dags state etl 2024-05-05T10:00:00").fine(),
        "queued, {\"n\": 5}\n"
    );
    assert_eq!(home.line("dags state etl zz").fine(), "None\n");
    let states = home.line("tasks states-for-dag-run etl r1 -o plain").fine();
    assert_eq!(states.lines().count(), 8, "{states}");
    assert_eq!(home.line("tasks state etl start r1").fine(), "None\n");
    let runs = home
        .line("dags list-runs etl -o json --state queued -s 2024-05-05 -e 2024-05-06")
        .fine();
    assert_eq!(only_row(&runs)["run_id"], "r1");
    assert_eq!(
        home.line("dags list-runs etl -s 2024-05-06").fine(),
        "No data found\n"
    );
}

#[test]
fn without_a_logical_date_a_run_has_no_interval_and_an_id_of_its_own() {
    let run = only_row(&filled().line("dags trigger etl -o json").fine());
    for absent in ["logical_date", "data_interval_start", "data_interval_end"] {
        assert_eq!(run[absent], Value::Null, "{absent}");
    }
    assert!(run["dag_run_id"].as_str().unwrap().starts_with("manual__"));
}

#[test]
fn a_run_that_cannot_be_is_refused_with_the_reason() {
    let home = filled();
    home.line("dags trigger etl -r r1 -l 2024-05-05").fine();
    for (arguments, code, reason) in [
        (vec!["nope"], 1, "Dag id nope not found"),
        (vec!["etl", "-r", "r1"], 1, "run id r1"),
        (
            vec!["etl", "-l", "2024-05-05"],
            1,
            "at 2024-05-05T00:00:00+00:00",
        ),
        (vec!["etl", "-c", "[1]"], 1, "JSON object"),
        (vec!["etl", "-c", "{x}"], 1, "not JSON"),
        (vec!["etl", "-l", "soon"], 2, "`soon`"),
        (vec!["etl", "-r", "../up"], 1, "../up"),
    ] {
        let arguments = [vec!["dags", "trigger"], arguments].concat();
        let error = home.run(&arguments).refused(code);
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
}

#[test]
fn pausing_tells_what_was_before_and_asks_for_patterns() {
    let home = filled();
    assert_eq!(
        home.line("dags pause etl").fine(),
        "No unpaused DAGs were found\n"
    );
    assert_eq!(
        home.line("dags unpause etl -o json").fine(),
        "[{\"dag_id\": \"etl\", \"is_paused\": \"True\"}]\n"
    );
    assert_eq!(
        home.line("dags unpause etl").fine(),
        "No paused DAGs were found\n"
    );
    let asked = home.line("dags pause et. --treat-dag-id-as-regex").fine();
    assert!(
        asked.contains("You are about to pause 1 DAGs:\netl\n"),
        "{asked}"
    );
    assert!(asked.ends_with("Operation cancelled by user\n"), "{asked}");
    home.line("dags pause et. --treat-dag-id-as-regex -y")
        .fine();
    assert_eq!(
        home.line("dags pause etl").fine(),
        "No unpaused DAGs were found\n"
    );
}

#[test]
fn tasks_are_listed_and_drawn() {
    let home = filled();
    assert_eq!(
        home.line("tasks list etl").fine(),
        "end\nf\nload.a\nload.inner.b\nstart\n"
    );
    let dot = home.line("dags show etl").fine();
    assert!(
        dot.starts_with("digraph etl {\n") && dot.contains("start -> \"load.upstream_join_id\""),
        "{dot}"
    );
    let file = home.file("etl.dot");
    home.run(&["dags", "show", "etl", "--save", &file]).fine();
    assert_eq!(
        format!("{}\n", std::fs::read_to_string(&file).unwrap()),
        dot
    );
    assert!(
        home.line("dags show etl --save etl.png")
            .refused(2)
            .contains("dot -Tpng")
    );
}

#[test]
fn a_dag_is_deleted_unless_a_task_runs() {
    let home = filled();
    home.line("dags trigger etl -r r1").fine();
    set_state(&home, TaskInstanceState::Running);
    let error = home.line("dags delete etl -y").refused(1);
    assert!(error.contains("TaskInstances still running"), "{error}");
    set_state(&home, TaskInstanceState::Failed);
    assert!(home.line("dags delete etl").fine().ends_with("Cancelled\n"));
    home.line("dags delete etl -y").fine();
    assert!(
        home.line("dags delete etl -y")
            .refused(1)
            .contains("not found")
    );
    assert!(
        home.line("dags list-runs etl")
            .refused(1)
            .contains("not found")
    );
}

/// Moves the task instance of `start`.
fn set_state(home: &Home, state: TaskInstanceState) {
    in_store(home, async |store| {
        let mut tx = store.write().await.unwrap();
        let rows = tx
            .load_task_instances_of_run(&"etl".into(), &"r1".into())
            .await
            .unwrap();
        let row = rows
            .iter()
            .find(|row| row.task_id.as_str() == "start")
            .unwrap();
        let update = updraft_store::TaskInstanceUpdate {
            id: row.id,
            from: row.state,
            map_index: row.map_index,
            state,
            try_number: 1,
            start_date: Some(Clock::machine().now()),
            end_date: None,
            duration_secs: None,
            scheduled_dttm: None,
            deferral: None,
        };
        let won = tx
            .update_task_instances(&[update], Clock::machine().now())
            .await
            .unwrap();
        assert_eq!(won.len(), 1);
        tx.commit().await.unwrap();
    });
}

#[test]
fn jobs_are_listed_the_latest_first() {
    let home = filled();
    assert_eq!(home.line("dags list-jobs").fine(), "No data found\n");
    in_store(&home, async |store| {
        let mut tx = store.write().await.unwrap();
        for job_type in [JobType::Scheduler, JobType::DagProcessor] {
            let job = NewJob {
                job_type,
                hostname: "here".into(),
                unixname: "me".into(),
                pid: 1,
            };
            tx.start_job(&job, Clock::machine().now()).await.unwrap();
        }
        tx.commit().await.unwrap();
    });
    let jobs = home.line("dags list-jobs -o plain --limit 1").fine();
    assert_eq!(jobs.lines().count(), 2, "{jobs}");
    assert!(
        jobs.contains("None") && jobs.contains("DagProcessorJob"),
        "{jobs}"
    );
    assert_eq!(
        home.line("dags list-jobs --state failed").fine(),
        "No data found\n"
    );
    let check = home
        .line("jobs check --job-type SchedulerJob --hostname here")
        .fine();
    assert_eq!(check, "Found one alive job.\n");
    assert!(
        home.line("jobs check --limit 0")
            .refused(1)
            .contains("Found 2 alive jobs")
    );
    assert!(
        home.line("jobs check --hostname there")
            .refused(1)
            .contains("No alive jobs")
    );
}

#[test]
fn reserialize_needs_a_dag_processor() {
    let error = filled().line("dags reserialize").refused(1);
    assert!(error.contains("no Dag processor is running"), "{error}");
}

#[test]
fn cleared_task_instances_run_again_with_what_is_below_them() {
    let home = filled();
    home.line("dags trigger etl -r r1 -l 2024-05-05").fine();
    set_state(&home, TaskInstanceState::Failed);
    assert_eq!(home.line("tasks state etl start r1").fine(), "failed\n");
    let asked = home.line("tasks clear etl -f").fine();
    assert!(
        asked.contains("clear these 1 tasks:\netl.start r1 [failed]\n"),
        "{asked}"
    );
    assert!(
        asked.ends_with("Cancelled, nothing was cleared.\n"),
        "{asked}"
    );
    assert_eq!(home.line("tasks state etl start r1").fine(), "failed\n");

    home.line("tasks clear etl -y -s 2024-05-06").fine();
    home.line("tasks clear etl -y -t end").fine();
    assert_eq!(home.line("tasks state etl start r1").fine(), "failed\n");
    let asked = home.line("tasks clear et. -R -t ^start$ -d").fine();
    // `start`, `load.a`, `load.inner.b` and `end`; the mapped task does not wait for it.
    assert!(asked.contains("clear these 4 tasks"), "{asked}");
    let cleared = home.line("tasks clear etl -y -t start");
    assert!(
        cleared.err.contains("1 task instances were cleared"),
        "{cleared:?}"
    );
    assert_eq!(home.line("tasks state etl start r1").fine(), "None\n");
    in_store(&home, async |store| {
        let mut reader = store.read().await.unwrap();
        let past = reader
            .load_past_tries(&"etl".into(), &"r1".into(), &"start".into(), MapIndex(-1))
            .await
            .unwrap();
        assert_eq!(past.len(), 1);
        assert_eq!(past[0].state, TaskInstanceState::Failed);
    });
    assert!(home.line("tasks clear nope -y").refused(1).contains("nope"));
    assert!(
        home.line("tasks clear etl -y -t (")
            .refused(2)
            .contains("no pattern")
    );
}
