//! What holds for any order of events.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use updraft_task_comms::frame::{BadFrame, FrameProblem};
use updraft_task_comms::line_splitter::Line;
use updraft_task_comms::log_line::Output;
use updraft_task_comms::message::ErrorResponse;
use updraft_task_comms::session::*;

use crate::capture::{frame_bytes, one_frame};
use crate::driver::{Driver, context, decode_sent, failure, succeed};

const SECRET: &str = "tr0ub4dor";

/// A step of a made-up world; what does not fit the moment is left out.
#[derive(Debug, Clone)]
enum Step {
    Fork,
    ForkFails,
    Accept,
    Refuse,
    Query,
    Outcome(&'static str),
    Mask,
    ResendLogs,
    Garbage {
        with_id: bool,
    },
    /// Answers the oldest, or the newest, pending question.
    Answer {
        newest: bool,
        with: AnswerWith,
    },
    Beat(HeartbeatAnswer),
    Print {
        secret: bool,
    },
    Log {
        secret: bool,
    },
    Close(Channel),
    Exit(ExitStatus),
    Stop(StopReason),
    Wait(u64),
}

#[derive(Debug, Clone, Copy)]
enum AnswerWith {
    Nothing,
    Failure(FailureKind),
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop_oneof![
        Just(ExitStatus::Code(0)),
        Just(ExitStatus::Code(1)),
        Just(ExitStatus::Signal(9)),
    ];
    let with = prop_oneof![
        3 => Just(AnswerWith::Nothing),
        1 => Just(AnswerWith::Failure(FailureKind::NotOurs)),
        1 => Just(AnswerWith::Failure(FailureKind::Rejected)),
        1 => Just(AnswerWith::Failure(FailureKind::Unavailable)),
    ];
    let beat = prop_oneof![
        3 => Just(HeartbeatAnswer::Alive),
        1 => Just(HeartbeatAnswer::NotOurs),
        1 => Just(HeartbeatAnswer::Unavailable),
    ];
    let channel = prop_oneof![
        Just(Channel::Requests),
        Just(Channel::Stdout),
        Just(Channel::Stderr),
        Just(Channel::Logs),
        Just(Channel::ExtraLogs),
    ];
    let outcome = prop_oneof![Just("success"), Just("failed"), Just("skipped")];
    prop_oneof![
        6 => Just(Step::Fork),
        1 => Just(Step::ForkFails),
        6 => Just(Step::Accept),
        1 => Just(Step::Refuse),
        4 => Just(Step::Query),
        3 => outcome.prop_map(Step::Outcome),
        1 => Just(Step::Mask),
        1 => Just(Step::ResendLogs),
        1 => any::<bool>().prop_map(|with_id| Step::Garbage { with_id }),
        6 => (any::<bool>(), with).prop_map(|(newest, with)| Step::Answer { newest, with }),
        2 => beat.prop_map(Step::Beat),
        2 => any::<bool>().prop_map(|secret| Step::Print { secret }),
        2 => any::<bool>().prop_map(|secret| Step::Log { secret }),
        2 => channel.prop_map(Step::Close),
        1 => status.prop_map(Step::Exit),
        1 => prop_oneof![Just(StopReason::WorkerShutdown), Just(StopReason::Superseded)]
            .prop_map(Step::Stop),
        3 => (0u64..8).prop_map(Step::Wait),
    ]
}

/// The world around the session, as far as the rules need it.
#[derive(Default)]
struct World {
    forked: bool,
    run_answered: bool,
    accepted: bool,
    exited: bool,
    requests_closed: bool,
    masked: bool,
    heartbeat_pending: bool,
    pending: Vec<(AskId, bool)>,
    next_id: u64,
    /// Answers owed and given, by frame id.
    answers: BTreeMap<u64, usize>,
    outcomes_stored: usize,
    stored: bool,
    finished: usize,
}

impl World {
    /// The event for a step, if it can happen now.
    fn event(&mut self, step: &Step) -> Option<Event> {
        let alive = self.forked && !self.exited;
        let can_write = self.forked && !self.requests_closed && self.finished == 0;
        Some(match step {
            Step::Fork | Step::ForkFails if self.forked => return None,
            Step::Fork => {
                self.forked = true;
                Event::ForkedChild { pid: 1 }
            }
            Step::ForkFails => Event::ForkFailed {
                why: "no memory".to_owned(),
            },
            Step::Accept | Step::Refuse if !self.forked || self.run_answered => return None,
            Step::Accept => {
                self.run_answered = true;
                self.accepted = true;
                Event::RunAccepted(Box::new(context(true)))
            }
            Step::Refuse => {
                self.run_answered = true;
                Event::RunRefused(Failure {
                    kind: FailureKind::NotOurs,
                    error: ErrorResponse::api_server_error(409, "no"),
                })
            }
            Step::Query if can_write && self.accepted => {
                self.frame(json!({"type": "GetDag", "dag_id": "d"}))
            }
            Step::Outcome("success") if can_write && self.accepted => self.frame(succeed()),
            Step::Outcome(state) if can_write && self.accepted => {
                self.frame(json!({"type": "TaskState", "state": state}))
            }
            Step::Mask if can_write && self.accepted => {
                self.masked = true;
                self.frame(json!({"type": "MaskSecret", "value": SECRET, "name": null}))
            }
            Step::ResendLogs if can_write && self.accepted => {
                self.frame(json!({"type": "ResendLoggingFD"}))
            }
            Step::Garbage { with_id } if can_write && self.accepted => {
                let id = with_id.then(|| self.owe());
                Event::Frame(Err(BadFrame {
                    id,
                    problem: FrameProblem::Empty,
                }))
            }
            Step::Answer { newest, with } => {
                let at = if *newest {
                    self.pending.len().checked_sub(1)?
                } else {
                    0
                };
                (!self.pending.is_empty()).then_some(())?;
                let (ask, is_outcome) = self.pending.remove(at);
                let answer = match with {
                    AnswerWith::Nothing => Ok(None),
                    AnswerWith::Failure(kind) => failure(*kind),
                };
                if is_outcome && answer.is_ok() {
                    self.outcomes_stored += 1;
                }
                self.stored |= is_outcome;
                Event::StoreAnswer { ask, answer }
            }
            Step::Beat(answer) if self.heartbeat_pending => {
                self.heartbeat_pending = false;
                Event::HeartbeatAnswer(answer.clone())
            }
            Step::Print { secret } if self.forked => {
                let text = if *secret { SECRET } else { "hello" };
                Event::StdLine(
                    Output::Stdout,
                    Line::whole(Bytes::from(format!("a {text} b"))),
                )
            }
            Step::Log { secret } if self.forked => {
                let text = if *secret { SECRET } else { "hello" };
                let line = json!({"event": text, "k": {text: [text]}, "level": "info"});
                Event::LogLine(Line::whole(line.to_string()))
            }
            Step::Close(channel) if self.forked => {
                if *channel == Channel::Requests {
                    self.close_requests();
                }
                Event::ChannelClosed(*channel)
            }
            Step::Exit(status) if alive => {
                self.exited = true;
                Event::Exited(*status)
            }
            Step::Stop(reason) => Event::StopRequested(*reason),
            Step::Wait(_) => Event::Tick,
            _ => return None,
        })
    }

    fn frame(&mut self, body: serde_json::Value) -> Event {
        let id = self.owe();
        Event::Frame(Ok(one_frame(&frame_bytes(&json!([id, body, null])))))
    }

    fn owe(&mut self) -> u64 {
        // Ids start at 1 here, so that 0 can only be the first frame.
        self.next_id += 1;
        self.answers.insert(self.next_id, 0);
        self.next_id
    }

    /// Nobody reads answers any more.
    fn close_requests(&mut self) {
        self.requests_closed = true;
        self.answers.retain(|_, answers| *answers > 0);
    }

    fn check(&mut self, effects: &[Effect], session: &TaskSession) {
        for effect in effects {
            assert_eq!(self.finished, 0, "{effect:?} after the end");
            match effect {
                Effect::Send(bytes) | Effect::SendLogChannel(bytes) => {
                    assert!(!self.requests_closed, "sent after the channel closed");
                    let id = decode_sent(bytes).id;
                    if id != 0 {
                        *self.answers.get_mut(&id).expect("an answer to a request") += 1;
                    }
                }
                Effect::Ask { ask, call } => {
                    self.pending
                        .push((*ask, matches!(call, StoreCall::Outcome(_))));
                }
                Effect::Heartbeat => {
                    assert!(
                        self.accepted && !self.exited && !self.stored,
                        "heartbeat out of place"
                    );
                    assert!(!self.heartbeat_pending, "two heartbeats at once");
                    self.heartbeat_pending = true;
                }
                Effect::WriteLog(line) => {
                    assert!(!self.masked || !line.contains(SECRET), "{line}");
                    assert!(!line.contains('\n'));
                }
                Effect::Signal(_) => assert!(!self.exited, "signal to a dead process"),
                Effect::Finish(_) => self.finished += 1,
                Effect::CloseChannels => self.close_requests(),
                Effect::StartRun { .. } => {}
            }
        }
        assert_eq!(session.is_finished(), self.finished == 1);
    }

    /// Ends the world in good order: everything is answered, dies and closes.
    fn ending(&self) -> Vec<Step> {
        let mut steps = vec![Step::Fork, Step::Accept, Step::Exit(ExitStatus::Code(0))];
        let answer = Step::Answer {
            newest: false,
            with: AnswerWith::Nothing,
        };
        steps.extend(vec![answer.clone(); self.pending.len()]);
        for channel in [
            Channel::Requests,
            Channel::Stdout,
            Channel::Stderr,
            Channel::Logs,
        ] {
            steps.push(Step::Close(channel));
        }
        steps.push(Step::Wait(60));
        steps.push(answer);
        steps
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_session_keeps_its_promises(steps in prop::collection::vec(step(), 0..60)) {
        let mut driver = Driver::new();
        let mut world = World::default();
        let mut run = |step: &Step, world: &mut World| {
            if let Step::Wait(seconds) = step {
                driver.elapsed += std::time::Duration::from_secs(*seconds);
            }
            let Some(event) = world.event(step) else { return };
            let effects = driver.on(event);
            world.check(&effects, &driver.session);
        };
        for step in &steps {
            run(step, &mut world);
        }
        for step in world.ending() {
            run(&step, &mut world);
        }
        prop_assert_eq!(world.finished, 1, "Finish exactly once");
        prop_assert!(world.outcomes_stored <= 1, "at most one outcome is stored");
        for (id, answers) in &world.answers {
            prop_assert_eq!(*answers, 1, "answers to frame {}", id);
        }
    }
}
