//! The loop: wait for a reason to look, take a step.

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use updraft_executor::ExecutorEvent;
use updraft_runtime::CancellationToken;
use updraft_store::Change;

use crate::Error;
use crate::scheduler::{Next, Scheduler};

/// Hints and events taken in before the next step. More wait in their channels.
const BATCH_MAX: usize = 256;

/// Why the scheduler woke up.
enum Reason {
    Shutdown,
    Change(Result<Change, RecvError>),
    Event(Box<ExecutorEvent>),
    Timer,
}

/// What the scheduler listens to.
struct Inputs {
    changes: broadcast::Receiver<Change>,
    events: mpsc::Receiver<ExecutorEvent>,
    shutdown: CancellationToken,
}

impl Scheduler {
    /// Schedules until `shutdown`. `events` are those of its executor.
    ///
    /// # Errors
    /// When another scheduler declared this one dead, or the store is gone for good.
    pub async fn run(
        mut self,
        events: mpsc::Receiver<ExecutorEvent>,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        // Listen before the first look, so that nothing falls between.
        let mut inputs = Inputs {
            changes: self.store.changes().subscribe(),
            events,
            shutdown,
        };
        loop {
            let next = self.step().await?;
            match inputs.wait(next).await {
                Reason::Shutdown => break,
                reason => self.take_in(reason),
            }
            self.take_in_waiting(&mut inputs);
        }
        self.stop().await
    }

    fn take_in(&mut self, reason: Reason) {
        match reason {
            Reason::Change(Ok(change)) => self.on_change(change),
            Reason::Change(Err(_)) => self.on_change(Change::Everything),
            Reason::Event(event) => self.on_executor_event(*event),
            Reason::Shutdown | Reason::Timer => {}
        }
    }

    /// Takes in what else has happened, so that one transaction serves it all.
    fn take_in_waiting(&mut self, inputs: &mut Inputs) {
        for _ in 0..BATCH_MAX {
            if let Ok(event) = inputs.events.try_recv() {
                self.on_executor_event(event);
                continue;
            }
            match inputs.changes.try_recv() {
                Ok(change) => self.on_change(change),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {
                    self.on_change(Change::Everything);
                }
                Err(_) => return,
            }
        }
    }
}

impl Inputs {
    async fn wait(&mut self, next: Next) -> Reason {
        match next {
            Next::Now if self.shutdown.is_cancelled() => Reason::Shutdown,
            Next::Now => Reason::Timer,
            Next::AfterFailure(at) => tokio::select! {
                biased;
                () = self.shutdown.cancelled() => Reason::Shutdown,
                () = tokio::time::sleep_until(at.into()) => Reason::Timer,
            },
            Next::At(at) => tokio::select! {
                biased;
                () = self.shutdown.cancelled() => Reason::Shutdown,
                Some(event) = self.events.recv() => Reason::Event(Box::new(event)),
                change = self.changes.recv() => Reason::Change(change),
                () = tokio::time::sleep_until(at.into()) => Reason::Timer,
            },
        }
    }
}
