//! Every vector of `testdata/run_ids.json`, and the ids that timetables give.

use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use serde_json::{Value, json};
use updraft_model::DagRunType;

use super::at;
use crate::{Timetable, generate_run_id, infer_run_type};

const FILE: &str = include_str!("../../testdata/run_ids.json");
const VECTORS_COUNT: usize = 45;

#[test]
fn every_recorded_run_id_is_given() {
    let file: Value = serde_json::from_str(FILE).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), VECTORS_COUNT);
    for vector in vectors {
        let answer = match vector["fn"].as_str().unwrap() {
            "DagRun.generate_run_id" => generated(vector),
            "DagRunType.from_run_id" => {
                let run_id = vector["run_id"].as_str().unwrap_or_default();
                infer_run_type(run_id).to_string()
            }
            other => panic!("unknown function {other}"),
        };
        assert_eq!(answer, vector["expect"], "{vector}");
    }
}

fn generated(vector: &Value) -> String {
    let run_type: DagRunType = vector["run_type"].as_str().unwrap().parse().unwrap();
    let (run_after, offset) = with_offset(vector["run_after"].as_str().unwrap());
    let logical_date = vector["logical_date_given"]
        .as_bool()
        .unwrap()
        .then_some(run_after);
    generate_run_id(run_type, run_after, offset, logical_date, "RANDOM8C")
}

fn with_offset(text: &str) -> (Timestamp, Offset) {
    let offset = Pieces::parse(text).unwrap().to_numeric_offset().unwrap();
    (at(text), offset)
}

#[test]
fn an_offset_of_minutes_and_seconds_is_printed_in_full() {
    let offset = Offset::from_seconds(-(3 * 3600 + 30 * 60 + 52)).unwrap();
    assert_eq!(
        crate::isoformat_at(at("2026-06-15T12:00:00.000001Z"), offset),
        "2026-06-15T08:29:08.000001-03:30:52"
    );
}

fn run_id(timetable: &Value, run_type: DagRunType, partition_key: Option<&str>) -> String {
    let timetable = Timetable::from_serialized(timetable).unwrap();
    timetable.generate_run_id(
        run_type,
        at("2026-06-15T12:00:00Z"),
        partition_key,
        "aB3dE6gH",
    )
}

fn partitions() -> Value {
    json!({"__type": "airflow.timetables.trigger.CronPartitionTimetable", "__var": {
        "expression": "0 0 * * *", "timezone": "UTC", "run_immediately": false,
        "run_offset": null, "key_format": "%Y-%m-%d",
    }})
}

#[test]
fn most_timetables_name_a_run_after_its_type_and_time() {
    let once = json!({"__type": "airflow.timetables.simple.OnceTimetable", "__var": {}});
    let assets = json!({"__type": "airflow.timetables.simple.AssetTriggeredTimetable",
        "__var": {"asset_condition": {"__type": "asset_all", "objects": []}}});
    for timetable in [&once, &assets] {
        assert_eq!(
            run_id(timetable, DagRunType::Scheduled, None),
            "scheduled__2026-06-15T12:00:00+00:00"
        );
    }
}

#[test]
fn a_partition_is_part_of_the_name() {
    assert_eq!(
        run_id(&partitions(), DagRunType::Scheduled, Some("2026-06-14")),
        "scheduled__2026-06-15T12:00:00+00:00__2026-06-14__aB3dE6gH"
    );
    assert_eq!(
        run_id(&partitions(), DagRunType::Manual, None),
        "manual__2026-06-15T12:00:00+00:00__aB3dE6gH"
    );
}

#[test]
fn assets_or_time_asks_the_inner_timetable_but_for_asset_runs() {
    let both = json!({"__type": "airflow.timetables.assets.AssetOrTimeSchedule", "__var": {
        "asset_condition": {"__type": "asset_all", "objects": []}, "timetable": partitions(),
    }});
    assert_eq!(
        run_id(&both, DagRunType::Scheduled, Some("k")),
        "scheduled__2026-06-15T12:00:00+00:00__k__aB3dE6gH"
    );
    assert_eq!(
        run_id(&both, DagRunType::AssetTriggered, Some("k")),
        "asset_triggered__2026-06-15T12:00:00+00:00"
    );
}
