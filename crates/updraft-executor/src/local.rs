//! Runs workloads on this machine, at most `parallelism` at once.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use updraft_runtime::{CancellationToken, OnExit, Tasks};
use uuid::Uuid;

use crate::queue::Queue;
use crate::{ExecutorEvent, ExecutorWorkload};

/// What the executor can say of a workload it is done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The worker saw the child's end and wrote the row accordingly.
    Supervised,
    /// The row refused the start: another try, another worker or a clear came first.
    Refused,
    /// Nothing ran, or nobody could write what became of it; the row needs the scheduler.
    Failed(String),
}

/// How many finished workloads may wait for the scheduler. A scheduler that lags this far behind
/// slows the start of new work, which is what it needs.
const EVENTS_MAX: usize = 4_096;

/// An executor in this process. A cheap handle; clones share the slots.
#[derive(Clone)]
pub struct LocalExecutor {
    shared: Arc<Shared>,
}

struct Shared {
    parallelism: usize,
    state: Mutex<State>,
    occupied: AtomicUsize,
    start: Box<dyn Fn(ExecutorWorkload, Slot) + Send + Sync>,
}

#[derive(Default)]
struct State {
    waiting: Queue,
    running: usize,
    /// The rows whose workloads run or wait here.
    held: BTreeMap<Uuid, Held>,
    stopped: bool,
}

/// A row whose workload runs or waits here.
#[derive(Default)]
struct Held {
    /// A sensor that was rescheduled may be back before its last supervision has ended.
    workloads: usize,
    /// Ends the supervisions that run now.
    revoked: CancellationToken,
}

impl LocalExecutor {
    /// An executor that runs each workload by `run`, and the events of those it is done with.
    ///
    /// `parallelism` is `[core] parallelism`; at least one workload runs at a time.
    pub fn start<F, R>(
        tasks: Tasks,
        parallelism: usize,
        run: F,
    ) -> (Self, mpsc::Receiver<ExecutorEvent>)
    where
        F: Fn(ExecutorWorkload) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let start = Box::new(move |workload: ExecutorWorkload, slot: Slot| {
            let running = run(workload.clone());
            let unfinished = Unfinished {
                workload: Some(workload),
                events: events.clone(),
            };
            tasks.spawn("executor.workload", OnExit::Log, async move {
                let unfinished = unfinished;
                let slot = slot;
                let outcome = tokio::select! {
                    biased;
                    () = slot.revoked.cancelled() => Outcome::Refused,
                    outcome = running => outcome,
                };
                // Free the slot first: the scheduler that hears of the end asks for free slots.
                drop(slot);
                unfinished.finish(outcome).await;
                Ok::<(), std::convert::Infallible>(())
            });
        });
        let shared = Shared {
            parallelism: parallelism.max(1),
            state: Mutex::default(),
            occupied: AtomicUsize::new(0),
            start,
        };
        (
            Self {
                shared: Arc::new(shared),
            },
            receiver,
        )
    }

    /// Slots that neither a running nor a waiting workload holds.
    #[must_use]
    pub fn open_slots(&self) -> usize {
        self.shared.parallelism.saturating_sub(self.occupied())
    }

    /// Workloads that run or wait here.
    #[must_use]
    pub fn occupied(&self) -> usize {
        self.shared.occupied.load(Ordering::Acquire)
    }

    /// Takes workloads; they start as slots come free, heaviest first.
    pub fn queue(&self, workloads: Vec<ExecutorWorkload>) {
        {
            let mut state = self.shared.lock();
            self.shared
                .occupied
                .fetch_add(workloads.len(), Ordering::AcqRel);
            for workload in workloads {
                state.held.entry(workload.id()).or_default().workloads += 1;
                state.waiting.push(workload);
            }
        }
        Shared::fill(&self.shared);
    }

    /// Starts nothing any more. Waiting workloads are dropped: their rows say `queued`, and the
    /// next scheduler takes them over.
    pub fn stop(&self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        while let Some(workload) = state.waiting.pop() {
            state.release(workload.id());
            self.shared.occupied.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Whether a workload of this try waits here for a slot.
    #[must_use]
    pub fn is_waiting(&self, id: Uuid) -> bool {
        self.shared.lock().waiting.contains(id)
    }

    /// Lets go of a try: what waits is dropped, and a supervision that runs is given up, which ends
    /// its process.
    pub fn revoke(&self, id: Uuid) {
        let mut state = self.shared.lock();
        let dropped = state.waiting.remove(id);
        for _ in 0..dropped {
            state.release(id);
        }
        self.shared.occupied.fetch_sub(dropped, Ordering::AcqRel);
        if let Some(held) = state.held.get_mut(&id) {
            std::mem::take(&mut held.revoked).cancel();
        }
    }

    /// Whether a workload of this row runs or waits here.
    #[must_use]
    pub fn holds(&self, id: Uuid) -> bool {
        self.shared.lock().held.contains_key(&id)
    }
}

impl State {
    /// One workload of this row less.
    fn release(&mut self, id: Uuid) {
        if let Some(held) = self.held.get_mut(&id) {
            held.workloads -= 1;
            if held.workloads == 0 {
                self.held.remove(&id);
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts waiting workloads while there are slots.
    fn fill(this: &Arc<Self>) {
        while let Some((workload, revoked)) = this.take_next() {
            let slot = Slot {
                shared: Arc::clone(this),
                id: workload.id(),
                revoked,
            };
            (this.start)(workload, slot);
        }
    }

    fn take_next(&self) -> Option<(ExecutorWorkload, CancellationToken)> {
        let mut state = self.lock();
        if state.stopped || state.running >= self.parallelism {
            return None;
        }
        let workload = state.waiting.pop()?;
        state.running += 1;
        debug_assert!(state.waiting.len() + state.running <= self.occupied.load(Ordering::Acquire));
        let revoked = state
            .held
            .get(&workload.id())
            .map(|held| held.revoked.clone())
            .unwrap_or_default();
        Some((workload, revoked))
    }
}

/// A workload whose end the scheduler must hear of, even when its supervision panics.
struct Unfinished {
    workload: Option<ExecutorWorkload>,
    events: mpsc::Sender<ExecutorEvent>,
}

impl Unfinished {
    async fn finish(mut self, outcome: Outcome) {
        if let Some(workload) = self.workload.take() {
            // A closed channel means that the scheduler is gone; the row says it all.
            let _ = self.events.send(ExecutorEvent { workload, outcome }).await;
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(workload) = self.workload.take() {
            let outcome = Outcome::Failed("its supervision ended without a result".to_owned());
            // With a full channel the row waits until its heartbeat is missed.
            let _ = self.events.try_send(ExecutorEvent { workload, outcome });
        }
    }
}

/// Held while a workload runs. Given back on drop, so also when its supervision panics.
struct Slot {
    shared: Arc<Shared>,
    id: Uuid,
    revoked: CancellationToken,
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.running -= 1;
            state.release(self.id);
        }
        self.shared.occupied.fetch_sub(1, Ordering::AcqRel);
        Shared::fill(&self.shared);
    }
}

#[cfg(test)]
mod tests;
