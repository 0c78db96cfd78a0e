//! Every asynchronous task has a name, an owner and a consequence when it ends.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error};

/// What the end of a task means while the process is not stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExit {
    /// The process cannot go on without it: everything stops.
    Shutdown,
    /// An error is logged, a plain end is expected.
    Log,
}

/// Spawns and outlives all tasks of a process. A cheap handle; clones share one owner.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: CancellationToken,
    failure: Arc<Mutex<Option<String>>>,
}

impl Tasks {
    /// An owner without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tracker: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            failure: Arc::new(Mutex::new(None)),
        }
    }

    /// Cancelled when the process should stop.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Runs `future` under `name`. A panic counts as an error.
    pub fn spawn<F, E>(&self, name: &'static str, on_exit: OnExit, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        let owner = self.clone();
        let work = spawn_on(&self.tracker, future);
        drop(spawn_on(&self.tracker, async move {
            let problem = match work.await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{error:#}")),
                Err(join) if join.is_panic() => Some("panicked".to_owned()),
                Err(_) => Some("was aborted".to_owned()),
            };
            owner.on_end(name, on_exit, problem);
        }));
    }

    /// Runs blocking work off the asynchronous threads and waits for it.
    ///
    /// # Panics
    /// When `work` panics.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        match self.tracker.spawn_blocking(work).await {
            Ok(value) => value,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn on_end(&self, name: &'static str, on_exit: OnExit, problem: Option<String>) {
        let stopping = self.shutdown.is_cancelled();
        match (&problem, stopping) {
            (Some(error), _) => error!(task = name, %error, "background task failed"),
            (None, true) => debug!(task = name, "background task ended"),
            (None, false) if on_exit == OnExit::Shutdown => {
                error!(
                    task = name,
                    "background task ended while it was still needed"
                );
            }
            (None, false) => debug!(task = name, "background task ended"),
        }
        if on_exit == OnExit::Shutdown && !stopping {
            let text = problem.unwrap_or_else(|| "ended unexpectedly".to_owned());
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(format!("{name}: {text}"));
            self.shutdown.cancel();
        }
    }

    /// Why an essential task ended, if one did.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Asks every task to end and waits at most `grace`. Returns whether all ended in time.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.shutdown.cancel();
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_ok()
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

fn spawn_on<F>(tracker: &TaskTracker, future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tracker.spawn(future)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use super::{OnExit, Tasks};

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn the_end_of_an_essential_task_stops_the_process_and_says_why() {
        let tasks = Tasks::new();
        tasks.spawn("scheduler.loop", OnExit::Shutdown, async {
            Err::<(), _>("store is gone")
        });
        tokio::time::timeout(LONG, tasks.shutdown().cancelled())
            .await
            .expect("shutdown follows");
        assert_eq!(
            tasks.failure().as_deref(),
            Some("scheduler.loop: store is gone")
        );
        assert!(tasks.drain(LONG).await);
    }

    #[tokio::test]
    async fn a_panic_in_an_unessential_task_stops_nothing() {
        let tasks = Tasks::new();
        tasks.spawn("metrics", OnExit::Log, async {
            assert!(tokio::time::Instant::now().elapsed() > LONG, "a bug");
            Ok::<(), Infallible>(())
        });
        tasks.tracker.close();
        tasks.tracker.wait().await;
        assert!(!tasks.shutdown().is_cancelled());
        assert_eq!(tasks.failure(), None);
    }

    #[tokio::test]
    async fn a_task_that_ignores_the_shutdown_is_not_waited_for_for_ever() {
        let tasks = Tasks::new();
        tasks.spawn("deaf", OnExit::Log, async {
            std::future::pending::<()>().await;
            Ok::<(), Infallible>(())
        });
        assert!(!tasks.drain(Duration::from_millis(20)).await);
    }
}
