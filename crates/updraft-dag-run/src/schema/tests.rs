use serde_json::{Value, json};

use super::validate;

fn first_line(schema: Value, value: Value) -> String {
    match validate(&schema, &value) {
        Ok(()) => "fine".to_owned(),
        Err(why) => why.lines().next().unwrap_or_default().to_owned(),
    }
}

#[test]
fn each_keyword_refuses_in_the_words_of_the_python_library() {
    let cases = [
        (
            json!({"type": "integer"}),
            json!("many"),
            "'many' is not of type 'integer'",
        ),
        (json!({"type": "integer"}), json!(3.0), "fine"),
        (
            json!({"type": ["null", "string"]}),
            json!(5),
            "5 is not of type 'null', 'string'",
        ),
        (
            json!({"enum": ["eu", "us"]}),
            json!("moon"),
            "'moon' is not one of ['eu', 'us']",
        ),
        (json!({"const": 1}), json!(2), "1 was expected"),
        (
            json!({"minimum": 1}),
            json!(0),
            "0 is less than the minimum of 1",
        ),
        (
            json!({"maximum": 1.5}),
            json!(2),
            "2 is greater than the maximum of 1.5",
        ),
        (
            json!({"multipleOf": 3}),
            json!(7),
            "7 is not a multiple of 3",
        ),
        (json!({"minLength": 1}), json!(""), "'' should be non-empty"),
        (json!({"minLength": 3}), json!("a"), "'a' is too short"),
        (json!({"maxLength": 1}), json!("ab"), "'ab' is too long"),
        (
            json!({"pattern": "^a"}),
            json!("b"),
            "'b' does not match '^a'",
        ),
        (
            json!({"format": "date"}),
            json!("2026-02-30"),
            "'2026-02-30' is not a 'date'",
        ),
        (json!({"format": "date-time"}), json!("whatever"), "fine"),
        (
            json!({"items": {"type": "string"}}),
            json!(["a", 1]),
            "1 is not of type 'string'",
        ),
        (
            json!({"uniqueItems": true}),
            json!([1, 1.0]),
            "[1, 1.0] has non-unique elements",
        ),
        (
            json!({"required": ["a"]}),
            json!({}),
            "'a' is a required property",
        ),
        (
            json!({"properties": {"a": {}}, "additionalProperties": false}),
            json!({"a": 1, "b": 2}),
            "Additional properties are not allowed ('b' was unexpected)",
        ),
        (
            json!({"anyOf": [{"type": "null"}, {"type": "string"}]}),
            json!(5),
            "5 is not valid under any of the given schemas",
        ),
        (
            json!({"not": {"type": "null"}}),
            json!(null),
            "None should not be valid under {'type': 'null'}",
        ),
        (
            json!({"$defs": {"name": {"type": "string"}}, "$ref": "#/$defs/name"}),
            json!(1),
            "1 is not of type 'string'",
        ),
        (json!({"$ref": "#"}), json!(1), "fine"),
        (json!({}), json!({"anything": [1]}), "fine"),
    ];
    for (schema, value, expected) in cases {
        assert_eq!(first_line(schema.clone(), value), expected, "{schema}");
    }
}

#[test]
fn the_whole_message_names_the_place() {
    let schema = json!({"type": "object", "properties": {"a": {"items": {"minimum": 1}}}});
    let message = validate(&schema, &json!({"a": [1, 0]})).unwrap_err();
    assert_eq!(
        message,
        "0 is less than the minimum of 1\n\n\
         Failed validating 'minimum' in schema['properties']['a']['items']:\n    \
         {'minimum': 1}\n\n\
         On instance['a'][1]:\n    0"
    );
}
