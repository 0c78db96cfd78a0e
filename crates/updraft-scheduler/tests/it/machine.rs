//! A scheduler with an executor that runs what the test says, in simulated time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::{broadcast, mpsc, oneshot};
use updraft_executor::{ExecutorEvent, ExecutorWorkload, LocalExecutor, Outcome, Workload};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagRunState, JobId};
use updraft_runtime::{Clock, Ids, SimulatedTime, Tasks};
use updraft_scheduler::{Next, Scheduler, SchedulerOptions, StuckOptions};
use updraft_store::{Change, RunKey, Runner, Start};

use crate::scene::{NOW, Scene, at, daily};

const SECOND: Duration = Duration::from_secs(1);

/// A workload, and how to tell the executor its end.
pub(crate) struct Started {
    pub(crate) workload: Workload,
    pub(crate) finish: oneshot::Sender<Outcome>,
}

pub(crate) struct Machine {
    pub(crate) scene: Scene,
    pub(crate) time: SimulatedTime,
    pub(crate) clock: Clock,
    scheduler: Scheduler,
    started: Arc<Mutex<Vec<Started>>>,
    events: mpsc::Receiver<ExecutorEvent>,
    changes: broadcast::Receiver<Change>,
}

fn options() -> SchedulerOptions {
    SchedulerOptions {
        hostname: "here".to_owned(),
        unixname: "me".to_owned(),
        executor_names: vec![],
        max_task_retry_delay: SignedDuration::from_hours(24),
        max_dagruns_to_create: 10,
        max_dagruns_per_loop: 20,
        use_job_schedule: true,
        job_heartbeat: 5 * SECOND,
        health_check_threshold: 30 * SECOND,
        parsing_cleanup_interval: 60 * SECOND,
        orphaned_tasks_check_interval: 300 * SECOND,
        task_instance_heartbeat_timeout: 300 * SECOND,
        heartbeat_timeout_detection_interval: 10 * SECOND,
        stuck: StuckOptions {
            timeout: 600 * SECOND,
            check_interval: 120 * SECOND,
            requeues_max: 2,
        },
        run_rules: updraft_dag_run::RunRules {
            allowed_run_id_pattern: ".*".to_owned(),
            allow_double_dot_in_ids: false,
            disable_bundle_versioning: false,
        },
        trigger_timeout_check_interval: 15 * SECOND,
        log_names: updraft_execution::LogNames::default(),
        partition_keys_max: 1_000,
        custom_mappers: None,
        environment_variables: BTreeMap::new(),
        connection_tests_max: 4,
        connection_test_timeout: 60 * SECOND,
        full_scan_interval: 30 * SECOND,
        is_alone: true,
    }
}

impl Machine {
    /// A scheduler, and a run of tasks that stand as `a >> b`; each may be tried twice.
    pub(crate) async fn new(edges: &str) -> (Self, RunKey) {
        let scene = Scene::new().await;
        let mut data = daily("d", edges);
        for task in data["dag"]["tasks"].as_array_mut().unwrap() {
            task["__var"]["has_on_failure_callback"] = true.into();
        }
        scene.parse(&data, None).await;
        let key = scene.run("d", "r", Some("2026-02-28T00:00:00Z")).await;
        scene.set_run_state(&key, DagRunState::Running).await;
        let time = SimulatedTime::starting(at(NOW));
        (Self::start(scene, time).await, key)
    }

    async fn start(scene: Scene, time: SimulatedTime) -> Self {
        let clock = Clock::simulated(time.clone());
        let started = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&started);
        let (executor, events) = LocalExecutor::start(Tasks::new(), 4, move |workload| {
            let (finish, finished) = oneshot::channel();
            let ExecutorWorkload::ExecuteTask(workload) = workload else {
                panic!("{workload:?} is no task");
            };
            taken.lock().unwrap().push(Started {
                workload: *workload,
                finish,
            });
            async move { finished.await.unwrap_or(Outcome::Supervised) }
        });
        let store = scene.store.clone();
        let changes = store.changes().subscribe();
        let ids = Ids::seeded(4);
        let scheduler = Scheduler::start(store, executor, options(), clock.clone(), ids);
        Self {
            scheduler: scheduler.await.unwrap(),
            scene,
            time,
            clock,
            started,
            events,
            changes,
        }
    }

    /// The process dies, and another one starts on the same store.
    pub(crate) async fn restart(self) -> Self {
        Self::start(self.scene, self.time).await
    }

    /// Takes steps until nothing is left to do.
    pub(crate) async fn settle(&mut self) {
        loop {
            while let Ok(event) = self.events.try_recv() {
                self.scheduler.on_executor_event(event);
            }
            while let Ok(change) = self.changes.try_recv() {
                self.scheduler.on_change(change);
            }
            match self.scheduler.step().await.unwrap() {
                Next::Now => {}
                Next::AfterFailure(_) => panic!("a step failed"),
                Next::At(_) if self.events.is_empty() && self.changes.is_empty() => return,
                Next::At(_) => {}
            }
        }
    }

    /// Lets time pass in small steps, as a scheduler that is awake sees it.
    pub(crate) async fn pass(&mut self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(10 * SECOND);
            self.time.advance(step);
            left -= step;
            self.settle().await;
        }
    }

    /// What was handed to the executor since the last look.
    pub(crate) fn take_started(&self) -> Vec<Started> {
        std::mem::take(&mut *self.started.lock().unwrap())
    }

    /// Tells the executor how a workload ended, and the scheduler with it.
    pub(crate) async fn finish(&mut self, started: Started, outcome: Outcome) {
        started.finish.send(outcome).unwrap();
        let event = self.events.recv().await.unwrap();
        self.scheduler.on_executor_event(event);
        self.settle().await;
    }

    /// A process starts the try of a workload.
    pub(crate) async fn run(&self, workload: &Workload) {
        let runner = Runner {
            hostname: "here".to_owned(),
            unixname: "me".to_owned(),
            pid: 7,
        };
        let now = self.clock.now();
        let mut tx = self.scene.store.write().await.unwrap();
        let start = tx.start_try(workload.ti_id, &runner, now, now).await;
        assert!(matches!(start.unwrap(), Start::Started(_)));
        tx.commit().await.unwrap();
    }

    pub(crate) async fn row(&self, key: &RunKey, task: &str) -> TaskInstance {
        let mut rows = self.scene.rows(key).await;
        rows.retain(|row| row.task_id.as_str() == task);
        rows.pop().unwrap()
    }

    /// For what callbacks of tasks were requested since the last look.
    pub(crate) async fn take_callbacks(&self) -> Vec<String> {
        let mut tx = self.scene.store.write().await.unwrap();
        let now = self.clock.now();
        let claimed = tx
            .claim_callbacks(&["dags-folder".into()], JobId(1), 10, now, now)
            .await
            .unwrap();
        let ids: Vec<i64> = claimed.iter().map(|request| request.id).collect();
        tx.finish_callbacks(&ids).await.unwrap();
        tx.commit().await.unwrap();
        claimed
            .iter()
            .map(|request| {
                request.body["task_callback_type"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }
}
