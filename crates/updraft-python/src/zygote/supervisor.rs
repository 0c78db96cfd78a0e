//! Keeps one zygote ready: restarts after a death, replaces before old age.

use std::collections::HashSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{info, warn};
use updraft_runtime::{OnExit, Tasks};

use super::generation::{Generation, Notice, Order, Service};
use super::launch::launch;
use super::learned::Learned;
use super::{Error, ZygoteConfig};
use crate::process_tree;

/// Pause after the first failure; each further one doubles it.
const RETRY_FIRST: Duration = Duration::from_millis(200);

/// Longest pause: somebody who repairs a plugin should not wait much longer.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// A zygote that served so long was healthy, so its death starts a new count.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);

/// Pause between two looks for orphans after a zygote died.
const ORPHAN_INTERVAL: Duration = Duration::from_secs(30);

/// Notices that wait for the supervisor.
const NOTICES_MAX: usize = 64;

/// What callers see.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// A process is coming up; wait.
    Starting,
    /// Send orders here. When that fails, wait for the next state.
    Ready(Arc<Generation>),
    /// Starting failed, and will be tried again.
    Down(Error),
    /// There will be no more.
    Closed,
}

impl State {
    /// The generation to ask, if it is there yet.
    pub(super) fn generation(&self) -> Result<Option<Arc<Generation>>, Error> {
        match self {
            Self::Starting => Ok(None),
            Self::Ready(generation) => Ok(Some(Arc::clone(generation))),
            Self::Down(error) => Err(error.clone()),
            Self::Closed => Err(Error::Closed),
        }
    }
}

/// Owns the life cycle of all generations.
#[derive(Debug)]
pub(super) struct Supervisor {
    config: ZygoteConfig,
    instance: PathBuf,
    tasks: Tasks,
    state: watch::Sender<State>,
    alive: mpsc::Receiver<()>,
    recycle: mpsc::Receiver<()>,
    notices: mpsc::Receiver<Notice>,
    notice_sender: mpsc::Sender<Notice>,
    generations: u64,
    failures: u32,
    started_at: Instant,
    orphans_expected: bool,
    learned: Learned,
}

/// What the supervisor does next.
enum Next {
    Launch,
    LaunchAfter(Duration),
    Stop,
}

impl Supervisor {
    pub(super) fn new(
        config: ZygoteConfig,
        instance: PathBuf,
        tasks: Tasks,
        state: watch::Sender<State>,
        alive: mpsc::Receiver<()>,
        recycle: mpsc::Receiver<()>,
    ) -> Self {
        let (notice_sender, notices) = mpsc::channel(NOTICES_MAX);
        let learned = Learned::load(config.shim_dir.with_extension("modules"));
        Self {
            config,
            instance,
            tasks,
            state,
            alive,
            recycle,
            notices,
            notice_sender,
            generations: 0,
            failures: 0,
            started_at: Instant::now(),
            orphans_expected: false,
            learned,
        }
    }

    /// Runs until every handle of the zygote is dropped.
    pub(super) async fn run(mut self) -> Result<(), Infallible> {
        let mut next = Next::Launch;
        loop {
            next = match next {
                Next::Launch => self.launch().await,
                Next::LaunchAfter(pause) => tokio::select! {
                    _ = self.alive.recv() => Next::Stop,
                    () = tokio::time::sleep(pause) => Next::Launch,
                },
                Next::Stop => break,
            };
        }
        if let State::Ready(generation) = self.state.send_replace(State::Closed) {
            drop(generation.orders.send(Order::Drain).await);
        }
        Ok(())
    }

    async fn launch(&mut self) -> Next {
        let preload = self.learned.modules();
        let launched = tokio::select! {
            _ = self.alive.recv() => return Next::Stop,
            launched = launch(&self.config, &self.instance, &preload) => launched,
        };
        match launched {
            Ok(launched) => {
                if launched.preload_refused {
                    self.learned.refuse();
                }
                self.generations += 1;
                let (generation, service) = Service::new(
                    self.generations,
                    launched,
                    &self.config,
                    self.notice_sender.clone(),
                );
                info!(
                    zygote = generation.pid,
                    airflow_core = generation.versions.airflow_core,
                    python = generation.versions.python,
                    "started the Python zygote"
                );
                self.tasks
                    .spawn("zygote.generation", OnExit::Log, service.run());
                self.started_at = Instant::now();
                let ready = State::Ready(Arc::new(generation));
                if let State::Ready(old) = self.state.send_replace(ready) {
                    // An old one that is dead already needs no farewell.
                    drop(old.orders.send(Order::Drain).await);
                }
                self.watch().await
            }
            Err(error) => self.on_failure(error),
        }
    }

    /// Waits for a reason to start another process.
    async fn watch(&mut self) -> Next {
        let mut orphans = tokio::time::interval(ORPHAN_INTERVAL);
        let mut zombies = HashSet::new();
        loop {
            tokio::select! {
                _ = self.alive.recv() => return Next::Stop,
                _ = orphans.tick(), if self.orphans_expected => {
                    zombies = process_tree::reap_orphans(&zombies);
                }
                Some(()) = self.recycle.recv() => return Next::Launch,
                Some(notice) = self.notices.recv() => match notice {
                    Notice::WantsSuccessor { number } if number == self.generations => {
                        return Next::Launch;
                    }
                    Notice::Ended { number, error } => {
                        self.orphans_expected = true;
                        if number == self.generations {
                            return self.on_death(error);
                        }
                    }
                    Notice::WantsSuccessor { .. } => {}
                    Notice::Learned { modules } => self.learned.add(modules),
                },
            }
        }
    }

    fn on_death(&mut self, error: Error) -> Next {
        if self.started_at.elapsed() > HEALTHY_AFTER {
            self.failures = 0;
        }
        if self.failures > 0 {
            return self.on_failure(error);
        }
        warn!(%error, "the Python zygote died; starting another");
        self.failures = 1;
        self.state.send_replace(State::Starting);
        Next::Launch
    }

    fn on_failure(&mut self, error: Error) -> Next {
        let pause = RETRY_MAX.min(RETRY_FIRST.saturating_mul(1 << self.failures.min(10)));
        self.failures += 1;
        warn!(%error, retry_in_ms = pause.as_millis(), "failed to start the Python zygote");
        // A replacement that does not start leaves the old process in service.
        self.state.send_if_modified(|state| {
            let in_service =
                matches!(state, State::Ready(generation) if !generation.orders.is_closed());
            if !in_service {
                *state = State::Down(error);
            }
            !in_service
        });
        Next::LaunchAfter(pause)
    }
}
