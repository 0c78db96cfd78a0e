//! Values as Airflow shows them: as Python's `str` would.

use serde_json::Value;

use super::{OutputFormat, Row};

/// The row with every value turned into the texts that its form shows.
pub(super) fn normalized(row: &Row, format: OutputFormat) -> Row {
    row.iter()
        .map(|(name, value)| (name.clone(), normalized_value(value, format)))
        .collect()
}

fn normalized_value(value: &Value, format: OutputFormat) -> Value {
    let is_table = format == OutputFormat::Table;
    match value {
        Value::Null => Value::Null,
        Value::Array(items) if is_table => {
            let texts: Vec<String> = items.iter().map(shown).collect();
            Value::String(texts.join(","))
        }
        Value::Array(items) => items
            .iter()
            .map(|item| normalized_value(item, format))
            .collect(),
        Value::Object(members) if !is_table => members
            .iter()
            .map(|(name, value)| (name.clone(), normalized_value(value, format)))
            .collect(),
        other => Value::String(shown(other)),
    }
}

/// Python's `str(value)`.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => representation(other),
    }
}

/// Python's `repr(value)`.
fn representation(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(representation).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}: {}", quoted(name), representation(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// Single quotes, unless the text has some and no double ones.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut quoted = String::from(quote);
    for character in text.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\\' => quoted.push_str("\\\\"),
            _ if character == quote => {
                quoted.push('\\');
                quoted.push(character);
            }
            _ if character.is_control() => {
                quoted.push_str(&format!("\\x{:02x}", u32::from(character)));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push(quote);
    quoted
}

/// How many columns of a terminal the text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(character_width).sum()
}

/// 0 for what is drawn over its neighbour, 2 for the scripts and pictures that take two columns.
pub(super) fn character_width(character: char) -> usize {
    match u32::from(character) {
        0..=0x1f | 0x7f..=0x9f => 0,
        0x300..=0x36f | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x2064 => 0,
        0x20d0..=0x20ff | 0xfe00..=0xfe0f | 0xfeff => 0,
        0x1100..=0x115f | 0x2e80..=0x303e | 0x3041..=0xa4cf | 0xa960..=0xa97f => 2,
        0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 => 2,
        0xffe0..=0xffe6 | 0x1f300..=0x1f64f | 0x1f680..=0x1f6ff | 0x1f900..=0x1f9ff => 2,
        0x20000..=0x3fffd => 2,
        _ => 1,
    }
}
