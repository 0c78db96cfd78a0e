//! Serialized timetables as Airflow's own encoder writes them, and some that it never would.

use serde_json::{Value, json};

use super::at;
use crate::{Error, TimeRestriction, Timetable, Traits, write_traits};

const CAPTURED: &str = include_str!("../../testdata/serialized-timetables.json");
const PROPERTIES: &str = include_str!("../../testdata/timetable_properties.json");

fn read(class: &str, data: Value) -> Result<Timetable, Error> {
    Timetable::from_serialized(&json!({
        "__type": format!("airflow.timetables.{class}"), "__var": data,
    }))
}

/// The error with its causes.
fn message(result: Result<Timetable, Error>) -> String {
    let error = result.unwrap_err();
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[test]
fn every_captured_timetable_is_read() {
    let captured: Value = serde_json::from_str(CAPTURED).unwrap();
    let timetables: Vec<_> = captured
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| !name.starts_with('_'))
        .collect();
    assert_eq!(timetables.len(), 25);
    for (name, value) in timetables {
        let timetable = Timetable::from_serialized(value).unwrap();
        assert!(!matches!(timetable, Timetable::Custom(_)), "{name}");
    }
}

#[test]
fn properties_are_those_of_the_python_class() {
    let file: Value = serde_json::from_str(PROPERTIES).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(json!(vectors.len()), file["count"]);
    for vector in vectors {
        let timetable = Timetable::from_serialized(&vector["timetable"]).unwrap();
        let properties = json!({
            "type_name": timetable.type_name(),
            "summary": timetable.summary(),
            "description": timetable.description(),
            "periodic": timetable.periodic(),
            "can_be_scheduled": timetable.can_be_scheduled(),
            "partitioned": timetable.partitioned(),
            "partitioned_at_runtime": timetable.partitioned_at_runtime(),
            "active_runs_limit": timetable.active_runs_limit(),
            "run_ordering": timetable.run_ordering(),
        });
        assert_eq!(properties, vector["expect"], "{vector}");
    }
}

/// Quirk: the SDK writes events without `_summary`, and Airflow's scheduler then fails on them.
#[test]
fn events_need_neither_summary_nor_description_nor_order() {
    let events = read(
        "events.EventsTimetable",
        json!({
            "event_dates": ["2026-07-04T00:00:00+00:00", "2026-06-14T22:00:00+02:00"],
            "restrict_to_events": false,
            "description": null,
        }),
    )
    .unwrap();
    assert_eq!(events.summary(), "2 events");
    assert_eq!(
        events.description(),
        "2 events between 2026-06-14T22:00:00+02:00 and 2026-07-04T00:00:00+00:00"
    );
    let any_time = TimeRestriction {
        earliest: None,
        latest: None,
        catchup: true,
    };
    let first = events.next_dagrun_info(None, &any_time, at("2026-01-01T00:00:00Z"));
    assert_eq!(
        first.unwrap().unwrap().run_after,
        at("2026-06-14T20:00:00Z")
    );
}

#[test]
fn a_class_of_the_user_is_left_to_python() {
    let data = json!({"holidays": ["2026-12-25"]});
    let timetable = Timetable::from_serialized(&json!({
        "__type": "workday.AfterWorkdayTimetable", "__var": data,
    }))
    .unwrap();
    let Timetable::Custom(custom) = &timetable else {
        panic!("not custom: {timetable:?}");
    };
    assert_eq!(custom.class_path, "workday.AfterWorkdayTimetable");
    assert_eq!(custom.data, data);
    assert_eq!(timetable.type_name(), "workday.AfterWorkdayTimetable");
    assert_eq!(timetable.summary(), "AfterWorkdayTimetable");
    let error = timetable
        .infer_manual_data_interval(at("2026-06-15T12:00:00Z"))
        .unwrap_err();
    assert!(matches!(error, Error::NeedsPython { .. }), "{error}");
}

#[test]
fn what_a_class_of_the_user_said_of_itself_is_found_in_its_serialized_form() {
    let condition = json!({"__type": "asset_any", "objects": []});
    let traits = Traits {
        summary: "workdays".to_owned(),
        description: "After each workday".to_owned(),
        periodic: false,
        can_be_scheduled: false,
        partitioned: true,
        partitioned_at_runtime: true,
        active_runs_limit: Some(3),
        run_ordering: vec!["run_after".to_owned()],
        asset_condition: None,
        makes_run_ids: false,
    };
    let mut serialized = json!({
        "__type": "airflow.timetables.assets.AssetOrTimeSchedule",
        "__var": {
            "asset_condition": condition,
            "timetable": {"__type": "workday.Workday", "__var": {}},
        },
    });
    assert!(
        Timetable::from_serialized(&serialized)
            .unwrap()
            .makes_run_ids()
    );
    write_traits(&mut serialized, "workday.Workday", &traits);
    let both = Timetable::from_serialized(&serialized).unwrap();
    assert_eq!(both.custom().unwrap().traits.as_deref(), Some(&traits));
    assert_eq!(both.summary(), "Asset or workdays");
    assert_eq!(
        both.description(),
        "Triggered by assets or After each workday"
    );
    assert!(!both.periodic() && !both.can_be_scheduled() && !both.makes_run_ids());

    let mut alone = json!({"__type": "workday.Workday", "__var": {}});
    let waiting = Traits {
        asset_condition: Some(condition.clone()),
        ..traits
    };
    write_traits(&mut alone, "workday.Workday", &waiting);
    let timetable = Timetable::from_serialized(&alone).unwrap();
    assert!(timetable.partitioned() && timetable.partitioned_at_runtime());
    assert_eq!(timetable.active_runs_limit(), Some(3));
    assert_eq!(timetable.run_ordering(), ["run_after"]);
    assert_eq!(timetable.asset_schedule().unwrap().serialized, condition);
    assert_eq!(timetable.resolve_partition_date("key").unwrap(), None);
}

#[test]
fn assets_or_a_class_of_the_user_is_left_to_python_too() {
    let timetable = read(
        "assets.AssetOrTimeSchedule",
        json!({
            "asset_condition": {"__type": "asset_all", "objects": []},
            "timetable": {"__type": "my.Own", "__var": {}},
        }),
    )
    .unwrap();
    let error = timetable
        .infer_manual_data_interval(at("2026-06-15T12:00:00Z"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "timetable `my.Own` is a Python class of the user; ask Python to evaluate it"
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    assert_eq!(
        message(Timetable::from_serialized(&json!("0 0 * * *"))),
        "expected a serialized timetable like {\"__type\": \"…\", \"__var\": {…}}, found `\"0 0 * * *\"`"
    );
    let cron = |timezone: Value| {
        let data = json!({"expression": "0 0 * * *", "timezone": timezone});
        message(read("interval.CronDataIntervalTimetable", data))
    };
    assert_eq!(
        cron(json!("Europe/Atlantis")),
        "data of timetable `airflow.timetables.interval.CronDataIntervalTimetable` cannot be read: \
         unknown time zone `Europe/Atlantis`: expected an IANA name or an offset from UTC in seconds"
    );
    assert!(cron(json!(null)).ends_with("expected a time zone name or an offset in seconds"));
    assert!(cron(json!(1_000_000)).contains("unknown time zone `1000000`"));

    let delta = |delta: Value| {
        message(read(
            "interval.DeltaDataIntervalTimetable",
            json!({"delta": delta}),
        ))
    };
    assert!(
        delta(json!("1d")).ends_with("expected seconds or a relativedelta map, found `\"1d\"`")
    );
    assert!(delta(json!({"fortnights": 1})).contains("unknown field `fortnights`"));
    assert!(delta(json!({"weekday": [7]})).contains("expected `[0…6]` or `[0…6, n]`, found `[7]`"));
    assert!(delta(json!(1e300)).ends_with("seconds are too many"));

    let none =
        json!({"expressions": [], "timezone": "UTC", "interval": 0.0, "run_immediately": false});
    assert!(
        message(read("trigger.MultipleCronTriggerTimetable", none))
            .ends_with("expected at least one cron expression, found none")
    );

    let key_format = json!({"expression": "0 0 * * *", "timezone": "UTC", "key_format": "%Y-%"});
    assert!(
        message(read("trigger.CronPartitionTimetable", key_format))
            .starts_with("key format `%Y-%`")
    );
}

#[test]
fn asset_timetables_do_not_nest() {
    let assets = json!({"asset_condition": {"__type": "asset_all", "objects": []}});
    let nested = json!({
        "asset_condition": {"__type": "asset_all", "objects": []},
        "timetable": {"__type": "airflow.timetables.simple.AssetTriggeredTimetable", "__var": assets},
    });
    assert!(
        message(read("assets.AssetOrTimeSchedule", nested))
            .ends_with("the inner timetable must not wait for assets itself")
    );
}

#[test]
fn the_mappers_know_what_a_key_of_an_asset_timetable_stands_for() {
    let captured: Value = serde_json::from_str(CAPTURED).unwrap();
    let mut hourly = captured["PartitionedAsset"].clone();
    hourly["__var"]["default_partition_mapper"] =
        json!({"__type": "airflow.partition_mappers.identity.IdentityMapper", "__var": {}});
    let timetable = Timetable::from_serialized(&hourly).unwrap();
    let date = timetable.resolve_partition_date("2026-06-15T07").unwrap();
    assert_eq!(date, Some(at("2026-06-15T07:00:00Z")));
    let error = timetable.resolve_partition_date("2026-06-15").unwrap_err();
    assert!(matches!(error, Error::InvalidMappedKey { .. }), "{error}");
    let now = at("2026-06-15T12:00:00Z");
    let error = timetable.dagrun_infos_between(now, now, now).next();
    let error = error.unwrap().unwrap_err();
    assert!(matches!(error, Error::PartitionsOfAssets { .. }), "{error}");
}

#[test]
fn an_existing_run_without_an_interval_gets_the_one_of_a_manual_run() {
    let daily = json!({"expression": "@daily", "timezone": "UTC"});
    let timetable = read("interval.CronDataIntervalTimetable", daily).unwrap();
    let run_after = at("2026-06-15T12:00:00Z");
    let info = timetable.run_info(run_after, None, None, None).unwrap();
    assert_eq!(info.logical_date(), Some(at("2026-06-14T00:00:00Z")));
    assert_eq!(info.run_after, run_after);

    let info = timetable.run_info(run_after, info.data_interval, Some("key"), Some(run_after));
    let info = info.unwrap();
    assert_eq!(
        (info.data_interval, info.partition_date),
        (None, Some(run_after))
    );
}
