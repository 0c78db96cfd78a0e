//! One Python child: it parses a file or runs callbacks, within limits.
//!
//! Whatever the file does, this ends: the child is killed with everything it started when its time
//! is up, output beyond a limit is dropped, and a message that is none ends the conversation.

mod output;

use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::Signal;
use tokio::time::Instant;
use updraft_execution::{Asker, Channels, LogFile, PythonSide, answer};
use updraft_python::{ChildExit, ChildHandle, ChildKind, ChildStatus, Zygote, signal_tree};
use updraft_runtime::{CancellationToken, Clock, Tasks};
use updraft_store::Store;
use updraft_task_comms::frame::{BadFrame, Frame, encode_frame};
use updraft_task_comms::masker::MaskerConfig;
use updraft_task_comms::message::{
    DagFileParseRequest, DagFileParsingResult, ErrorResponse, MaskSecret, Request, Response,
    StoreRequest, answer_frame,
};
use updraft_task_comms::session::Event;

use output::Output;

/// What else may hold a dead child's channels open gets so long before it is killed.
const LINGER_MAX: Duration = Duration::from_millis(500);

/// Requests, standard output, standard error and logs.
const CHANNELS: usize = 4;

/// Runs children.
#[derive(Clone)]
pub(crate) struct Children {
    pub(crate) store: Store,
    pub(crate) zygote: Zygote,
    pub(crate) tasks: Tasks,
    pub(crate) shutdown: CancellationToken,
    /// `[dag_processor] dag_file_processor_timeout`.
    pub(crate) timeout: Duration,
    pub(crate) masker: MaskerConfig,
    /// The user's Python outside of Dag files.
    pub(crate) python: Option<PythonSide>,
}

/// What became of a child.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) end: End,
    /// What a parse child found, however it ended afterwards.
    pub(crate) result: Option<DagFileParsingResult>,
    /// It asked for something that no file holds, so the same file may give something else later.
    pub(crate) depends_on_outside: bool,
    pub(crate) duration: Duration,
    /// The last lines it printed or logged.
    pub(crate) last_lines: String,
}

/// How a child ended.
#[derive(Debug)]
pub(crate) enum End {
    /// There was none, which is not the file's fault.
    NotStarted(String),
    Ended(ChildStatus),
    TimedOut(Duration),
    /// It was killed because this process stops.
    Stopped,
    /// It was killed for a frame that cannot even be answered.
    Garbled(BadFrame),
}

impl Children {
    /// Runs one child to its end.
    pub(crate) async fn run(&self, request: &DagFileParseRequest, log: LogFile) -> Finished {
        let started = Instant::now();
        let mut conversation = Conversation {
            children: self,
            channels: None,
            open_channels: CHANNELS,
            output: Output::new(log, self.masker.clone()),
            result: None,
            depends_on_outside: false,
        };
        let end = conversation.hold(request, started + self.timeout).await;
        let last_lines = conversation.output.last_lines();
        Finished {
            end,
            result: conversation.result,
            depends_on_outside: conversation.depends_on_outside,
            duration: started.elapsed(),
            last_lines,
        }
    }

    async fn kill(&self, process: &Process) {
        let (pid, marker) = (process.pid, process.marker.clone());
        let kill = move || signal_tree(pid, &marker, Signal::SIGKILL);
        self.tasks.blocking(kill).await;
    }
}

/// A child without its channels.
struct Process {
    pid: nix::unistd::Pid,
    marker: String,
    exit: ChildExit,
}

/// The talk with one child.
struct Conversation<'a> {
    children: &'a Children,
    channels: Option<Channels>,
    open_channels: usize,
    output: Output,
    result: Option<DagFileParsingResult>,
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
    async fn hold(&mut self, request: &DagFileParseRequest, deadline: Instant) -> End {
        let first = match encode_frame(0, Some(request), None::<&()>) {
            Ok(frame) => frame,
            Err(error) => return End::NotStarted(error.to_string()),
        };
        let spawn = self.children.zygote.spawn(ChildKind::DagParse, Vec::new());
        let child = match tokio::time::timeout_at(deadline, spawn).await {
            Ok(Ok(child)) => child,
            Ok(Err(error)) => return End::NotStarted(error.to_string()),
            Err(_) => return End::NotStarted("the Python runtime is not ready".to_owned()),
        };
        let mut process = self.connect(child, first);
        let end = self.talk(&mut process, deadline).await;
        if !matches!(end, End::Ended(_)) {
            self.children.kill(&process).await;
            process.exit.wait().await;
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

    /// Until the child ends or must be ended.
    async fn talk(&mut self, process: &mut Process, deadline: Instant) -> End {
        loop {
            let step = tokio::select! {
                // In this order, so that a child that never stops printing cannot outrun its time.
                biased;
                () = self.children.shutdown.cancelled() => Step::Stop,
                () = tokio::time::sleep_until(deadline) => Step::TimeIsUp,
                report = process.exit.wait() => Step::Exited(report.status),
                event = next_event(&mut self.channels) => Step::Event(event),
            };
            match step {
                Step::Stop => return End::Stopped,
                Step::TimeIsUp => return End::TimedOut(self.children.timeout),
                Step::Exited(status) => return End::Ended(status),
                Step::Event(event) => {
                    let handled = tokio::time::timeout_at(deadline, self.on_event(event)).await;
                    match handled {
                        Ok(Ok(())) => {}
                        Ok(Err(bad)) => return End::Garbled(bad),
                        Err(_) => return End::TimedOut(self.children.timeout),
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
                    self.children.kill(process).await;
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
        let now = Clock::machine().now();
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
        match Request::decode(&body) {
            Ok(Request::DagFileParsingResult(result)) => {
                self.result = Some(result);
                self.reply(id, &Ok(None));
            }
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
                let problem = format!("a Dag file has no state, found `{}`", outcome.state());
                self.refuse(id, &problem);
            }
            Ok(Request::TriggerStateChanges(_) | Request::AwaitOrders) => {
                self.refuse(id, "a Dag file runs no triggers");
            }
            Ok(Request::Unknown { message_type }) => {
                let problem = format!("`{message_type}` is no request that a Dag file may make");
                self.refuse(id, &problem);
            }
            Err(error) => self.refuse(id, &error.to_string()),
        }
        Ok(())
    }

    async fn ask_store(&mut self, id: u64, request: StoreRequest) {
        self.depends_on_outside = true;
        let asker = Asker::dag_file_with(self.children.python.clone());
        let answer = answer(&self.children.store, &asker, request).await;
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
