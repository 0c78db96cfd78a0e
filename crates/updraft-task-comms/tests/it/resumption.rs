//! What a resumed task instance is told.

use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::TriggerEvent;
use updraft_task_comms::resumption::{failure, with_event, with_payload};

fn resumed(stored: Option<&str>, payload: &str) -> String {
    let payload = JsonText::parse(payload).unwrap();
    match with_payload(stored, &payload) {
        Ok(kwargs) => kwargs.as_str().to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_event_joins_the_arguments_and_nothing_else_changes() {
    assert_eq!(resumed(None, "null"), r#"{"event":null}"#);
    assert_eq!(resumed(Some("null"), "1"), r#"{"event":1}"#);
    assert_eq!(
        resumed(Some(r#"{"b":1.0,"event":"old","a":[NaN]}"#), r#"{"x":1}"#),
        r#"{"b":1.0,"a":[NaN],"event":{"x":1}}"#
    );
}

#[test]
fn arguments_of_a_serialized_dag_lose_their_wrapper() {
    let stored = r#"{"__var":{"d":{"__var":60.0,"__type":"timedelta"}},"__type":"dict"}"#;
    assert_eq!(
        resumed(Some(stored), "1"),
        r#"{"d":{"__var":60.0,"__type":"timedelta"},"event":1}"#
    );
}

#[test]
fn what_cannot_be_resumed_says_why() {
    for stored in ["[1]", "{", r#"{"__var":3,"__type":"dict"}"#] {
        let why = resumed(Some(stored), "1");
        assert!(
            why.contains("its stored next_kwargs could not be decoded"),
            "{why}"
        );
    }
    let event = TriggerEvent {
        payload: JsonText::null(),
        task_instance_state: None,
        xcoms: None,
        problem: Some("the key `__classname__` is reserved".to_owned()),
    };
    let why = with_event(None, &event).unwrap_err().to_string();
    assert!(
        why.ends_with("(the key `__classname__` is reserved)"),
        "{why}"
    );
}

#[test]
fn a_failure_carries_its_traceback() {
    let lines = ["Traceback\n".to_owned(), "  \"x\"\n".to_owned()];
    assert_eq!(
        failure("Trigger failure", Some(&lines)).as_str(),
        r#"{"error":"Trigger failure","traceback":["Traceback\n","  \"x\"\n"]}"#
    );
    assert_eq!(
        failure("Trigger failure", None).as_str(),
        r#"{"error":"Trigger failure","traceback":null}"#
    );
}
