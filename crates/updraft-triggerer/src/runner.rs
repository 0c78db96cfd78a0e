//! One child: the shell around the pure session. It gives it sockets, signals and a clock.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal as UnixSignal, kill};
use nix::unistd::Pid;
use tracing::{debug, warn};
use updraft_execution::{Channels, Exit};
use updraft_model::TriggerId;
use updraft_python::ChildHandle;
use updraft_runtime::{Clock, Tasks, sleep_until};
use updraft_task_comms::message::StoreRequest;
use updraft_task_comms::session::triggerer::{
    Effect, Ended, Event, Report, Signal, TriggererSession,
};
use updraft_task_comms::session::{self, AskId, Moment};

use crate::trace::Trace;

/// A child that runs triggers.
pub(crate) struct Runner {
    session: TriggererSession,
    channels: Channels,
    exit: Exit,
    pid: Pid,
    marker: String,
    began: Instant,
    trace: Trace,
    clock: Clock,
    tasks: Tasks,
    has_ended: bool,
}

/// What the loop around the child has to do.
#[derive(Debug, Default)]
pub(crate) struct Demands {
    pub(crate) asks: Vec<(AskId, StoreRequest)>,
    pub(crate) reports: Vec<Report>,
    pub(crate) lines: Vec<(Option<TriggerId>, String)>,
    pub(crate) ended: Option<Ended>,
}

impl Runner {
    /// Takes over a child that waits for its first frame.
    pub(crate) async fn start(
        child: ChildHandle,
        session: TriggererSession,
        trace: Trace,
        clock: Clock,
        tasks: Tasks,
    ) -> (Self, Demands) {
        let mut runner = Self {
            session,
            channels: Channels::new(child.requests, child.stdout, child.stderr, child.logs),
            exit: Exit::Awaited(child.exit),
            pid: child.pid,
            marker: child.marker,
            began: clock.monotonic(),
            trace,
            clock,
            tasks,
            has_ended: false,
        };
        let demands = runner.on(Event::Forked).await;
        (runner, demands)
    }

    /// The next thing that happens to the child. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Event {
        let deadline = self.session.next_deadline().map(|at| self.began + at);
        loop {
            tokio::select! {
                biased;
                event = self.channels.next() => {
                    if let Some(event) = of_triggerer(event) {
                        return event;
                    }
                }
                status = self.exit.wait() => return Event::Exited(status),
                () = sleep_until(deadline) => return Event::Tick,
            }
        }
    }

    /// Lets the session decide about an event and carries out what concerns the child.
    pub(crate) async fn on(&mut self, event: Event) -> Demands {
        let now = Moment {
            at: self.clock.now(),
            elapsed: self.lifetime(),
        };
        let mut demands = Demands::default();
        for effect in self.session.on_event(event, now) {
            match effect {
                Effect::Send(frame) => self.channels.send(frame),
                Effect::SendLogChannel(frame) => {
                    if let Err(error) = self.channels.send_log_channel(&frame).await {
                        warn!(pid = self.pid.as_raw(), %error, "failed to give a child a new log channel");
                    }
                }
                Effect::Ask { ask, request } => demands.asks.push((ask, request)),
                Effect::Report(report) => demands.reports.push(report),
                Effect::WriteLog { trigger, line } => {
                    let trigger = trigger.map(TriggerId).or_else(|| self.blocked_by());
                    demands.lines.push((trigger, line));
                }
                Effect::Signal(signal) => self.signal(signal).await,
                Effect::CloseChannels => self.channels.close(),
                Effect::Finish(ended) => {
                    self.has_ended = true;
                    demands.ended = Some(ended);
                }
            }
        }
        demands
    }

    /// Whether it takes triggers: it is neither stopping nor gone.
    pub(crate) fn takes_triggers(&self) -> bool {
        self.session.takes_triggers()
    }

    /// The trigger that had the processor last, if one had it.
    pub(crate) fn culprit(&self) -> Option<TriggerId> {
        self.trace.read()
    }

    /// The trigger in whose log the answer belongs when a blocked child is asked where it is.
    fn blocked_by(&self) -> Option<TriggerId> {
        self.session.is_blocked().then(|| self.culprit()).flatten()
    }

    /// How long the child has lived.
    pub(crate) fn lifetime(&self) -> Duration {
        self.clock.monotonic().saturating_duration_since(self.began)
    }

    async fn signal(&self, signal: Signal) {
        let unix = match signal {
            Signal::DumpTraceback => UnixSignal::SIGUSR1,
            Signal::Terminate => UnixSignal::SIGTERM,
            // Whatever triggers have started goes with them.
            Signal::Kill => return self.kill_tree().await,
        };
        if let Err(error) = kill(self.pid, unix) {
            debug!(pid = self.pid.as_raw(), %error, "failed to signal the trigger runner");
        }
    }

    async fn kill_tree(&self) {
        let (pid, marker) = (self.pid, self.marker.clone());
        self.tasks
            .blocking(move || updraft_python::signal_tree(pid, &marker, UnixSignal::SIGKILL))
            .await;
    }
}

impl Drop for Runner {
    /// A triggerer that is given up leaves nothing behind that could run beside the next one.
    fn drop(&mut self) {
        if !self.has_ended {
            updraft_python::signal_tree(self.pid, &self.marker, UnixSignal::SIGKILL);
        }
    }
}

/// What comes from a child's channels is the same for all kinds of children.
fn of_triggerer(event: session::Event) -> Option<Event> {
    use session::Event as E;
    match event {
        E::Frame(frame) => Some(Event::Frame(frame)),
        E::LogLine(line) => Some(Event::LogLine(line)),
        E::StdLine(output, line) => Some(Event::StdLine(output, line)),
        E::ChannelClosed(channel) => Some(Event::ChannelClosed(channel)),
        _ => None,
    }
}
