//! The warm Python process from which every child is forked.
//!
//! [`Zygote`] is a cheap handle. Behind it a [supervisor](supervisor) keeps one process ready: it
//! starts a new one when the old one dies, and replaces it before it grows too big. Each process
//! is a [generation](generation), which owns the control socket and the exits of its children.
//!
//! Children survive their zygote. We are a subreaper, so the kernel gives orphans to us, and
//! [`ChildExit`](crate::ChildExit) then asks the kernel instead of the zygote.

mod control;
mod error;
mod generation;
mod launch;
mod learned;
mod supervisor;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use updraft_runtime::{OnExit, Tasks};

pub use self::error::Error;
use self::generation::{Generation, Order, Spawn};
use self::supervisor::{State, Supervisor};
use crate::child::{ChildHandle, ChildKind};
use crate::leftovers;
use crate::provision::PythonRuntime;

/// How to start and keep the zygote.
#[derive(Clone, Debug)]
pub struct ZygoteConfig {
    /// A Python with Airflow in it.
    pub interpreter: PathBuf,
    /// The unpacked shim.
    pub shim_dir: PathBuf,
    /// Holds the file by which a later life of this Updraft knows our processes.
    pub runtime_dir: PathBuf,
    /// The whole environment of the zygote and so of its children, apart from what is secret.
    pub environment: Vec<(String, String)>,
    /// Whether to load the plugins that Airflow's example Dags need.
    pub example_plugins: bool,
    /// Children forked ahead of need.
    pub idle_children: usize,
    /// After so many children a new zygote takes over, because heaps only grow.
    pub children_max: u64,
    /// After growing by so much a new zygote takes over.
    pub growth_bytes_max: u64,
    /// How long imports may take, plugins included.
    pub start_timeout: Duration,
}

impl ZygoteConfig {
    /// Settings that fit a small machine.
    #[must_use]
    pub fn new(python: &PythonRuntime) -> Self {
        Self {
            interpreter: python.interpreter.executable.clone(),
            shim_dir: python.shim_dir.clone(),
            runtime_dir: python.runtime_dir.clone(),
            environment: Vec::new(),
            example_plugins: false,
            idle_children: 2,
            children_max: 50_000,
            growth_bytes_max: 128 * 1024 * 1024,
            start_timeout: Duration::from_secs(120),
        }
    }
}

/// What runs in the zygote, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Versions {
    /// Version of the interpreter.
    pub python: String,
    /// Version of `apache-airflow-core`.
    pub airflow_core: String,
    /// Version of `apache-airflow-task-sdk`.
    pub task_sdk: String,
    /// Hash of the SDK's schema of the messages between a child and its supervisor.
    pub schema_sha256: String,
}

/// Forks children. Clones share one process; it ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Zygote {
    state: watch::Receiver<State>,
    recycle: mpsc::Sender<()>,
    _alive: Arc<mpsc::Sender<()>>,
}

impl Zygote {
    /// Starts the zygote and waits until it can fork.
    pub async fn start(config: ZygoteConfig, tasks: &Tasks) -> Result<Self, Error> {
        let zygote = Self::start_in_background(config, tasks)?;
        zygote.ready().await?;
        Ok(zygote)
    }

    /// Starts the zygote; whoever needs a child first waits for it.
    pub fn start_in_background(config: ZygoteConfig, tasks: &Tasks) -> Result<Self, Error> {
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(|errno| Error::io("become a subreaper")(errno.into()))?;
        let instance = leftovers::mark_instance(&config.runtime_dir)
            .map_err(Error::io("mark this process in the runtime folder"))?;
        let (state_sender, state) = watch::channel(State::Starting);
        let (alive_sender, alive) = mpsc::channel(1);
        let (recycle, recycle_requests) = mpsc::channel(1);
        let supervisor = Supervisor::new(
            config,
            instance,
            tasks.clone(),
            state_sender,
            alive,
            recycle_requests,
        );
        tasks.spawn("zygote.supervisor", OnExit::Log, supervisor.run());
        Ok(Self {
            state,
            recycle,
            _alive: Arc::new(alive_sender),
        })
    }

    /// Waits until the zygote can fork and says what is in it.
    pub async fn ready(&self) -> Result<Versions, Error> {
        let generation = in_service(&mut self.state.clone()).await?;
        Ok(generation.versions.clone())
    }

    /// Process id of the zygote that would fork next, when there is one.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match &*self.state.borrow() {
            State::Ready(generation) => Some(generation.pid),
            State::Starting | State::Down(_) | State::Closed => None,
        }
    }

    /// Waits until another process than `seen` can fork, and says its process id: plugins and
    /// settings of the cluster were loaded anew.
    ///
    /// # Errors
    /// [`Error::Closed`]: there will be none.
    pub async fn next_process(&self, seen: Option<u32>) -> Result<u32, Error> {
        let mut state = self.state.clone();
        loop {
            if let State::Ready(generation) = &*state.borrow_and_update()
                && Some(generation.pid) != seen
            {
                return Ok(generation.pid);
            }
            state.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    /// Forks a child of `kind`, with `environment` on top of the zygote's own.
    ///
    /// Never waits for another child to end. A [transient](Error::is_transient) error left
    /// nothing running.
    pub async fn spawn(
        &self,
        kind: ChildKind,
        environment: Vec<(String, String)>,
    ) -> Result<ChildHandle, Error> {
        let (reply, child) = oneshot::channel();
        let mut order = Order::Spawn(Spawn {
            kind,
            environment,
            reply,
        });
        let mut state = self.state.clone();
        loop {
            let generation = in_service(&mut state).await?;
            match generation.orders.send(order).await {
                Ok(()) => return child.await.map_err(|_| Error::Lost)?,
                // It ended meanwhile, and its successor will be announced.
                Err(unsent) => order = unsent.0,
            }
            state.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    /// Replaces the process, because plugins, settings or packages changed. Running children go
    /// on; children that start later come from the new process.
    pub fn recycle(&self) {
        // A full channel means that a replacement has been asked for already.
        let _ = self.recycle.try_send(());
    }
}

/// Waits for a process that can fork.
async fn in_service(state: &mut watch::Receiver<State>) -> Result<Arc<Generation>, Error> {
    loop {
        let generation = state.borrow_and_update().generation()?;
        if let Some(generation) = generation {
            return Ok(generation);
        }
        state.changed().await.map_err(|_| Error::Closed)?;
    }
}
