//! The conversation with one helper child: one question at a time, each with a deadline.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{debug, warn};
use updraft_python::{
    Channels, ChildExit, ChildHandle, ChildKind, ChildStatus, Zygote, signal_tree,
};
use updraft_runtime::{Tasks, sleep_until};
use updraft_task_comms::frame::{BadFrame, Frame, encode_frame};
use updraft_task_comms::masker::MaskerConfig;
use updraft_task_comms::message::{ErrorResponse, MaskSecret, Request, answer_frame};
use updraft_task_comms::session::Event;

use crate::Error;
use crate::desk::{HelperId, Verdict};
use crate::output::Output;
use crate::plugins::{AnswerChild, ChildRequest};
use crate::question::{ANSWER, Answer, AnswerFrame, Ask, Question, QuestionFrame};
use crate::secret::SECRET;

/// How long a question waits for a process to ask. Starting Python takes seconds.
const START_MAX: Duration = Duration::from_secs(30);

/// What a helper needs.
#[derive(Clone)]
pub(crate) struct HelperContext {
    pub(crate) zygote: Zygote,
    pub(crate) tasks: Tasks,
    pub(crate) answer_child: AnswerChild,
    pub(crate) masker: MaskerConfig,
    /// `[updraft] plugin_timeout`.
    pub(crate) timeout: Duration,
    /// How long a helper may take to end when it is told to.
    pub(crate) stop_max: Duration,
}

/// What a helper tells its pool.
#[derive(Debug)]
pub(crate) enum Report {
    /// Its question is over.
    Done {
        id: HelperId,
        verdict: Verdict,
        is_alive: bool,
    },
    /// It died while it had nothing to do.
    Ended(HelperId),
}

/// Runs one helper until it dies, hangs, or nobody has questions for it any more.
pub(crate) async fn run(
    id: HelperId,
    context: HelperContext,
    mut asks: mpsc::Receiver<Ask>,
    reports: mpsc::Sender<Report>,
) {
    let Some(first) = asks.recv().await else {
        return;
    };
    let spawn = context.zygote.spawn(ChildKind::Helper, Vec::new());
    let child = match tokio::time::timeout(START_MAX, spawn).await {
        Ok(Ok(child)) => Ok(child),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it was not ready within {START_MAX:?}")),
    };
    let child = match child {
        Ok(child) => child,
        Err(reason) => {
            let refusal = first.question.not_ready(reason);
            let _ = first.reply.send(Err(refusal));
            let report = Report::Done {
                id,
                verdict: Verdict::NotAsked,
                is_alive: false,
            };
            drop(reports.send(report).await);
            return;
        }
    };
    let mut helper = Helper::new(id, context, child, reports);
    helper.begin(first);
    helper.serve(asks).await;
}

/// A child that answers.
struct Helper {
    id: HelperId,
    context: HelperContext,
    channels: Channels,
    pid: Pid,
    marker: String,
    exit: ChildExit,
    output: Output,
    pending: Option<Pending>,
    reports: mpsc::Sender<Report>,
    next_frame: u64,
}

/// The question that is being answered.
struct Pending {
    question: Question,
    reply: oneshot::Sender<Result<Value, Error>>,
    deadline: Instant,
    frame: u64,
}

enum Step {
    Ask(Option<Ask>),
    Event(Event),
    Exited(ChildStatus),
    TimeIsUp,
    Stop,
}

/// Whether the conversation goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    GoesOn,
    Ended,
}

impl Helper {
    fn new(
        id: HelperId,
        context: HelperContext,
        child: ChildHandle,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        Self {
            id,
            output: Output::new(context.masker.clone()),
            context,
            channels: Channels::new(child.requests, child.stdout, child.stderr, child.logs),
            pid: child.pid,
            marker: child.marker,
            exit: child.exit,
            pending: None,
            reports,
            next_frame: 0,
        }
    }

    async fn serve(mut self, mut asks: mpsc::Receiver<Ask>) {
        let shutdown = self.context.tasks.shutdown();
        loop {
            let deadline = self.pending.as_ref().map(|pending| pending.deadline);
            let step = tokio::select! {
                // In this order, so that a child that never stops printing cannot outrun its time.
                biased;
                () = shutdown.cancelled() => Step::Stop,
                () = sleep_until(deadline.map(Instant::into_std)) => Step::TimeIsUp,
                report = self.exit.wait() => Step::Exited(report.status),
                ask = asks.recv(), if self.pending.is_none() => Step::Ask(ask),
                event = self.channels.next() => Step::Event(event),
            };
            let flow = match step {
                Step::Ask(Some(ask)) => {
                    self.begin(ask);
                    Flow::GoesOn
                }
                Step::Ask(None) | Step::Stop => {
                    self.stop().await;
                    Flow::Ended
                }
                Step::Event(event) => self.on_event(event).await,
                Step::Exited(status) => self.on_exit(status).await,
                Step::TimeIsUp => self.on_timeout().await,
            };
            if flow == Flow::Ended {
                return;
            }
        }
    }

    fn begin(&mut self, ask: Ask) {
        let Ask { question, reply } = ask;
        self.next_frame += 1;
        match encode_frame(
            self.next_frame,
            Some(&QuestionFrame::of(&question)),
            None::<&()>,
        ) {
            Ok(frame) => {
                self.channels.send(frame);
                self.pending = Some(Pending {
                    question,
                    reply,
                    deadline: Instant::now() + self.context.timeout,
                    frame: self.next_frame,
                });
            }
            // A text in a map always has a frame, unless it is larger than any frame may be.
            Err(error) => {
                let refusal = question.nonsense(error);
                let _ = reply.send(Err(refusal));
                self.tell(Verdict::Fine, true);
            }
        }
    }

    async fn on_event(&mut self, event: Event) -> Flow {
        match event {
            Event::Frame(Ok(frame)) => self.on_frame(frame).await,
            Event::Frame(Err(bad)) => self.on_garbage(&bad).await,
            Event::LogLine(line) => {
                self.output.log_line(&line);
                Flow::GoesOn
            }
            Event::StdLine(stream, line) => {
                self.output.std_line(stream, &line);
                Flow::GoesOn
            }
            // What else there is, is about tasks; the end of a channel shows as the end of the
            // process, or as silence.
            _ => Flow::GoesOn,
        }
    }

    async fn on_frame(&mut self, frame: Frame) -> Flow {
        match Request::decode(&frame.body) {
            Ok(Request::Unknown { message_type }) if message_type == ANSWER => {
                self.on_answer(&frame);
            }
            Ok(Request::Store(request)) => {
                let answer = (self.context.answer_child)(ChildRequest {
                    request,
                    is_by_secrets_backend: self
                        .pending
                        .as_ref()
                        .is_some_and(|pending| pending.question.kind == SECRET),
                });
                // A store that does not answer must not stop the clock of the question.
                let answer = match tokio::time::timeout(self.context.timeout, answer).await {
                    Ok(answer) => answer.map_err(|failure| failure.error),
                    Err(_) => Err(ErrorResponse::api_server_error(
                        503,
                        "the store is not there",
                    )),
                };
                if let Ok(Some(response)) = &answer {
                    self.output.learn_secrets(response);
                }
                self.channels.send(answer_frame(frame.id, &answer));
            }
            Ok(Request::MaskSecret(MaskSecret { value, name })) => {
                if let Ok(json) = value.to_json() {
                    self.output.masker().add_json(&json, name.as_deref());
                }
                self.channels.send(answer_frame(frame.id, &Ok(None)));
            }
            Ok(_) => self.refuse(frame.id, "a helper may not ask for that"),
            Err(error) => self.refuse(frame.id, &error.to_string()),
        }
        Flow::GoesOn
    }

    fn refuse(&mut self, frame: u64, problem: &str) {
        let answer = Err(ErrorResponse::api_server_error(400, problem));
        self.channels.send(answer_frame(frame, &answer));
    }

    fn on_answer(&mut self, frame: &Frame) {
        // An answer that nobody waits for is one too many: user code cannot send it by mistake.
        let Some(pending) = self.pending.take_if(|pending| pending.frame == frame.id) else {
            debug!("a helper gave an answer to no question");
            return;
        };
        let Pending {
            question, reply, ..
        } = pending;
        let answer = rmp_serde::from_slice::<AnswerFrame>(&frame.body)
            .map_err(|error| question.nonsense(error))
            .and_then(|frame| {
                serde_json::from_str::<Answer>(&frame.body)
                    .map_err(|error| question.nonsense(error))
            })
            .and_then(|answer| match answer {
                Answer::Ok(value) => Ok(value),
                Answer::Raised(raised) => Err(question.raised(raised)),
            });
        let _ = reply.send(answer);
        self.tell(Verdict::Fine, true);
    }

    async fn on_garbage(&mut self, bad: &BadFrame) -> Flow {
        warn!(error = %bad, "a helper sent what is no frame");
        self.kill().await;
        if let Some(Pending {
            question, reply, ..
        }) = self.pending.take()
        {
            let _ = reply.send(Err(question.nonsense(bad)));
            self.tell(Verdict::Harmful(bad.to_string()), false);
        } else {
            self.ended();
        }
        Flow::Ended
    }

    async fn on_timeout(&mut self) -> Flow {
        let Some(Pending {
            question, reply, ..
        }) = self.pending.take()
        else {
            return Flow::GoesOn;
        };
        self.kill().await;
        let limit = self.context.timeout;
        let output = self.output.last_lines();
        warn!(asked = %question.asked, doing = question.doing, ?limit, output, "killed a helper that did not answer in time");
        let error = Error::TimedOut {
            asked: question.asked.to_string(),
            doing: question.doing,
            limit,
        };
        let cause = format!("it took more than {limit:?} in {}", question.doing);
        let _ = reply.send(Err(error));
        self.tell(Verdict::Harmful(cause), false);
        Flow::Ended
    }

    async fn on_exit(&mut self, status: ChildStatus) -> Flow {
        self.read_rest().await;
        let Some(Pending {
            question, reply, ..
        }) = self.pending.take()
        else {
            debug!(?status, "an idle helper ended");
            self.ended();
            return Flow::Ended;
        };
        // What it started may have outlived it.
        self.kill().await;
        let error = Error::Died {
            asked: question.asked.to_string(),
            doing: question.doing,
            status,
            output: self.output.last_lines(),
        };
        warn!(asked = %question.asked, doing = question.doing, %error, "a helper died in the middle of a question");
        let _ = reply.send(Err(error));
        let cause = format!("its process ended in {}", question.doing);
        self.tell(Verdict::Harmful(cause), false);
        Flow::Ended
    }

    /// Reads what a dead child has left in its channels.
    async fn read_rest(&mut self) {
        const LINGER_MAX: Duration = Duration::from_millis(100);
        const EVENTS_MAX: usize = 1_000;
        for _ in 0..EVENTS_MAX {
            match tokio::time::timeout(LINGER_MAX, self.channels.next()).await {
                Ok(Event::LogLine(line)) => self.output.log_line(&line),
                Ok(Event::StdLine(stream, line)) => self.output.std_line(stream, &line),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    /// Lets the child end by itself, and sees to it that it does.
    async fn stop(&mut self) {
        if let Some(Pending {
            question, reply, ..
        }) = self.pending.take()
        {
            let refusal = question.not_ready("Updraft is stopping");
            let _ = reply.send(Err(refusal));
        }
        self.channels.hang_up();
        let deadline = Instant::now() + self.context.stop_max;
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(deadline) => break,
                _ = self.exit.wait() => break,
                event = self.channels.next() => match event {
                    Event::LogLine(line) => self.output.log_line(&line),
                    Event::StdLine(stream, line) => self.output.std_line(stream, &line),
                    _ => {}
                },
            }
        }
        self.kill().await;
    }

    async fn kill(&mut self) {
        let (pid, marker) = (self.pid, self.marker.clone());
        let kill = move || signal_tree(pid, &marker, Signal::SIGKILL);
        self.context.tasks.blocking(kill).await;
        self.exit.wait().await;
    }

    fn tell(&self, verdict: Verdict, is_alive: bool) {
        let report = Report::Done {
            id: self.id,
            verdict,
            is_alive,
        };
        // There is a place for one report of every helper.
        let _ = self.reports.try_send(report);
    }

    fn ended(&self) {
        let _ = self.reports.try_send(Report::Ended(self.id));
    }
}

/// For [`AnswerChild`]: whoever has nothing to say to a child.
pub(crate) fn no_answers() -> AnswerChild {
    Arc::new(|_request| {
        Box::pin(async {
            Err(updraft_task_comms::session::Failure {
                kind: updraft_task_comms::session::FailureKind::Rejected,
                error: ErrorResponse::api_server_error(404, "there is no store to ask"),
            })
        })
    })
}
