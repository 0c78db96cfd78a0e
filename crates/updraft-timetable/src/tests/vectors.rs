//! Every vector of `testdata/timetables.json`: recorded from Airflow's own classes.

use serde_json::{Value, json};

use super::{at, instant, interval_json, run_info, run_info_json};
use crate::ticks::{CronSchedule, Ticks};
use crate::{DagRunInfo, Error, TimeRestriction, Timetable};

const FILE: &str = include_str!("../../testdata/timetables.json");
const VECTORS_COUNT: usize = 965;

/// Vectors that we do not answer as recorded, and why.
const NOT_MATCHED: &[(&str, &str)] = &[
    ("tt-0962", WORKDAY),
    ("tt-0963", WORKDAY),
    ("tt-0964", WORKDAY),
    ("tt-0965", WORKDAY),
];
const WORKDAY: &str = "a class of the user: only Python evaluates it, we say NeedsPython";

#[test]
fn every_recorded_answer_is_given() {
    let file: Value = serde_json::from_str(FILE).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), VECTORS_COUNT);

    let mut surprises = vec![];
    for vector in vectors {
        let id = vector["id"].as_str().unwrap();
        let answer = answer(vector);
        let is_matched = answer == vector["expect"];
        let is_listed = NOT_MATCHED.iter().any(|(listed, _)| *listed == id);
        if is_matched == is_listed {
            surprises.push(format!(
                "{id} (listed: {is_listed}): {vector}\n  answered {answer}"
            ));
        }
    }
    assert!(
        surprises.is_empty(),
        "{} surprises:\n{}",
        surprises.len(),
        surprises.join("\n")
    );
}

#[test]
fn every_listed_exception_exists() {
    for (id, reason) in NOT_MATCHED {
        assert!(
            FILE.contains(id),
            "{id} is listed ({reason}) but not recorded"
        );
    }
}

/// What we say to a vector, in the form of its `expect`.
fn answer(vector: &Value) -> Value {
    let op = vector["op"].as_str().unwrap();
    let input = &vector["input"];
    let timetable = Timetable::from_serialized(&vector["timetable"]);
    let answer = timetable.and_then(|timetable| match op {
        "next" => next(&timetable, input),
        "series" => series(&timetable, input),
        "ticks" => ticks(&timetable, input),
        "infer_manual" => timetable
            .infer_manual_data_interval(instant(&input["run_after"]).unwrap())
            .map(|interval| json!({ "data_interval": interval_json(interval) })),
        "primitives" => primitives(&timetable, input),
        "validate" => validate(&timetable, input),
        "partition_range" => partition_range(&timetable, input),
        "resolve_partition_date" => resolve_partition_date(&timetable, input),
        other => panic!("unknown operation {other}"),
    });
    answer.unwrap_or_else(|error| json!({ "error": class_of(&error) }))
}

/// The exception that Airflow raises in our error's place.
fn class_of(error: &Error) -> &'static str {
    match error {
        Error::InvalidCron { .. } => "AirflowTimetableInvalid",
        Error::NoMatchingDate { .. } => "CroniterBadDateError",
        Error::InvalidPartitionKey { .. } => "InvalidPartitionKeyError",
        Error::NeedsPython { .. } => "NeedsPython",
        other => panic!("unexpected error: {other}"),
    }
}

fn restriction(input: &Value) -> TimeRestriction {
    TimeRestriction {
        earliest: instant(&input["earliest"]),
        latest: instant(&input["latest"]),
        catchup: input["catchup"].as_bool().unwrap(),
    }
}

fn info_json(info: Option<&DagRunInfo>) -> Value {
    info.map_or(Value::Null, run_info_json)
}

fn next(timetable: &Timetable, input: &Value) -> Result<Value, Error> {
    let last = run_info(&input["last"]);
    let now = instant(&input["now"]).unwrap();
    let info = timetable.next_dagrun_info(last.as_ref(), &restriction(input), now)?;
    Ok(json!({ "info": info_json(info.as_ref()) }))
}

fn series(timetable: &Timetable, input: &Value) -> Result<Value, Error> {
    let now = instant(&input["now"]).unwrap();
    let restriction = restriction(input);
    let mut last = None;
    let mut infos = vec![];
    for _ in 0..input["count"].as_u64().unwrap() {
        let info = timetable.next_dagrun_info(last.as_ref(), &restriction, now)?;
        infos.push(info_json(info.as_ref()));
        if info.is_none() {
            break;
        }
        last = info;
    }
    Ok(json!({ "infos": infos }))
}

/// Plays the scheduler: creates the run that is due, then computes the next.
fn ticks(timetable: &Timetable, input: &Value) -> Result<Value, Error> {
    let restriction = restriction(input);
    let nows: Vec<_> = input["nows"].as_array().unwrap().iter().collect();
    let mut next = timetable.next_dagrun_info(None, &restriction, instant(nows[0]).unwrap())?;
    let initial = info_json(next.as_ref());
    let mut created = vec![];
    for text in nows {
        let now = instant(text).unwrap();
        if let Some(due) = next.take_if(|next| next.run_after <= now) {
            created.push(json!({ "at": text, "info": run_info_json(&due) }));
            next = timetable.next_dagrun_info(Some(&due), &restriction, now)?;
        }
    }
    Ok(json!({
        "initial_next": initial,
        "created": created,
        "final_next": info_json(next.as_ref()),
    }))
}

fn cron_of(timetable: &Timetable) -> &CronSchedule {
    match timetable {
        Timetable::CronTrigger(trigger) => match trigger.ticks() {
            Ticks::Cron(cron) => cron,
            Ticks::Delta(_) => panic!("a cron timetable steps by cron"),
        },
        other => panic!("not recorded for {}", other.type_name()),
    }
}

fn primitives(timetable: &Timetable, input: &Value) -> Result<Value, Error> {
    let cron = cron_of(timetable);
    let from = instant(&input["at"]).unwrap();
    Ok(json!({
        "get_next": cron.next(from)?.to_string(),
        "get_prev": cron.prev(from)?.to_string(),
        "align_to_next": cron.align_next(from)?.to_string(),
        "align_to_prev": cron.align_prev(from)?.to_string(),
    }))
}

/// Reads the expression and takes a few steps.
fn validate(timetable: &Timetable, input: &Value) -> Result<Value, Error> {
    let cron = cron_of(timetable);
    let mut tick = instant(&input["then_get_next_from"]).unwrap_or(at("2024-01-30T00:00:00Z"));
    for _ in 0..8 {
        tick = cron.next(tick)?;
    }
    Ok(json!({ "error": null }))
}

fn partition_range(timetable: &Timetable, input: &Value) -> Result<Value, Error> {
    let [earliest, latest] = ["earliest", "latest"].map(|bound| instant(&input[bound]).unwrap());
    let infos: Result<Vec<Value>, Error> = timetable
        .dagrun_infos_between(earliest, latest, latest)
        .map(|info| Ok(run_info_json(&info?)))
        .collect();
    Ok(json!({ "infos": infos? }))
}

fn resolve_partition_date(timetable: &Timetable, input: &Value) -> Result<Value, Error> {
    let date = match input["partition_key"].as_str() {
        Some(key) => timetable.resolve_partition_date(key)?,
        None => None,
    };
    Ok(json!({ "partition_date": date.map(|date| date.to_string()) }))
}
