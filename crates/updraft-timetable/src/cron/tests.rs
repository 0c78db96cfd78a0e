//! Expressions against the answers of the two Python packages that Airflow asks.

use jiff::civil::DateTime;
use serde_json::{Value, json};

use super::Cron;
use crate::Error;
use crate::timetable::Timetable;

fn vectors(file: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(file).unwrap();
    let vectors = file["vectors"].as_array().unwrap().clone();
    assert_eq!(json!(vectors.len()), file["count"]);
    vectors
}

fn cron(expression: &str) -> Cron {
    Cron::parse(expression).unwrap()
}

fn date(text: &str) -> DateTime {
    text.parse().unwrap()
}

/// Four steps from a date, `nodate` where the search gives up.
fn steps(from: DateTime, step: impl Fn(DateTime) -> Result<DateTime, Error>) -> Value {
    let mut at = from;
    let mut steps = vec![];
    while steps.len() < 4 {
        match step(at) {
            Ok(next) => at = next,
            Err(Error::NoMatchingDate { .. }) => {
                steps.push(json!("nodate"));
                break;
            }
            Err(error) => panic!("{error}"),
        }
        steps.push(json!(at.to_string()));
    }
    Value::Array(steps)
}

#[test]
fn expressions_mean_what_they_mean_to_croniter() {
    let mut surprises = vec![];
    for vector in vectors(include_str!("../../testdata/croniter.json")) {
        let expression = vector["expression"].as_str().unwrap();
        let answer = match Cron::parse(expression) {
            Err(_) => json!({ "expression": expression, "accepted": false }),
            Ok(cron) => {
                let from = vector["from"].as_str().unwrap_or("2026-01-01T00:00:00");
                json!({
                    "expression": expression,
                    "from": from,
                    "runs_every_hour": cron.runs_every_hour(),
                    "next": steps(date(from), |at| cron.next_after(at)),
                    "prev": steps(date(from), |at| cron.prev_before(at)),
                })
            }
        };
        if answer != vector {
            surprises.push(format!("{vector}\n  answered {answer}"));
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

#[test]
fn expressions_read_in_english_as_they_do_in_airflow() {
    let mut surprises = vec![];
    for vector in vectors(include_str!("../../testdata/cron_descriptions.json")) {
        // Airflow describes even what it then refuses to run; we refuse it at once.
        let timetable = Timetable::from_serialized(&json!({
            "__type": "airflow.timetables.interval.CronDataIntervalTimetable",
            "__var": {"expression": vector["expression"], "timezone": "UTC"},
        }));
        let description = timetable.map(|timetable| timetable.description());
        let description = description.unwrap_or_default();
        if vector["description"] != description {
            surprises.push(format!("{vector}\n  answered {description}"));
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

#[test]
fn an_impossible_date_ends_the_search_after_fifty_years() {
    for expression in [
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 31 * 1#1",
        "0 0 1 1 * 0 1999",
    ] {
        for found in [
            cron(expression).next_after(date("2026-01-01T00:00:00")),
            cron(expression).prev_before(date("1970-01-01T00:00:00")),
        ] {
            let error = found.unwrap_err();
            assert!(
                matches!(error, Error::NoMatchingDate { years: 50, .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn the_ends_of_the_calendar_end_the_search() {
    let every_minute = cron("* * * * *");
    assert!(every_minute.next_after(DateTime::MAX).is_err());
    assert!(every_minute.prev_before(DateTime::MIN).is_err());
}

#[test]
fn an_error_names_the_field_and_what_is_wrong_with_it() {
    let reason = |expression| Cron::parse(expression).unwrap_err().to_string();
    assert_eq!(
        reason("61 * * * *"),
        "cron expression `61 * * * *`: minute field: `61` is not within 0 to 59"
    );
    assert_eq!(
        reason("0 0 * * moon"),
        "cron expression `0 0 * * moon`: day-of-week field: expected a number from 0 to 6, found `moon`"
    );
    assert_eq!(
        reason("0 0 1-99999999999999999999 * *"),
        "cron expression `0 0 1-99999999999999999999 * *`: day-of-month field: \
         `1-99999999999999999999` is not within 1 to 31"
    );
    assert_eq!(
        reason("r * * * *"),
        "cron expression `r * * * *`: minute field: `r` is drawn at random; write the value that you want"
    );
    assert_eq!(
        reason("@reboot"),
        "cron expression `@reboot`: expected 5, 6 or 7 fields, found 1"
    );
}
