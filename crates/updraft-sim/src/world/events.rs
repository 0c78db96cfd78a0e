//! The queue of what is going to happen.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use updraft_executor::{ExecutorEvent, Outcome as ExecutorOutcome, Workload};
use updraft_store::Change;
use updraft_task_comms::session::{Event as SessionEvent, ExitStatus};

use super::World;
use super::triggers::TriggersEvent;
use crate::actor::ActorId;
use crate::child::ChildId;
use crate::client::Action;
use crate::session::SessionId;

/// What is sent to a child from outside of its own code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signalled {
    Terminate,
    Kill,
}

/// Something that happens at a moment.
pub(super) enum Event {
    /// A process starts.
    Start {
        host: usize,
    },
    /// The scheduler's timer; counts only while it is the latest one.
    Wake {
        host: usize,
        life: u64,
        wake: u64,
    },
    /// An actor goes on.
    Resume(ActorId),
    Hint {
        host: usize,
        life: u64,
        change: Change,
    },
    Executor {
        host: usize,
        life: u64,
        event: Box<ExecutorEvent>,
    },
    /// The zygote has forked a child for a workload.
    Fork {
        host: usize,
        life: u64,
        workload: Box<Workload>,
        finish: Option<oneshot::Sender<ExecutorOutcome>>,
    },
    Tick {
        session: SessionId,
        at: Duration,
    },
    Session(SessionId, Box<SessionEvent>),
    /// All channels of a child are closed, and its exit status is known.
    Exit(SessionId, ExitStatus),
    Child(ChildId),
    /// Something of a triggerer, in one life of its process.
    Triggers {
        host: usize,
        life: u64,
        event: TriggersEvent,
    },
    ToChild(ChildId, Bytes),
    Signal(ChildId, Signalled),
    Kill,
    Freeze,
    StepClock,
    NewVersion,
    Client,
    Send(Action),
    Check,
}

/// Events in the order of their time, and of their making at the same time.
#[derive(Default)]
pub(super) struct Queue {
    events: BTreeMap<(Duration, u64), Event>,
    made: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Duration, event: Event) {
        self.made += 1;
        self.events.insert((at, self.made), event);
    }

    pub(super) fn pop(&mut self) -> Option<(Duration, Event)> {
        let ((at, _), event) = self.events.pop_first()?;
        Some((at, event))
    }
}

impl World {
    pub(super) fn later(&mut self, pause: Duration, event: Event) {
        self.queue.push(self.elapsed + pause, event);
    }

    pub(super) async fn handle(&mut self, event: Event) {
        let event = match self.frozen_until(&event) {
            Some(until) => return self.queue.push(until, event),
            None => event,
        };
        match event {
            Event::Start { host } => self.start_process(host),
            Event::Wake { host, life, wake } => self.on_wake(host, life, wake),
            Event::Resume(actor) => self.resume(actor).await,
            Event::Hint { host, life, change } => self.on_hint(host, life, change),
            Event::Executor { host, life, event } => self.on_executor_event(host, life, *event),
            Event::Fork {
                host,
                life,
                workload,
                finish,
            } => self.on_fork(host, life, *workload, finish),
            Event::Tick { session, at } => self.on_tick(session, at),
            Event::Session(session, event) => self.on_session_event(session, *event),
            Event::Exit(session, status) => self.on_exit(session, status),
            Event::Child(child) => self.on_child(child),
            Event::Triggers { host, life, event } => self.on_triggers_event(host, life, event),
            Event::ToChild(child, bytes) => self.on_frame_to_child(child, &bytes),
            Event::Signal(child, signal) => self.on_signal(child, signal),
            Event::Kill => self.kill_somebody(),
            Event::Freeze => self.freeze_somebody(),
            Event::StepClock => self.step_a_clock(),
            Event::NewVersion => self.parse_a_new_version(),
            Event::Client => self.on_client(),
            Event::Send(action) => self.send(action),
            Event::Check => {}
        }
    }

    /// When the machine that the event belongs to moves again, if it stands still.
    fn frozen_until(&self, event: &Event) -> Option<Duration> {
        let host = match event {
            Event::Start { host }
            | Event::Wake { host, .. }
            | Event::Hint { host, .. }
            | Event::Executor { host, .. }
            | Event::Triggers { host, .. }
            | Event::Fork { host, .. } => *host,
            Event::Resume(actor) => self.actors.get(actor)?.host,
            Event::Tick { session, .. } | Event::Session(session, _) | Event::Exit(session, _) => {
                self.sessions.get(session)?.host
            }
            Event::Child(child) | Event::ToChild(child, _) | Event::Signal(child, _) => {
                self.children.get(child)?.host
            }
            Event::Kill
            | Event::Freeze
            | Event::StepClock
            | Event::NewVersion
            | Event::Client
            | Event::Send(_)
            | Event::Check => return None,
        };
        self.hosts[host]
            .frozen_until
            .filter(|until| *until > self.elapsed)
    }
}
