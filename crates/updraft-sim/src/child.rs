//! A simulated child: what the user's code does, as the worker sees it and as it really is.

use bytes::Bytes;
use serde_json::{Value, json};
use updraft_model::workload::Workload;
use updraft_task_comms::frame::{Frame, FrameDecoder};

use crate::dags::{Ending, Step, uri_of};
use crate::session::SessionId;

/// What a task instance goes on with after its trigger.
pub(crate) const RESUME_METHOD: &str = "execute_complete";

/// Names a child; also its process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChildId(pub(crate) u32);

/// How a child goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mischief {
    /// Ignores SIGTERM.
    Deaf,
    /// Lives on after it has reported.
    Lingering,
    /// Sends frames that make no sense, then goes on.
    Garbage,
    /// Reports twice.
    Twice,
    /// Ends without a report, with this exit code.
    Silent(i32),
}

/// A child process.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) host: usize,
    /// Whoever reads what it says; `None` when that process has died.
    pub(crate) session: Option<SessionId>,
    pub(crate) workload: Workload,
    /// User code runs: the first frame was read.
    pub(crate) has_started: bool,
    pub(crate) is_alive: bool,
    /// Its outcome is stored, or its row was taken away for a good reason: it holds no slot.
    pub(crate) is_released: bool,
    pub(crate) should_retry: bool,
    /// It goes on after a deferral, with this method.
    pub(crate) resumes_with: Option<String>,
    pub(crate) steps: Vec<Step>,
    /// The next of `steps`.
    pub(crate) at: usize,
    /// The request whose answer it waits for.
    pub(crate) waits_for: Option<u64>,
    pub(crate) requests: u64,
    /// The outcome that it has sent.
    pub(crate) reported: Option<Ending>,
    pub(crate) mischief: Option<Mischief>,
    /// The asset that a success updates.
    pub(crate) outlet: Option<String>,
}

impl Child {
    /// Reads a frame of the worker: its id, its body, and whether it is an error.
    pub(crate) fn read(bytes: &Bytes) -> (u64, Value, bool) {
        let mut decoder = FrameDecoder::default();
        decoder.feed(bytes);
        let frame = decoder
            .next_frame()
            .expect("the worker sends whole frames")
            .expect("the worker sends frames that can be read");
        let body = rmp_serde::from_slice::<rmpv::Value>(&frame.body)
            .expect("the worker sends bodies that can be read");
        (frame.id, plain(&body), frame.third.is_some())
    }

    /// A request as the worker reads it.
    pub(crate) fn request(&mut self, body: &Value) -> Frame {
        self.requests += 1;
        self.waits_for = Some(self.requests);
        frame(self.requests, body)
    }
}

pub(crate) fn frame(id: u64, body: &Value) -> Frame {
    let body = rmp_serde::to_vec_named(body).expect("JSON has a msgpack form");
    Frame {
        id,
        body: body.into(),
        third: None,
    }
}

/// The message that reports an ending. `token` names the trigger that it may wait for.
pub(crate) fn outcome(
    ending: Ending,
    should_retry: bool,
    outlet: Option<&str>,
    token: u32,
    now: jiff::Timestamp,
) -> Value {
    let end_date = now.to_string();
    match ending {
        Ending::Success => {
            let outlets =
                outlet.map(|name| json!({"name": name, "uri": uri_of(name), "type": "Asset"}));
            json!({
                "type": "SucceedTask", "end_date": end_date, "outlet_events": [],
                "task_outlets": outlets.into_iter().collect::<Vec<_>>(),
            })
        }
        Ending::Failure if should_retry => json!({"type": "RetryTask", "end_date": end_date}),
        Ending::Failure | Ending::FailureForGood => {
            json!({"type": "TaskState", "state": "failed", "end_date": end_date})
        }
        Ending::Skip => json!({"type": "TaskState", "state": "skipped", "end_date": end_date}),
        Ending::Reschedule(pause) => {
            let at = now + jiff::SignedDuration::try_from(pause).unwrap_or_default();
            json!({
                "type": "RescheduleTask", "end_date": end_date,
                "reschedule_date": at.to_string(),
            })
        }
        Ending::Defer(deferral) => {
            let timeout = deferral
                .timeout
                .map(|time| format!("PT{}S", time.as_secs()));
            let after = u64::try_from(deferral.after.as_millis()).unwrap_or(u64::MAX);
            json!({
                "type": "DeferTask", "classpath": deferral.fate.classpath(),
                "trigger_kwargs": {"token": token, "after": after},
                "trigger_timeout": timeout, "queue": null,
                "next_method": RESUME_METHOD, "next_kwargs": {"token": token},
            })
        }
    }
}

/// As far as the simulation looks into a message: maps, texts, numbers and flags.
fn plain(value: &rmpv::Value) -> Value {
    match value {
        rmpv::Value::Map(entries) => entries
            .iter()
            .filter_map(|(key, value)| Some((key.as_str()?.to_owned(), plain(value))))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        rmpv::Value::String(text) => json!(text.as_str()),
        rmpv::Value::Boolean(flag) => json!(flag),
        rmpv::Value::Integer(number) => json!(number.as_i64()),
        _ => Value::Null,
    }
}
