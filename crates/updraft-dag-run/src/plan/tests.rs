use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Value, json};
use updraft_model::dag::{Dag, DagVersion, NextDagRun};
use updraft_model::serialized::SerializedDag;
use updraft_model::{DagRunTriggeredBy, DagRunType, DagVersionId};
use uuid::Uuid;

use super::{PlannedRun, plan_dag_run};
use crate::request::{Context, InferFrom, Refusal, RunRequest, RunRules};

const NOW: &str = "2026-06-15T12:34:56.5Z";

fn at(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn dag_row(dag_id: &str) -> Dag {
    Dag {
        dag_id: dag_id.into(),
        dag_display_name: None,
        description: None,
        is_paused: false,
        is_stale: false,
        has_import_errors: false,
        exceeds_max_non_backfill: false,
        bundle_name: "dags-folder".into(),
        bundle_version: Some("v1".to_owned()),
        relative_fileloc: "golden.py".to_owned(),
        fileloc: "/dags/golden.py".to_owned(),
        owners: "ann".to_owned(),
        tags: Vec::new(),
        timetable_summary: None,
        timetable_description: None,
        timetable_type: String::new(),
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
    }
}

/// Plans a run of one of the Dags in `testdata`, after `change` had its way with the Dag's row.
fn plan_with(
    dag_id: &str,
    request: &RunRequest,
    change: impl FnOnce(&mut Dag),
) -> Result<PlannedRun, Refusal> {
    let all: Value = serde_json::from_str(include_str!("../../testdata/serialized.json")).unwrap();
    let serialized = SerializedDag::parse(all[dag_id].clone()).unwrap();
    let mut dag = dag_row(dag_id);
    change(&mut dag);
    let version = DagVersion {
        id: DagVersionId(Uuid::from_u128(7)),
        dag_id: dag_id.into(),
        version_number: 1,
        bundle_name: Some("dags-folder".into()),
        bundle_version: Some("v1".to_owned()),
        view_url: None,
        dag_hash: String::new(),
        created_at: at(NOW),
        last_updated: at(NOW),
    };
    let rules = RunRules {
        allowed_run_id_pattern: "^[A-Za-z0-9_.~:+-]+$".to_owned(),
        allow_double_dot_in_ids: false,
        disable_bundle_versioning: false,
    };
    let context = Context {
        dag: &dag,
        version: &version,
        serialized: &serialized,
        rules: &rules,
    };
    let mut next = 0;
    plan_dag_run(request, &context, at(NOW), "RANDOM8C", || {
        next += 1;
        Uuid::from_u128(next)
    })
}

fn plan(dag_id: &str, request: &RunRequest) -> Result<PlannedRun, Refusal> {
    plan_with(dag_id, request, |_| {})
}

fn manual() -> RunRequest {
    RunRequest::new(DagRunType::Manual, DagRunTriggeredBy::RestApi)
}

fn refusal(request: &RunRequest) -> String {
    plan("daily_sales", request).unwrap_err().to_string()
}

#[test]
fn a_run_without_a_date_starts_at_once_and_has_no_interval() {
    let planned = plan("daily_sales", &manual()).unwrap();
    assert_eq!(
        planned.run.run_id,
        "manual__2026-06-15T12:34:56.500000+00:00"
    );
    assert_eq!(planned.run.run_after, at(NOW));
    assert_eq!(planned.run.data_interval, None);
    assert_eq!(planned.run.bundle_version.as_deref(), Some("v1"));
    let tasks: Vec<&str> = planned
        .task_instances
        .iter()
        .map(|ti| ti.task_id.as_str())
        .collect();
    assert_eq!(tasks, ["extract", "load.rows", "load.index", "done"]);
    assert_eq!(planned.task_instances[0].pool_slots, 2);
    assert_eq!(planned.task_instances[0].max_tries, 2);
}

#[test]
fn the_interval_follows_from_the_logical_date_or_from_run_after_depending_on_who_asks() {
    let mut request = manual();
    request.logical_date = Some(at("2026-03-01T06:30:00Z"));
    request.run_after = Some(at("2026-04-01T06:30:00Z"));
    let planned = plan("daily_sales", &request).unwrap();
    let start = planned.run.data_interval.unwrap().0;
    assert_eq!(start, at("2026-03-01T06:30:00Z"));
    request.infer_from = InferFrom::RunAfter;
    let planned = plan("daily_sales", &request).unwrap();
    let start = planned.run.data_interval.unwrap().0;
    assert_eq!(start, at("2026-04-01T06:30:00Z"));
}

#[test]
fn the_id_shows_run_after_as_it_was_written() {
    let mut request = manual();
    request.run_after = Some(at("2026-03-03T06:00:00.5+02:00"));
    request.run_after_offset = Offset::from_seconds(7_200).unwrap();
    let planned = plan("daily_sales", &request).unwrap();
    assert_eq!(
        planned.run.run_id,
        "manual__2026-03-03T06:00:00.500000+02:00"
    );
}

#[test]
fn tasks_whose_dates_exclude_the_run_are_left_out() {
    let mut request = manual();
    request.logical_date = Some(at("2025-12-31T00:00:00Z"));
    assert!(
        plan("daily_sales", &request)
            .unwrap()
            .task_instances
            .is_empty()
    );
    request.run_type = DagRunType::Backfill;
    request.run_id = Some("backfill__1".to_owned());
    assert_eq!(
        plan("daily_sales", &request).unwrap().task_instances.len(),
        4
    );
}

#[test]
fn a_task_mapped_at_run_time_begins_as_one_instance() {
    let planned = plan("mapped", &manual()).unwrap();
    let indexes: Vec<i32> = planned
        .task_instances
        .iter()
        .map(|ti| ti.map_index.0)
        .collect();
    assert_eq!(indexes, [-1, -1, -1]);
}

#[test]
fn ids_must_fit_the_pattern_and_the_type() {
    let mut request = manual();
    request.run_id = Some("a b".to_owned());
    assert_eq!(
        refusal(&request),
        r"The run_id provided 'a b' does not match regex pattern '^[A-Za-z0-9_.~:+-]+$' or '^(?:manual|scheduled|asset_triggered)__(?:\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\+00:00)$'"
    );
    request.run_id = Some("scheduled__x".to_owned());
    assert_eq!(
        refusal(&request),
        "A manual DAG run cannot use ID 'scheduled__x' since it is reserved for scheduled runs"
    );
    request.run_id = Some("a..b".to_owned());
    assert!(refusal(&request).contains("must not contain '..'"));
}

#[test]
fn conf_is_checked_against_the_params() {
    let mut request = manual();
    request.conf = json!({"region": "moon"}).as_object().cloned();
    assert_eq!(
        refusal(&request),
        "Invalid input for param region: 'moon' is not one of ['eu', 'us']\n\n\
         Failed validating 'enum' in schema:\n    {'type': 'string', 'enum': ['eu', 'us']}\n\n\
         On instance:\n    'moon'"
    );
    request.conf = json!({"region": "us", "unknown": [1]}).as_object().cloned();
    let planned = plan("daily_sales", &request).unwrap();
    assert_eq!(planned.run.conf, json!({"region": "us", "unknown": [1]}));
}

#[test]
fn a_dag_that_cannot_run_says_why() {
    let refused = |change: fn(&mut Dag)| {
        plan_with("daily_sales", &manual(), change)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(|dag| dag.is_stale = true),
        "Dag with dag_id: 'daily_sales' not found"
    );
    assert_eq!(
        refused(|dag| dag.has_import_errors = true),
        "Dag with dag_id: 'daily_sales' has import errors and cannot be triggered"
    );
    assert_eq!(
        refused(|dag| dag.allowed_run_types = Some(vec!["scheduled".to_owned()])),
        "Dag with dag_id: 'daily_sales' does not allow manual runs"
    );
    let mut request = manual();
    request.partition_key = Some("k".to_owned());
    assert_eq!(
        refusal(&request),
        "Dag 'daily_sales' is not a partitioned Dag and does not accept a partition_key."
    );
}
