//! The rules of the triggerer's session, one by one, and the recorded session replayed.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_task_comms::line_splitter::Line;
use updraft_task_comms::log_line::Output;
use updraft_task_comms::masker::{MaskerConfig, SecretsMasker};
use updraft_task_comms::message::*;
use updraft_task_comms::session::triggerer::*;
use updraft_task_comms::session::{Answer, AskId, Channel, ExitStatus, Moment};

use crate::capture::{frame_bytes, load, one_frame};
use crate::driver::{Sent, decode_sent};
use crate::messages::without_defaults;

struct Driver {
    session: TriggererSession,
    elapsed: Duration,
    effects: Vec<Effect>,
}

impl Driver {
    fn new() -> Self {
        let masker = SecretsMasker::new(MaskerConfig::default());
        Self {
            session: TriggererSession::new(TriggererConfig::default(), masker),
            elapsed: Duration::ZERO,
            effects: Vec::new(),
        }
    }

    /// A session whose child has reported for the first time.
    fn running() -> Self {
        let mut driver = Self::new();
        let first = driver.on(Event::Forked);
        assert_eq!(sent(&first).body["type"], "StartTriggerer");
        driver.changes(0, json!({}));
        driver
    }

    fn on(&mut self, event: Event) -> Vec<Effect> {
        let start: Timestamp = "2026-11-21T19:26:28Z".parse().unwrap();
        let now = Moment {
            at: start + jiff::SignedDuration::try_from(self.elapsed).unwrap(),
            elapsed: self.elapsed,
        };
        let effects = self.session.on_event(event, now);
        self.effects.extend(effects.iter().cloned());
        effects
    }

    fn request(&mut self, id: u64, body: Value) -> Vec<Effect> {
        self.on(Event::Frame(Ok(one_frame(&frame_bytes(&json!([
            id, body, null
        ]))))))
    }

    fn changes(&mut self, id: u64, mut fields: Value) -> Vec<Effect> {
        fields["type"] = json!("TriggerStateChanges");
        self.request(id, fields)
    }

    /// What the child reports is stored at once; gives the answer.
    fn stored_changes(&mut self, id: u64, fields: Value) -> Sent {
        let effects = self.changes(id, fields);
        assert_eq!(reports(&effects).len(), 1, "{effects:?}");
        sent(&self.on(Event::Stored))
    }

    fn start(&mut self, ids: &[i64]) -> Vec<Effect> {
        self.on(Event::Start(
            ids.iter().map(|id| run_trigger(*id)).collect(),
        ))
    }

    /// Starts triggers and lets the child hear of them.
    fn run(&mut self, ids: &[i64]) {
        self.start(ids);
        let answer = sent(&self.changes(1, json!({})));
        assert_eq!(ids_of(&answer.body["to_create"]), ids);
    }

    fn after(&mut self, seconds: u64) -> Vec<Effect> {
        self.elapsed += Duration::from_secs(seconds);
        self.on(Event::Tick)
    }

    fn exits(&mut self, status: ExitStatus) -> Ended {
        self.on(Event::Exited(status));
        for channel in [
            Channel::Stdout,
            Channel::Stderr,
            Channel::Logs,
            Channel::Requests,
        ] {
            self.on(Event::ChannelClosed(channel));
        }
        self.ended().expect("an end once all channels are closed")
    }

    fn ended(&self) -> Option<Ended> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Finish(ended) => Some(ended.clone()),
            _ => None,
        })
    }

    fn log_line(&mut self, text: &str) -> Vec<Effect> {
        let line = Line::whole(Bytes::copy_from_slice(text.as_bytes()));
        self.on(Event::LogLine(line))
    }
}

fn run_trigger(id: i64) -> RunTrigger {
    RunTrigger {
        id,
        classpath: "m.T".to_owned(),
        encrypted_kwargs: "{}".to_owned(),
        ti: None,
        timeout_after: None,
        dag_data: None,
        dag_run_data: None,
        watched_assets: None,
    }
}

fn sent_all(effects: &[Effect]) -> Vec<Sent> {
    let frames = effects.iter().filter_map(|effect| match effect {
        Effect::Send(bytes) | Effect::SendLogChannel(bytes) => Some(decode_sent(bytes)),
        _ => None,
    });
    frames.collect()
}

fn sent(effects: &[Effect]) -> Sent {
    let [sent] = <[Sent; 1]>::try_from(sent_all(effects)).unwrap_or_else(|frames| {
        panic!("expected one frame, found {frames:?}");
    });
    sent
}

fn reports(effects: &[Effect]) -> Vec<Report> {
    let reports = effects.iter().filter_map(|effect| match effect {
        Effect::Report(report) => Some(report.clone()),
        _ => None,
    });
    reports.collect()
}

fn asked(effects: &[Effect]) -> AskId {
    let ask = effects.iter().find_map(|effect| match effect {
        Effect::Ask { ask, .. } => Some(*ask),
        _ => None,
    });
    ask.unwrap_or_else(|| panic!("no question among {effects:?}"))
}

fn ids_of(created: &Value) -> Vec<i64> {
    let triggers = created.as_array().unwrap();
    triggers
        .iter()
        .map(|one| one["id"].as_i64().unwrap())
        .collect()
}

#[test]
fn triggers_are_started_with_the_next_answer_and_at_once_if_the_child_waits_for_it() {
    let mut driver = Driver::running();
    assert_eq!(driver.start(&[1, 2]), []);
    assert_eq!(driver.session.trigger_count(), 2);
    let answer = sent(&driver.changes(1, json!({})));
    assert_eq!(
        (answer.id, ids_of(&answer.body["to_create"])),
        (1, vec![1, 2])
    );
    assert_eq!(answer.body["events_persisted"], Value::Null);

    assert_eq!(driver.request(2, json!({"type": "AwaitOrders"})), []);
    assert_eq!(driver.changes(3, json!({})).len(), 1);
    let woken = sent(&driver.start(&[4]));
    assert_eq!(
        (woken.id, woken.body, woken.error),
        (2, Value::Null, Value::Null)
    );
    assert_eq!(driver.start(&[5]), []);
    let answer = sent(&driver.changes(6, json!({})));
    assert_eq!(ids_of(&answer.body["to_create"]), [4, 5]);
}

#[test]
fn one_answer_starts_a_bounded_number_and_the_rest_follows_at_once() {
    let mut driver = Driver::running();
    let many: Vec<i64> = (1..=450).collect();
    driver.start(&many);
    let mut started = Vec::new();
    let mut id = 1;
    // The child asks whether there is more whenever it has heard an answer.
    while !driver
        .request(id, json!({"type": "AwaitOrders"}))
        .is_empty()
    {
        let answer = sent(&driver.changes(id + 1, json!({})));
        let some = ids_of(&answer.body["to_create"]);
        assert!(some.len() <= 20, "{}", some.len());
        started.extend(some);
        id += 2;
    }
    assert_eq!(started, many);
}

#[test]
fn a_report_is_acknowledged_when_it_is_stored_and_events_by_their_number() {
    let mut driver = Driver::running();
    driver.run(&[1, 2]);
    let effects = driver.changes(
        7,
        json!({"events": [[1, {"payload": {"i": 0}}, 5], [1, {"payload": 1.0}, null]],
               "finished": [1]}),
    );
    let [Effect::Report(report)] = &effects[..] else {
        panic!("{effects:?}");
    };
    let payloads: Vec<_> = report
        .events
        .iter()
        .map(|event| event.1.payload.as_str())
        .collect();
    assert_eq!(payloads, [r#"{"i":0}"#, "1.0"]);
    assert_eq!(report.finished, [1]);
    driver.start(&[3]);
    let answer = sent(&driver.on(Event::Stored));
    assert_eq!(
        (answer.id, &answer.body["events_persisted"]),
        (7, &json!([5]))
    );
    assert_eq!(ids_of(&answer.body["to_create"]), [3]);
    assert_eq!(driver.on(Event::Stored), []);
}

#[test]
fn a_slow_store_is_not_the_childs_silence() {
    let mut driver = Driver::running();
    driver.run(&[1]);
    driver.changes(7, json!({"events": [[1, {"payload": 1}, null]]}));
    assert_eq!(driver.session.next_deadline(), None);
    assert_eq!(driver.after(300), []);
    driver.on(Event::Stored);
    assert_eq!(driver.after(29), []);
    let effects = driver.after(1);
    assert!(effects.contains(&Effect::Signal(Signal::DumpTraceback)));
}

#[test]
fn a_trigger_that_cannot_be_loaded_counts_as_finished() {
    let mut driver = Driver::running();
    driver.run(&[1, 6]);
    let effects = driver.changes(
        7,
        json!({"failures": [[6, ["Traceback\n", "m.T\n"]], [1, null]],
                                           "finished": [1]}),
    );
    let report = reports(&effects).remove(0);
    assert_eq!(report.finished, [1, 6]);
    let lines = vec!["Traceback\n".to_owned(), "m.T\n".to_owned()];
    assert_eq!(report.failures, [(6, Some(lines)), (1, None)]);
    assert_eq!(driver.session.trigger_count(), 0);
}

#[test]
fn an_event_without_a_json_form_spoils_only_itself() {
    let deep = (0..400).fold(json!(1), |inner, _| json!([inner]));
    for unusable in [
        json!({"payload": {"__classname__": "os.system"}}),
        json!({"payload": deep}),
    ] {
        let mut driver = Driver::running();
        driver.run(&[1, 2]);
        let effects = driver.changes(
            7,
            json!({"events": [[1, unusable, 3], [2, {"payload": "fine"}, null]],
                   "failures": [[9, null]], "finished": [1, 2]}),
        );
        let report = reports(&effects).remove(0);
        assert_eq!(report.events[0].0, 1);
        assert!(report.events[0].1.problem.is_some(), "{report:?}");
        assert_eq!(report.events[0].2, Some(3));
        assert_eq!(report.events[1].1.payload.as_str(), r#""fine""#);
        assert_eq!(report.events[1].1.problem, None);
        assert_eq!(report.finished, [1, 2, 9]);
    }
}

#[test]
fn a_trigger_is_told_once_to_stop_and_again_when_it_did_not_listen() {
    let mut driver = Driver::running();
    driver.run(&[1, 2]);
    driver.start(&[3]);
    driver.on(Event::Cancel(vec![1, 3, 99]));
    let answer = sent(&driver.changes(7, json!({})));
    assert_eq!(answer.body["to_cancel"], json!([1]));
    assert_eq!(answer.body["to_create"], json!([]));
    driver.on(Event::Cancel(vec![1]));
    let mut told = 0;
    for id in 8..100 {
        driver.after(1);
        let answer = sent(&driver.changes(id, json!({})));
        told += i32::from(answer.body["to_cancel"] == json!([1]));
    }
    assert_eq!(told, 2, "every on_kill_timeout and a bit");
    driver.stored_changes(200, json!({"finished": [1]}));
    driver.after(60);
    let answer = sent(&driver.changes(201, json!({})));
    assert_eq!(answer.body["to_cancel"], json!([]));
}

#[test]
fn a_silent_child_is_asked_where_it_is_and_then_killed() {
    let mut driver = Driver::running();
    driver.run(&[1, 2]);
    assert_eq!(
        driver.session.next_deadline(),
        Some(Duration::from_secs(30))
    );
    assert_eq!(driver.after(29), []);
    let effects = driver.after(1);
    let [
        Effect::WriteLog {
            trigger: None,
            line,
        },
        Effect::Signal(Signal::DumpTraceback),
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert!(line.contains("blocked for 30 seconds"), "{line}");
    assert_eq!(driver.after(1), [Effect::Signal(Signal::Kill)]);
    assert_eq!(driver.after(100), []);
    let ended = driver.exits(ExitStatus::Signal(9));
    let silent = Duration::from_secs(30);
    assert_eq!(ended.reason, EndReason::Blocked { silent });
    assert_eq!(ended.unfinished, [1, 2]);
}

#[test]
fn a_child_that_speaks_again_in_the_last_moment_lives_on() {
    let mut driver = Driver::running();
    driver.after(30);
    driver.changes(7, json!({}));
    assert_eq!(driver.after(1), []);
    assert!(driver.session.takes_triggers());
    assert_eq!(driver.ended(), None);
}

#[test]
fn a_child_that_never_speaks_is_given_up() {
    let mut driver = Driver::new();
    driver.on(Event::Forked);
    assert_eq!(driver.after(119), []);
    driver.after(1);
    assert_eq!(driver.after(1), [Effect::Signal(Signal::Kill)]);
    let ended = driver.exits(ExitStatus::Signal(9));
    assert_eq!(
        ended.reason.to_string(),
        "it did not get ready within 120 seconds"
    );
    assert!(!ended.was_running);
}

#[test]
fn the_death_of_a_child_names_what_it_was_running_but_not_before_its_last_words_are_stored() {
    let mut driver = Driver::running();
    driver.run(&[1, 2, 3]);
    driver.start(&[4]);
    driver.changes(
        7,
        json!({"events": [[2, {"payload": 1}, null]], "finished": [2]}),
    );
    driver.on(Event::Exited(ExitStatus::Code(7)));
    for channel in [
        Channel::Stdout,
        Channel::Stderr,
        Channel::Logs,
        Channel::Requests,
    ] {
        driver.on(Event::ChannelClosed(channel));
    }
    assert_eq!(driver.ended(), None);
    driver.on(Event::Stored);
    let ended = driver.ended().unwrap();
    assert_eq!(ended.reason.to_string(), "its process exited with code 7");
    assert_eq!(ended.unfinished, [1, 3, 4]);
    assert_eq!(driver.start(&[5]), []);
}

#[test]
fn a_stop_is_orderly_and_then_not() {
    let mut driver = Driver::running();
    assert_eq!(driver.on(Event::Stop), [Effect::Signal(Signal::Terminate)]);
    assert_eq!(driver.on(Event::Stop), []);
    assert_eq!(driver.after(4), []);
    assert_eq!(driver.after(1), [Effect::Signal(Signal::Kill)]);
    let ended = driver.exits(ExitStatus::Signal(9));
    assert_eq!(ended.reason, EndReason::Stopped);

    let mut early = Driver::new();
    assert_eq!(early.on(Event::Stop), []);
    assert_eq!(early.on(Event::Forked), [Effect::Signal(Signal::Kill)]);

    let mut unborn = Driver::new();
    let why = "no memory".to_owned();
    unborn.on(Event::ForkFailed { why: why.clone() });
    assert_eq!(
        unborn.ended().unwrap().reason,
        EndReason::NotStarted { why }
    );
}

#[test]
fn questions_are_answered_in_any_order_and_secrets_are_learnt_before() {
    let mut driver = Driver::running();
    let connection = asked(&driver.request(5, json!({"type": "GetConnection", "conn_id": "db"})));
    let state = asked(&driver.request(
        6,
        json!({"type": "GetDagRunState", "dag_id": "d", "run_id": "r"}),
    ));
    let answer: Answer = Ok(Some(Response::DagRunStateResult(DagRunStateResult {
        state: "success".to_owned(),
    })));
    let first = sent(&driver.on(Event::StoreAnswer { ask: state, answer }));
    assert_eq!((first.id, &first.body["state"]), (6, &json!("success")));
    let answer: Answer = Ok(Some(Response::ConnectionResult(ConnectionResult {
        conn_id: "db".to_owned(),
        conn_type: "http".to_owned(),
        host: None,
        schema: None,
        login: None,
        password: Some("hunter22".to_owned()),
        port: None,
        extra: None,
    })));
    let second = sent(&driver.on(Event::StoreAnswer {
        ask: connection,
        answer,
    }));
    assert_eq!(second.id, 5);
    let effects = driver.log_line(r#"{"event":"it is hunter22","trigger_id":3,"level":"info"}"#);
    let [Effect::WriteLog { trigger, line }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(*trigger, Some(3));
    assert!(line.contains("it is ***"), "{line}");
    assert!(!line.contains("trigger_id"), "{line}");
}

#[test]
fn lines_without_a_trigger_and_what_is_printed_go_to_the_process_log() {
    let mut driver = Driver::running();
    let line = Line::whole(Bytes::from_static(b"hello"));
    let printed = driver.on(Event::StdLine(Output::Stdout, line));
    let broken = driver.log_line("no JSON");
    let plain = driver.log_line(r#"{"event":"3 triggers currently running","level":"info"}"#);
    for effects in [printed, broken, plain] {
        assert!(
            matches!(effects[..], [Effect::WriteLog { trigger: None, .. }]),
            "{effects:?}"
        );
    }
}

#[test]
fn what_a_trigger_may_not_say_is_refused_and_unreadable_frames_end_it() {
    let mut driver = Driver::running();
    for (id, body) in [
        (1, json!({"type": "TaskState", "state": "failed"})),
        (2, json!({"type": "NoSuchMessage"})),
        (3, json!({"type": "GetConnection"})),
        (4, json!({"type": "TriggerStateChanges", "finished": "all"})),
    ] {
        let answer = sent(&driver.request(id, body));
        assert_eq!(
            (answer.id, &answer.error["detail"]["status_code"]),
            (id, &json!(400))
        );
    }
    let bad = updraft_task_comms::frame::BadFrame {
        id: None,
        problem: updraft_task_comms::frame::FrameProblem::Empty,
    };
    let effects = driver.on(Event::Frame(Err(bad)));
    assert!(
        effects.contains(&Effect::Signal(Signal::Terminate)),
        "{effects:?}"
    );
}

#[test]
fn the_recorded_session_gets_the_recorded_answers() {
    let recording = load("triggerer-session.json");
    let frames = recording["frames"].as_array().unwrap();
    let to_child: Vec<&Value> = of_direction(frames, "to_child").collect();
    let mut driver = Driver::new();
    let first = driver.on(Event::Forked);
    assert_eq!(sent(&first).body, to_child[0]["frame"][1]);

    let syncs: Vec<&Value> = to_child
        .iter()
        .map(|captured| &captured["frame"][1])
        .filter(|body| body["type"] == "TriggerStateSync")
        .collect();
    let mut next_sync = syncs.iter();
    let mut seen = Report::default();
    let mut cancelled_by_us = Vec::new();
    for captured in of_direction(frames, "from_child") {
        let frame = one_frame(&frame_bytes(&captured["frame"]));
        let id = frame.id;
        match Request::decode(&frame.body).unwrap() {
            Request::TriggerStateChanges(_) => {
                let Some(expected) = next_sync.next() else {
                    break;
                };
                let triggers: Vec<RunTrigger> = rmp_serde::from_slice(
                    &rmp_serde::to_vec_named(&expected["to_create"]).unwrap(),
                )
                .unwrap();
                driver.on(Event::Start(triggers));
                let cancelled: Vec<i64> =
                    serde_json::from_value(expected["to_cancel"].clone()).unwrap();
                driver.on(Event::Cancel(cancelled));
                let effects = driver.on(Event::Frame(Ok(frame)));
                let mut answers = sent_all(&effects);
                for report in reports(&effects) {
                    seen.events.extend(report.events);
                    seen.failures.extend(report.failures);
                    seen.finished.extend(report.finished);
                    answers.extend(sent_all(&driver.on(Event::Stored)));
                }
                assert_eq!(answers.len(), 1, "{effects:?}");
                assert_eq!(answers[0].id, id);
                let ours = &answers[0].body;
                assert_eq!(bare(&ours["to_create"]), bare(&expected["to_create"]));
                cancelled_by_us.extend(ours["to_cancel"].as_array().unwrap().clone());
            }
            Request::Store(_) => {
                let ask = asked(&driver.on(Event::Frame(Ok(frame))));
                let answer = sent(&driver.on(Event::StoreAnswer {
                    ask,
                    answer: Ok(None),
                }));
                assert_eq!(answer.id, id);
            }
            Request::MaskSecret(_) => assert_eq!(sent(&driver.on(Event::Frame(Ok(frame)))).id, id),
            other => panic!("{other:?}"),
        }
    }
    let fired: Vec<i64> = seen.events.iter().map(|event| event.0).collect();
    assert_eq!(fired, [1, 1, 9, 4, 8]);
    let failed: Vec<i64> = seen.failures.iter().map(|failure| failure.0).collect();
    assert_eq!(failed, [6, 7, 2, 3]);
    seen.finished.sort_unstable();
    assert_eq!(seen.finished, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(driver.session.trigger_count(), 0);
    assert!(cancelled_by_us.contains(&json!(5)), "{cancelled_by_us:?}");
}

fn bare(value: &Value) -> Value {
    without_defaults(&rmp_serde::to_vec_named(value).unwrap())
}

fn of_direction<'a>(frames: &'a [Value], direction: &'a str) -> impl Iterator<Item = &'a Value> {
    frames
        .iter()
        .filter(move |captured| captured["dir"] == direction)
}
