//! What the child asks, and what the store answers.

use super::{OutcomeProgress, PendingAsk, Phase, TaskSession};
use crate::frame::{BadFrame, Frame, encode_frame};
use crate::json::Json;
use crate::log_line::Level;
use crate::message::{
    ErrorResponse, MaskSecret, Outcome, Request, Response, StoreRequest, answer_frame,
};
use crate::session::{Answer, AskId, Effect, Failure, FailureKind, Moment, StopReason, StoreCall};

impl TaskSession {
    pub(super) fn on_frame(&mut self, frame: Result<Frame, BadFrame>, now: Moment) {
        let Frame { id, body, .. } = match frame {
            Ok(frame) => frame,
            Err(bad) => return self.on_bad_frame(&bad, now),
        };
        match Request::decode(&body) {
            Ok(Request::Outcome(outcome)) => self.on_outcome(id, outcome),
            Ok(Request::Store(request)) => {
                let call = StoreCall::Request(self.about_this_task(request));
                self.ask(PendingAsk::Request { id }, call);
            }
            Ok(Request::MaskSecret(MaskSecret { value, name })) => {
                let masked = value.to_json().map(|json| {
                    self.masker.add_json(&json, name.as_deref());
                });
                let refusal = |_| ErrorResponse::api_server_error(400, "the secret is not JSON");
                self.answer(id, masked.map(|()| None).map_err(refusal));
            }
            Ok(Request::ResendLoggingFD) => self.on_resend_logging_fd(id),
            Ok(Request::DagFileParsingResult(_)) => self.refuse(id, "DagFileParsingResult"),
            Ok(Request::TriggerStateChanges(_)) => self.refuse(id, "TriggerStateChanges"),
            Ok(Request::AwaitOrders) => self.refuse(id, "AwaitOrders"),
            Ok(Request::ConnectionTestResult(_)) => self.refuse(id, "ConnectionTestResult"),
            Ok(Request::Unknown { message_type }) => self.refuse(id, &message_type),
            // The text may quote a secret: fine for the child, which sent it, not for the log.
            Err(error) => {
                self.answer(
                    id,
                    Err(ErrorResponse::api_server_error(400, &error.to_string())),
                );
            }
        }
    }

    fn on_bad_frame(&mut self, bad: &BadFrame, now: Moment) {
        let problem = bad.to_string();
        let fields = [("error", problem.as_str().into())];
        self.write_log(Level::Error, "Request could not be read", &fields, now);
        match bad.id {
            Some(id) => self.answer(id, Err(ErrorResponse::api_server_error(400, &problem))),
            None => self.begin_stop(StopReason::ProtocolViolation, now),
        }
    }

    fn on_outcome(&mut self, id: u64, outcome: Outcome) {
        match &self.outcome {
            OutcomeProgress::None
            | OutcomeProgress::Rejected { .. }
            | OutcomeProgress::Unavailable(_) => {
                self.outcome = OutcomeProgress::Asked;
                let call = StoreCall::Outcome(outcome.clone());
                self.ask(PendingAsk::Outcome { id, outcome }, call);
            }
            OutcomeProgress::Asked
            | OutcomeProgress::Accepted { .. }
            | OutcomeProgress::Undelivered(..)
            | OutcomeProgress::NotOurs => {
                let message = "this try has reported its outcome already";
                self.answer(id, Err(ErrorResponse::api_server_error(409, message)));
            }
        }
    }

    /// Airflow answers some questions about the session's own task instance, whatever id the
    /// child names.
    fn about_this_task(&self, request: StoreRequest) -> StoreRequest {
        match request {
            StoreRequest::GetPrevSuccessfulDagRun(mut request) => {
                request.ti_id = self.assignment.ti.id;
                StoreRequest::GetPrevSuccessfulDagRun(request)
            }
            other => other,
        }
    }

    fn on_resend_logging_fd(&mut self, id: u64) {
        if !self.channels.requests {
            return;
        }
        // The child takes the descriptor from the socket and ignores the number.
        let body = Response::SentFDs { fds: vec![0] };
        match encode_frame(id, Some(&body), None::<&()>) {
            Ok(frame) => {
                self.channels.add_extra_logs();
                self.effects.push(Effect::SendLogChannel(frame));
            }
            Err(error) => {
                self.answer(
                    id,
                    Err(ErrorResponse::api_server_error(500, &error.to_string())),
                );
            }
        }
    }

    pub(super) fn on_store_answer(&mut self, ask: AskId, answer: Answer, now: Moment) {
        match self.asks.remove(&ask) {
            Some(PendingAsk::Request { id }) => {
                if let Ok(Some(response)) = &answer {
                    self.masker.learn(response);
                }
                self.answer(id, answer.map_err(|failure| failure.error));
            }
            Some(PendingAsk::Outcome { id, outcome }) => {
                self.outcome = match &answer {
                    Ok(_) => OutcomeProgress::Accepted {
                        state: outcome.state(),
                    },
                    Err(failure) if failure.kind == FailureKind::Unavailable => {
                        OutcomeProgress::Unavailable(outcome)
                    }
                    Err(failure) => final_refusal(failure),
                };
                // Whatever the store said, the child believes that it is done.
                if matches!(self.phase, Phase::Running(_)) {
                    self.phase = Phase::Ended {
                        overtime_at: now.elapsed + self.config.overtime,
                    };
                }
                self.answer(id, answer.map_err(|failure| failure.error));
            }
            Some(PendingAsk::LastOutcome { outcome }) => {
                self.outcome = match answer {
                    Ok(_) => OutcomeProgress::Accepted {
                        state: outcome.state(),
                    },
                    Err(failure) if failure.kind == FailureKind::Unavailable => {
                        OutcomeProgress::Undelivered(outcome, failure)
                    }
                    Err(failure) => final_refusal(&failure),
                };
            }
            None => {}
        }
    }

    pub(super) fn ask(&mut self, pending: PendingAsk, call: StoreCall) {
        let ask = AskId(self.asks_made);
        self.asks_made += 1;
        self.asks.insert(ask, pending);
        self.effects.push(Effect::Ask { ask, call });
    }

    fn refuse(&mut self, id: u64, message_type: &str) {
        let message = format!("`{message_type}` is no request that a task may make");
        self.answer(id, Err(ErrorResponse::api_server_error(400, &message)));
    }

    fn answer(&mut self, id: u64, answer: Result<Option<Response>, ErrorResponse>) {
        self.send(Effect::Send(answer_frame(id, &answer)));
    }
}

/// A failure of the outcome that no repetition can heal.
fn final_refusal(failure: &Failure) -> OutcomeProgress {
    match failure.kind {
        FailureKind::NotOurs => OutcomeProgress::NotOurs,
        FailureKind::Rejected | FailureKind::Unavailable => OutcomeProgress::Rejected {
            message: message_of(&failure.error),
        },
    }
}

/// The `message` of an error's details, for people.
fn message_of(error: &ErrorResponse) -> String {
    let detail = error
        .detail
        .as_ref()
        .and_then(|detail| detail.to_json().ok());
    match detail.as_ref().and_then(|detail| detail.get("message")) {
        Some(Json::Text(message)) => message.to_string(),
        _ => error
            .detail
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    }
}
