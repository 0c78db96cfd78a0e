//! JSON as Python prints it in messages: `repr`, and `pprint` for what does not fit on a line.

use serde_json::Value;

/// Longest line of a pretty-printed value.
const WIDTH: usize = 72;

/// The `repr` of a value.
pub(crate) fn repr(value: &Value) -> String {
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
pub(crate) fn repr_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let escaped: String = text
        .chars()
        .flat_map(|character| match character {
            '\\' => "\\\\".chars().collect::<Vec<_>>(),
            '\n' => "\\n".chars().collect(),
            '\r' => "\\r".chars().collect(),
            '\t' => "\\t".chars().collect(),
            character if character == quote => vec!['\\', quote],
            character => vec![character],
        })
        .collect();
    format!("{quote}{escaped}{quote}")
}

/// `pprint` without sorting, each line four columns in.
pub(crate) fn indented(value: &Value) -> String {
    let text = pretty(value, 0, 0);
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

/// `column` is where the value begins, `after` how much must fit behind it.
fn pretty(value: &Value, column: usize, after: usize) -> String {
    let line = repr(value);
    if column + line.chars().count() + after <= WIDTH {
        return line;
    }
    let pad = " ".repeat(column + 1);
    match value {
        Value::Array(items) if !items.is_empty() => {
            let items: Vec<String> = items
                .iter()
                .map(|item| pretty(item, column + 1, 1))
                .collect();
            format!("[{}]", items.join(&format!(",\n{pad}")))
        }
        Value::Object(object) if !object.is_empty() => {
            let items: Vec<String> = object
                .iter()
                .map(|(key, item)| {
                    let key = repr_text(key);
                    let at = column + 1 + key.chars().count() + 2;
                    format!("{key}: {}", pretty(item, at, 1))
                })
                .collect();
            format!("{{{}}}", items.join(&format!(",\n{pad}")))
        }
        _ => line,
    }
}
