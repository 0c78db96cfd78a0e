//! Runs one Python child that is no task: it parses a file, runs callbacks or tests a connection,
//! within limits.
//!
//! Whatever its code does, this ends: the child is killed with everything it started when its time
//! is up, output beyond a limit is dropped, and a message that is none ends the conversation.

use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::{Signal, killpg};
use tokio::time::Instant;
use updraft_python::{ChildExit, ChildHandle, ChildKind, ChildStatus, Zygote, signal_tree};
use updraft_runtime::{CancellationToken, Clock, Tasks};
use updraft_store::Store;
use updraft_task_comms::frame::{BadFrame, Frame};
use updraft_task_comms::masker::{MaskerConfig, SecretsMasker};
use updraft_task_comms::message::{
    ErrorResponse, MaskSecret, Request, Response, StoreRequest, answer_frame,
};
use updraft_task_comms::session::Event;

use crate::child_output::{ChildLog, Output};
use crate::{Asker, Channels, answer};

/// What else may hold a dead child's channels open gets so long before it is killed.
const LINGER_MAX: Duration = Duration::from_millis(500);

/// How long the zygote may take to give a child that has no time limit.
const SPAWN_MAX: Duration = Duration::from_secs(60);

/// Requests, standard output, standard error and logs.
const CHANNELS: usize = 4;

/// Runs children. Cheap to clone.
#[derive(Clone)]
pub struct ChildRunner {
    pub store: Store,
    pub zygote: Zygote,
    pub tasks: Tasks,
    pub shutdown: CancellationToken,
    pub clock: Clock,
    pub masker: MaskerConfig,
}

/// A child to run.
pub struct ChildOrder {
    pub kind: ChildKind,
    /// On top of what every child has.
    pub environment: Vec<(String, String)>,
    /// The first frame: what it shall do.
    pub first: Bytes,
    pub asker: Asker,
    /// The type of the message that holds the child's result, if it has any.
    pub expects: Option<&'static str>,
    /// The time it may take.
    pub limit: Option<Duration>,
    /// Between SIGTERM and SIGKILL, when it must be ended; without any it is killed at once.
    pub grace: Option<Duration>,
    /// What must not be read in the log, apart from what the child learns from us.
    pub secrets: Vec<String>,
    /// Where its output goes.
    pub log: ChildLog,
}

/// What became of a child.
pub struct Finished {
    pub end: End,
    /// The body of the expected message, however the child ended afterwards.
    pub result: Option<Bytes>,
    /// It asked for something that no file holds, so the same code may do something else later.
    pub depends_on_outside: bool,
    pub duration: Duration,
    /// The last lines it printed or logged.
    pub last_lines: String,
    /// What it called an error last.
    pub last_error: Option<String>,
    /// Knows every secret that the child was told; `None` when there was no child.
    pub masker: Option<SecretsMasker>,
}

impl Finished {
    /// There was no child.
    #[must_use]
    pub fn not_started(why: String) -> Self {
        Self {
            end: End::NotStarted(why),
            result: None,
            depends_on_outside: false,
            duration: Duration::ZERO,
            last_lines: String::new(),
            last_error: None,
            masker: None,
        }
    }
}

/// How a child ended.
#[derive(Debug)]
pub enum End {
    /// There was none, which is not its code's fault.
    NotStarted(String),
    Ended(ChildStatus),
    TimedOut(Duration),
    /// It was killed because this process stops.
    Stopped,
    /// It was killed for a frame that cannot even be answered.
    Garbled(BadFrame),
}

impl ChildRunner {
    /// Runs one child to its end.
    pub async fn run(&self, order: ChildOrder) -> Finished {
        let started = Instant::now();
        let mut output = Output::new(order.log, self.masker.clone());
        for secret in &order.secrets {
            output.masker().add(secret);
        }
        let mut conversation = Conversation {
            runner: self,
            asker: order.asker,
            expects: order.expects,
            channels: None,
            open_channels: CHANNELS,
            output,
            result: None,
            depends_on_outside: false,
        };
        let limits = Limits {
            limit: order.limit,
            deadline: order.limit.map(|limit| started + limit),
            grace: order.grace,
        };
        let kind = (order.kind, order.environment);
        let end = conversation.hold(kind, order.first, limits).await;
        Finished {
            end,
            last_lines: conversation.output.last_lines(),
            last_error: conversation.output.last_error().map(str::to_owned),
            masker: Some(conversation.output.masker().clone()),
            result: conversation.result,
            depends_on_outside: conversation.depends_on_outside,
            duration: started.elapsed(),
        }
    }

    async fn kill(&self, process: &Process) {
        let (pid, marker) = (process.pid, process.marker.clone());
        let kill = move || signal_tree(pid, &marker, Signal::SIGKILL);
        self.tasks.blocking(kill).await;
    }
}

#[derive(Clone, Copy)]
struct Limits {
    limit: Option<Duration>,
    deadline: Option<Instant>,
    grace: Option<Duration>,
}

/// A child without its channels.
struct Process {
    pid: nix::unistd::Pid,
    marker: String,
    exit: ChildExit,
}

/// The talk with one child.
struct Conversation<'a> {
    runner: &'a ChildRunner,
    asker: Asker,
    expects: Option<&'static str>,
    channels: Option<Channels>,
    open_channels: usize,
    output: Output,
    result: Option<Bytes>,
    depends_on_outside: bool,
}

/// What happens next in a conversation.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and most are events"
)]
enum Step {
    Event(Event),
    Exited(ChildStatus),
    TimeIsUp,
    Stop,
}

impl Conversation<'_> {
    async fn hold(
        &mut self,
        (kind, environment): (ChildKind, Vec<(String, String)>),
        first: Bytes,
        limits: Limits,
    ) -> End {
        let spawn = self.runner.zygote.spawn(kind, environment);
        let patience = limits.deadline.unwrap_or(Instant::now() + SPAWN_MAX);
        let child = match tokio::time::timeout_at(patience, spawn).await {
            Ok(Ok(child)) => child,
            Ok(Err(error)) => return End::NotStarted(error.to_string()),
            Err(_) => return End::NotStarted("the Python runtime is not ready".to_owned()),
        };
        let mut process = self.connect(child, first);
        let stop = self.runner.shutdown.clone();
        let end = self.talk(&mut process, limits, &stop).await;
        if !matches!(end, End::Ended(_)) {
            self.end(&mut process, limits.grace).await;
        }
        self.drain(&process).await;
        end
    }

    fn connect(&mut self, child: ChildHandle, first: Bytes) -> Process {
        let mut channels = Channels::new(child.requests, child.stdout, child.stderr, child.logs);
        channels.send(first);
        self.channels = Some(channels);
        Process {
            pid: child.pid,
            marker: child.marker,
            exit: child.exit,
        }
    }

    /// Ends a child that does not end by itself.
    async fn end(&mut self, process: &mut Process, grace: Option<Duration>) {
        if let Some(grace) = grace {
            // It may be gone already; then there is nothing to wait for.
            let _ = killpg(process.pid, Signal::SIGTERM);
            let limits = Limits {
                limit: Some(grace),
                deadline: Some(Instant::now() + grace),
                grace: None,
            };
            let never = CancellationToken::new();
            if let End::Ended(_) = self.talk(process, limits, &never).await {
                return;
            }
        }
        self.runner.kill(process).await;
        process.exit.wait().await;
    }

    /// Until the child ends or must be ended.
    async fn talk(
        &mut self,
        process: &mut Process,
        limits: Limits,
        stop: &CancellationToken,
    ) -> End {
        let timed_out = || End::TimedOut(limits.limit.unwrap_or_default());
        loop {
            let step = tokio::select! {
                // In this order, so that a child that never stops printing cannot outrun its time.
                biased;
                () = stop.cancelled() => Step::Stop,
                () = until(limits.deadline) => Step::TimeIsUp,
                report = process.exit.wait() => Step::Exited(report.status),
                event = next_event(&mut self.channels) => Step::Event(event),
            };
            match step {
                Step::Stop => return End::Stopped,
                Step::TimeIsUp => return timed_out(),
                Step::Exited(status) => return End::Ended(status),
                Step::Event(event) => {
                    let handled = tokio::select! {
                        handled = self.on_event(event) => handled,
                        () = until(limits.deadline) => return timed_out(),
                    };
                    if let Err(bad) = handled {
                        return End::Garbled(bad);
                    }
                }
            }
        }
    }

    /// Reads what a child that ended has left in its channels.
    async fn drain(&mut self, process: &Process) {
        let mut deadline = Instant::now() + LINGER_MAX;
        let mut is_killed = false;
        while self.open_channels > 0 {
            let event = next_event(&mut self.channels);
            match tokio::time::timeout_at(deadline, event).await {
                // Nobody is left to hear an answer; only results and lines matter.
                Ok(event) => drop(self.on_event(event).await),
                Err(_) if is_killed => break,
                Err(_) => {
                    self.runner.kill(process).await;
                    is_killed = true;
                    deadline = Instant::now() + LINGER_MAX;
                }
            }
        }
        if let Some(channels) = &mut self.channels {
            channels.close();
        }
    }

    async fn on_event(&mut self, event: Event) -> Result<(), BadFrame> {
        let now = self.runner.clock.now();
        match event {
            Event::Frame(frame) => return self.on_frame(frame).await,
            Event::LogLine(line) => self.output.log_line(&line, now),
            Event::StdLine(stream, line) => self.output.std_line(stream, &line, now),
            Event::ChannelClosed(_) => self.open_channels = self.open_channels.saturating_sub(1),
            // Everything else is about tasks.
            _ => {}
        }
        Ok(())
    }

    async fn on_frame(&mut self, frame: Result<Frame, BadFrame>) -> Result<(), BadFrame> {
        let Frame { id, body, .. } = match frame {
            Ok(frame) => frame,
            Err(bad) => {
                let Some(id) = bad.id else { return Err(bad) };
                self.refuse(id, &bad.to_string());
                return Ok(());
            }
        };
        if self.expects.is_some() && Request::type_of(&body).ok().as_deref() == self.expects {
            self.result = Some(body);
            self.reply(id, &Ok(None));
            return Ok(());
        }
        match Request::decode(&body) {
            Ok(Request::Store(request)) => self.ask_store(id, request).await,
            Ok(Request::MaskSecret(MaskSecret { value, name })) => match value.to_json() {
                Ok(json) => {
                    self.output.masker().add_json(&json, name.as_deref());
                    self.reply(id, &Ok(None));
                }
                Err(_) => self.refuse(id, "the secret is not JSON"),
            },
            Ok(Request::ResendLoggingFD) => self.send_log_channel(id).await,
            Ok(Request::Outcome(outcome)) => {
                let problem = format!("this is no task, but it said it is `{}`", outcome.state());
                self.refuse(id, &problem);
            }
            Ok(Request::DagFileParsingResult(_)) => self.refuse(id, "this parses no Dag file"),
            Ok(Request::ConnectionTestResult(_)) => self.refuse(id, "this tests no connection"),
            Ok(Request::TriggerStateChanges(_) | Request::AwaitOrders) => {
                self.refuse(id, "this runs no triggers");
            }
            Ok(Request::Unknown { message_type }) => {
                let problem = format!("`{message_type}` is no request that this may make");
                self.refuse(id, &problem);
            }
            Err(error) => self.refuse(id, &error.to_string()),
        }
        Ok(())
    }

    async fn ask_store(&mut self, id: u64, request: StoreRequest) {
        self.depends_on_outside = true;
        let answer = answer(&self.runner.store, &self.asker, request).await;
        if let Ok(Some(response)) = &answer {
            self.output.masker().learn(response);
        }
        self.reply(id, &answer.map_err(|failure| failure.error));
    }

    async fn send_log_channel(&mut self, id: u64) {
        // The child takes the descriptor from the socket and ignores the number.
        let body = Response::SentFDs { fds: vec![0] };
        let frame = answer_frame(id, &Ok(Some(body)));
        let Some(channels) = &mut self.channels else {
            return;
        };
        match channels.send_log_channel(&frame).await {
            Ok(()) => self.open_channels += 1,
            // It has gone; the end of its channels says so, too.
            Err(error) => tracing::debug!(%error, "failed to send a log channel"),
        }
    }

    fn refuse(&mut self, id: u64, problem: &str) {
        self.reply(id, &Err(ErrorResponse::api_server_error(400, problem)));
    }

    fn reply(&mut self, id: u64, answer: &Result<Option<Response>, ErrorResponse>) {
        if let Some(channels) = &mut self.channels {
            channels.send(answer_frame(id, answer));
        }
    }
}

async fn next_event(channels: &mut Option<Channels>) -> Event {
    match channels {
        Some(channels) => channels.next().await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
