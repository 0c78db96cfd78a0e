//! The tasks that run here, so that a change of their rows reaches them at once.
//!
//! A task that is cleared or marked while it runs must stop. Its next heartbeat would notice; a
//! hint of the store lets us look right away.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, mpsc};
use tracing::warn;
use updraft_model::{TaskInstanceId, TaskInstanceState};
use updraft_runtime::CancellationToken;
use updraft_store::{Change, Error, RunKey, Store};
use updraft_task_comms::session::StopReason;

/// Reasons to stop that may wait for one task. The first one counts.
const STOPS_MAX: usize = 4;

/// The tasks that run in this process. A cheap handle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running {
    tasks: Arc<Mutex<BTreeMap<TaskInstanceId, Entry>>>,
    processes: Arc<AtomicU64>,
    /// Notified when a task leaves the list.
    left: Arc<Notify>,
}

#[derive(Debug)]
struct Entry {
    run: RunKey,
    stop: mpsc::Sender<StopReason>,
    /// Tells a process from an earlier one of the same try, which may still be ending while the try
    /// goes on: a wait can be over before its process is.
    process: u64,
}

/// Takes its task off the list when it is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    running: Running,
    id: TaskInstanceId,
    process: u64,
}

impl Running {
    /// Lists a task; the receiver hears when it must stop.
    pub(crate) fn register(
        &self,
        id: TaskInstanceId,
        run: RunKey,
    ) -> (Registration, mpsc::Receiver<StopReason>) {
        let (stop, stops) = mpsc::channel(STOPS_MAX);
        let process = self.processes.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, Entry { run, stop, process });
        let registration = Registration {
            running: self.clone(),
            id,
            process,
        };
        (registration, stops)
    }

    /// Tells every task to stop.
    pub(crate) fn stop_all(&self, reason: StopReason) {
        for entry in self.lock().values() {
            // A full channel means that it has been told already.
            let _ = entry.stop.try_send(reason);
        }
    }

    /// Stops tasks whose rows no longer say that they run here, as soon as the store hints at it.
    pub(crate) async fn watch(
        self,
        store: Store,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let mut changes = store.changes().subscribe();
        loop {
            let change = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                change = changes.recv() => change,
            };
            let ids = match change {
                Ok(Change::DagRun { dag_id, run_id }) => self.of_run(&RunKey { dag_id, run_id }),
                Ok(Change::Everything) | Err(RecvError::Lagged(_)) => self.all(),
                Ok(_) => continue,
                Err(RecvError::Closed) => return Ok(()),
            };
            if !ids.is_empty()
                && let Err(error) = self.stop_superseded(&store, &ids).await
            {
                // Their heartbeats will find out.
                warn!(%error, "failed to check the rows of running tasks");
            }
        }
    }

    async fn stop_superseded(&self, store: &Store, ids: &[TaskInstanceId]) -> Result<(), Error> {
        for id in superseded(store, ids).await? {
            if let Some(entry) = self.lock().get(&id) {
                let _ = entry.stop.try_send(StopReason::Superseded);
            }
        }
        Ok(())
    }

    fn of_run(&self, run: &RunKey) -> Vec<TaskInstanceId> {
        let tasks = self.lock();
        tasks
            .iter()
            .filter(|(_, entry)| entry.run == *run)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Waits until no task runs here.
    pub(crate) async fn until_empty(&self) {
        loop {
            let left = self.left.notified();
            if self.lock().is_empty() {
                return;
            }
            left.await;
        }
    }

    /// Everything that runs here.
    pub(crate) fn all(&self) -> Vec<TaskInstanceId> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<TaskInstanceId, Entry>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of the tries that run here according to us, but no longer according to their rows.
///
/// # Errors
/// When the store fails.
pub async fn superseded(
    store: &Store,
    ids: &[TaskInstanceId],
) -> Result<Vec<TaskInstanceId>, Error> {
    let states = store.read().await?.load_states(ids).await?;
    let is_ours = |id: &TaskInstanceId| {
        // `queued`: it has been listed and is about to be marked as running.
        matches!(
            states.get(id),
            Some(TaskInstanceState::Queued | TaskInstanceState::Running)
        )
    };
    Ok(ids.iter().filter(|id| !is_ours(id)).copied().collect())
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut tasks = self.running.lock();
        if tasks
            .get(&self.id)
            .is_some_and(|entry| entry.process == self.process)
        {
            tasks.remove(&self.id);
        }
        drop(tasks);
        self.running.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::TaskInstanceId;
    use updraft_store::RunKey;
    use updraft_task_comms::session::StopReason;
    use uuid::Uuid;

    use super::Running;

    #[test]
    fn the_end_of_an_earlier_process_leaves_the_later_one_of_the_same_try_listed() {
        let running = Running::default();
        let id = TaskInstanceId(Uuid::now_v7());
        let run = RunKey {
            dag_id: "d".into(),
            run_id: "r".into(),
        };
        let (earlier, _) = running.register(id, run.clone());
        let (later, mut stops) = running.register(id, run);
        drop(earlier);
        assert_eq!(running.all(), [id]);
        running.stop_all(StopReason::Superseded);
        assert_eq!(stops.try_recv(), Ok(StopReason::Superseded));
        drop(later);
        assert_eq!(running.all(), []);
    }
}
