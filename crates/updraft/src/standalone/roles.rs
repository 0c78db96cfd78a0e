//! Starts the roles and wires them together.

use std::time::Duration;

use anyhow::Result;
use tokio::net::TcpListener;
use tracing::warn;
use updraft_api_server::{ApiServer, ApiState};
use updraft_config::Settings;
use updraft_dag_processor::DagProcessor;
use updraft_execution::ChildRunner;
use updraft_executor::LocalExecutor;
use updraft_python::{PythonRuntime, Zygote};
use updraft_runtime::{Clock, Ids, OnExit, Tasks};
use updraft_scheduler::{CustomMappers, Scheduler};
use updraft_store::{Dialect, Store};
use updraft_triggerer::Triggerer;
use updraft_worker::Worker;

use super::bundles;
use super::first_start::Keys;
use super::options::{self, Host};
use super::python as python_side;
use crate::cli::standalone::StandaloneArgs;

/// How long running tasks may take to end by themselves when everything stops.
const TASK_GRACE: Duration = Duration::from_secs(3);

/// The running roles.
pub(super) struct Roles {
    store: Store,
    executor: LocalExecutor,
    worker: Worker,
}

impl Roles {
    /// Takes no more work, lets short tasks end and hands the others back. What is left is the
    /// store, to be closed when everybody is done with it.
    pub(super) async fn stop(self) -> Store {
        self.executor.stop();
        if let Err(error) = self.worker.stop(TASK_GRACE).await {
            warn!(%error, "failed to hand running tasks back; the next start takes them over");
        }
        self.store
    }
}

/// Starts every role.
pub(super) async fn start(
    settings: &Settings,
    args: &StandaloneArgs,
    store: Store,
    python: PythonRuntime,
    keys: Keys,
    listener: TcpListener,
    tasks: &Tasks,
) -> Result<Roles> {
    let host = Host::of_machine()?;
    let configs = bundles::configs(settings, args, &python)?;
    let zygote = Zygote::start_in_background(options::zygote(settings, &python, &configs)?, tasks)?;
    report_zygote(&zygote, tasks);
    python_side::watch(settings, &zygote, tasks);
    let plugins = python_side::plugins(settings, &store, &zygote, tasks)?;
    forward_notifications(&store, tasks);

    let state = ApiState::new(
        store.clone(),
        options::api(settings, &keys, &python, plugins.clone())?,
        tasks.clone(),
        Clock::machine(),
        Ids::random(),
    );
    let server = ApiServer { state };
    tasks.spawn(
        "api-server",
        OnExit::Shutdown,
        server.serve(listener, tasks.shutdown()),
    );

    // Before anything creates task instances: they wait until Python has said what it wants.
    python_side::start_beside_scheduler(&store, &plugins, tasks).await?;
    let side = python_side::side(settings, &plugins)?;
    let side_of_files = python_side::side_for_dag_files(settings, &plugins)?;
    let runner = child_runner(settings, &store, zygote.clone(), tasks);
    let bundles = bundles::open(settings, configs, &runner, &side_of_files, tasks)?;
    let worker_options = options::worker(settings, &host, side.clone());
    let worker = Worker::new(
        store.clone(),
        zygote.clone(),
        bundles.clone(),
        tasks.clone(),
        worker_options,
    );
    let (executor, events) = start_executor(settings, &worker, tasks);
    let is_alone = store.dialect() == Dialect::Sqlite;
    let mappers = CustomMappers::new(plugins.clone(), tasks.clone(), Clock::machine());
    let scheduler = Scheduler::start(
        store.clone(),
        executor.clone(),
        options::scheduler(settings, is_alone, &host, mappers)?,
        Clock::machine(),
        Ids::random(),
    )
    .await?;
    tasks.spawn(
        "scheduler",
        OnExit::Shutdown,
        scheduler.run(events, tasks.shutdown()),
    );

    let triggerer = Triggerer::start(
        store.clone(),
        zygote.clone(),
        options::triggerer(settings, &python, is_alone, &host, side)?,
        tasks.clone(),
        Clock::machine(),
        Ids::random(),
    )
    .await?;
    tasks.spawn(
        "triggerer",
        OnExit::Shutdown,
        triggerer.run(tasks.shutdown()),
    );

    let processor = DagProcessor::start(
        bundles,
        runner,
        options::dag_processor(settings, &host, side_of_files),
    )
    .await?;
    tasks.spawn(
        "dag-processor",
        OnExit::Shutdown,
        processor.run(tasks.shutdown()),
    );
    Ok(Roles {
        store,
        executor,
        worker,
    })
}

/// How children run that parse files, run callbacks and fetch bundles.
fn child_runner(settings: &Settings, store: &Store, zygote: Zygote, tasks: &Tasks) -> ChildRunner {
    ChildRunner {
        store: store.clone(),
        zygote,
        tasks: tasks.clone(),
        shutdown: tasks.shutdown(),
        clock: Clock::machine(),
        masker: options::masker(settings),
    }
}

fn start_executor(
    settings: &Settings,
    worker: &Worker,
    tasks: &Tasks,
) -> (
    LocalExecutor,
    tokio::sync::mpsc::Receiver<updraft_executor::ExecutorEvent>,
) {
    let parallelism = usize::try_from(settings.core.parallelism).unwrap_or(usize::MAX);
    let (worker, shutdown) = (worker.clone(), tasks.shutdown());
    LocalExecutor::start(tasks.clone(), parallelism, move |workload| {
        let (worker, shutdown) = (worker.clone(), shutdown.clone());
        async move {
            match worker.run(workload, shutdown).await {
                updraft_worker::Outcome::Settled => updraft_executor::Outcome::Supervised,
                updraft_worker::Outcome::Refused => updraft_executor::Outcome::Refused,
                updraft_worker::Outcome::Unsettled(why) => updraft_executor::Outcome::Failed(why),
            }
        }
    })
}

/// A zygote that cannot start (a broken plugin, say) is reported where users look; work waits.
fn report_zygote(zygote: &Zygote, tasks: &Tasks) {
    let zygote = zygote.clone();
    tasks.spawn("zygote.report", OnExit::Log, async move {
        if let Err(error) = zygote.ready().await {
            warn!(%error, "the Python runtime is not ready; tasks and Dag files wait for it");
        }
        Ok::<(), std::convert::Infallible>(())
    });
}

fn forward_notifications(store: &Store, tasks: &Tasks) {
    let (store, shutdown) = (store.clone(), tasks.shutdown());
    tasks.spawn("store.notifications", OnExit::Log, async move {
        tokio::select! {
            () = store.forward_notifications() => {}
            () = shutdown.cancelled() => {}
        }
        Ok::<(), std::convert::Infallible>(())
    });
}
