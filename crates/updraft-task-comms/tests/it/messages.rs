//! Messages whose shape needs a closer look than their field names.

use serde_json::{Value, json};
use updraft_task_comms::message::*;

use crate::capture::{as_json, frame_bytes, load, msgpack, one_frame, plain};

#[test]
fn an_unknown_message_keeps_its_name() {
    let request = Request::decode(&msgpack(&json!({"type": "MakeCoffee", "cups": 2}))).unwrap();
    assert_eq!(
        request,
        Request::Unknown {
            message_type: "MakeCoffee".to_owned()
        }
    );
}

#[test]
fn a_message_that_cannot_be_read_says_why() {
    let error = |body: Value| Request::decode(&msgpack(&body)).unwrap_err().to_string();
    let missing = error(json!({"type": "GetXCom", "key": "k"}));
    assert_eq!(missing, "`GetXCom` cannot be read: missing field `dag_id`");
    assert!(error(json!({"key": "k"})).starts_with("the body is no map with a text `type`"));
    assert!(error(json!(null)).starts_with("the body is no map with a text `type`"));
}

#[test]
fn outcomes_name_the_state_they_ask_for() {
    let state = |body: Value| match Request::decode(&msgpack(&body)).unwrap() {
        Request::Outcome(outcome) => outcome.state(),
        other => panic!("{other:?}"),
    };
    let now = json!({"$msgpack_timestamp": "2025-01-02T03:04:05Z"});
    assert_eq!(
        state(json!({"type": "TaskState", "state": "skipped"})),
        "skipped"
    );
    assert_eq!(
        state(json!({"type": "SucceedTask", "end_date": now})),
        "success"
    );
    assert_eq!(
        state(json!({"type": "RetryTask", "end_date": now})),
        "up_for_retry"
    );
    let reschedule = json!({"type": "RescheduleTask", "end_date": now, "reschedule_date": now});
    assert_eq!(state(reschedule), "up_for_reschedule");
    let unknown = json!({"type": "TaskState", "state": "success"});
    assert!(Request::decode(&msgpack(&unknown)).is_err());
}

#[test]
fn a_deferral_keeps_its_kwargs_and_its_timeout() {
    let body = json!({
        "type": "DeferTask", "classpath": "m.T", "trigger_kwargs": {"b": 1, "a": 1.0},
        "trigger_timeout": "P1DT301.5S", "next_method": "done",
    });
    let Request::Outcome(Outcome::DeferTask(defer)) = Request::decode(&msgpack(&body)).unwrap()
    else {
        panic!("no deferral");
    };
    assert_eq!(defer.trigger_kwargs.unwrap().as_str(), r#"{"b":1,"a":1.0}"#);
    let timeout = defer.trigger_timeout.unwrap().0;
    assert_eq!(timeout.as_millis(), 86_400_000 + 301_500);
}

#[test]
fn durations_follow_pydantic() {
    let seconds = |text: &str| {
        let bytes = rmp_serde::to_vec(text).unwrap();
        let delta: updraft_task_comms::scalar::TimeDelta = rmp_serde::from_slice(&bytes).unwrap();
        delta.0.as_secs_f64()
    };
    assert_eq!(seconds("PT301.5S"), 301.5);
    assert_eq!(seconds("-PT5S"), -5.0);
    assert_eq!(seconds("P1Y35DT2H"), (400 * 86_400 + 7_200) as f64);
    assert_eq!(seconds("P2W"), 1_209_600.0);
}

#[test]
fn every_recorded_parse_session_can_be_spoken() {
    let sessions = load("dag-parse.json");
    let mut results = 0;
    for (name, session) in sessions.as_object().unwrap() {
        let Some(frames) = session.get("frames") else {
            continue;
        };
        for captured in frames.as_array().unwrap() {
            let frame = one_frame(&frame_bytes(&captured["frame"]));
            if captured["dir"] == "to_child" {
                if captured["frame"][1]["type"] == "DagFileParseRequest" {
                    check_same_document::<DagFileParseRequest>(&frame.body);
                }
                continue;
            }
            match Request::decode(&frame.body).unwrap() {
                Request::DagFileParsingResult(result) => {
                    check_parsing_result(&result, &captured["frame"][1]);
                    results += 1;
                }
                Request::Unknown { message_type } => panic!("{name}: {message_type}"),
                _ => {}
            }
        }
    }
    // The fifth session runs callbacks and has no result.
    assert_eq!(results, 4);
}

#[test]
fn the_recorded_triggerer_session_can_be_spoken() {
    let session = load("triggerer-session.json");
    let mut events = Vec::new();
    for captured in session["frames"].as_array().unwrap() {
        let frame = one_frame(&frame_bytes(&captured["frame"]));
        if captured["dir"] == "to_child" {
            if captured["frame"][1]["type"] == "TriggerStateSync" {
                let sync: TriggerStateSync = rmp_serde::from_slice(&frame.body).unwrap();
                let ours = rmp_serde::to_vec_named(&Response::TriggerStateSync(sync)).unwrap();
                assert_eq!(without_defaults(&ours), without_defaults(&frame.body));
            }
            continue;
        }
        match Request::decode(&frame.body).unwrap() {
            Request::TriggerStateChanges(changes) => {
                events.extend(changes.events.unwrap_or_default());
            }
            Request::Unknown { message_type } => panic!("{message_type}"),
            _ => {}
        }
    }
    let of_date_time_trigger = events.iter().find(|entry| entry.0 == 8).unwrap();
    let payload: Value = serde_json::from_str(of_date_time_trigger.1.payload.as_str()).unwrap();
    assert_eq!(payload["__classname__"], "datetime.datetime");
    assert_eq!(payload["__version__"], 2);
    assert!(payload["__data__"]["timestamp"].is_f64());
    assert_eq!(payload["__data__"]["tz"]["__data__"][0], "UTC");
}

#[test]
fn callbacks_survive_being_kept_as_json() {
    let sessions = load("dag-parse.json");
    let captured = &sessions["parse_callbacks"]["frames"][0]["frame"];
    let frame = one_frame(&frame_bytes(captured));
    let requests = &as_json(&frame.body)["callback_requests"];
    for kept in requests.as_array().unwrap() {
        let request: CallbackRequest = serde_json::from_value(kept.clone()).unwrap();
        let again = serde_json::to_value(&request).unwrap();
        let request_again: CallbackRequest = serde_json::from_value(again).unwrap();
        assert_eq!(request_again, request);
        let sent = rmp_serde::to_vec_named(&request).unwrap();
        assert_eq!(without_defaults(&sent), without_defaults(&msgpack(kept)));
    }
    assert!(!requests.as_array().unwrap().is_empty());
}

#[test]
fn a_callback_child_gets_no_null_where_its_models_refuse_it() {
    // Found by feeding our frames to the real thing: task children take null here.
    let id = "01993ee0-0000-7000-8000-000000000001";
    let run = json!({
        "dag_id": "d", "run_id": "r", "logical_date": null, "data_interval_start": null,
        "data_interval_end": null, "run_after": "2025-01-01T00:00:00Z", "start_date": null,
        "end_date": null, "run_type": "manual", "state": "failed", "consumed_asset_events": [],
        "partition_key": null,
    });
    let request: CallbackRequest = serde_json::from_value(json!({
        "type": "TaskCallbackRequest", "filepath": "f", "bundle_name": "b",
        "ti": {
            "id": id, "task_id": "t", "dag_id": "d", "run_id": "r", "try_number": 1,
            "dag_version_id": id,
        },
        "context_from_server": {"dag_run": run, "max_tries": 0},
    }))
    .unwrap();
    let sent = as_json(&rmp_serde::to_vec_named(&request).unwrap());
    assert_eq!(sent["ti"]["map_index"], -1);
    assert_eq!(sent["ti"]["queue"], "default");
    let context = &sent["context_from_server"];
    assert_eq!(context["dag_run"]["clear_number"], 0);
    assert_eq!(context["task_reschedule_count"], 0);
    assert_eq!(context["should_retry"], false);
    for list in ["variables", "connections", "xcom_keys_to_clear"] {
        assert_eq!(context[list], json!([]));
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let connection = ConnectionResult {
        conn_id: "c".to_owned(),
        conn_type: "http".to_owned(),
        host: None,
        schema: None,
        login: None,
        password: Some("hunter2".to_owned()),
        port: None,
        extra: Some("hunter2".to_owned()),
    };
    let mask = json!({"type": "MaskSecret", "value": "hunter2", "name": null});
    let put = json!({"type": "PutVariable", "key": "k", "value": "hunter2", "description": null});
    let shown = format!(
        "{connection:?} {:?} {:?}",
        Request::decode(&msgpack(&mask)).unwrap(),
        Request::decode(&msgpack(&put)).unwrap()
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

fn check_parsing_result(result: &DagFileParsingResult, recorded: &Value) {
    let dags = recorded["serialized_dags"].as_array().unwrap();
    assert_eq!(result.serialized_dags.len(), dags.len());
    for (ours, theirs) in result.serialized_dags.iter().zip(dags) {
        // Exactly as the child wrote it, key order included.
        assert_eq!(
            ours.data.as_str(),
            updraft_task_comms::json::JsonText::from(&theirs["data"]).as_str()
        );
    }
    let errors = serde_json::to_value(result.import_errors.clone().unwrap_or_default()).unwrap();
    assert_eq!(errors, plain(&recorded["import_errors"]));
    let warnings = result.warnings.as_deref().unwrap_or_default();
    assert_eq!(
        warnings.len(),
        recorded["warnings"].as_array().unwrap().len()
    );
}

fn check_same_document<T: serde::Serialize + serde::de::DeserializeOwned>(body: &[u8]) {
    // Timestamps inside tagged members are text only; compare as documents.
    let document = as_json(body);
    let ours: T = serde_json::from_value(document).unwrap();
    let sent = rmp_serde::to_vec_named(&ours).unwrap();
    assert_eq!(without_defaults(&sent), without_defaults(body));
}

/// The recording leaves out defaults that we send.
pub(crate) fn without_defaults(msgpack: &[u8]) -> Value {
    let mut document = as_json(msgpack);
    drop_defaults(&mut document);
    document
}

fn drop_defaults(document: &mut Value) {
    match document {
        Value::Array(items) => items.iter_mut().for_each(drop_defaults),
        Value::Object(entries) => {
            entries.values_mut().for_each(drop_defaults);
            entries.retain(|key, value| {
                let is_list = ["variables", "connections", "xcom_keys_to_clear"].contains(&&**key);
                let is_default = value.is_null() || (is_list && *value == json!([]));
                !is_default
            });
        }
        _ => {}
    }
}
