//! What worlds have found, as small as it gets.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use updraft_dag_processor::{Bundle, FileKey, Parsing};
use updraft_dag_run::RunRules;
use updraft_execution::{AnswerOptions, LogNames};
use updraft_executor::{ExecutorWorkload, LocalExecutor, Outcome, Workload};
use updraft_model::TaskInstanceState;
use updraft_runtime::{Clock, Ids, SimulatedTime, Tasks};
use updraft_scheduler::{Next, Scheduler, SchedulerOptions, StuckOptions};
use updraft_store::{Change, Gate, Keyring, Passage, Store, StoreOptions};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::masker::MaskerConfig;
use updraft_task_comms::message::{
    self, DagFileParsingResult, LazyDeserializedDAG, RescheduleTask,
};
use updraft_task_comms::session::{Event, FailureKind, SessionConfig};
use updraft_worker::{Rows, WorkerOptions};

const NOW: &str = "2026-03-01T12:00:00Z";
const LONG: Duration = Duration::from_secs(3_600);

fn rules() -> RunRules {
    RunRules {
        allowed_run_id_pattern: "^[A-Za-z0-9_.~:+-]+$".to_owned(),
        allow_double_dot_in_ids: false,
        disable_bundle_versioning: false,
    }
}

/// A Dag of one sensor that is due now.
async fn store_a_sensor(store: &Store, clock: &Clock) {
    let mut tx = store.write().await.unwrap();
    tx.ensure_default_pool(4).await.unwrap();
    tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
    tx.commit().await.unwrap();
    let sensor = json!({"task_id": "sensor", "_is_sensor": true, "reschedule": true});
    let data = json!({"__version": 3, "dag": {
        "dag_id": "d", "fileloc": "/dags/d.py", "relative_fileloc": "d.py", "catchup": false,
        "start_date": 1_772_300_000, "is_paused_upon_creation": false,
        "timetable": {"__type": "airflow.timetables.trigger.CronTriggerTimetable", "__var": {
            "expression": "0 12 * * *", "timezone": "UTC", "interval": 0.0,
            "run_immediately": false}},
        "tasks": [{"__type": "operator", "__var": sensor}],
    }});
    let parsing = Parsing {
        bundle: Bundle {
            name: "dags-folder".into(),
            path: PathBuf::from("/dags"),
            version: None,
        },
        key: FileKey {
            bundle: "dags-folder".into(),
            path: "d.py".to_owned(),
        },
        paused_at_creation: false,
    };
    let found = DagFileParsingResult {
        fileloc: "/dags/d.py".to_owned(),
        serialized_dags: vec![LazyDeserializedDAG {
            data: JsonText::from(&data),
            last_loaded: None,
        }],
        warnings: None,
        import_errors: None,
    };
    let content = parsing.read(&found, Duration::ZERO, &Ids::seeded(1));
    content.persist(store, clock).await.unwrap();
}

fn rows(store: &Store, clock: &Clock, workload: &Workload) -> Rows {
    let options = WorkerOptions {
        log_folder: PathBuf::from("/logs"),
        hostname: "box".to_owned(),
        unixname: "me".to_owned(),
        session: SessionConfig::default(),
        callback_timeout: None,
        masker: MaskerConfig::default(),
        answers: AnswerOptions {
            map_length_max: 1,
            run_rules: rules(),
            clock: clock.clone(),
            ids: Ids::seeded(3),
            python: None,
        },
    };
    Rows::new(
        store.clone(),
        clock.clone(),
        Ids::seeded(2),
        workload,
        &options,
    )
}

/// A scheduler with a sensor that is due, and what it queued.
struct Scene {
    _folder: tempfile::TempDir,
    store: Store,
    time: SimulatedTime,
    clock: Clock,
    scheduler: Scheduler,
    queued: Arc<Mutex<Vec<Workload>>>,
}

impl Scene {
    /// `gate` stands before the scheduler only.
    async fn new(gate: Gate) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:///{}", folder.path().join("updraft.db").display());
        let open = async |gate| {
            let options = StoreOptions {
                gate,
                ..StoreOptions::new(&url, Keyring::parse("").unwrap())
            };
            Store::open(options).await.unwrap()
        };
        let store = open(Gate::default()).await;
        store.migrate().await.unwrap();
        let time = SimulatedTime::starting(NOW.parse().unwrap());
        let clock = Clock::simulated(time.clone());
        store_a_sensor(&store, &clock).await;
        let queued = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&queued);
        let (executor, _events) = LocalExecutor::start(Tasks::new(), 4, move |workload| {
            if let ExecutorWorkload::ExecuteTask(task) = workload {
                taken.lock().unwrap().push(*task);
            }
            std::future::pending::<Outcome>()
        });
        let ids = Ids::seeded(4);
        let started = Scheduler::start(open(gate).await, executor, options(), clock.clone(), ids);
        Self {
            _folder: folder,
            store,
            time,
            clock,
            scheduler: started.await.unwrap(),
            queued,
        }
    }

    /// Takes steps until nothing is left to do; a failed one is repeated after its pause.
    async fn settle(&mut self) {
        loop {
            match self.scheduler.step().await.unwrap() {
                Next::Now => {}
                Next::AfterFailure(_) => self.time.advance(Duration::from_secs(1)),
                Next::At(_) => return,
            }
        }
    }

    fn take_queued(&self) -> Vec<Workload> {
        std::mem::take(&mut *self.queued.lock().unwrap())
    }
}

fn options() -> SchedulerOptions {
    SchedulerOptions {
        hostname: "box".to_owned(),
        unixname: "me".to_owned(),
        executor_names: vec!["LocalExecutor".into()],
        max_task_retry_delay: SignedDuration::from_hours(24),
        max_dagruns_to_create: 10,
        max_dagruns_per_loop: 20,
        use_job_schedule: true,
        partition_keys_max: 1_000,
        custom_mappers: None,
        job_heartbeat: LONG,
        health_check_threshold: LONG,
        trigger_timeout_check_interval: LONG,
        parsing_cleanup_interval: LONG,
        orphaned_tasks_check_interval: LONG,
        task_instance_heartbeat_timeout: LONG,
        heartbeat_timeout_detection_interval: LONG,
        stuck: StuckOptions {
            timeout: 10 * LONG,
            check_interval: LONG,
            requeues_max: 2,
        },
        run_rules: rules(),
        environment_variables: Default::default(),
        connection_tests_max: 4,
        connection_test_timeout: Duration::from_secs(60),
        log_names: LogNames::default(),
        full_scan_interval: LONG,
        is_alone: true,
    }
}

/// A try that was rescheduled keeps its id: what its first stay reports late must not touch the
/// second. Seed 217.
#[tokio::test]
async fn a_late_report_of_an_earlier_stay_changes_nothing() {
    let mut scene = Scene::new(Gate::default()).await;
    scene.settle().await;
    let workload = scene.take_queued().pop().expect("the sensor is queued");
    let now = scene.clock.now();
    let reschedule = message::Outcome::RescheduleTask(RescheduleTask {
        reschedule_date: now.into(),
        end_date: now.into(),
    });
    let first = rows(&scene.store, &scene.clock, &workload).for_child(1);
    assert!(matches!(first.clone().start().await, Event::RunAccepted(_)));
    first.clone().finish(reschedule.clone()).await.unwrap();
    scene.time.advance(Duration::from_secs(1));
    scene.scheduler.on_change(Change::Everything);
    scene.settle().await;
    let again = scene.take_queued().pop().expect("it is queued again");
    assert_eq!(again.ti_id, workload.ti_id, "a reschedule keeps the try");
    let second = rows(&scene.store, &scene.clock, &again).for_child(2);
    assert!(matches!(second.start().await, Event::RunAccepted(_)));

    let refused = first.finish(reschedule).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::NotOurs);
    let mut reader = scene.store.read().await.unwrap();
    let row = reader
        .find_task_instance(again.ti_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((row.state, row.pid), (TaskInstanceState::Running, Some(2)));
}

/// The answer to a commit was lost, and with it what should have gone to the executor. Seed 224.
#[tokio::test]
async fn what_was_queued_by_a_commit_without_an_answer_still_runs() {
    let has_queued = Arc::new(AtomicBool::new(false));
    let gate = Gate::kept_by(Arc::new(move |passage: Passage| {
        let breaks = match passage {
            Passage::Statement("queue task instances") => {
                has_queued.store(true, Ordering::Relaxed);
                false
            }
            Passage::Committed(_) => has_queued.swap(false, Ordering::Relaxed),
            _ => false,
        };
        Box::pin(async move {
            match breaks {
                true => Err(std::io::ErrorKind::ConnectionReset.into()),
                false => Ok(()),
            }
        })
    }));
    let mut scene = Scene::new(gate).await;
    scene.settle().await;
    let queued = scene.take_queued();
    assert_eq!(queued.len(), 1, "{queued:?}");
    scene.time.advance(2 * LONG);
    scene.settle().await;
    assert_eq!(
        scene.take_queued(),
        [],
        "what runs is not handed over again"
    );
}
