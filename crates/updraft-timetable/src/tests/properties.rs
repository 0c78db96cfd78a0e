//! Rules that hold for any schedule at any time.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::at;
use crate::cron::Cron;
use crate::ticks::CronSchedule;
use crate::zone::Zone;
use crate::{Error, TimeRestriction, Timetable};

/// Zones whose clocks do something unusual.
const ZONES: &[&str] = &[
    "UTC",
    "Europe/Zurich",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Havana",
    "Antarctica/Troll",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Asia/Kathmandu",
];

/// A field of values that all exist.
fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        3 => (min..=max).prop_map(|value| value.to_string()),
        2 => (min..=max, min..=max).prop_map(|(from, to)| format!("{from}-{to}")),
        1 => (1..=max).prop_map(|step| format!("*/{step}")),
        1 => (min..=max, 1..=max).prop_map(|(from, step)| format!("{from}/{step}")),
        1 => prop::collection::vec(min..=max, 2..4).prop_map(|values| {
            values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
        }),
    ]
}

/// Five fields; the day stays within 28 so that a date always exists.
fn expression() -> impl Strategy<Value = String> {
    (
        field(0, 59),
        field(0, 23),
        field(1, 28),
        field(1, 12),
        field(0, 6),
    )
        .prop_map(|(minute, hour, day, month, weekday)| {
            format!("{minute} {hour} {day} {month} {weekday}")
        })
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (1_230_768_000_i64..2_208_988_800, 0..1_000_000_i64)
        .prop_map(|(secs, micros)| Timestamp::from_microsecond(secs * 1_000_000 + micros).unwrap())
}

fn zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(ZONES)
}

fn schedule(expression: &str, zone: &str) -> CronSchedule {
    CronSchedule {
        cron: Cron::parse(expression).unwrap(),
        zone: Zone::named(zone).unwrap(),
    }
}

fn wall_clock(at: Timestamp) -> DateTime {
    Zone::utc().wall_clock(at)
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "[-0-9*/,?#lwLWhra-f@ ]{0,24}") {
        if let Ok(cron) = Cron::parse(&text) {
            let from = wall_clock(at("2026-06-15T12:00:00Z"));
            let _ = (cron.next_after(from), cron.prev_before(from), cron.describe());
        }
    }

    #[test]
    fn next_is_after_and_prev_before(text in expression(), from in instant()) {
        let cron = Cron::parse(&text).unwrap();
        let from = wall_clock(from);
        let (next, prev) = (cron.next_after(from).unwrap(), cron.prev_before(from).unwrap());
        prop_assert!(prev < from && from < next, "{prev} < {from} < {next}");
    }

    #[test]
    fn prev_undoes_next(text in expression(), from in instant()) {
        let cron = Cron::parse(&text).unwrap();
        let next = cron.next_after(wall_clock(from)).unwrap();
        let after_next = cron.next_after(next).unwrap();
        prop_assert_eq!(cron.prev_before(after_next).unwrap(), next);
    }

    /// The search hops over fields; trying each minute is slow and cannot be wrong.
    #[test]
    fn nothing_is_skipped(text in expression(), from in instant()) {
        let cron = Cron::parse(&text).unwrap();
        let from = wall_clock(from);
        let next = cron.next_after(from).unwrap();
        let minute = SignedDuration::from_mins(1);
        let mut at = next.checked_sub(minute).unwrap();
        for _ in 0..500 {
            if at <= from {
                break;
            }
            let found = cron.next_after(at.checked_sub(SignedDuration::from_secs(1)).unwrap());
            prop_assert_eq!(found.unwrap(), next);
            at = at.checked_sub(minute).unwrap();
        }
    }

    #[test]
    fn on_the_time_line_next_is_always_after(text in expression(), zone in zone(), from in instant()) {
        let schedule = schedule(&text, zone);
        let next = schedule.next(from).unwrap();
        prop_assert!(next > from, "{next} > {from}");
    }

    #[test]
    fn catchup_makes_runs_in_ascending_order(
        text in expression(), zone in zone(), from in instant(), class in prop::sample::select(&[
            "interval.CronDataIntervalTimetable", "trigger.CronTriggerTimetable",
        ]),
    ) {
        let timetable = Timetable::from_serialized(&json!({
            "__type": format!("airflow.timetables.{class}"),
            "__var": {"expression": text, "timezone": zone},
        })).unwrap();
        let end = from.checked_add(SignedDuration::from_hours(24 * 3650)).unwrap();
        let mut last = None;
        for info in timetable.dagrun_infos_between(from, end, from).take(20) {
            let date = info.unwrap().logical_date();
            prop_assert!(date > last, "{date:?} > {last:?}");
            last = date;
        }
    }

    /// Without catchup a run that is due is never older than the tick before the last.
    #[test]
    fn without_catchup_old_ticks_are_skipped(text in expression(), from in instant()) {
        let timetable = Timetable::from_serialized(&json!({
            "__type": "airflow.timetables.trigger.CronTriggerTimetable",
            "__var": {"expression": text, "timezone": "UTC"},
        })).unwrap();
        let restriction = TimeRestriction {
            earliest: Some(at("2009-01-01T00:00:00Z")),
            latest: None,
            catchup: false,
        };
        let info = timetable.next_dagrun_info(None, &restriction, from).unwrap().unwrap();
        let cron = Cron::parse(&text).unwrap();
        let next = cron.next_after(wall_clock(info.run_after)).unwrap();
        prop_assert!(next > wall_clock(from) || info.run_after > from);
    }
}

/// A half-hour change of the clock has kept other cron libraries searching for ever.
#[test]
fn every_midnight_of_lord_howe_comes() {
    let schedule = schedule("0 0 * * *", "Australia/Lord_Howe");
    let mut tick = at("2020-01-01T00:00:00Z");
    for _ in 0..(20 * 366) {
        let next = schedule.next(tick).unwrap();
        let prev = schedule.prev(next).unwrap();
        assert!(prev < next && next > tick);
        tick = next;
    }
}

/// Airflow raises at the first of these changes of the clock, and schedules nothing from then on.
#[test]
fn intervals_go_on_across_a_change_of_half_an_hour() {
    let timetable = Timetable::from_serialized(&json!({
        "__type": "airflow.timetables.interval.CronDataIntervalTimetable",
        "__var": {"expression": "0 * * * *", "timezone": "Australia/Lord_Howe"},
    }))
    .unwrap();
    let (from, to) = (at("2026-04-01T00:00:00Z"), at("2026-10-31T00:00:00Z"));
    let runs: Result<Vec<_>, _> = timetable.dagrun_infos_between(from, to, to).collect();
    let intervals: Vec<_> = runs
        .unwrap()
        .iter()
        .filter_map(|run| run.data_interval)
        .collect();
    assert_eq!(intervals.last().unwrap().start, to);
    for pair in intervals.windows(2) {
        assert_eq!(pair[0].end, pair[1].start);
    }
}

#[test]
fn a_schedule_that_stands_still_is_an_error_and_no_endless_loop() {
    let no_catchup = TimeRestriction {
        earliest: Some(at("2026-01-01T00:00:00Z")),
        latest: None,
        catchup: false,
    };
    let now = at("2026-06-15T12:00:00Z");
    for delta in [
        json!(0.0),
        json!(-3600.0),
        json!({"months": 1, "days": -31}),
        json!({"months": -1}),
        json!({"months": 1, "year": 2020}),
    ] {
        let timetable = Timetable::from_serialized(&json!({
            "__type": "airflow.timetables.interval.DeltaDataIntervalTimetable",
            "__var": {"delta": delta},
        }))
        .unwrap();
        let error = timetable
            .next_dagrun_info(None, &no_catchup, now)
            .unwrap_err();
        assert!(
            matches!(error, Error::NotAdvancing { .. }),
            "{delta}: {error}"
        );

        let runs: Result<Vec<_>, _> = timetable
            .dagrun_infos_between(at("2026-01-01T00:00:00Z"), now, now)
            .take(1000)
            .collect();
        assert!(matches!(runs, Err(Error::NotAdvancing { .. })), "{delta}");
    }
}
