//! Shifts as dateutil computes them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Delta;

fn delta(value: Value) -> Delta {
    serde_json::from_value(value).unwrap()
}

fn shifted(value: Value, from: &str) -> String {
    let from: Timestamp = from.parse().unwrap();
    delta(value).after(from).unwrap().to_string()
}

#[test]
fn a_month_ends_where_the_next_one_does() {
    let month = json!({"months": 1});
    assert_eq!(
        shifted(month.clone(), "2024-01-31T05:00:00Z"),
        "2024-02-29T05:00:00Z"
    );
    assert_eq!(
        shifted(month, "2024-12-31T05:00:00Z"),
        "2025-01-31T05:00:00Z"
    );
    assert_eq!(
        shifted(json!({"years": -1, "months": -2}), "2024-01-31T05:00:00Z"),
        "2022-11-30T05:00:00Z"
    );
}

#[test]
fn units_set_outright_replace_those_of_the_date() {
    let first_of_march_at_six =
        json!({"month": 3, "day": 1, "hour": 6, "minute": 0, "second": 0, "microsecond": 0});
    assert_eq!(
        shifted(first_of_march_at_six, "2024-01-31T05:04:03.000002Z"),
        "2024-03-01T06:00:00Z"
    );
}

#[test]
fn the_weekday_comes_last_and_the_date_itself_counts() {
    // 15 June 2026 is a Monday.
    let monday = |weekday: Value| shifted(json!({"weekday": weekday}), "2026-06-15T00:00:00Z");
    assert_eq!(monday(json!([0])), "2026-06-15T00:00:00Z");
    assert_eq!(monday(json!([0, -1])), "2026-06-15T00:00:00Z");
    assert_eq!(monday(json!([0, 2])), "2026-06-22T00:00:00Z");
    assert_eq!(monday(json!([6, -2])), "2026-06-07T00:00:00Z");
    assert_eq!(
        shifted(json!({"days": 1, "weekday": [0]}), "2026-06-15T00:00:00Z"),
        "2026-06-22T00:00:00Z"
    );
}

#[test]
fn going_back_negates_the_shift_but_not_the_weekday() {
    let friday_after_a_day = delta(json!({"days": 1, "weekday": [4]}));
    let from: Timestamp = "2026-06-15T00:00:00Z".parse().unwrap();
    assert_eq!(
        friday_after_a_day.before(from).unwrap().to_string(),
        "2026-06-19T00:00:00Z"
    );
}

#[test]
fn leap_days_count_after_february_of_a_leap_year_only() {
    let delta = || json!({"leapdays": -1, "day": 1});
    assert_eq!(
        shifted(delta(), "2024-03-05T00:00:00Z"),
        "2024-02-29T00:00:00Z"
    );
    assert_eq!(
        shifted(delta(), "2023-03-05T00:00:00Z"),
        "2023-03-01T00:00:00Z"
    );
    assert_eq!(
        shifted(delta(), "2024-02-05T00:00:00Z"),
        "2024-02-01T00:00:00Z"
    );
}

#[test]
fn parts_of_days_and_seconds_are_kept_to_the_microsecond() {
    assert_eq!(
        shifted(
            json!({"days": 0.5, "microseconds": 7}),
            "2026-06-15T00:00:00Z"
        ),
        "2026-06-15T12:00:00.000007Z"
    );
    assert_eq!(
        shifted(json!(0.1), "2026-06-15T00:00:00Z"),
        "2026-06-15T00:00:00.1Z"
    );
    assert_eq!(
        shifted(json!(-0.000_000_6), "2026-06-15T00:00:00Z"),
        "2026-06-14T23:59:59.999999Z"
    );
}

#[test]
fn leaving_the_calendar_is_an_error() {
    let error = delta(json!({"years": 9000}))
        .after("2026-06-15T00:00:00Z".parse().unwrap())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "schedule `relativedelta(years=+9000)` leaves the range of dates when stepped from 2026-06-15T00:00:00Z"
    );
    assert!(delta(json!(1e13)).after(Timestamp::MAX).is_err());
    assert!(
        delta(json!({"days": 1e12}))
            .after(Timestamp::UNIX_EPOCH)
            .is_err()
    );
}
