//! What several tests of the scheduler start from.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use updraft_dag_run::RunRules;
use updraft_execution::LogNames;
use updraft_model::dag::{Dag, NextDagRun};
use updraft_store::{Keyring, ParsedDag, ParsedFile, Store, StoreOptions};

use crate::scheduler::{SchedulerOptions, StuckOptions};

const MINUTE: Duration = Duration::from_secs(60);

/// A store of one's own, and the folder that it is in.
pub(crate) async fn a_store() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("updraft.db").display());
    let keyring = Keyring::parse("Nk2LrRmoT9bPzQ6cQbzYx1Jm1l8cVdX0sXbqgG5l6cE=").unwrap();
    let store = Store::open(StoreOptions::new(url, keyring)).await.unwrap();
    store.migrate().await.unwrap();
    (store, folder)
}

pub(crate) fn options() -> SchedulerOptions {
    SchedulerOptions {
        hostname: "here".to_owned(),
        unixname: "me".to_owned(),
        executor_names: vec!["LocalExecutor".into()],
        max_task_retry_delay: SignedDuration::from_hours(24),
        max_dagruns_to_create: 10,
        max_dagruns_per_loop: 20,
        use_job_schedule: true,
        partition_keys_max: 20,
        custom_mappers: None,
        job_heartbeat: MINUTE,
        health_check_threshold: MINUTE,
        parsing_cleanup_interval: MINUTE,
        orphaned_tasks_check_interval: MINUTE,
        task_instance_heartbeat_timeout: MINUTE,
        heartbeat_timeout_detection_interval: MINUTE,
        trigger_timeout_check_interval: MINUTE,
        stuck: StuckOptions {
            timeout: MINUTE,
            check_interval: MINUTE,
            requeues_max: 2,
        },
        run_rules: RunRules {
            allowed_run_id_pattern: ".*".to_owned(),
            allow_double_dot_in_ids: false,
            disable_bundle_versioning: false,
        },
        environment_variables: BTreeMap::new(),
        connection_tests_max: 4,
        connection_test_timeout: MINUTE,
        log_names: LogNames::default(),
        full_scan_interval: MINUTE,
        is_alone: true,
    }
}

/// A Dag that nothing makes due.
pub(crate) fn a_dag(dag_id: &str) -> Dag {
    Dag {
        dag_id: dag_id.into(),
        dag_display_name: None,
        description: None,
        is_paused: false,
        is_stale: false,
        has_import_errors: false,
        exceeds_max_non_backfill: false,
        bundle_name: "dags-folder".into(),
        bundle_version: None,
        relative_fileloc: format!("{dag_id}.py"),
        fileloc: format!("/dags/{dag_id}.py"),
        owners: "airflow".to_owned(),
        tags: vec![],
        timetable_summary: None,
        timetable_description: None,
        timetable_type: "NullTimetable".to_owned(),
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

/// A file that holds one Dag.
pub(crate) fn a_file(dag: ParsedDag) -> ParsedFile {
    ParsedFile {
        bundle_name: dag.dag.bundle_name.clone(),
        relative_fileloc: dag.dag.relative_fileloc.clone(),
        dags: vec![dag],
        import_errors: vec![],
        warnings: vec![],
        duration_secs: 0.1,
        content_hash: None,
    }
}
