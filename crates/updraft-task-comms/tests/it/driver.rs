//! Drives a session the way a worker does, with the store's answers given by the test.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_task_comms::frame::Frame;
use updraft_task_comms::line_splitter::Line;
use updraft_task_comms::log_line::Output;
use updraft_task_comms::masker::{MaskerConfig, SecretsMasker};
use updraft_task_comms::message::*;
use updraft_task_comms::scalar::UtcDateTime;
use updraft_task_comms::session::*;

use crate::capture::{as_json, frame_bytes, one_frame};

/// A session with its effects sorted for reading.
pub(crate) struct Driver {
    pub(crate) session: TaskSession,
    pub(crate) elapsed: Duration,
    /// Everything the session wanted, in order.
    pub(crate) effects: Vec<Effect>,
}

impl Driver {
    /// A session that has not forked yet.
    pub(crate) fn new() -> Self {
        let masker = SecretsMasker::new(MaskerConfig::default());
        let session = TaskSession::new(assignment(), SessionConfig::default(), masker);
        Self {
            session,
            elapsed: Duration::ZERO,
            effects: Vec::new(),
        }
    }

    /// A session whose child got its first frame.
    pub(crate) fn running() -> Self {
        Self::running_with(context(true))
    }

    pub(crate) fn running_with(context: TIRunContext) -> Self {
        let mut driver = Self::new();
        driver.on(Event::ForkedChild { pid: 42 });
        let effects = driver.on(Event::RunAccepted(Box::new(context)));
        assert!(
            matches!(effects.as_slice(), [Effect::Send(_)]),
            "{effects:?}"
        );
        driver
    }

    pub(crate) fn on(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.session.on_event(event, self.now());
        self.effects.extend(effects.iter().cloned());
        effects
    }

    /// A request frame in its captured form.
    pub(crate) fn request(&mut self, id: u64, body: Value) -> Vec<Effect> {
        let frame = one_frame(&frame_bytes(&json!([id, body, null])));
        self.on(Event::Frame(Ok(frame)))
    }

    /// A request that is asked of the store, with the store's answer.
    pub(crate) fn answered(&mut self, id: u64, body: Value, answer: Answer) -> Sent {
        let effects = self.request(id, body);
        let ask = asked(&effects);
        sent(&self.on(Event::StoreAnswer { ask, answer }))
    }

    pub(crate) fn after(&mut self, seconds: u64) -> Vec<Effect> {
        self.elapsed += Duration::from_secs(seconds);
        self.on(Event::Tick)
    }

    pub(crate) fn stdout(&mut self, text: &str) -> Vec<Effect> {
        let line = Line::whole(Bytes::copy_from_slice(text.as_bytes()));
        self.on(Event::StdLine(Output::Stdout, line))
    }

    /// The child exits and its channels close.
    pub(crate) fn exits(&mut self, status: ExitStatus) -> Conclusion {
        self.on(Event::Exited(status));
        self.close_channels();
        self.conclusion()
            .expect("a conclusion once all channels are closed")
    }

    pub(crate) fn close_channels(&mut self) {
        for channel in [
            Channel::Stdout,
            Channel::Stderr,
            Channel::Logs,
            Channel::Requests,
        ] {
            self.on(Event::ChannelClosed(channel));
        }
    }

    pub(crate) fn conclusion(&self) -> Option<Conclusion> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Finish(conclusion) => Some(conclusion.as_ref().clone()),
            _ => None,
        })
    }

    /// The lines of the task log so far.
    pub(crate) fn log(&self) -> String {
        let lines = self.effects.iter().filter_map(|effect| match effect {
            Effect::WriteLog(line) => Some(line.as_str()),
            _ => None,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn now(&self) -> Moment {
        let start: Timestamp = "2026-11-21T19:26:28Z".parse().unwrap();
        let at = start + jiff::SignedDuration::try_from(self.elapsed).unwrap();
        Moment {
            at,
            elapsed: self.elapsed,
        }
    }
}

/// One answer to the child, decoded.
#[derive(Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) id: u64,
    pub(crate) body: Value,
    pub(crate) error: Value,
}

pub(crate) fn decode_sent(bytes: &[u8]) -> Sent {
    let Frame { id, body, third } = one_frame(bytes);
    Sent {
        id,
        body: as_json(&body),
        error: third.as_deref().map_or(Value::Null, as_json),
    }
}

/// The only frame among effects.
pub(crate) fn sent(effects: &[Effect]) -> Sent {
    let frames: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send(bytes) | Effect::SendLogChannel(bytes) => Some(decode_sent(bytes)),
            _ => None,
        })
        .collect();
    let [sent] = <[Sent; 1]>::try_from(frames).unwrap_or_else(|frames| {
        panic!("expected one frame, found {frames:?}");
    });
    sent
}

/// The only question among effects.
pub(crate) fn asked(effects: &[Effect]) -> AskId {
    let asks: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Ask { ask, .. } => Some(*ask),
            _ => None,
        })
        .collect();
    assert_eq!(asks.len(), 1, "expected one question, found {effects:?}");
    asks[0]
}

pub(crate) fn failure(kind: FailureKind) -> Answer {
    let (code, message) = match kind {
        FailureKind::NotOurs => (409, "not yours"),
        FailureKind::Rejected => (422, "not valid"),
        FailureKind::Unavailable => (503, "not there"),
    };
    Err(Failure {
        kind,
        error: ErrorResponse::api_server_error(code, message),
    })
}

pub(crate) fn succeed() -> Value {
    json!({"type": "SucceedTask", "end_date": {"$msgpack_timestamp": "2026-11-21T19:26:29Z"}})
}

pub(crate) fn assignment() -> Assignment {
    Assignment {
        ti: TaskInstance {
            id: "8d429d62-7a7f-4e42-9de0-1b82ba82d9d2".parse().unwrap(),
            task_id: "hello".to_owned(),
            dag_id: "simple".to_owned(),
            run_id: "manual__x".to_owned(),
            try_number: 1,
            dag_version_id: "1ce8fc70-b29c-469a-baec-f90068c01b1d".parse().unwrap(),
            map_index: -1,
            hostname: None,
            context_carrier: None,
            queue: "default".to_owned(),
        },
        dag_rel_path: "simple.py".to_owned(),
        bundle_info: BundleInfo {
            name: "dags-folder".to_owned(),
            version: None,
        },
        sentry_integration: String::new(),
    }
}

pub(crate) fn context(should_retry: bool) -> TIRunContext {
    let start = UtcDateTime("2025-01-02T03:04:05Z".parse().unwrap());
    TIRunContext {
        dag_run: DagRun {
            dag_id: "simple".to_owned(),
            run_id: "manual__x".to_owned(),
            logical_date: Some(start),
            data_interval_start: Some(start),
            data_interval_end: Some(start),
            run_after: start,
            start_date: Some(start),
            end_date: None,
            clear_number: 0,
            run_type: "manual".to_owned(),
            state: "running".to_owned(),
            conf: Some(updraft_task_comms::json::JsonText::from(&json!({}))),
            triggering_user_name: Some("admin".to_owned()),
            consumed_asset_events: vec![],
            partition_key: None,
            partition_date: None,
            note: None,
            team_name: None,
        },
        task_reschedule_count: 0,
        max_tries: 0,
        variables: vec![],
        connections: vec![],
        next_method: None,
        next_kwargs: None,
        xcom_keys_to_clear: vec![],
        should_retry,
        start_date: None,
    }
}
