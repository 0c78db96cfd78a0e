//! Frames: the captured ones both ways, and what becomes of broken ones.

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use updraft_task_comms::frame::{
    BadFrame, Frame, FrameDecoder, FrameProblem, Malformed, encode_frame,
};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::*;
use updraft_task_comms::scalar::UtcDateTime;

use crate::capture::{as_json, frame_bytes, load, one_frame, plain, typed, unhex};

#[test]
fn every_captured_frame_decodes_to_its_recorded_form() {
    let captures = load("frames.json");
    let frames = captures["frames"].as_array().unwrap();
    assert_eq!(frames.len(), 21);
    for capture in frames {
        let bytes = unhex(capture["hex"].as_str().unwrap());
        let frame = one_frame(&bytes);
        let recorded = capture["decoded"].as_array().unwrap();
        assert_eq!(frame.id, recorded[0].as_u64().unwrap(), "{capture}");
        let body = recorded.get(1).unwrap_or(&Value::Null);
        assert_eq!(as_json(&frame.body), plain(body), "{capture}");
        let third = frame.third.as_deref().map_or(Value::Null, as_json);
        assert_eq!(
            third,
            plain(recorded.get(2).unwrap_or(&Value::Null)),
            "{capture}"
        );
    }
}

#[test]
fn captured_requests_are_all_known() {
    let captures = load("frames.json");
    let mut requests = 0;
    for capture in captures["frames"].as_array().unwrap() {
        if !capture["label"].as_str().unwrap().starts_with("request") {
            continue;
        }
        let frame = one_frame(&unhex(capture["hex"].as_str().unwrap()));
        let request = Request::decode(&frame.body).unwrap();
        assert!(!matches!(request, Request::Unknown { .. }), "{capture}");
        requests += 1;
    }
    assert_eq!(requests, 9);
}

#[test]
fn what_we_send_equals_what_airflow_sends() {
    check_sent(
        "StartupDetails as",
        &reread::<StartupDetails>("StartupDetails as"),
    );
    check_sent("response OKResponse", &Response::ok());
    let value = JsonText::parse(r#"{"x": 1}"#).unwrap();
    check_sent(
        "response XComResult",
        &Response::XComResult(XComResult {
            key: "return_value".to_owned(),
            value,
        }),
    );
    check_sent(
        "'not found'",
        &Response::error(ErrorType::VariableNotFound, &json!({"key": "k"})),
    );
    check_sent("response SentFDs", &Response::SentFDs { fds: vec![9] });
    check_sent("StartTriggerer", &StartTriggerer {});
    check_sent(
        "TriggerStateSync empty",
        &Response::TriggerStateSync(TriggerStateSync {
            to_create: vec![],
            to_cancel: vec![],
            events_persisted: None,
        }),
    );
    check_sent(
        "DagFileParseRequest",
        &reread::<DagFileParseRequest>("DagFileParseRequest"),
    );
}

#[test]
fn failures_go_to_the_third_element_as_in_airflow() {
    let captured = captured("transport/API failure");
    let error = ErrorResponse::api_server_error(409, "conflict");
    let ours = answer_frame(3, &Err(error));
    assert_eq!(typed(&ours[4..]), typed(&captured[4..]));
}

#[test]
fn an_empty_response_is_byte_for_byte_the_same() {
    let ours = answer_frame(6, &Ok(None));
    assert_eq!(ours.as_ref(), captured("empty response"));
}

#[test]
fn timestamps_have_the_three_msgpack_forms() {
    let check = |iso: &str, expected: &str| {
        let time = UtcDateTime(iso.parse().unwrap());
        let bytes = rmp_serde::to_vec(&time).unwrap();
        assert_eq!(bytes, unhex(expected), "{iso}");
        assert_eq!(rmp_serde::from_slice::<UtcDateTime>(&bytes).unwrap(), time);
    };
    check("2025-01-02T01:04:05Z", "d6ff6775e605");
    check("2025-01-02T03:04:05.678901Z", "d7ffa1dcd42067760225");
    check("1969-12-31T23:59:59Z", "c70cff00000000ffffffffffffffff");
    check("1969-12-31T23:59:59.5Z", "c70cff1dcd6500ffffffffffffffff");
    check("2600-01-01T00:00:00Z", "c70cff0000000000000004a0fe7280");
}

#[test]
fn text_is_read_as_a_time_too() {
    let read = |text: &str| {
        let bytes = rmp_serde::to_vec(text).unwrap();
        rmp_serde::from_slice::<UtcDateTime>(&bytes).map(|time| time.to_string())
    };
    assert_eq!(
        read("2025-01-02T03:04:05+02:00").unwrap(),
        "2025-01-02T01:04:05Z"
    );
    assert_eq!(
        read("2025-01-02T03:04:05.5").unwrap(),
        "2025-01-02T03:04:05.500000Z"
    );
    let error = read("yesterday").unwrap_err().to_string();
    assert!(
        error.contains("`yesterday` is not a date and time"),
        "{error}"
    );
}

#[test]
fn a_too_large_frame_is_refused_by_id_and_the_next_one_still_comes() {
    let large = frame_bytes(&json!([7, {"type": "SetXCom", "value": "x".repeat(500)}, null]));
    let small = frame_bytes(&json!([8, {"type": "GetDag", "dag_id": "d"}, null]));
    let mut decoder = FrameDecoder::with_limit(100);
    let mut seen = Vec::new();
    for byte in large.iter().chain(&small) {
        decoder.feed(&[*byte]);
        seen.extend(decoder.next_frame());
    }
    let problem = FrameProblem::TooLarge {
        length: large.len() - 4,
        max: 100,
    };
    assert_eq!(
        seen[0],
        Err(BadFrame {
            id: Some(7),
            problem
        })
    );
    assert_eq!(seen[1].as_ref().unwrap().id, 8);
    assert_eq!(seen.len(), 2);
    assert!(!decoder.has_partial_frame());
}

#[test]
fn a_broken_body_still_has_an_id_to_answer() {
    let bad = |array: &[u8]| {
        let mut decoder = FrameDecoder::default();
        decoder.feed(&u32::try_from(array.len()).unwrap().to_be_bytes());
        decoder.feed(array);
        decoder.next_frame().unwrap().unwrap_err()
    };
    // [5, {"a": <unused marker>}]
    let reserved = FrameProblem::Malformed(Malformed::ReservedMarker { at: 5 });
    assert_eq!(
        bad(&[0x92, 5, 0x81, 0xa1, b'a', 0xc1]),
        BadFrame {
            id: Some(5),
            problem: reserved
        }
    );
    // [5, "…" cut off]
    let cut = FrameProblem::Malformed(Malformed::Truncated { at: 2 });
    assert_eq!(
        bad(&[0x92, 5, 0xa3, b'a']),
        BadFrame {
            id: Some(5),
            problem: cut
        }
    );
    assert_eq!(
        bad(&[0x90]),
        BadFrame {
            id: None,
            problem: FrameProblem::Empty
        }
    );
    assert_eq!(
        bad(b"\x81GET / HTTP/1.1").to_string(),
        "unusable frame: expected an array at byte 0, found marker 0x81"
    );
    assert_eq!(bad(&[0x92, 0xff, 0xc0]).id, None);
}

#[test]
fn hostile_nesting_is_refused_without_recursion() {
    let mut array = vec![0x92, 1];
    array.extend(vec![0x91; 1_000_000]);
    array.push(0xc0);
    let mut bytes = u32::try_from(array.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(array);
    let frame = one_frame(&bytes);
    assert!(Request::decode(&frame.body).is_err());
    let error = rmp_serde::from_slice::<JsonText>(&frame.body)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "values are nested deeper than 255");
}

fn captured(label: &str) -> Vec<u8> {
    let captures = load("frames.json");
    let frames = captures["frames"].as_array().unwrap();
    let found = frames
        .iter()
        .find(|frame| frame["label"].as_str().unwrap().starts_with(label));
    unhex(found.expect(label)["hex"].as_str().unwrap())
}

/// Reads the body of a captured frame as our type.
fn reread<T: DeserializeOwned>(label: &str) -> T {
    rmp_serde::from_slice(&one_frame(&captured(label)).body).unwrap()
}

fn check_sent(label: &str, message: &impl Serialize) {
    let captured = captured(label);
    let Frame { id, .. } = one_frame(&captured);
    let ours = encode_frame(id, Some(message), None::<&()>).unwrap();
    assert_eq!(typed(&ours[4..]), typed(&captured[4..]), "{label}");
}

proptest! {
    #[test]
    fn chunk_borders_do_not_matter(sizes in prop::collection::vec(1usize..40, 1..200)) {
        let captures = load("frames.json");
        let frames = captures["frames"].as_array().unwrap();
        let stream: Vec<u8> =
            frames.iter().flat_map(|frame| unhex(frame["hex"].as_str().unwrap())).collect();
        let mut decoder = FrameDecoder::default();
        let mut rest = stream.as_slice();
        let mut seen = 0;
        for size in sizes.iter().cycle() {
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            decoder.feed(chunk);
            while let Some(frame) = decoder.next_frame() {
                let recorded = &frames[seen]["decoded"];
                prop_assert_eq!(frame.unwrap().id, recorded[0].as_u64().unwrap());
                seen += 1;
            }
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(seen, frames.len());
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut decoder = FrameDecoder::with_limit(64);
        decoder.feed(&bytes);
        while let Some(frame) = decoder.next_frame() {
            if let Ok(frame) = frame {
                let _decoded = Request::decode(&frame.body);
            }
        }
    }
}
