//! One child from fork to conclusion: the loop around the pure session.
//!
//! `select!` picks an event, the session decides, `perform` acts. Store calls run beside the loop,
//! so that a slow store never keeps the child's output from being read or its timers from firing.

use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use nix::sys::signal::{Signal as UnixSignal, killpg};
use nix::unistd::Pid;
use tokio::sync::mpsc;
use tracing::{debug, warn};
use updraft_python::ChildHandle;
use updraft_runtime::{Clock, Tasks, sleep_until};
use updraft_task_comms::session::{
    Conclusion, Effect, Event, Moment, Signal, StopReason, StoreCall, TaskSession,
};

use crate::rows::Rows;
use updraft_execution::{Channels, Exit, LogFile};

/// Everything that belongs to one running child.
pub(crate) struct Supervision {
    session: TaskSession,
    log: LogFile,
    rows: Rows,
    tasks: Tasks,
    clock: Clock,
    began: Instant,
    pid: Pid,
    marker: String,
    channels: Channels,
    exit: Exit,
    concluded: bool,
    /// Answers of the store that are still to come.
    calls: FuturesUnordered<BoxFuture<'static, Event>>,
}

impl Supervision {
    pub(crate) fn new(
        session: TaskSession,
        child: ChildHandle,
        log: LogFile,
        rows: Rows,
        tasks: Tasks,
        clock: Clock,
    ) -> Self {
        let ChildHandle {
            pid,
            requests,
            stdout,
            stderr,
            logs,
            marker,
            exit,
        } = child;
        Self {
            session,
            log,
            rows,
            tasks,
            began: clock.monotonic(),
            clock,
            pid,
            marker,
            channels: Channels::new(requests, stdout, stderr, logs),
            exit: Exit::Awaited(exit),
            concluded: false,
            calls: FuturesUnordered::new(),
        }
    }

    /// Runs the session to its end.
    pub(crate) async fn run(mut self, mut stops: mpsc::Receiver<StopReason>) -> Conclusion {
        let mut event = Event::ForkedChild {
            pid: self.pid.as_raw().unsigned_abs(),
        };
        loop {
            let effects = self.session.on_event(event, self.moment());
            if let Some(conclusion) = self.perform(effects).await {
                self.clean_up(&conclusion).await;
                self.concluded = true;
                return conclusion;
            }
            event = self.next_event(&mut stops).await;
        }
    }

    async fn next_event(&mut self, stops: &mut mpsc::Receiver<StopReason>) -> Event {
        let deadline = self
            .session
            .next_deadline()
            .map(|elapsed| self.began + elapsed);
        tokio::select! {
            biased;
            Some(event) = self.calls.next() => event,
            event = self.channels.next() => event,
            status = self.exit.wait() => Event::Exited(status),
            Some(reason) = stops.recv() => Event::StopRequested(reason),
            () = sleep_until(deadline) => Event::Tick,
        }
    }

    /// Carries out what the session wants; the conclusion when it is over.
    async fn perform(&mut self, effects: Vec<Effect>) -> Option<Conclusion> {
        let mut lines = Vec::new();
        let mut conclusion = None;
        for effect in effects {
            match effect {
                Effect::StartRun { .. } => self.call(self.rows.clone().start()),
                Effect::Send(frame) => self.channels.send(frame),
                Effect::SendLogChannel(frame) => self.send_log_channel(&frame).await,
                Effect::Ask { ask, call } => {
                    let rows = self.rows.clone();
                    self.call(async move {
                        let answer = match call {
                            StoreCall::Outcome(outcome) => rows.finish(outcome).await,
                            StoreCall::Request(request) => rows.answer(request).await,
                        };
                        Event::StoreAnswer { ask, answer }
                    });
                }
                Effect::Heartbeat => self.call(self.rows.clone().heartbeat()),
                Effect::WriteLog(line) => lines.push(line),
                Effect::Signal(signal) => self.signal(signal).await,
                Effect::CloseChannels => self.channels.close(),
                Effect::Finish(end) => conclusion = Some(*end),
            }
        }
        self.log.append(&lines, self.clock.now());
        conclusion
    }

    fn call(&self, call: impl Future<Output = Event> + Send + 'static) {
        self.calls.push(Box::pin(call));
    }

    async fn send_log_channel(&mut self, frame: &bytes::Bytes) {
        if let Err(error) = self.channels.send_log_channel(frame).await {
            // The child that asked for it fails by itself when no channel comes.
            warn!(pid = self.pid.as_raw(), %error, "failed to give a task a new log channel");
        }
    }

    /// SIGTERM goes to the child's group, as Airflow does it, so that `on_kill` can end what it
    /// started in its own way. SIGKILL goes to everything that descends from the child.
    async fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Terminate => {
                if let Err(error) = killpg(self.pid, UnixSignal::SIGTERM) {
                    debug!(pid = self.pid.as_raw(), %error, "failed to signal a process group");
                }
            }
            Signal::Kill => self.kill_tree().await,
        }
    }

    async fn kill_tree(&mut self) {
        let (pid, marker) = (self.pid, self.marker.clone());
        self.tasks
            .blocking(move || updraft_python::signal_tree(pid, &marker, UnixSignal::SIGKILL))
            .await;
    }

    /// A child that ended by itself may leave a daemon behind on purpose. One that was stopped or
    /// crashed leaves only orphans, which must not run beside the next try.
    async fn clean_up(&mut self, conclusion: &Conclusion) {
        match conclusion {
            Conclusion::Completed { .. } | Conclusion::NotStarted { .. } => {}
            Conclusion::Refused(_)
            | Conclusion::Superseded { .. }
            | Conclusion::Undelivered { .. }
            | Conclusion::Crashed(_) => self.kill_tree().await,
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            at: self.clock.now(),
            elapsed: self.began.elapsed(),
        }
    }
}

impl Drop for Supervision {
    /// A supervision that panics, or is given up when the process ends, leaves nothing behind that
    /// could run beside the next try.
    fn drop(&mut self) {
        if !self.concluded {
            updraft_python::signal_tree(self.pid, &self.marker, UnixSignal::SIGKILL);
        }
    }
}
