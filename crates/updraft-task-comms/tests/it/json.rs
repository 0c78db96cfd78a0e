//! JSON values cross from msgpack to text and back without change.

use proptest::prelude::*;
use serde::Deserialize;
use updraft_task_comms::json::{Json, JsonText, python_float};

/// text -> msgpack -> text.
fn round_trip(text: &str) -> String {
    let parsed = JsonText::parse(text).unwrap();
    let bytes = rmp_serde::to_vec(&parsed).unwrap();
    let read: JsonText = rmp_serde::from_slice(&bytes).unwrap();
    read.as_str().to_owned()
}

#[test]
fn values_keep_type_size_and_order() {
    for text in [
        "null",
        "true",
        "1",
        "1.0",
        "-0.0",
        "9223372036854775807",
        "18446744073709551615",
        "-9223372036854775808",
        "1e+16",
        "1e-05",
        "5e-324",
        "1.7976931348623157e+308",
        "NaN",
        "[Infinity,-Infinity]",
        r#"{"z":1,"a":{"":[]},"m":{}}"#,
        r#""é \" \\ \n \u0000 😀""#,
    ] {
        assert_eq!(round_trip(text), text);
    }
}

#[test]
fn white_space_goes_and_escapes_become_characters() {
    assert_eq!(
        round_trip(r#" { "a" : [ 1 , 2.50 ] } "#),
        r#"{"a":[1,2.5]}"#
    );
    assert_eq!(round_trip(r#""\u00e9\ud83d\ude00\/""#), r#""é😀/""#);
}

#[test]
fn an_integer_beyond_64_bits_can_be_kept_but_not_sent() {
    let text = JsonText::parse("123456789012345678901234567890").unwrap();
    assert_eq!(text.as_str(), "123456789012345678901234567890");
    let error = rmp_serde::to_vec(&text).unwrap_err().to_string();
    assert!(error.contains("does not fit in 64 bits"), "{error}");
}

#[test]
fn text_that_is_no_json_is_refused_with_its_place() {
    let error = |text: &str| JsonText::parse(text).unwrap_err().to_string();
    assert_eq!(error(""), "not JSON: expected a value at byte 0");
    assert_eq!(error("[1,]"), "not JSON: expected a value at byte 3");
    assert_eq!(error("[1 2]"), "not JSON: expected `,` or `]` at byte 3");
    assert_eq!(error(r#"{"a" 1}"#), "not JSON: expected `:` at byte 5");
    assert_eq!(error("{1:2}"), "not JSON: expected a text key at byte 1");
    assert_eq!(error("01"), "not JSON: expected a number at byte 0");
    assert_eq!(error("1."), "not JSON: expected a number at byte 0");
    assert_eq!(error("nul"), "not JSON: expected a value at byte 0");
    assert_eq!(
        error("1 1"),
        "not JSON: expected the end of the text at byte 2"
    );
    assert_eq!(
        error("\"a"),
        "not JSON: expected the closing `\"` at byte 2"
    );
    assert_eq!(
        error(r#""\ud800""#),
        "not JSON: expected a valid escape at byte 1"
    );
    assert!(error(&"[".repeat(400)).contains("at most 255 nested values"));
}

#[test]
fn floats_look_as_in_python() {
    for (value, text) in [
        (300.0, "300.0"),
        (0.1, "0.1"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (123456789012345680.0, "1.2345678901234568e+17"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1.5e-7, "1.5e-07"),
        (1e100, "1e+100"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(python_float(value), text);
    }
}

#[test]
fn keys_that_are_no_text_become_text_as_in_json_dumps() {
    let entries = rmpv::Value::Map(vec![
        (1.into(), 1.into()),
        (rmpv::Value::F64(2.0), 2.into()),
        (true.into(), 3.into()),
        (rmpv::Value::Nil, 4.into()),
    ]);
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &entries).unwrap();
    let text: JsonText = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(text.as_str(), r#"{"1":1,"2.0":2,"true":3,"null":4}"#);
}

#[test]
fn bytes_are_no_json() {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &rmpv::Value::Binary(vec![1, 2])).unwrap();
    let error = rmp_serde::from_slice::<JsonText>(&bytes)
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected a JSON value"), "{error}");
}

#[test]
fn serde_json_values_convert_as_closely_as_they_can() {
    let text = r#"{"a":[1,1.0,18446744073709551615],"b":null}"#;
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(JsonText::from(&value).as_str(), text);
    assert_eq!(
        JsonText::parse(text)
            .unwrap()
            .to_json()
            .unwrap()
            .to_serde_value(),
        value
    );
    let lossy = Json::parse("[NaN,123456789012345678901]")
        .unwrap()
        .to_serde_value();
    assert_eq!(lossy.to_string(), "[null,1.2345678901234568e+20]");
}

fn json() -> impl Strategy<Value = Json<'static>> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::Int),
        (i64::MAX as u64 + 1..).prop_map(Json::UInt),
        any::<f64>().prop_map(Json::Float),
        ".*".prop_map(|text: String| Json::Text(text.into())),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Json::Array),
            prop::collection::vec((".*", inner), 0..8).prop_map(|entries| Json::Object(
                entries
                    .into_iter()
                    .map(|(key, value)| (key.into(), value))
                    .collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_survives_msgpack_and_text(value in json()) {
        let text = JsonText::from(&value);
        prop_assert_eq!(round_trip(text.as_str()), text.as_str());
        // Serializing the tree and the text is the same thing.
        let from_tree = rmp_serde::to_vec(&value).unwrap();
        prop_assert_eq!(rmp_serde::to_vec(&text).unwrap(), from_tree);
    }

    #[test]
    fn floats_read_back_to_the_same_float(value in any::<f64>()) {
        let read: f64 = python_float(value).parse().unwrap();
        prop_assert!(read == value || (read.is_nan() && value.is_nan()));
    }

    #[test]
    fn finite_json_means_the_same_to_serde_json(value in json()) {
        let text = JsonText::from(&value);
        if let Ok(read) = serde_json::from_str::<serde_json::Value>(text.as_str()) {
            prop_assert_eq!(&read, &serde_json::Value::deserialize(&read).unwrap());
            prop_assert_eq!(JsonText::from(&read).to_json().unwrap().to_serde_value(), read);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".*", broken in r#"[\[\]{}",:0-9a-z\\. -]{0,30}"#) {
        let _parsed = JsonText::parse(&text);
        let _parsed = JsonText::parse(&broken);
    }
}
