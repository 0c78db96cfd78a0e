//! What the tasks of the survival Dags wrote down themselves, behind Updraft's back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// A try of a task instance: Dag, run, task, map index, try number.
type Try = (String, String, String, i64, i64);

/// Fails when two tries of a task instance overlapped, or one try was started twice.
#[track_caller]
pub(crate) fn require_one_try_at_a_time(home: &Path) {
    let events = events(home);
    let overlaps: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "overlap")
        .collect();
    assert!(overlaps.is_empty(), "two tries ran at once: {overlaps:#?}");
    let mut starts: BTreeMap<Try, Vec<&Value>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["event"] == "start") {
        starts.entry(try_of(event)).or_default().push(event);
    }
    starts.retain(|_, starts| starts.len() > 1);
    assert!(starts.is_empty(), "tries that started twice: {starts:#?}");
}

/// How many tries the tasks themselves saw.
pub(crate) fn starts(home: &Path) -> usize {
    count(&events(home), "start")
}

/// How many of them did not come to their end. (One that runs right now counts, too.)
pub(crate) fn interrupted(home: &Path) -> usize {
    let events = events(home);
    count(&events, "start") - count(&events, "end")
}

/// Whether this task wrote down that it came to its end.
pub(crate) fn has_ended(home: &Path, run_id: &str, task_id: &str, map_index: i64) -> bool {
    events(home).iter().any(|event| {
        event["event"] == "end"
            && event["run_id"] == run_id
            && event["task_id"] == task_id
            && event["map_index"] == map_index
    })
}

fn count(events: &[Value], kind: &str) -> usize {
    events.iter().filter(|event| event["event"] == kind).count()
}

fn events(home: &Path) -> Vec<Value> {
    let text = fs::read_to_string(home.join("record/events.jsonl")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn try_of(event: &Value) -> Try {
    let text = |key: &str| event[key].as_str().expect(key).to_owned();
    let number = |key: &str| event[key].as_i64().expect(key);
    (
        text("dag_id"),
        text("run_id"),
        text("task_id"),
        number("map_index"),
        number("try_number"),
    )
}
