use serde_json::{Value, json};
use updraft_model::DagRunState;

use super::*;
use crate::scenario::{NOW, instant};
use crate::vectors::{check_vectors, expect_eq};

const OLD: &str = "2020-01-01T00:00:00Z";

fn time(value: &Value) -> Option<Timestamp> {
    value
        .as_str()
        .map(|text| instant(if text == "old" { OLD } else { NOW }))
}

fn word(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |time| {
        json!(if time == instant(OLD) { "old" } else { "now" })
    })
}

#[test]
fn times_move_with_the_state_as_in_airflow() {
    check_vectors(
        "dagrun_set_state",
        |_| true,
        &[],
        |vector| {
            let state = |key: &str| -> Option<DagRunState> {
                vector[key].as_str().map(|text| text.parse().unwrap())
            };
            let before = &vector["before"];
            let before = RunTimes {
                queued_at: time(&before["queued_at"]),
                start_date: time(&before["start_date"]),
                end_date: time(&before["end_date"]),
            };
            let new = state("new").unwrap();
            let after = before.after(state("old"), new, instant(NOW));
            let found = json!({
                "state": new.as_str(),
                "queued_at": word(after.queued_at),
                "start_date": word(after.start_date),
                "end_date": word(after.end_date),
            });
            expect_eq("after", found, vector["after"].clone())
        },
    );
}
