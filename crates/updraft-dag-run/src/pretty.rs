//! JSON as Python prints what does not fit on a line.

use serde_json::Value;
use updraft_model::python_repr::{repr, repr_text};

/// Longest line of a pretty-printed value.
const WIDTH: usize = 72;

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
