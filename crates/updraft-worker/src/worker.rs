//! From a workload to an outcome: tasks here, what else an executor runs in [`crate::callback`] and
//! [`crate::connection_test`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};
use updraft_bundles::{Bundles, Opened};
use updraft_execution::{ChildOrder, ChildRunner, End, Finished, LogFile};
use updraft_model::BundleName;
use updraft_model::workload::{ExecutorWorkload, Workload};
use updraft_python::{ChildHandle, ChildKind, Zygote};
use updraft_runtime::{CancellationToken, Clock, Ids, OnExit, Tasks};
use updraft_store::{RunKey, Store};
use updraft_task_comms::masker::{MaskerConfig, SecretsMasker};
use updraft_task_comms::message;
use updraft_task_comms::session::{
    Assignment, Event, Moment, SessionConfig, StopReason, TaskSession,
};

use crate::rows::{self, Outcome, Rows, pause_before};
use crate::running::Running;
use crate::supervision::Supervision;

/// Attempts to get a child or to reach the store before a workload is given back.
const ATTEMPTS_MAX: u32 = 8;

/// Settings of a worker.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// `[logging] base_log_folder`.
    pub log_folder: PathBuf,
    /// Identity of this process in the rows of its tasks.
    pub hostname: String,
    pub unixname: String,
    pub session: SessionConfig,
    /// `[callbacks] callback_execution_timeout`.
    pub callback_timeout: Option<Duration>,
    pub masker: MaskerConfig,
    /// What the answers to a child depend on.
    pub answers: updraft_execution::AnswerOptions,
}

/// Runs workloads. A cheap handle.
#[derive(Clone)]
pub struct Worker {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) store: Store,
    zygote: Zygote,
    bundles: Bundles,
    tasks: Tasks,
    pub(crate) clock: Clock,
    ids: Ids,
    pub(crate) options: WorkerOptions,
    running: Running,
    /// Runs children that are no tasks.
    children: ChildRunner,
    /// How many of them there are.
    others: watch::Sender<usize>,
    /// Ends them.
    pub(crate) stop_others: CancellationToken,
}

impl Worker {
    /// A worker whose children come from `zygote` and find their Dags in `bundles`.
    #[must_use]
    pub fn new(
        store: Store,
        zygote: Zygote,
        bundles: Bundles,
        tasks: Tasks,
        options: WorkerOptions,
    ) -> Self {
        let running = Running::default();
        let watch = running.clone().watch(store.clone(), tasks.shutdown());
        tasks.spawn("worker.watch", OnExit::Log, watch);
        let stop_others = CancellationToken::new();
        let children = ChildRunner {
            store: store.clone(),
            zygote: zygote.clone(),
            tasks: tasks.clone(),
            shutdown: stop_others.clone(),
            clock: Clock::machine(),
            masker: options.masker.clone(),
        };
        Self {
            shared: Arc::new(Shared {
                store,
                zygote,
                bundles,
                tasks,
                clock: Clock::machine(),
                ids: Ids::random(),
                options,
                running,
                children,
                others: watch::Sender::new(0),
                stop_others,
            }),
        }
    }

    /// Lets running tasks end by themselves for `grace`, then hands the rest back: their rows go
    /// back to no state under a new id, so that the next start runs them again, and their
    /// processes are stopped. [`Worker::run`] returns as they end.
    ///
    /// # Errors
    /// When the store fails; nothing is handed back then, and the next start finds the rows
    /// orphaned.
    pub async fn stop(&self, grace: Duration) -> Result<(), updraft_store::Error> {
        let shared = &self.shared;
        let mut others = shared.others.subscribe();
        let until_idle = async {
            shared.running.until_empty().await;
            // The sender is ours, so this cannot fail.
            let _ = others.wait_for(|count| *count == 0).await;
        };
        // Waiting longer serves nobody: an early end of the last one ends the wait.
        let _ = tokio::time::timeout(grace, until_idle).await;
        shared.stop_others.cancel();
        let ids = shared.running.all();
        let handed_back = rows::hand_back(&shared.store, &shared.clock, &shared.ids, &ids).await;
        shared.running.stop_all(StopReason::Superseded);
        if let Ok(count @ 1..) = handed_back {
            info!(
                count,
                "handed running tasks back; they start over at the next start"
            );
        }
        handed_back.map(|_| ())
    }

    /// Runs one workload to its end.
    pub async fn run(&self, workload: ExecutorWorkload, shutdown: CancellationToken) -> Outcome {
        match workload {
            ExecutorWorkload::ExecuteTask(task) => self.run_task(*task, shutdown).await,
            ExecutorWorkload::ExecuteCallback(callback) => self.run_callback(&callback).await,
            ExecutorWorkload::TestConnection(test) => self.run_connection_test(&test).await,
        }
    }

    /// Runs a child that is no task; waits for a zygote that is being replaced.
    pub(crate) async fn run_child(
        &self,
        order: impl Fn() -> Result<ChildOrder, String>,
    ) -> Finished {
        let _other = Other::new(&self.shared.others);
        let mut attempt = 0;
        loop {
            let order = match order() {
                Ok(order) => order,
                Err(why) => return Finished::not_started(why),
            };
            let finished = self.shared.children.run(order).await;
            let End::NotStarted(why) = &finished.end else {
                return finished;
            };
            if attempt == ATTEMPTS_MAX {
                return finished;
            }
            warn!(error = why, "failed to start a process; trying again");
            tokio::select! {
                () = self.shared.stop_others.cancelled() => {
                    return Finished { end: End::Stopped, ..finished };
                }
                () = self.shared.clock.sleep(pause_before(attempt)) => attempt += 1,
            }
        }
    }

    async fn run_task(&self, workload: Workload, shutdown: CancellationToken) -> Outcome {
        let shared = &self.shared;
        let run = RunKey {
            dag_id: workload.dag_id.clone(),
            run_id: workload.run_id.clone(),
        };
        let (_registration, stops) = shared.running.register(workload.ti_id, run);
        let log = LogFile::new(shared.options.log_folder.join(&workload.log_path));
        let rows = Rows::new(
            shared.store.clone(),
            shared.clock.clone(),
            shared.ids.clone(),
            &workload,
            &shared.options,
        );
        let Some(assignment) = assignment_of(&workload) else {
            return Outcome::Unsettled("the task instance belongs to no Dag version".to_owned());
        };
        let masker = SecretsMasker::new(shared.options.masker.clone());
        let session = TaskSession::new(assignment, shared.options.session.clone(), masker);
        // Held until the child has ended, so that the files stay.
        let version = workload.bundle_version.as_deref();
        let bundle = match self.bundle(&workload.bundle_name, version, &shutdown).await {
            Ok(bundle) => bundle,
            Err(why) => return self.without_child(session, log, why),
        };
        let child = match self.child(&bundle, &shutdown).await {
            Ok(child) => child,
            Err(why) => return self.without_child(session, log, why),
        };
        let rows = rows.for_child(child.pid.as_raw().unsigned_abs());
        let supervision = Supervision::new(
            session,
            child,
            log,
            rows.clone(),
            shared.tasks.clone(),
            shared.clock.clone(),
        );
        let conclusion = supervision.run(stops).await;
        rows.conclude(&workload, conclusion, &shared.tasks.shutdown())
            .await
    }

    /// Makes the files ready with which the run began.
    pub(crate) async fn bundle(
        &self,
        name: &BundleName,
        version: Option<&str>,
        stop: &CancellationToken,
    ) -> Result<Opened, String> {
        tokio::select! {
            () = stop.cancelled() => Err("Updraft is stopping".to_owned()),
            opened = self.shared.bundles.open(name, version) => {
                opened.map_err(|error| whole_error(&error))
            }
        }
    }

    /// Forks a child; waits for a zygote that is being replaced.
    async fn child(
        &self,
        bundle: &Opened,
        shutdown: &CancellationToken,
    ) -> Result<ChildHandle, String> {
        let mut attempt = 0;
        loop {
            let environment = bundle.environment.clone();
            match self.shared.zygote.spawn(ChildKind::Task, environment).await {
                Ok(child) => return Ok(child),
                Err(error) if error.is_transient() && attempt < ATTEMPTS_MAX => {
                    warn!(%error, "failed to fork a task; trying again");
                    tokio::select! {
                        () = shutdown.cancelled() => return Err("Updraft is stopping".to_owned()),
                        () = self.shared.clock.sleep(pause_before(attempt)) => attempt += 1,
                    }
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// The task log says why nothing ran.
    fn without_child(&self, mut session: TaskSession, mut log: LogFile, why: String) -> Outcome {
        let now = Moment {
            at: self.shared.clock.now(),
            elapsed: Duration::ZERO,
        };
        for effect in session.on_event(Event::ForkFailed { why: why.clone() }, now) {
            if let updraft_task_comms::session::Effect::WriteLog(line) = effect {
                log.append(&[line], now.at);
            }
        }
        Outcome::Unsettled(why)
    }
}

/// Counts a child that is no task while it lives.
struct Other<'a>(&'a watch::Sender<usize>);

impl<'a> Other<'a> {
    fn new(others: &'a watch::Sender<usize>) -> Self {
        others.send_modify(|count| *count += 1);
        Self(others)
    }
}

impl Drop for Other<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// An error with its causes.
fn whole_error(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What a session has to know of a workload; `None` when it belongs to no Dag version.
#[must_use]
pub fn assignment_of(workload: &Workload) -> Option<Assignment> {
    Some(Assignment {
        ti: message::TaskInstance {
            id: workload.ti_id.0,
            task_id: workload.task_id.to_string(),
            dag_id: workload.dag_id.to_string(),
            run_id: workload.run_id.to_string(),
            try_number: i64::from(workload.try_number),
            dag_version_id: workload.dag_version_id?.0,
            map_index: i64::from(workload.map_index.0),
            hostname: None,
            context_carrier: None,
            queue: workload.queue.clone(),
        },
        dag_rel_path: workload.dag_rel_path.clone(),
        bundle_info: message::BundleInfo {
            name: workload.bundle_name.to_string(),
            version: workload.bundle_version.clone(),
        },
        sentry_integration: String::new(),
    })
}
