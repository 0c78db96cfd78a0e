//! Rows to test with: a Dag `etl` in `etl.py`, its runs and task instances.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use updraft_model::dag::{Dag, NextDagRun};
use updraft_model::dag_run::{DagRun, NewDagRun};
use updraft_model::task_instance::NewTaskInstance;
use updraft_model::{
    DagId, DagRunTriggeredBy, DagRunType, DagVersionId, MapIndex, RunId, TaskId, TaskInstanceId,
    TaskInstanceState,
};
use updraft_store::{
    DagAssets, ParsedDag, ParsedFile, RunCreation, StartedTaskInstance, TaskInstanceUpdate, Tx,
};
use uuid::Uuid;

/// So many seconds after the moment when all tests take place.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_700_000_000 + seconds)
}

pub(crate) fn dag_id() -> DagId {
    DagId::new("etl")
}

pub(crate) fn run_id(name: &str) -> RunId {
    RunId::new(name)
}

pub(crate) fn ti_id() -> TaskInstanceId {
    TaskInstanceId(Uuid::now_v7())
}

pub(crate) fn dag(dag_id: &str) -> Dag {
    Dag {
        dag_id: dag_id.into(),
        dag_display_name: None,
        description: Some("loads what was extracted".to_owned()),
        is_paused: false,
        is_stale: false,
        has_import_errors: false,
        exceeds_max_non_backfill: false,
        bundle_name: "dags-folder".into(),
        bundle_version: None,
        relative_fileloc: "etl.py".to_owned(),
        fileloc: "/dags/etl.py".to_owned(),
        owners: "airflow".to_owned(),
        tags: vec!["nightly".to_owned(), "etl".to_owned()],
        timetable_summary: Some("0 0 * * *".to_owned()),
        timetable_description: None,
        timetable_type: "CronTriggerTimetable".to_owned(),
        timetable_partitioned: false,
        asset_expression: None,
        max_active_tasks: 16,
        max_active_runs: 2,
        max_consecutive_failed_dag_runs: 0,
        has_task_concurrency_limits: false,
        fail_fast: false,
        allowed_run_types: None,
        next_dagrun: NextDagRun {
            run_id: None,
            logical_date: Some(at(0)),
            data_interval_start: Some(at(0)),
            data_interval_end: Some(at(0)),
            run_after: Some(at(0)),
            partition_key: None,
            partition_date: None,
        },
        last_parsed_time: None,
        last_parse_duration_secs: Some(0.25),
        last_expired: None,
    }
}

pub(crate) fn parsed(dag: Dag, hash: &str) -> ParsedDag {
    ParsedDag {
        data: json!({"__version": 3, "dag": {"dag_id": dag.dag_id, "hash": hash}}).to_string(),
        dag,
        owner_links: vec![("airflow".to_owned(), "mailto:me@example.org".to_owned())],
        dag_hash: hash.to_owned(),
        source_code: format!("# {hash}"),
        new_version_id: DagVersionId(Uuid::now_v7()),
        assets: DagAssets::default(),
        deadlines: Vec::new(),
    }
}

pub(crate) fn file(dags: Vec<ParsedDag>) -> ParsedFile {
    ParsedFile {
        bundle_name: "dags-folder".into(),
        relative_fileloc: "etl.py".to_owned(),
        dags,
        import_errors: Vec::new(),
        warnings: Vec::new(),
        duration_secs: 0.25,
        content_hash: Some("abc".to_owned()),
    }
}

/// Makes the Dag `etl` exist; gives its version.
pub(crate) async fn write_etl(tx: &mut Tx) -> DagVersionId {
    write_dag(tx, dag("etl")).await
}

pub(crate) async fn write_dag(tx: &mut Tx, dag: Dag) -> DagVersionId {
    tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
    let dag_id = dag.dag_id.clone();
    tx.persist_parse(&file(vec![parsed(dag, "one")]), at(0))
        .await
        .unwrap();
    tx.find_latest_version(&dag_id).await.unwrap().unwrap().id
}

pub(crate) fn new_run(name: &str, version: DagVersionId, date: Option<Timestamp>) -> NewDagRun {
    NewDagRun {
        dag_id: dag_id(),
        run_id: run_id(name),
        run_type: DagRunType::Scheduled,
        triggered_by: DagRunTriggeredBy::Timetable,
        triggering_user_name: None,
        logical_date: date,
        data_interval: date.map(|date| (date, date)),
        run_after: date.unwrap_or(at(0)),
        conf: json!({"a": 1}),
        note: None,
        partition_key: None,
        partition_date: None,
        backfill_id: None,
        creating_job_id: None,
        created_dag_version_id: version,
        bundle_name: Some("dags-folder".into()),
        bundle_version: None,
    }
}

pub(crate) fn new_ti(run: &str, task: &str, version: DagVersionId) -> NewTaskInstance {
    NewTaskInstance {
        has_custom_weight: false,
        id: ti_id(),
        dag_id: dag_id(),
        run_id: run_id(run),
        task_id: task.into(),
        map_index: MapIndex::UNMAPPED,
        state: TaskInstanceState::NoStatus,
        max_tries: 1,
        pool: "default_pool".into(),
        pool_slots: 1,
        queue: "default".to_owned(),
        priority_weight: 1,
        operator: "PythonOperator".to_owned(),
        custom_operator_name: None,
        executor: None,
        executor_config: Value::Object(serde_json::Map::new()),
        dag_version_id: version,
    }
}

/// Creates a run and starts it.
pub(crate) async fn start_run(
    tx: &mut Tx,
    name: &str,
    version: DagVersionId,
    date: Option<Timestamp>,
) -> DagRun {
    let creation = tx
        .create_dag_run(&new_run(name, version, date), at(0))
        .await
        .unwrap();
    assert!(matches!(creation, RunCreation::Created(_)), "{creation:?}");
    assert!(
        tx.start_dag_run(&dag_id(), &run_id(name), at(1))
            .await
            .unwrap()
    );
    tx.find_dag_run(&dag_id(), &run_id(name))
        .await
        .unwrap()
        .unwrap()
}

/// Creates task instances in these states, in the order given.
pub(crate) async fn create_tis(
    tx: &mut Tx,
    run: &str,
    version: DagVersionId,
    tasks: &[(&str, TaskInstanceState)],
) -> Vec<TaskInstanceId> {
    let rows: Vec<StartedTaskInstance> = tasks
        .iter()
        .map(|(task, state)| {
            let mut row = StartedTaskInstance::from(new_ti(run, task, version));
            row.new.state = *state;
            row
        })
        .collect();
    let created = tx.create_task_instances(&rows, at(1)).await.unwrap();
    assert_eq!(created, rows.len() as u64);
    rows.iter().map(|row| row.new.id).collect()
}

/// `id` goes from one state to another, with its first try.
pub(crate) fn update(
    id: TaskInstanceId,
    from: TaskInstanceState,
    state: TaskInstanceState,
) -> TaskInstanceUpdate {
    TaskInstanceUpdate {
        id,
        from,
        map_index: MapIndex::UNMAPPED,
        state,
        try_number: 1,
        start_date: None,
        end_date: None,
        duration_secs: None,
        scheduled_dttm: Some(at(2)),
        deferral: None,
    }
}

pub(crate) fn task(name: &str) -> TaskId {
    TaskId::new(name)
}
