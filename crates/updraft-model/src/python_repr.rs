//! JSON as Python would print it: `repr` for values inside messages, `dumps` for stored JSON text.

use serde_json::Value;

/// The `repr` of a value that came from JSON: `{'a': [1, None, True]}`.
#[must_use]
pub fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => repr_text(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(repr).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(object) => {
            let items: Vec<String> = object
                .iter()
                .map(|(key, value)| format!("{}: {}", repr_text(key), repr(value)))
                .collect();
            format!("{{{}}}", items.join(", "))
        }
    }
}

/// The `repr` of a text: single quotes, unless only those occur inside.
#[must_use]
pub fn repr_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut repr = String::with_capacity(text.len() + 2);
    repr.push(quote);
    for character in text.chars() {
        match character {
            '\\' => repr.push_str("\\\\"),
            '\n' => repr.push_str("\\n"),
            '\r' => repr.push_str("\\r"),
            '\t' => repr.push_str("\\t"),
            character if character == quote => {
                repr.push('\\');
                repr.push(quote);
            }
            character if character.is_control() => {
                repr.push_str(&format!("\\x{:02x}", u32::from(character)));
            }
            character => repr.push(character),
        }
    }
    repr.push(quote);
    repr
}

/// The `repr` of a set of names: `{'a', 'b'}`.
#[must_use]
pub fn repr_set<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(repr_text).collect();
    if names.is_empty() {
        return "set()".to_owned();
    }
    format!("{{{}}}", names.join(", "))
}

/// `json.dumps(value)`: a space after `,` and `:`, everything beyond ASCII escaped.
#[must_use]
pub fn dumps(value: &Value) -> String {
    let mut text = String::new();
    write_json(&mut text, value, None, 0);
    text
}

/// `json.dumps(value, indent=2)`.
#[must_use]
pub fn dumps_indented(value: &Value) -> String {
    let mut text = String::new();
    write_json(&mut text, value, Some(2), 0);
    text
}

fn write_json(text: &mut String, value: &Value, indent: Option<usize>, depth: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                write_separator(text, index, indent, depth + 1);
                write_json(text, item, indent, depth + 1);
            }
            write_end(text, indent, depth);
            text.push(']');
        }
        Value::Object(object) if !object.is_empty() => {
            text.push('{');
            for (index, (key, item)) in object.iter().enumerate() {
                write_separator(text, index, indent, depth + 1);
                write_text(text, key);
                text.push_str(": ");
                write_json(text, item, indent, depth + 1);
            }
            write_end(text, indent, depth);
            text.push('}');
        }
        Value::String(string) => write_text(text, string),
        plain => text.push_str(&plain.to_string()),
    }
}

fn write_separator(text: &mut String, index: usize, indent: Option<usize>, depth: usize) {
    match indent {
        Some(width) => {
            text.push_str(if index == 0 { "\n" } else { ",\n" });
            text.push_str(&" ".repeat(width * depth));
        }
        None if index > 0 => text.push_str(", "),
        None => {}
    }
}

fn write_end(text: &mut String, indent: Option<usize>, depth: usize) {
    if let Some(width) = indent {
        text.push('\n');
        text.push_str(&" ".repeat(width * depth));
    }
}

fn write_text(text: &mut String, string: &str) {
    let quoted = Value::from(string).to_string();
    for character in quoted.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{dumps, dumps_indented, repr};

    #[test]
    fn values_print_as_python_prints_them() {
        let value = json!({"a": [1, null, true], "b": "it's", "c": {}, "d": 1.5});
        assert_eq!(
            repr(&value),
            r#"{'a': [1, None, True], 'b': "it's", 'c': {}, 'd': 1.5}"#
        );
        assert_eq!(
            dumps(&json!({"a": [1, {"b": null}], "ü": "é😀"})),
            r#"{"a": [1, {"b": null}], "\u00fc": "\u00e9\ud83d\ude00"}"#
        );
        assert_eq!(
            dumps_indented(&json!({"a": [1, []], "b": {}})),
            "{\n  \"a\": [\n    1,\n    []\n  ],\n  \"b\": {}\n}"
        );
    }
}
