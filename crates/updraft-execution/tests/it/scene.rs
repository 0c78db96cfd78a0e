//! A store with Dags in it, and the means to let their runs begin and end.

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use updraft_dag_run::RunRules;
use updraft_model::dag::{Dag, NextDagRun};
use updraft_model::dag_run::{DagRun, NewDagRun};
use updraft_model::serialized::SerializedDag;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{
    DagId, DagRunState, DagRunTriggeredBy, DagRunType, DagVersionId, RunId, TaskInstanceId,
    TaskInstanceState,
};
use updraft_planning::integrity::{Identity, new_task_instance, plan_new_task_instances};
use updraft_runtime::Ids;
use updraft_store::{
    DagAssets, Keyring, ParsedDag, ParsedFile, RunCreation, RunKey, RunStateChange,
    StartedTaskInstance, StateChange, Store, StoreOptions,
};
use updraft_timetable::Timetable;

const FERNET_KEY: &str = "Nk2LrRmoT9bPzQ6cQbzYx1Jm1l8cVdX0sXbqgG5l6cE=";

/// The moment of every test.
pub(crate) const NOW: &str = "2026-03-01T12:00:00Z";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect(text)
}

pub(crate) struct Scene {
    pub(crate) store: Store,
    pub(crate) ids: Ids,
    pub(crate) rules: RunRules,
    _folder: TempDir,
}

/// What the file of a Dag says: tasks as `a >> b` lines, every day at midnight.
pub(crate) fn daily(dag_id: &str, edges: &str) -> Value {
    let timetable = json!({
        "__type": "airflow.timetables.trigger.CronTriggerTimetable",
        "__var": {"expression": "0 0 * * *", "timezone": "UTC", "interval": 0.0, "run_immediately": false},
    });
    let mut tasks: Vec<(String, Vec<String>)> = Vec::new();
    for line in edges.lines() {
        let names: Vec<&str> = line.split(">>").map(str::trim).collect();
        for name in &names {
            if !tasks.iter().any(|(known, _)| known == name) {
                tasks.push(((*name).to_owned(), Vec::new()));
            }
        }
        for pair in names.windows(2) {
            let (_, below) = tasks
                .iter_mut()
                .find(|(known, _)| known == pair[0])
                .unwrap();
            below.push(pair[1].to_owned());
        }
    }
    let tasks: Vec<Value> = tasks
        .iter()
        .map(|(name, below)| {
            let task = json!({"task_id": name, "downstream_task_ids": below, "retries": 1});
            json!({"__type": "operator", "__var": task})
        })
        .collect();
    json!({"__version": 3, "dag": {"dag_id": dag_id, "timetable": timetable, "tasks": tasks}})
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("updraft.db").display().to_string();
        let keyring = Keyring::parse(FERNET_KEY).unwrap();
        let store = Store::open(StoreOptions::new(format!("sqlite:///{place}"), keyring))
            .await
            .unwrap();
        store.migrate().await.unwrap();
        let mut tx = store.write().await.unwrap();
        tx.ensure_default_pool(128).await.unwrap();
        tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
        tx.commit().await.unwrap();
        Self {
            store,
            ids: Ids::random(),
            rules: RunRules {
                allowed_run_id_pattern: "^[A-Za-z0-9_.~:+-]+$".to_owned(),
                allow_double_dot_in_ids: false,
                disable_bundle_versioning: false,
            },
            _folder: folder,
        }
    }

    /// Stores a version of a Dag, in a bundle of this version.
    pub(crate) async fn parse(&self, data: &Value, bundle_version: Option<&str>) -> DagVersionId {
        self.parse_with(data, bundle_version, DagAssets::default())
            .await
    }

    /// Stores a version of a Dag that points at assets.
    pub(crate) async fn parse_with(
        &self,
        data: &Value,
        bundle_version: Option<&str>,
        assets: DagAssets,
    ) -> DagVersionId {
        let dag = SerializedDag::parse(data.clone()).unwrap();
        let dag_id = dag.dag_id().clone();
        let mut tx = self.store.write().await.unwrap();
        let file = ParsedFile {
            bundle_name: "dags-folder".into(),
            relative_fileloc: format!("{dag_id}.py"),
            dags: vec![ParsedDag {
                dag: Dag {
                    bundle_version: bundle_version.map(str::to_owned),
                    ..row_of(&dag)
                },
                owner_links: Vec::new(),
                data: data.to_string(),
                dag_hash: self.ids.uuid().to_string(),
                source_code: String::new(),
                new_version_id: DagVersionId(self.ids.uuid()),
                assets,
                deadlines: Vec::new(),
            }],
            import_errors: Vec::new(),
            warnings: Vec::new(),
            duration_secs: 0.1,
            content_hash: None,
        };
        tx.persist_parse(&file, at(NOW)).await.unwrap();
        tx.commit().await.unwrap();
        let mut reader = self.store.read().await.unwrap();
        reader
            .find_latest_version(&dag_id)
            .await
            .unwrap()
            .unwrap()
            .id
    }

    /// A run of the newest version with its task instances.
    pub(crate) async fn run(&self, dag_id: &str, run_id: &str, date: Option<&str>) -> RunKey {
        let key = RunKey {
            dag_id: dag_id.into(),
            run_id: run_id.into(),
        };
        let mut tx = self.store.write().await.unwrap();
        let version = tx.find_latest_version(&key.dag_id).await.unwrap().unwrap();
        let stored = tx.find_serialized_dag(version.id).await.unwrap().unwrap();
        let dag = SerializedDag::parse(serde_json::from_str(&stored.data).unwrap()).unwrap();
        let date = date.map(at);
        let run = NewDagRun {
            dag_id: key.dag_id.clone(),
            run_id: key.run_id.clone(),
            run_type: DagRunType::Scheduled,
            triggered_by: DagRunTriggeredBy::Timetable,
            triggering_user_name: None,
            logical_date: date,
            data_interval: date.map(|date| (date, date)),
            run_after: date.unwrap_or(at(NOW)),
            conf: json!({"old": true}),
            note: None,
            partition_key: None,
            partition_date: None,
            backfill_id: None,
            creating_job_id: None,
            created_dag_version_id: version.id,
            bundle_name: version.bundle_name.clone(),
            bundle_version: version.bundle_version.clone(),
        };
        let created = tx.create_dag_run(&run, at(NOW)).await.unwrap();
        assert!(matches!(created, RunCreation::Created(_)), "{created:?}");
        let rows: Vec<StartedTaskInstance> = plan_new_task_instances(&dag, run.run_type, date)
            .into_iter()
            .map(|new| {
                let identity = Identity {
                    id: TaskInstanceId(self.ids.uuid()),
                    dag_id: key.dag_id.clone(),
                    run_id: key.run_id.clone(),
                    dag_version_id: version.id,
                };
                let none = TaskInstanceState::NoStatus;
                new_task_instance(identity, dag.task(new.task), new.map_index, none, 1).into()
            })
            .collect();
        tx.create_task_instances(&rows, at(NOW)).await.unwrap();
        tx.commit().await.unwrap();
        key
    }

    /// Lets all instances of a run, or one of its tasks, have a state.
    pub(crate) async fn set_states(&self, key: &RunKey, task: Option<&str>, to: TaskInstanceState) {
        let mut tx = self.store.write().await.unwrap();
        let changes: Vec<StateChange> = self
            .rows(key)
            .await
            .iter()
            .filter(|row| task.is_none_or(|task| row.task_id.as_str() == task))
            .map(|row| StateChange {
                id: row.id,
                from: row.state,
                to,
                start_date: Some(at(NOW)),
                end_date: to.is_finished().then_some(at(NOW)),
                duration_secs: None,
            })
            .collect();
        let (dag_id, run_id) = (&key.dag_id, &key.run_id);
        let won = tx
            .change_task_instance_states(dag_id, run_id, &changes, at(NOW))
            .await
            .unwrap();
        assert_eq!(won.len(), changes.len());
        tx.commit().await.unwrap();
    }

    /// Gives a run a state, whatever it had.
    pub(crate) async fn set_run_state(&self, key: &RunKey, to: DagRunState) {
        let from = self.find_run(key).await.state;
        let change = RunStateChange {
            from,
            to,
            queued_at: Some(at(NOW)),
            start_date: Some(at(NOW)),
            end_date: to.is_finished().then_some(at(NOW)),
        };
        let mut tx = self.store.write().await.unwrap();
        let changed = tx
            .change_dag_run_state(&key.dag_id, &key.run_id, &change, at(NOW))
            .await
            .unwrap();
        assert!(changed);
        tx.commit().await.unwrap();
    }

    pub(crate) async fn find_run(&self, key: &RunKey) -> DagRun {
        let mut reader = self.store.read().await.unwrap();
        reader
            .find_dag_run(&key.dag_id, &key.run_id)
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) async fn rows(&self, key: &RunKey) -> Vec<TaskInstance> {
        let mut reader = self.store.read().await.unwrap();
        reader
            .load_task_instances_of_run(&key.dag_id, &key.run_id)
            .await
            .unwrap()
    }

    /// The rows of a run in short: `a success`.
    pub(crate) async fn states(&self, key: &RunKey) -> Vec<String> {
        let rows = self.rows(key).await;
        rows.iter()
            .map(|row| format!("{} {}", row.task_id, row.state))
            .collect()
    }

    /// Every run of a Dag, by run id.
    pub(crate) async fn runs(&self, dag_id: &str) -> Vec<DagRun> {
        let filter = updraft_store::listing::DagRunFilter {
            dag_ids: vec![DagId::new(dag_id)],
            ..Default::default()
        };
        let page = updraft_model::filter::Page {
            limit: i64::MAX,
            offset: 0,
            order_by: vec!["run_id".to_owned()],
        };
        let mut reader = self.store.read().await.unwrap();
        let listed = reader.list_dag_runs(&filter, &page, at(NOW)).await.unwrap();
        listed.rows
    }

    pub(crate) fn key(dag_id: &str, run_id: &RunId) -> RunKey {
        RunKey {
            dag_id: dag_id.into(),
            run_id: run_id.clone(),
        }
    }
}

fn row_of(dag: &SerializedDag) -> Dag {
    let attributes = dag.attributes();
    let timetable = Timetable::from_serialized(&attributes.timetable).unwrap();
    Dag {
        dag_id: dag.dag_id().clone(),
        dag_display_name: None,
        description: None,
        is_paused: false,
        is_stale: false,
        has_import_errors: false,
        exceeds_max_non_backfill: false,
        bundle_name: "dags-folder".into(),
        bundle_version: None,
        relative_fileloc: format!("{}.py", dag.dag_id()),
        fileloc: format!("/dags/{}.py", dag.dag_id()),
        owners: String::new(),
        tags: Vec::new(),
        timetable_summary: Some(timetable.summary()),
        timetable_description: None,
        timetable_type: attributes.timetable_type.clone(),
        timetable_partitioned: timetable.partitioned(),
        asset_expression: None,
        max_active_tasks: attributes.max_active_tasks,
        max_active_runs: attributes.max_active_runs,
        max_consecutive_failed_dag_runs: 0,
        has_task_concurrency_limits: false,
        fail_fast: attributes.fail_fast,
        allowed_run_types: None,
        next_dagrun: NextDagRun::default(),
        last_parsed_time: Some(at(NOW)),
        last_parse_duration_secs: None,
        last_expired: None,
    }
}
