//! Replays every recorded task session against the machine.
//!
//! The store answers as the recording's parent did; the machine must send the same frames
//! and come to the conclusion that the sheet on Airflow's supervisor asks for.

use serde::de::DeserializeOwned;
use serde_json::Value;
use updraft_task_comms::message::*;
use updraft_task_comms::session::*;

use crate::capture::{frame_bytes, load, msgpack, one_frame, plain, typed};
use crate::driver::{Driver, context, sent};

#[test]
fn every_recorded_session_gets_the_same_answers_and_the_right_conclusion() {
    let recording = load("task-scenarios.json");
    let scenarios = recording["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 44);
    for scenario in scenarios {
        let name = scenario["scenario"].as_str().unwrap();
        let mut driver = Driver::running_with(context(name == "retrypol"));
        let mut reported = None;
        let mut frames = scenario["frames"].as_array().unwrap().iter();
        frames.next().expect("the first frame");
        while let Some(asked) = frames.next() {
            let answer = frames.next().expect("each request has an answer");
            assert_eq!(
                (&asked["dir"], &answer["dir"]),
                (&"from_child".into(), &"to_child".into())
            );
            reported = exchange(&mut driver, name, &asked["frame"], &answer["frame"]).or(reported);
        }
        let exit_code = i32::try_from(scenario["exit_code"].as_i64().unwrap()).unwrap();
        let status = ExitStatus::Code(exit_code);
        assert_eq!(
            driver.exits(status),
            expected(name, reported, status),
            "{name}"
        );
    }
}

#[test]
fn the_first_frame_is_the_recorded_one() {
    let recording = load("task-scenarios.json");
    let recorded = frame_bytes(&recording["scenarios"][0]["frames"][0]["frame"]);
    let mut driver = Driver::new();
    driver.on(Event::ForkedChild { pid: 42 });
    // The recording's child started at this moment.
    driver.elapsed = std::time::Duration::from_micros(36_565);
    let effects = driver.on(Event::RunAccepted(Box::new(context(false))));
    let [Effect::Send(ours)] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(
        typed(&one_frame(ours).body),
        typed(&one_frame(&recorded).body)
    );
}

/// One request and its answer; returns the state that an accepted outcome asked for.
fn exchange(
    driver: &mut Driver,
    name: &str,
    asked: &Value,
    answer: &Value,
) -> Option<&'static str> {
    let frame = one_frame(&frame_bytes(asked));
    let request = Request::decode(&frame.body).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut effects = driver.on(Event::Frame(Ok(frame)));
    let error = answer.get(2).filter(|error| !error.is_null());
    let mut reported = None;
    match request {
        Request::MaskSecret(_) | Request::ResendLoggingFD => {}
        Request::Outcome(outcome) => {
            reported = error.is_none().then_some(outcome.state());
            effects = driver.on(store_answer(&effects, answer));
        }
        Request::Store(_) => effects = driver.on(store_answer(&effects, answer)),
        other => panic!("{name}: {other:?}"),
    }
    let ours = sent(&effects);
    assert_eq!(Some(ours.id), answer[0].as_u64(), "{name}");
    assert_eq!(
        without_nulls(&ours.body),
        without_nulls(&plain(&answer[1])),
        "{name}"
    );
    let recorded_error = error.map_or(Value::Null, plain);
    assert_eq!(
        without_nulls(&ours.error),
        without_nulls(&recorded_error),
        "{name}"
    );
    reported
}

fn expected(name: &str, reported: Option<&'static str>, status: ExitStatus) -> Conclusion {
    match (name, reported) {
        ("hardexit", None) => Conclusion::Crashed(Crash {
            status,
            reason: CrashReason::ExitCode(7),
            should_retry: false,
            end_date: Driver::new().now().at,
        }),
        // The recording's parent said 409 to the outcome: the row is not ours.
        ("conflict" | "conflict_failed", None) => Conclusion::Superseded { status },
        (_, Some(state)) => Conclusion::Completed { state, status },
        (_, None) => panic!("{name} reported no outcome"),
    }
}

fn store_answer(effects: &[Effect], recorded: &Value) -> Event {
    let [Effect::Ask { ask, .. }] = effects else {
        panic!("{effects:?}")
    };
    let answer = match (recorded.get(1), recorded.get(2)) {
        (_, Some(error)) if !error.is_null() => Err(Failure {
            kind: match error["detail"]["status_code"].as_u64() {
                Some(409) => FailureKind::NotOurs,
                _ => FailureKind::Rejected,
            },
            error: typed_body(error),
        }),
        (Some(body), _) if !body.is_null() => Ok(Some(response(body))),
        _ => Ok(None),
    };
    Event::StoreAnswer { ask: *ask, answer }
}

/// A recorded answer as our type.
fn response(body: &Value) -> Response {
    macro_rules! response {
        ($($variant:ident)*) => {
            match body["type"].as_str().unwrap() {
                "OKResponse" => Response::ok(),
                $(stringify!($variant) => Response::$variant(typed_body(body)),)*
                other => panic!("no answer is called {other}"),
            }
        };
    }
    response!(
        XComResult XComCountResponse XComSequenceIndexResult XComSequenceSliceResult
        ConnectionResult VariableResult VariableKeysResult InactiveAssetsResult AssetResult
        AssetsByAliasResult AssetEventsResult DagResult DagRunResult DagRunStateResult
        PreviousDagRunResult PrevSuccessfulDagRunResult DRCount TICount TaskStatesResult
        PreviousTIResult TaskBreadcrumbsResult TaskRescheduleStartDate HITLDetailRequestResult
        TaskStateStoreResult AssetStateStoreResult ErrorResponse
    )
}

fn typed_body<T: DeserializeOwned>(body: &Value) -> T {
    rmp_serde::from_slice(&msgpack(body)).unwrap_or_else(|error| panic!("{body}: {error}"))
}

/// We send nulls where the recording's parent left keys out.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Object(entries) => entries
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        other => other.clone(),
    }
}
