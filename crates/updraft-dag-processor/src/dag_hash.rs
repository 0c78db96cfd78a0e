//! Tells one structure of a Dag from another.
//!
//! The hash is Airflow's: the MD5 of the serialized Dag in a canonical order, without the file's
//! absolute place. It is the same at every parse and on every machine that has the bundle under the
//! same path; other paths are part of the serialized Dag and so of the hash. It differs from
//! Airflow's for Dags with deadlines: Airflow hashes ids of rows instead of them, which stay the same
//! as long as the definitions do, in whatever order and under whatever names. We hash the
//! definitions, sorted, without the names.
//!
//! Source: runtime protocols §4.8.

#[cfg(test)]
mod tests;

use md5::{Digest as _, Md5};
use updraft_task_comms::json::{Json, JsonError, python_float};

/// The hash of a serialized Dag, given the JSON text that the child sent.
pub(crate) fn dag_hash(data: &str) -> Result<String, JsonError> {
    let mut document = Json::parse(data)?;
    leave_out_fileloc(&mut document);
    sort(&mut document);
    reduce_deadlines(&mut document);
    let mut text = String::with_capacity(data.len() + data.len() / 8);
    write(&document, &mut text);
    let digest = Md5::digest(text.as_bytes());
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn leave_out_fileloc(document: &mut Json<'_>) {
    let Json::Object(entries) = document else {
        return;
    };
    for (key, value) in entries {
        if let ("dag", Json::Object(dag)) = (key.as_ref(), value) {
            dag.retain(|(key, _)| key != "fileloc");
        }
    }
}

/// Leaves of deadlines what makes a new version when it changes.
fn reduce_deadlines(document: &mut Json<'_>) {
    let Json::Object(entries) = document else {
        return;
    };
    let dag = entries.iter_mut().find(|(key, _)| key == "dag");
    let Some((_, Json::Object(dag))) = dag else {
        return;
    };
    let deadlines = dag.iter_mut().find(|(key, _)| key == "deadline");
    let Some((_, Json::Array(deadlines))) = deadlines else {
        return;
    };
    for deadline in deadlines.iter_mut() {
        if let Json::Object(parts) = deadline {
            parts.retain(|(key, _)| key != "name");
        }
    }
    deadlines.sort_by_cached_key(|deadline| {
        let mut text = String::new();
        write(deadline, &mut text);
        text
    });
}

/// Sorts what has no order of its own: maps, tasks, and lists of texts, which may stem from sets.
fn sort(value: &mut Json<'_>) {
    match value {
        Json::Object(entries) => {
            for (_, value) in entries.iter_mut() {
                sort(value);
            }
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        }
        Json::Array(items) => {
            for item in items.iter_mut() {
                sort(item);
            }
            if items.iter().all(|item| text_of(item).is_some()) {
                items.sort_by(|left, right| text_of(left).cmp(&text_of(right)));
            } else if items.iter().all(|item| task_id_of(item).is_some()) {
                items.sort_by(|left, right| task_id_of(left).cmp(&task_id_of(right)));
            }
        }
        _ => {}
    }
}

fn text_of<'a>(value: &'a Json<'_>) -> Option<&'a str> {
    match value {
        Json::Text(text) => Some(text),
        _ => None,
    }
}

fn task_id_of<'a>(value: &'a Json<'_>) -> Option<&'a str> {
    text_of(value.get("__var")?.get("task_id")?)
}

/// Writes JSON as Python's `json.dumps` does by default.
fn write(value: &Json<'_>, text: &mut String) {
    match value {
        Json::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                write(item, text);
            }
            text.push(']');
        }
        Json::Object(entries) => {
            text.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                write_ascii(key, text);
                text.push_str(": ");
                write(value, text);
            }
            text.push('}');
        }
        Json::Text(value) => write_ascii(value, text),
        Json::Float(value) => text.push_str(&python_float(*value)),
        plain => plain.write(text),
    }
}

/// Writes a text with everything beyond ASCII as UTF-16 escapes.
fn write_ascii(value: &str, text: &mut String) {
    let mut escaped = String::with_capacity(value.len() + 2);
    updraft_task_comms::json::write_json_string(&mut escaped, value);
    for character in escaped.chars() {
        if character.is_ascii() {
            text.push(character);
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
}
