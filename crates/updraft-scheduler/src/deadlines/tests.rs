//! Deadlines of runs and connection tests, with steps of a whole scheduler at a simulated time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use updraft_executor::{ExecutorWorkload, LocalExecutor, Outcome};
use updraft_model::callback::{Callback, CallbackState};
use updraft_model::connection::Connection;
use updraft_model::connection_test::ConnectionTestState;
use updraft_model::dag_run::{DagRun, NewDagRun};
use updraft_model::variable::Variable;
use updraft_model::{DagRunState, DagRunTriggeredBy, DagRunType, DagVersionId, TriggerId};
use updraft_runtime::{Clock, Ids, SimulatedTime, Tasks};
use updraft_store::{
    CallbackReport, NewConnectionTest, NewDeadlineAlert, ParsedDag, RunStateChange, Store,
};
use uuid::Uuid;

use crate::scheduler::{Next, Scheduler, SchedulerOptions};
use crate::testing::{a_dag, a_file, a_store, options};

const DAG: &str = "late";
const START: &str = "2026-01-05T00:00:00Z";

/// What the executor was given, and how to tell it the end.
type Inbox = Arc<Mutex<Vec<(ExecutorWorkload, oneshot::Sender<Outcome>)>>>;

struct Scene {
    scheduler: Scheduler,
    events: tokio::sync::mpsc::Receiver<updraft_executor::ExecutorEvent>,
    changes: tokio::sync::broadcast::Receiver<updraft_store::Change>,
    store: Store,
    time: SimulatedTime,
    clock: Clock,
    inbox: Inbox,
    version: DagVersionId,
    _folder: tempfile::TempDir,
}

fn alert(interval: Value, class: &str, executor: Option<&str>) -> NewDeadlineAlert {
    NewDeadlineAlert {
        id: Uuid::now_v7(),
        name: None,
        reference: json!({"reference_type": "DagRunQueuedAtDeadline"}).to_string(),
        interval: interval.to_string(),
        callback: json!({
            "__classname__": format!("airflow.sdk.definitions.callback.{class}"),
            "__version__": 0,
            "__data__": {"path": "mod.fn", "kwargs": {"text": "x"}, "executor": executor},
        })
        .to_string(),
    }
}

fn sync(seconds: i64) -> NewDeadlineAlert {
    alert(json!(seconds), "SyncCallback", None)
}

fn in_variable(key: &str) -> NewDeadlineAlert {
    let interval = json!({"__classname__": "airflow.sdk.definitions.deadline.VariableInterval",
                          "__version__": 0, "__data__": {"key": key}});
    alert(interval, "SyncCallback", None)
}

fn parsed(deadlines: &[NewDeadlineAlert]) -> ParsedDag {
    let data = json!({"__version": 3, "dag": {
        "dag_id": DAG, "fileloc": "/dags/late.py", "timezone": "UTC", "catchup": false,
        "max_active_tasks": 16, "max_active_runs": 16, "max_consecutive_failed_dag_runs": 0,
        "disable_bundle_versioning": false, "tasks": [], "params": [], "edge_info": {},
        "timetable": {"__type": "airflow.timetables.simple.NullTimetable", "__var": {}},
        "dag_dependencies": [], "deadline": null, "allowed_run_types": null,
        "task_group": {"_group_id": null, "children": {}},
    }});
    ParsedDag {
        // Paused, so that its runs stay as they are.
        dag: updraft_model::dag::Dag {
            is_paused: true,
            ..a_dag(DAG)
        },
        owner_links: vec![],
        data: data.to_string(),
        dag_hash: "hash".to_owned(),
        source_code: String::new(),
        new_version_id: DagVersionId(Uuid::now_v7()),
        assets: updraft_store::DagAssets::default(),
        deadlines: deadlines.to_vec(),
    }
}

impl Scene {
    async fn new(deadlines: &[NewDeadlineAlert], parallelism: usize) -> Self {
        Self::with(deadlines, parallelism, options()).await
    }

    async fn with(
        deadlines: &[NewDeadlineAlert],
        parallelism: usize,
        options: SchedulerOptions,
    ) -> Self {
        let (store, folder) = a_store().await;
        let start: Timestamp = START.parse().unwrap();
        let time = SimulatedTime::starting(start);
        let clock = Clock::simulated(time.clone());
        let mut tx = store.write().await.unwrap();
        tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
        let file = a_file(parsed(deadlines));
        tx.persist_parse(&file, start).await.unwrap();
        let version = tx.find_latest_version(&DAG.into()).await.unwrap();
        tx.commit().await.unwrap();
        let inbox = Inbox::default();
        let taken = Arc::clone(&inbox);
        let (executor, events) = LocalExecutor::start(Tasks::new(), parallelism, move |workload| {
            let (finish, finished) = oneshot::channel();
            taken.lock().unwrap().push((workload, finish));
            async move { finished.await.unwrap_or(Outcome::Refused) }
        });
        let changes = store.changes().subscribe();
        let ids = Ids::random();
        let started = Scheduler::start(store.clone(), executor, options, clock.clone(), ids);
        Self {
            scheduler: started.await.unwrap(),
            events,
            changes,
            store,
            time,
            clock,
            inbox,
            version: version.unwrap().id,
            _folder: folder,
        }
    }

    async fn create_run(&self, name: &str) -> DagRun {
        let now = self.clock.now();
        let mut tx = self.store.write().await.unwrap();
        let new = NewDagRun {
            dag_id: DAG.into(),
            run_id: name.into(),
            run_type: DagRunType::Manual,
            triggered_by: DagRunTriggeredBy::RestApi,
            triggering_user_name: None,
            logical_date: None,
            data_interval: None,
            run_after: now,
            conf: json!({}),
            note: None,
            partition_key: None,
            partition_date: None,
            backfill_id: None,
            creating_job_id: None,
            created_dag_version_id: self.version,
            bundle_name: Some("dags-folder".into()),
            bundle_version: None,
        };
        tx.create_dag_run(&new, now).await.unwrap();
        let run = tx.find_dag_run(&DAG.into(), &name.into()).await.unwrap();
        tx.commit().await.unwrap();
        run.unwrap()
    }

    /// Takes steps until nothing is left to do; gives when something is.
    async fn settle(&mut self) -> Duration {
        loop {
            while let Ok(change) = self.changes.try_recv() {
                self.scheduler.on_change(change);
            }
            while let Ok(event) = self.events.try_recv() {
                self.scheduler.on_executor_event(event);
            }
            if let Next::At(at) = self.scheduler.step().await.unwrap()
                && self.changes.is_empty()
            {
                return at.saturating_duration_since(self.clock.monotonic());
            }
        }
    }

    fn take(&self) -> Vec<(ExecutorWorkload, oneshot::Sender<Outcome>)> {
        std::mem::take(&mut *self.inbox.lock().unwrap())
    }

    async fn callbacks(&self) -> Vec<Callback> {
        let mut reader = self.store.read().await.unwrap();
        reader.load_callbacks(&DAG.into(), 1_000).await.unwrap()
    }

    async fn deadlines(&self, run: &DagRun) -> Vec<(Option<i64>, bool)> {
        let start: Timestamp = START.parse().unwrap();
        let mut reader = self.store.read().await.unwrap();
        let found = reader.load_deadlines(run).await.unwrap();
        found
            .iter()
            .map(|each| {
                let time = each.deadline_time;
                (
                    time.map(|at| at.duration_since(start).as_secs()),
                    each.missed,
                )
            })
            .collect()
    }
}

#[tokio::test]
async fn a_deadline_is_missed_when_it_has_passed_and_its_callback_learns_of_the_run() {
    let mut scene = Scene::new(&[sync(10)], 4).await;
    let run = scene.create_run("r").await;
    let wait = scene.settle().await;
    assert!(
        (Duration::from_secs(10)..Duration::from_millis(10_100)).contains(&wait),
        "the scheduler sleeps until then: {wait:?}"
    );
    scene.time.advance(Duration::from_secs(10));
    scene.settle().await;
    assert_eq!(scene.take().len(), 0, "the last moment is in time");
    scene.time.advance(Duration::from_millis(1));
    scene.settle().await;
    let taken = scene.take();
    let [(ExecutorWorkload::ExecuteCallback(workload), _)] = &taken[..] else {
        panic!("one callback: {taken:?}");
    };
    assert_eq!(workload.path, "mod.fn");
    assert_eq!(workload.dag_rel_path, "late.py");
    assert_eq!(workload.kwargs["text"], "x");
    let context = &workload.kwargs["context"];
    assert_eq!(context["dag_run"]["dag_run_id"], "r");
    assert_eq!(context["dag_run"]["queued_at"], "2026-01-05T00:00:00Z");
    let time = &context["deadline"]["deadline_time"];
    assert_eq!(time["__classname__"], "datetime.datetime");
    assert_eq!(time["__data__"]["timestamp"], 1_767_571_210.0);
    assert_eq!(
        workload.log_path,
        format!("executor_callbacks/late/r/{}", workload.callback_id)
    );
    let callbacks = scene.callbacks().await;
    assert_eq!(callbacks[0].state, CallbackState::Queued);
    assert_eq!(callbacks[0].data["dag_run_id"], run.id.to_string());
    assert_eq!(context["deadline"]["id"], callbacks[0].data["deadline_id"]);
    assert_eq!(scene.deadlines(&run).await, [(Some(10), true)]);
    // It is missed once.
    scene.time.advance(Duration::from_secs(100));
    scene.settle().await;
    assert_eq!(scene.take().len(), 0);
}

#[tokio::test]
async fn a_run_that_succeeds_in_time_misses_nothing() {
    let mut scene = Scene::new(&[sync(10)], 4).await;
    let run = scene.create_run("r").await;
    scene.settle().await;
    let mut tx = scene.store.write().await.unwrap();
    let change = RunStateChange {
        from: run.state,
        to: DagRunState::Success,
        queued_at: run.queued_at,
        start_date: Some(scene.clock.now()),
        end_date: Some(scene.clock.now()),
    };
    let key = (DAG.into(), "r".into());
    let won = tx.change_dag_run_state(&key.0, &key.1, &change, scene.clock.now());
    assert!(won.await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(scene.deadlines(&run).await, []);
    scene.time.advance(Duration::from_secs(11));
    scene.settle().await;
    assert_eq!(scene.take().len(), 0);
}

#[tokio::test]
async fn an_asynchronous_callback_is_for_the_triggerer() {
    let mut scene = Scene::new(&[alert(json!(-1), "AsyncCallback", None)], 4).await;
    scene.create_run("r").await;
    scene.settle().await;
    assert_eq!(scene.take().len(), 0, "no executor runs it");
    let callbacks = scene.callbacks().await;
    assert_eq!(callbacks[0].state, CallbackState::Queued);
    assert_eq!(
        callbacks[0].data["kwargs"]["context"]["dag_run"]["dag_run_id"],
        "r"
    );
    let mut tx = scene.store.write().await.unwrap();
    let triggers = tx.load_runnable_triggers(&[TriggerId(1)]).await.unwrap();
    assert_eq!(triggers.len(), 1);
    let report = CallbackReport {
        state: CallbackState::Success,
        output: Some("done".to_owned()),
    };
    let noted = tx.note_callback(TriggerId(1), &report).await.unwrap();
    assert_eq!(noted, Some(callbacks[0].id));
    tx.commit().await.unwrap();
    let callbacks = scene.callbacks().await;
    assert_eq!(callbacks[0].state, CallbackState::Success);
    assert_eq!(callbacks[0].output.as_deref(), Some("done"));
}

#[tokio::test]
async fn callbacks_wait_for_slots_and_all_get_one() {
    let mut scene = Scene::new(&[sync(-1)], 2).await;
    for number in 0..150 {
        scene.create_run(&format!("r{number}")).await;
    }
    let mut seen = 0;
    scene.settle().await;
    loop {
        let taken = scene.take();
        if taken.is_empty() {
            break;
        }
        assert!(taken.len() <= 2, "{}", taken.len());
        for (workload, finish) in taken {
            let mut tx = scene.store.write().await.unwrap();
            assert!(
                tx.start_callback(workload.id(), scene.clock.now())
                    .await
                    .unwrap()
            );
            let report = CallbackReport {
                state: CallbackState::Success,
                output: None,
            };
            let won = tx.finish_callback(workload.id(), &report, scene.clock.now());
            assert!(won.await.unwrap());
            tx.commit().await.unwrap();
            finish.send(Outcome::Supervised).unwrap();
            seen += 1;
            let event = scene.events.recv().await.unwrap();
            scene.scheduler.on_executor_event(event);
        }
        scene.settle().await;
    }
    assert_eq!(seen, 150);
}

#[tokio::test]
async fn a_callback_for_an_executor_that_is_not_there_fails_and_holds_nothing_up() {
    let odd = alert(json!(-1), "SyncCallback", Some("OddExecutor"));
    let mut scene = Scene::new(&[odd, sync(-1)], 4).await;
    scene.create_run("r").await;
    scene.settle().await;
    assert_eq!(scene.take().len(), 1);
    let mut states: Vec<_> = scene
        .callbacks()
        .await
        .into_iter()
        .map(|each| (each.state, each.output))
        .collect();
    states.sort_by_key(|each| each.0 != CallbackState::Failed);
    assert_eq!(
        states,
        [
            (
                CallbackState::Failed,
                Some("there is no executor `OddExecutor`".to_owned())
            ),
            (CallbackState::Queued, None),
        ]
    );
}

#[tokio::test]
async fn an_interval_in_a_variable_is_read_when_the_run_is_created() {
    let mut options = options();
    options
        .environment_variables
        .insert("OF_ENVIRONMENT".to_owned(), "30".to_owned());
    let alerts = ["of_environment", "of_store", "odd", "missing"].map(in_variable);
    let mut scene = Scene::with(&alerts, 4, options).await;
    let mut tx = scene.store.write().await.unwrap();
    for (key, value) in [("of_environment", "1"), ("of_store", "20"), ("odd", "1.5")] {
        let variable = Variable {
            key: key.to_owned(),
            value: value.to_owned(),
            description: None,
            team_name: None,
        };
        tx.set_variable(&variable).await.unwrap();
    }
    tx.commit().await.unwrap();
    let run = scene.create_run("r").await;
    let wait = scene.settle().await;
    // The environment goes first, and what makes no sense is left out.
    assert_eq!(
        scene.deadlines(&run).await,
        [(Some(20), false), (Some(30), false)]
    );
    assert!(wait > Duration::from_secs(19) && wait < Duration::from_secs(21));
    let mut tx = scene.store.write().await.unwrap();
    assert!(tx.delete_variable("of_store").await.unwrap());
    tx.commit().await.unwrap();
    scene.time.advance(Duration::from_secs(21));
    scene.settle().await;
    assert_eq!(scene.take().len(), 1, "later values change nothing");
}

async fn ask_for_test(scene: &Scene, name: &str) -> String {
    let token = format!("token of {name}");
    let mut tx = scene.store.write().await.unwrap();
    let new = NewConnectionTest {
        id: Uuid::now_v7(),
        token: token.clone(),
        connection: Connection {
            conn_id: name.to_owned(),
            conn_type: "http".to_owned(),
            description: None,
            host: None,
            schema: None,
            login: None,
            password: None,
            port: None,
            extra: None,
            team_name: None,
        },
        commit_on_success: false,
        executor: None,
        queue: None,
    };
    let now = scene.clock.now();
    assert!(tx.create_connection_test(&new, now).await.unwrap());
    tx.commit().await.unwrap();
    token
}

#[tokio::test]
async fn connection_tests_need_no_free_slot_and_are_given_up_in_the_end() {
    let mut options = options();
    options.connection_tests_max = 1;
    let mut scene = Scene::with(&[sync(-1)], 1, options).await;
    scene.create_run("r").await;
    scene.settle().await;
    let callback = scene.take();
    assert_eq!(callback.len(), 1, "the only slot is taken");
    let first = ask_for_test(&scene, "first").await;
    let second = ask_for_test(&scene, "second").await;
    scene.settle().await;
    // 60 seconds and half of that are enough for both: the one that is queued, the one that waits.
    scene.time.advance(Duration::from_secs(90));
    scene.settle().await;
    let states = async |scene: &Scene| {
        let mut reader = scene.store.read().await.unwrap();
        let mut found = Vec::new();
        for token in [&first, &second] {
            let test = reader.find_connection_test(token).await.unwrap().unwrap();
            found.push((test.state, test.result_message.unwrap_or_default()));
        }
        found
    };
    assert_eq!(
        states(&scene).await,
        [
            (ConnectionTestState::Queued, String::new()),
            (ConnectionTestState::Pending, String::new())
        ]
    );
    scene.time.advance(Duration::from_millis(1));
    scene.settle().await;
    let why = |what| format!("Connection test {what} within 90 s");
    assert_eq!(
        states(&scene).await,
        [
            (
                ConnectionTestState::Failed,
                why("was queued, but did not start")
            ),
            (ConnectionTestState::Failed, why("found no free executor")),
        ]
    );
}
