//! The rules of the session, one by one.

use serde_json::{Value, json};
use updraft_task_comms::frame::{BadFrame, FrameProblem};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::*;
use updraft_task_comms::session::*;

use crate::driver::{Driver, asked, context, failure, sent, succeed};

const KILLED: ExitStatus = ExitStatus::Signal(9);
const CLEAN: ExitStatus = ExitStatus::Code(0);

#[test]
fn the_child_learns_its_task_only_after_the_store_agreed() {
    let mut driver = Driver::new();
    assert_eq!(
        driver.on(Event::ForkedChild { pid: 7 }),
        [Effect::StartRun { pid: 7 }]
    );
    let first = sent(&driver.on(Event::RunAccepted(Box::new(context(true)))));
    assert_eq!(first.id, 0);
    assert_eq!(first.body["type"], "StartupDetails");
    assert_eq!(first.body["start_date"], "2026-11-21T19:26:28Z");
}

#[test]
fn a_resumed_task_keeps_its_first_start_date() {
    let mut driver = Driver::new();
    driver.on(Event::ForkedChild { pid: 7 });
    let mut resumed = context(false);
    resumed.start_date = Some(
        "2026-11-21T10:00:00Z"
            .parse::<jiff::Timestamp>()
            .unwrap()
            .into(),
    );
    let first = sent(&driver.on(Event::RunAccepted(Box::new(resumed))));
    assert_eq!(first.body["start_date"], "2026-11-21T10:00:00Z");
}

#[test]
fn a_refused_run_kills_the_child_before_it_hears_anything() {
    let mut driver = Driver::new();
    driver.on(Event::ForkedChild { pid: 7 });
    let refusal = Failure {
        kind: FailureKind::NotOurs,
        error: ErrorResponse::api_server_error(409, "running elsewhere"),
    };
    let effects = driver.on(Event::RunRefused(refusal.clone()));
    assert_eq!(effects, [Effect::Signal(Signal::Kill)]);
    assert_eq!(driver.exits(KILLED), Conclusion::Refused(refusal));
}

#[test]
fn a_child_that_cannot_be_made_touches_no_row() {
    let mut driver = Driver::new();
    driver.on(Event::ForkFailed {
        why: "plugin `p` does not import".to_owned(),
    });
    let why = "plugin `p` does not import".to_owned();
    assert_eq!(driver.conclusion(), Some(Conclusion::NotStarted { why }));
    assert!(driver.log().contains("plugin `p` does not import"));
}

#[test]
fn heartbeats_come_every_five_seconds_and_never_two_at_once() {
    let mut driver = Driver::running();
    assert_eq!(
        driver.session.next_deadline(),
        Some(std::time::Duration::from_secs(5))
    );
    assert_eq!(driver.after(4), []);
    assert_eq!(driver.after(1), [Effect::Heartbeat]);
    assert_eq!(driver.session.next_deadline(), None);
    assert_eq!(driver.after(60), []);
    driver.on(Event::HeartbeatAnswer(HeartbeatAnswer::Alive));
    assert_eq!(driver.after(0), [Effect::Heartbeat]);
}

#[test]
fn three_lost_heartbeats_in_a_row_stop_the_task() {
    let mut driver = Driver::running();
    for answer in [
        HeartbeatAnswer::Unavailable,
        HeartbeatAnswer::Unavailable,
        HeartbeatAnswer::Alive,
        HeartbeatAnswer::Unavailable,
        HeartbeatAnswer::Unavailable,
    ] {
        driver.after(5);
        assert_eq!(driver.on(Event::HeartbeatAnswer(answer)), []);
    }
    driver.after(5);
    let effects = driver.on(Event::HeartbeatAnswer(HeartbeatAnswer::Unavailable));
    assert!(
        effects.contains(&Effect::Signal(Signal::Terminate)),
        "{effects:?}"
    );
}

#[test]
fn a_task_whose_row_was_taken_away_is_stopped_and_nothing_is_written() {
    let mut driver = Driver::running();
    driver.after(5);
    let effects = driver.on(Event::HeartbeatAnswer(HeartbeatAnswer::NotOurs));
    assert!(
        effects.contains(&Effect::Signal(Signal::Terminate)),
        "{effects:?}"
    );
    assert_eq!(driver.after(4), []);
    assert_eq!(driver.after(1), [Effect::Signal(Signal::Kill)]);
    assert_eq!(driver.after(60), []);
    assert_eq!(
        driver.exits(KILLED),
        Conclusion::Superseded { status: KILLED }
    );
}

#[test]
fn a_stored_outcome_is_final_whatever_the_exit_status_is() {
    let mut driver = Driver::running();
    let answer = driver.answered(3, succeed(), Ok(None));
    assert_eq!(
        (answer.id, answer.body, answer.error),
        (3, Value::Null, Value::Null)
    );
    let status = ExitStatus::Code(1);
    assert_eq!(
        driver.exits(status),
        Conclusion::Completed {
            state: "success",
            status
        }
    );
}

#[test]
fn a_second_outcome_is_refused() {
    let mut driver = Driver::running();
    driver.answered(3, succeed(), Ok(None));
    let second = sent(&driver.request(4, json!({"type": "TaskState", "state": "failed"})));
    assert_eq!(second.id, 4);
    assert_eq!(second.error["detail"]["status_code"], 409);
}

#[test]
fn requests_after_the_outcome_are_still_answered_but_no_heartbeat_is_sent() {
    let mut driver = Driver::running();
    driver.answered(3, succeed(), Ok(None));
    assert_eq!(driver.after(6), []);
    let link = json!({
        "type": "SetXCom", "key": "_link", "value": "u", "dag_id": "d", "run_id": "r",
        "task_id": "t", "map_index": -1,
    });
    assert_eq!(driver.answered(4, link, Ok(None)).id, 4);
}

#[test]
fn a_child_that_outlives_its_outcome_is_stopped_after_twenty_seconds() {
    let mut driver = Driver::running();
    driver.answered(3, succeed(), Ok(None));
    assert_eq!(driver.after(19), []);
    assert!(driver.after(1).contains(&Effect::Signal(Signal::Terminate)));
    assert_eq!(driver.after(5), [Effect::Signal(Signal::Kill)]);
    let completed = Conclusion::Completed {
        state: "success",
        status: KILLED,
    };
    assert_eq!(driver.exits(KILLED), completed);
}

#[test]
fn an_outcome_that_found_no_store_is_asked_again_at_the_end() {
    let mut driver = Driver::running();
    let refused = driver.answered(3, succeed(), failure(FailureKind::Unavailable));
    assert_eq!(refused.error["detail"]["status_code"], 503);
    driver.on(Event::Exited(CLEAN));
    driver.effects.clear();
    driver.close_channels();
    let ask = asked(&driver.effects);
    assert_eq!(driver.conclusion(), None);
    driver.on(Event::StoreAnswer {
        ask,
        answer: Ok(None),
    });
    let completed = Conclusion::Completed {
        state: "success",
        status: CLEAN,
    };
    assert_eq!(driver.conclusion(), Some(completed));
}

#[test]
fn an_outcome_that_never_finds_a_store_is_handed_back() {
    let mut driver = Driver::running();
    driver.answered(3, succeed(), failure(FailureKind::Unavailable));
    driver.on(Event::Exited(CLEAN));
    driver.effects.clear();
    driver.close_channels();
    let ask = asked(&driver.effects);
    driver.on(Event::StoreAnswer {
        ask,
        answer: failure(FailureKind::Unavailable),
    });
    let conclusion = driver.conclusion().unwrap();
    let Conclusion::Undelivered { outcome, .. } = conclusion else {
        panic!("{conclusion:?}")
    };
    assert_eq!(outcome.state(), "success");
}

#[test]
fn a_wrong_outcome_is_a_crash_that_says_what_was_wrong() {
    let mut driver = Driver::running();
    driver.answered(3, succeed(), failure(FailureKind::Rejected));
    let conclusion = driver.exits(CLEAN);
    let Conclusion::Crashed(crash) = conclusion else {
        panic!("{conclusion:?}")
    };
    assert_eq!(
        crash.reason.to_string(),
        "the outcome that the task reported was refused: not valid"
    );
}

#[test]
fn an_end_without_an_outcome_is_a_crash_with_and_without_retries() {
    for should_retry in [true, false] {
        for (status, reason) in [
            (ExitStatus::Code(0), CrashReason::NoOutcome),
            (ExitStatus::Code(7), CrashReason::ExitCode(7)),
            (ExitStatus::Signal(9), CrashReason::KilledBySystem),
            (ExitStatus::Signal(11), CrashReason::SegmentationFault),
            (ExitStatus::Signal(6), CrashReason::OtherSignal(6)),
            (ExitStatus::Unknown, CrashReason::StatusUnknown),
        ] {
            let mut driver = Driver::running_with(context(should_retry));
            let end_date = driver.now().at;
            let crash = Crash {
                status,
                reason,
                should_retry,
                end_date,
            };
            assert_eq!(driver.exits(status), Conclusion::Crashed(crash));
        }
    }
}

#[test]
fn the_task_log_says_why_the_process_died() {
    let mut driver = Driver::running();
    driver.exits(KILLED);
    let log = driver.log();
    assert!(log.contains(r#""event":"Process terminated by signal","logger":"task","signal":9"#));
    assert!(log.contains("run out of memory"), "{log}");
    let aborted = CrashReason::OtherSignal(6).to_string();
    assert_eq!(aborted, "the task process was ended by signal 6 (SIGABRT)");
}

#[test]
fn a_shutdown_gives_the_task_five_seconds() {
    let mut driver = Driver::running();
    let effects = driver.on(Event::StopRequested(StopReason::WorkerShutdown));
    assert!(
        effects.contains(&Effect::Signal(Signal::Terminate)),
        "{effects:?}"
    );
    // BashOperator ends its shell and reports; that counts.
    driver.answered(5, json!({"type": "TaskState", "state": "failed"}), Ok(None));
    let completed = Conclusion::Completed {
        state: "failed",
        status: CLEAN,
    };
    assert_eq!(driver.exits(CLEAN), completed);
}

#[test]
fn a_stop_before_the_run_was_accepted_kills_at_once() {
    let mut driver = Driver::new();
    assert_eq!(
        driver.on(Event::StopRequested(StopReason::WorkerShutdown)),
        []
    );
    assert_eq!(
        driver.on(Event::ForkedChild { pid: 7 }),
        [Effect::Signal(Signal::Kill)]
    );
    let conclusion = driver.exits(KILLED);
    assert!(
        matches!(conclusion, Conclusion::NotStarted { .. }),
        "{conclusion:?}"
    );
}

#[test]
fn a_stop_while_the_store_is_asked_waits_for_what_it_says() {
    let mut driver = Driver::new();
    driver.on(Event::ForkedChild { pid: 7 });
    let effects = driver.on(Event::StopRequested(StopReason::WorkerShutdown));
    assert_eq!(effects, [Effect::Signal(Signal::Kill)]);
    driver.on(Event::Exited(KILLED));
    driver.close_channels();
    assert_eq!(driver.conclusion(), None);
    driver.on(Event::RunAccepted(Box::new(context(true))));
    let conclusion = driver.conclusion().unwrap();
    let Conclusion::Crashed(crash) = conclusion else {
        panic!("{conclusion:?}")
    };
    assert_eq!(
        crash.reason,
        CrashReason::Stopped(StopReason::WorkerShutdown)
    );
    assert!(crash.should_retry);
}

#[test]
fn an_outcome_in_flight_at_the_exit_still_counts() {
    let mut driver = Driver::running();
    let ask = asked(&driver.request(3, succeed()));
    driver.on(Event::Exited(KILLED));
    driver.close_channels();
    assert_eq!(driver.conclusion(), None);
    let effects = driver.on(Event::StoreAnswer {
        ask,
        answer: Ok(None),
    });
    let completed = Conclusion::Completed {
        state: "success",
        status: KILLED,
    };
    assert_eq!(effects, [Effect::Finish(Box::new(completed))]);
}

#[test]
fn channels_that_stay_open_are_given_up_after_a_minute() {
    let mut driver = Driver::running();
    driver.answered(3, succeed(), Ok(None));
    driver.on(Event::Exited(CLEAN));
    driver.on(Event::ChannelClosed(Channel::Requests));
    assert_eq!(driver.after(59), []);
    let effects = driver.after(1);
    assert_eq!(effects[0], Effect::CloseChannels);
    assert!(matches!(effects[1], Effect::Finish(_)));
}

#[test]
fn data_after_the_exit_still_reaches_the_log() {
    let mut driver = Driver::running();
    driver.on(Event::Exited(ExitStatus::Code(7)));
    assert!(matches!(
        driver.stdout("last words").as_slice(),
        [Effect::WriteLog(_)]
    ));
}

#[test]
fn a_new_log_channel_travels_with_its_frame_and_must_close_too() {
    let mut driver = Driver::running();
    let effects = driver.request(11, json!({"type": "ResendLoggingFD"}));
    assert!(matches!(effects.as_slice(), [Effect::SendLogChannel(_)]));
    assert_eq!(sent(&effects).body["type"], "SentFDs");
    driver.answered(12, succeed(), Ok(None));
    driver.on(Event::Exited(CLEAN));
    driver.close_channels();
    assert_eq!(driver.conclusion(), None);
    driver.on(Event::ChannelClosed(Channel::ExtraLogs));
    assert!(driver.conclusion().is_some());
}

#[test]
fn what_a_task_must_not_ask_is_refused() {
    let mut driver = Driver::running();
    for (id, body) in [
        (1, json!({"type": "MakeCoffee"})),
        (
            2,
            json!({"type": "DagFileParsingResult", "fileloc": "f", "serialized_dags": []}),
        ),
        (3, json!({"type": "TriggerStateChanges"})),
        (4, json!({"type": "GetXCom"})),
        (5, json!({"no": "type"})),
        (6, json!(null)),
    ] {
        let answer = sent(&driver.request(id, body));
        assert_eq!(answer.id, id);
        assert_eq!(answer.error["detail"]["status_code"], 400, "{answer:?}");
    }
}

#[test]
fn a_frame_without_a_readable_body_is_answered_and_one_without_an_id_ends_the_task() {
    let mut driver = Driver::running();
    let problem = FrameProblem::TooLarge { length: 10, max: 5 };
    let bad = BadFrame {
        id: Some(9),
        problem: problem.clone(),
    };
    assert_eq!(sent(&driver.on(Event::Frame(Err(bad)))).id, 9);
    let effects = driver.on(Event::Frame(Err(BadFrame { id: None, problem })));
    assert!(
        effects.contains(&Effect::Signal(Signal::Terminate)),
        "{effects:?}"
    );
    let conclusion = driver.exits(KILLED);
    let Conclusion::Crashed(crash) = conclusion else {
        panic!("{conclusion:?}")
    };
    assert_eq!(
        crash.reason,
        CrashReason::Stopped(StopReason::ProtocolViolation)
    );
}

#[test]
fn a_value_that_cannot_be_sent_becomes_an_error() {
    let mut driver = Driver::running();
    let value = JsonText::from_stored("123456789012345678901234567890");
    let result = Response::XComResult(XComResult {
        key: "k".to_owned(),
        value,
    });
    let ask = json!({
        "type": "GetXCom", "key": "k", "dag_id": "d", "run_id": "r", "task_id": "t",
    });
    let answer = driver.answered(1, ask, Ok(Some(result)));
    assert_eq!(answer.error["detail"]["status_code"], 500);
}

#[test]
fn secrets_are_known_before_the_child_can_log_them() {
    let mut driver = Driver::running();
    let connection = Response::ConnectionResult(ConnectionResult {
        conn_id: "c".to_owned(),
        conn_type: "http".to_owned(),
        host: Some("example.org".to_owned()),
        schema: None,
        login: Some("bob".to_owned()),
        password: Some("s3cr3t-pw".to_owned()),
        port: None,
        extra: Some(r#"{"k":"v"}"#.to_owned()),
    });
    driver.answered(
        1,
        json!({"type": "GetConnection", "conn_id": "c"}),
        Ok(Some(connection)),
    );
    let variable = |key: &str, value: &str| {
        Response::VariableResult(VariableResult {
            key: key.to_owned(),
            value: Some(value.to_owned()),
        })
    };
    let get = json!({"type": "GetVariable", "key": "any"});
    driver.answered(2, get.clone(), Ok(Some(variable("my_api_key", "k3y-k3y"))));
    driver.answered(3, get, Ok(Some(variable("colour", "greenish"))));
    let mask = json!({"type": "MaskSecret", "value": ["other-secret"], "name": null});
    assert_eq!(sent(&driver.request(4, mask)).body, Value::Null);

    driver.stdout("s3cr3t-pw k3y-k3y greenish other-secret example.org");
    assert!(
        driver
            .log()
            .contains(r#""event":"*** *** greenish *** example.org""#)
    );
}

#[test]
fn the_previous_run_is_that_of_the_sessions_own_task_instance() {
    let mut driver = Driver::running();
    let foreign = "00000000-0000-0000-0000-000000000001";
    let effects = driver.request(
        1,
        json!({"type": "GetPrevSuccessfulDagRun", "ti_id": foreign}),
    );
    let [
        Effect::Ask {
            call: StoreCall::Request(request),
            ..
        },
    ] = effects.as_slice()
    else {
        panic!("{effects:?}");
    };
    let StoreRequest::GetPrevSuccessfulDagRun(request) = request else {
        panic!("{request:?}")
    };
    assert_eq!(request.ti_id, crate::driver::assignment().ti.id);
}
