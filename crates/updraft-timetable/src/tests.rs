//! Answers of the real Airflow, and rules that hold for any schedule.

mod captures;
mod properties;
mod run_ids;
mod vectors;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{DagRunInfo, DataInterval};

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

/// Reads an instant of a test file; `null` is none.
fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str().map(at)
}

fn interval(value: &Value) -> Option<DataInterval> {
    Some(DataInterval {
        start: instant(value.get(0)?)?,
        end: instant(value.get(1)?)?,
    })
}

fn interval_json(interval: DataInterval) -> Value {
    json!([interval.start.to_string(), interval.end.to_string()])
}

/// Reads a run info of a test file.
fn run_info(value: &Value) -> Option<DagRunInfo> {
    Some(DagRunInfo {
        run_after: instant(&value["run_after"])?,
        data_interval: interval(&value["data_interval"]),
        partition_key: value["partition_key"].as_str().map(str::to_owned),
        partition_date: instant(&value["partition_date"]),
    })
}

/// A run info as the test files hold it.
fn run_info_json(info: &DagRunInfo) -> Value {
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let mut json = json!({
        "run_after": info.run_after.to_string(),
        "logical_date": text(info.logical_date()),
        "data_interval": info.data_interval.map(interval_json),
    });
    if info.partition_key.is_some() || info.partition_date.is_some() {
        json["partition_key"] = json!(info.partition_key);
        json["partition_date"] = json!(text(info.partition_date));
    }
    json
}
