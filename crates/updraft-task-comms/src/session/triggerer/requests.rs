//! What the child says and asks.

use super::machine::{TriggererSession, Unacknowledged};
use super::{Effect, EndReason, Report};
use crate::frame::{BadFrame, Frame};
use crate::log_line::Level;
use crate::message::{
    ErrorResponse, MaskSecret, Request, Response, RunTrigger, StoreRequest, TriggerStateChanges,
    TriggerStateSync, answer_frame,
};
use crate::session::{Answer, AskId, Moment};

/// Triggers that one answer starts. The child makes them one after the other and is silent
/// meanwhile, and one that begins in its trigger comes with its whole Dag: of a large one that takes
/// tens of milliseconds.
const STARTED_PER_ANSWER_MAX: usize = 20;

impl TriggererSession {
    pub(super) fn on_frame(&mut self, frame: Result<Frame, BadFrame>, now: Moment) {
        self.heard(now);
        let Frame { id, body, .. } = match frame {
            Ok(frame) => frame,
            Err(bad) => return self.on_bad_frame(&bad, now),
        };
        match Request::decode(&body) {
            Ok(Request::TriggerStateChanges(changes)) => self.on_changes(id, changes, now),
            Ok(Request::AwaitOrders) => {
                self.awaits_orders = Some(id);
                self.wake();
            }
            Ok(Request::Store(request)) => self.ask(id, request),
            Ok(Request::MaskSecret(MaskSecret { value, name })) => {
                let masked = value.to_json().map(|json| {
                    self.masker.add_json(&json, name.as_deref());
                });
                let refusal = |_| ErrorResponse::api_server_error(400, "the secret is not JSON");
                self.answer(id, masked.map(|()| None).map_err(refusal));
            }
            Ok(Request::ResendLoggingFD) => self.on_resend_logging_fd(id),
            Ok(Request::Outcome(outcome)) => {
                self.refuse(
                    id,
                    &format!("a trigger has no state, found `{}`", outcome.state()),
                );
            }
            Ok(Request::DagFileParsingResult(_)) => self.refuse(id, "a trigger parses no Dag file"),
            Ok(Request::ConnectionTestResult(_)) => {
                self.refuse(id, "a trigger tests no connection");
            }
            Ok(Request::Unknown { message_type }) => {
                self.refuse(
                    id,
                    &format!("`{message_type}` is no request that a trigger may make"),
                );
            }
            // The text may quote a secret: fine for the child, which sent it, not for the log.
            Err(error) => self.refuse(id, &error.to_string()),
        }
    }

    fn on_bad_frame(&mut self, bad: &BadFrame, now: Moment) {
        let problem = bad.to_string();
        let fields = [("error", problem.as_str().into())];
        self.write_log(Level::Error, "Request could not be read", &fields, now);
        match bad.id {
            Some(id) => self.refuse(id, &problem),
            None => self.begin_stop(EndReason::ProtocolViolation, now),
        }
    }

    fn on_changes(&mut self, id: u64, changes: TriggerStateChanges, now: Moment) {
        let report = report_of(changes);
        self.forget_finished(&report);
        // A trigger that failed and yet runs on is not needed any more, and an id that the child
        // does not know does no harm.
        self.to_cancel
            .extend(report.failures.iter().map(|(id, _)| *id));
        if report.is_empty() {
            return self.acknowledge(id, None, now);
        }
        let persist_seqs = report.events.iter().filter_map(|event| event.2).collect();
        if let Some(earlier) = self.unacknowledged.take() {
            // A child that does not wait for its answers gets them all the same.
            self.acknowledge(earlier.frame, None, now);
        }
        self.unacknowledged = Some(Unacknowledged {
            frame: id,
            persist_seqs,
        });
        self.effects.push(Effect::Report(report));
    }

    pub(super) fn on_stored(&mut self, now: Moment) {
        if let Some(Unacknowledged {
            frame,
            persist_seqs,
        }) = self.unacknowledged.take()
        {
            // The silence was ours.
            self.heard(now);
            let persisted = (!persist_seqs.is_empty()).then_some(persist_seqs);
            self.acknowledge(frame, persisted, now);
        }
    }

    /// Answers a report with what to do next.
    fn acknowledge(&mut self, id: u64, events_persisted: Option<Vec<i64>>, now: Moment) {
        let count = self.starting.len().min(STARTED_PER_ANSWER_MAX);
        let to_create: Vec<RunTrigger> = self.starting.drain(..count).collect();
        self.running
            .extend(to_create.iter().map(|trigger| trigger.id));
        let to_cancel: Vec<i64> = std::mem::take(&mut self.to_cancel).into_iter().collect();
        for id in to_cancel.iter().filter(|id| self.running.contains(id)) {
            self.cancelling.insert(*id, now.elapsed);
        }
        let sync = TriggerStateSync {
            to_create,
            to_cancel,
            events_persisted,
        };
        self.answer(id, Ok(Some(Response::TriggerStateSync(sync))));
    }

    /// Lets the child ask at once what to do, if there is anything.
    pub(super) fn wake(&mut self) {
        let has_orders = !self.starting.is_empty() || !self.to_cancel.is_empty();
        if has_orders && let Some(id) = self.awaits_orders.take() {
            self.answer(id, Ok(None));
        }
    }

    fn on_resend_logging_fd(&mut self, id: u64) {
        if self.channels.requests {
            // The child takes the descriptor from the socket and ignores the number.
            let frame = answer_frame(id, &Ok(Some(Response::SentFDs { fds: vec![0] })));
            self.channels.add_extra_logs();
            self.effects.push(Effect::SendLogChannel(frame));
        }
    }

    fn ask(&mut self, id: u64, request: StoreRequest) {
        let ask = AskId(self.asks_made);
        self.asks_made += 1;
        self.asks.insert(ask, id);
        self.effects.push(Effect::Ask { ask, request });
    }

    pub(super) fn on_store_answer(&mut self, ask: AskId, answer: Answer) {
        let Some(id) = self.asks.remove(&ask) else {
            return;
        };
        if let Ok(Some(response)) = &answer {
            self.masker.learn(response);
        }
        self.answer(id, answer.map_err(|failure| failure.error));
    }

    fn refuse(&mut self, id: u64, problem: &str) {
        self.answer(id, Err(ErrorResponse::api_server_error(400, problem)));
    }

    fn answer(&mut self, id: u64, answer: Result<Option<Response>, ErrorResponse>) {
        self.send(Effect::Send(answer_frame(id, &answer)));
    }
}

/// Quirk (runtime protocols §5.3): a trigger that could not be loaded is in `failures` only.
fn report_of(changes: TriggerStateChanges) -> Report {
    let failures = changes.failures.unwrap_or_default();
    let mut finished = changes.finished.unwrap_or_default();
    for (id, _) in &failures {
        if !finished.contains(id) {
            finished.push(*id);
        }
    }
    Report {
        events: changes.events.unwrap_or_default(),
        failures,
        finished,
    }
}
