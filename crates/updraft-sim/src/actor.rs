//! Work that talks to the store: one future each, driven one at a time.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use updraft_model::TaskInstanceId;
use updraft_runtime::SimulatedTime;
use updraft_scheduler::{Next, Scheduler};
use updraft_task_comms::session::Event as SessionEvent;

use crate::client::Answered;
use crate::port::{Held, Port};
use crate::session::SessionId;
use crate::triggerer::TriggerDone;

/// Names an actor; never used twice in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ActorId(pub(crate) u64);

/// On whose behalf the store is changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cause {
    Scheduler,
    Worker(TaskInstanceId),
    Triggerer,
    Client(crate::client::Action),
    DagProcessor,
}

/// One future and where it lives.
pub(crate) struct Actor {
    pub(crate) host: usize,
    /// The life of the host's process in which it runs.
    pub(crate) life: u64,
    pub(crate) cause: Cause,
    pub(crate) work: Pin<Box<dyn Future<Output = Done> + Send>>,
}

/// What an actor brought about, for the world to go on with.
pub(crate) enum Done {
    Started(Result<Box<Scheduler>, updraft_scheduler::Error>),
    Stepped(Box<Scheduler>, Result<Next, updraft_scheduler::Error>),
    Session(SessionId, SessionEvent),
    Concluded(SessionId, updraft_worker::Outcome),
    /// These tries are no longer ours.
    Superseded(Vec<TaskInstanceId>),
    Answered(Answered),
    Triggers(Box<TriggerDone>),
    Nothing,
}

/// Why an actor is not driven any further for now.
pub(crate) enum Progress {
    Done(Done),
    Held(Held),
    /// It sleeps by the clock of its host, until this time since the start.
    Asleep(Duration),
}

impl Actor {
    /// Drives the work until it is done, or stands at the gate, or sleeps.
    pub(crate) async fn drive(
        &mut self,
        id: ActorId,
        port: &Port,
        time: &SimulatedTime,
    ) -> Progress {
        /// Of real time. More means that it waits for something that nobody will ever do.
        const STUCK_AFTER: Duration = Duration::from_secs(120);

        port.enter(id);
        let fell_asleep_before = time.fell_asleep();
        let driven = poll_fn(|context| match self.work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Progress::Done(done)),
            Poll::Pending => {
                if let Some(held) = port.take_held() {
                    return Poll::Ready(Progress::Held(held));
                }
                let (count, until) = time.fell_asleep();
                if count > fell_asleep_before.0 {
                    return Poll::Ready(Progress::Asleep(until));
                }
                Poll::Pending
            }
        });
        match tokio::time::timeout(STUCK_AFTER, driven).await {
            Ok(progress) => progress,
            Err(_) => panic!("{:?} waits for something that nobody does", self.cause),
        }
    }
}
