//! A scheduler on a store of its own, with one Dag that waits for assets.

mod assets;
mod partitions;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use updraft_executor::{LocalExecutor, Outcome};
use updraft_model::dag::{Dag, NextDagRun};
use updraft_model::dag_run::DagRun;
use updraft_model::filter::Page;
use updraft_model::{DagRunState, DagVersionId};
use updraft_runtime::{Clock, Ids, Tasks};
use updraft_store::listing::DagRunFilter;
use updraft_store::{
    AssetDefinition, Change, DagAssets, NewAssetEvent, ParsedDag, RunStateChange, Store, WhichDags,
};

use crate::scheduler::Scheduler;
use crate::testing::{a_dag, a_file, a_store, options};

const DAG: &str = "waits";

/// A scheduler on a store of its own, with one Dag that waits for assets.
struct Scene {
    scheduler: Scheduler,
    store: Store,
    changes: broadcast::Receiver<Change>,
    clock: Timestamp,
    _folder: tempfile::TempDir,
}

/// What the Dag waits for.
struct Waits {
    names: Vec<&'static str>,
    condition: &'static str,
    max_active_runs: i32,
    catchup: bool,
    /// Wrapped around the timetable that waits for assets.
    or_time: bool,
    /// For partitions, which this mapper finds.
    mapper: Option<Value>,
}

impl Waits {
    fn all(names: &[&'static str]) -> Self {
        Self {
            names: names.to_vec(),
            condition: "asset_all",
            max_active_runs: 16,
            catchup: false,
            or_time: false,
            mapper: None,
        }
    }

    fn timetable(&self) -> Value {
        let objects: Vec<Value> = self
            .names
            .iter()
            .map(|name| {
                json!({"__type": "asset", "name": name, "uri": format!("s3://{name}"),
                       "group": "asset", "extra": {}})
            })
            .collect();
        let condition = json!({"__type": self.condition, "objects": objects});
        if let Some(mapper) = &self.mapper {
            return json!({
                "__type": "airflow.timetables.simple.PartitionedAssetTimetable",
                "__var": {
                    "asset_condition": condition, "default_partition_mapper": mapper,
                    "partition_mapper_config": [],
                },
            });
        }
        if !self.or_time {
            return json!({
                "__type": "airflow.timetables.simple.AssetTriggeredTimetable",
                "__var": {"asset_condition": condition},
            });
        }
        let daily = json!({"expression": "0 0 * * *", "timezone": "UTC"});
        json!({
            "__type": "airflow.timetables.assets.AssetOrTimeSchedule",
            "__var": {
                "asset_condition": condition,
                "timetable": {
                    "__type": "airflow.timetables.trigger.CronTriggerTimetable", "__var": daily,
                },
            },
        })
    }

    fn parsed(&self, start: Timestamp) -> ParsedDag {
        let data = json!({"__version": 3, "dag": {
            "dag_id": DAG, "fileloc": "/dags/waits.py", "timezone": "UTC", "catchup": self.catchup,
            "max_active_tasks": 16, "max_active_runs": self.max_active_runs,
            "max_consecutive_failed_dag_runs": 0, "disable_bundle_versioning": false,
            "timetable": self.timetable(), "tasks": [], "params": [], "edge_info": {},
            "dag_dependencies": [], "deadline": null, "allowed_run_types": null,
            "task_group": {"_group_id": null, "children": {}},
        }});
        let due = self.or_time.then_some(start);
        ParsedDag {
            dag: Dag {
                timetable_summary: Some("Asset".to_owned()),
                timetable_type: "AssetTriggeredTimetable".to_owned(),
                timetable_partitioned: self.mapper.is_some(),
                asset_expression: Some(json!({"all": []})),
                max_active_runs: self.max_active_runs,
                next_dagrun: NextDagRun {
                    logical_date: due,
                    data_interval_start: due,
                    data_interval_end: due,
                    run_after: due,
                    ..NextDagRun::default()
                },
                ..a_dag(DAG)
            },
            owner_links: vec![],
            data: data.to_string(),
            dag_hash: "hash".to_owned(),
            source_code: String::new(),
            new_version_id: DagVersionId(Ids::random().uuid()),
            assets: DagAssets {
                scheduled_on: self.names.iter().map(|name| asset(name)).collect(),
                ..DagAssets::default()
            },
            deadlines: vec![],
        }
    }
}

fn asset(name: &str) -> AssetDefinition {
    AssetDefinition {
        name: name.to_owned(),
        uri: format!("s3://{name}"),
        group: "asset".to_owned(),
        extra: json!({}),
    }
}

impl Scene {
    async fn new(waits: &Waits) -> Self {
        let (store, folder) = a_store().await;
        let clock: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
        let mut tx = store.write().await.unwrap();
        tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
        let file = a_file(waits.parsed(clock));
        tx.persist_parse(&file, clock).await.unwrap();
        tx.commit().await.unwrap();
        let (executor, _events) =
            LocalExecutor::start(Tasks::new(), 1, |_| async { Outcome::Supervised });
        let changes = store.changes().subscribe();
        let scheduler = Scheduler::start(
            store.clone(),
            executor,
            options(),
            Clock::machine(),
            Ids::random(),
        );
        Self {
            scheduler: scheduler.await.unwrap(),
            changes,
            store,
            clock,
            _folder: folder,
        }
    }

    fn next_moment(&mut self) -> Timestamp {
        self.clock += SignedDuration::from_secs(1);
        self.clock
    }

    async fn emit(&mut self, name: &str, extra: Value) {
        self.emit_for(name, None, extra).await;
    }

    /// An event, maybe of a partition.
    async fn emit_for(&mut self, name: &str, partition_key: Option<&str>, extra: Value) {
        let now = self.next_moment();
        let mut tx = self.store.write().await.unwrap();
        let asset = tx.find_asset_by_name(name).await.unwrap().unwrap();
        let event = NewAssetEvent {
            asset_id: asset.id,
            extra: &extra,
            source: None,
            alias_ids: &[],
            partition_key,
            partition_date: None,
        };
        tx.register_asset_event(&event, now).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn parse(&mut self, dag: ParsedDag) {
        let mut tx = self.store.write().await.unwrap();
        tx.persist_parse(&a_file(dag), self.clock).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn set_paused(&mut self, is_paused: bool) {
        let mut tx = self.store.write().await.unwrap();
        tx.set_paused(&DAG.into(), is_paused).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Lets the oldest active run succeed.
    async fn finish(&mut self) {
        let now = self.next_moment();
        let mut tx = self.store.write().await.unwrap();
        let runs = self.runs().await;
        let active = runs
            .iter()
            .find(|run| run.state == DagRunState::Queued)
            .unwrap();
        let change = RunStateChange {
            from: active.state,
            to: DagRunState::Success,
            queued_at: active.queued_at,
            start_date: Some(now),
            end_date: Some(now),
        };
        let key = (&active.dag_id, &active.run_id);
        assert!(
            tx.change_dag_run_state(key.0, key.1, &change, now)
                .await
                .unwrap()
        );
        tx.commit().await.unwrap();
    }
}

impl Scene {
    async fn runs(&self) -> Vec<DagRun> {
        let filter = DagRunFilter {
            dag_ids: vec![DAG.into()],
            ..DagRunFilter::default()
        };
        let page = Page {
            limit: 100,
            order_by: vec!["id".to_owned()],
            ..Page::default()
        };
        let mut reader = self.store.read().await.unwrap();
        let listed = reader.list_dag_runs(&filter, &page, self.clock).await;
        listed.unwrap().rows
    }

    /// One look of the scheduler, which has heard of everything that happened.
    async fn look(&mut self) {
        let now = self.next_moment();
        while let Ok(change) = self.changes.try_recv() {
            self.scheduler.on_change(change);
        }
        if std::mem::take(&mut self.scheduler.agenda.creation) {
            self.scheduler.create_runs(now).await.unwrap();
        }
    }

    async fn consumed_by(&self, run: &DagRun) -> Vec<Value> {
        let mut reader = self.store.read().await.unwrap();
        let events = reader.load_consumed_asset_events(run.id).await.unwrap();
        events
            .iter()
            .map(|event| json!([event.name, event.extra["n"]]))
            .collect()
    }

    async fn queue(&self) -> Vec<String> {
        let mut reader = self.store.read().await.unwrap();
        let queued = reader.load_queued_consumers(&WhichDags::All).await.unwrap();
        let mut names: Vec<String> = queued.into_iter().map(|each| each.asset.name).collect();
        names.sort();
        names
    }

    /// A look, in the form of a recorded one.
    async fn tick(&mut self) -> Value {
        let before = self.runs().await.len();
        self.look().await;
        let mut created = vec![];
        for run in &self.runs().await[before..] {
            created.push(json!({
                "run_type": run.run_type.as_str(),
                "logical_date": run.logical_date.map(|date| date.to_string()),
                "consumed": self.consumed_by(run).await,
            }));
        }
        json!({"created": created, "queue_after": self.queue().await})
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}
