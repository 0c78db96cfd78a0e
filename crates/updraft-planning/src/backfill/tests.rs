use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::scenario::{NOW, dag, instant};
use crate::vectors::{check_vectors, expect_eq};

/// The class that Airflow raises.
fn class_of(error: &Error) -> &'static str {
    match error {
        Error::RunTypeNotAllowed { .. } => "DagRunTypeNotAllowed",
        Error::NotPeriodic { .. } => "DagNonPeriodicScheduleException",
        Error::AlreadyRunning { .. } => "AlreadyRunningBackfill",
        Error::DateRange { .. } => "InvalidBackfillDateRange",
        Error::FutureDates => "InvalidBackfillDate",
        Error::Direction => "InvalidBackfillDirection",
        Error::ReprocessNeeded => "InvalidReprocessBehavior",
        Error::NoRuns { .. } => "NoBackfillRunsToCreate",
    }
}

fn ticks(from: Timestamp, to: Timestamp, every: SignedDuration) -> Vec<BackfillTick> {
    let dates = std::iter::successors(Some(from), |date| Some(*date + every));
    let dates = dates.take_while(|date| *date <= to);
    // The default cron timetable gives intervals without length.
    let tick = |date| BackfillTick {
        run_after: date,
        data_interval: Some((date, date)),
        partition_key: None,
        partition_date: None,
    };
    dates.map(tick).collect()
}

fn request_of(vector: &Value) -> BackfillRequest {
    let date = |key: &str| WrittenDate {
        at: instant(vector[key].as_str().unwrap()),
        offset: Offset::UTC,
    };
    BackfillRequest {
        from_date: date("from"),
        to_date: date("to"),
        order: if vector["reverse"] == json!(true) {
            BackfillOrder::NewestFirst
        } else {
            BackfillOrder::OldestFirst
        },
        reprocess: match vector["reprocess"].as_str() {
            Some("failed") => ReprocessBehavior::Failed,
            Some("completed") => ReprocessBehavior::Completed,
            _ => ReprocessBehavior::None,
        },
    }
}

fn check_vector(vector: &Value) -> Result<(), String> {
    let past = if vector["task_depends_on_past"] == json!(true) {
        "past"
    } else {
        ""
    };
    let dag = dag(&format!("x: {past}"));
    let request = request_of(vector);
    let hours = match vector["schedule"].as_str() {
        Some("@daily") => 24,
        Some("0 */12 * * *") => 12,
        Some(other) => panic!("unknown schedule {other}"),
        None => 0,
    };
    let ticks = match hours {
        0 => Vec::new(),
        hours => {
            let every = SignedDuration::from_hours(hours);
            ticks(request.from_date.at, request.to_date.at, every)
        }
    };
    let day = |day: &Value| {
        let days = SignedDuration::from_hours(24 * day.as_i64().unwrap());
        instant("2026-01-01T00:00:00Z") + days
    };
    let existing = vector["existing"].as_array().unwrap().iter().map(|run| {
        let state = run["state"].as_str().unwrap().parse().unwrap();
        let id = run["day"].as_i64().unwrap();
        (day(&run["day"]), ExistingRun { id, state })
    });
    let view = BackfillView {
        dag: &dag,
        timetable_is_periodic: hours > 0,
        has_active_backfill: false,
    };
    let existing: BTreeMap<Timestamp, ExistingRun> = existing.collect();
    let now = instant(NOW);
    if let Err(error) = check_backfill(&request, &view, now) {
        return expect_eq("error", Some(class_of(&error)), vector["error"].as_str());
    }
    let entries: Vec<(BackfillEntry, BackfillAction)> = plan_backfill(request.order, ticks, now)
        .into_iter()
        .map(|entry| {
            let run = existing.get(&entry.tick.logical_date().unwrap());
            let action = plan_entry(&entry.tick, run, request.reprocess);
            (entry, action)
        })
        .collect();
    if entries.is_empty() {
        let error = nothing_to_do(&request, &dag);
        return expect_eq("error", Some(class_of(&error)), vector["error"].as_str());
    }
    expect_eq("error", None, vector["error"].as_str())?;
    let associations = entries.iter().map(|(entry, action)| {
        let reason = match action {
            BackfillAction::Skip(reason) => Some(reason.as_str()),
            BackfillAction::Create | BackfillAction::Reprocess { .. } => None,
        };
        json!({
            "ordinal": entry.sort_ordinal, "logical_date": entry.tick.logical_date().unwrap().to_string(),
            "has_run": reason.is_none(), "exception_reason": reason,
        })
    });
    expect_eq(
        "associations",
        associations.collect(),
        vector["associations"].clone(),
    )?;
    let mut cleared = entries
        .iter()
        .filter_map(|(_, action)| match action {
            BackfillAction::Reprocess { run_id } => Some(format!("old{run_id}")),
            BackfillAction::Create | BackfillAction::Skip(_) => None,
        })
        .collect::<Vec<_>>();
    cleared.sort();
    let runs = vector["runs"].as_array().unwrap().iter();
    let expected: Vec<String> = runs
        .filter(|run| run["clear_number"] == json!(1))
        .map(|run| run["run_id"].as_str().unwrap().to_owned())
        .collect();
    expect_eq("reprocessed", cleared, expected)
}

#[test]
fn backfills_make_the_runs_that_airflow_makes() {
    let select = |vector: &Value| vector["group"] == json!("backfill");
    check_vectors("dagrun_creation", select, &[], check_vector);
}

fn request(from: &str, to: &str) -> BackfillRequest {
    let date = |text: &str| WrittenDate {
        at: instant(text),
        offset: Offset::constant(2),
    };
    BackfillRequest {
        from_date: date(from),
        to_date: date(to),
        order: BackfillOrder::OldestFirst,
        reprocess: ReprocessBehavior::None,
    }
}

#[test]
fn refusals_show_dates_as_they_were_written() {
    let dag = dag("x:");
    let view = BackfillView {
        dag: &dag,
        timetable_is_periodic: true,
        has_active_backfill: true,
    };
    let wrong = request("2026-01-05T00:00:00Z", "2026-01-04T00:00:00.5Z");
    assert_eq!(
        check_dry_run(&wrong, &view, instant(NOW))
            .unwrap_err()
            .to_string(),
        "from_date (2026-01-05T02:00:00+02:00) must not be after to_date \
         (2026-01-04T02:00:00.500000+02:00)."
    );
    assert_eq!(
        nothing_to_do(&wrong, &dag).to_string(),
        "No runs to create for Dag d in the range [2026-01-05 02:00:00+02:00, 2026-01-04 \
         02:00:00.500000+02:00]"
    );
    // Only somebody who means it is in the way of another backfill.
    let good = request("2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z");
    assert_eq!(check_dry_run(&good, &view, instant(NOW)), Ok(()));
    assert!(matches!(
        check_backfill(&good, &view, instant(NOW)),
        Err(Error::AlreadyRunning { .. })
    ));
}

#[test]
fn a_partition_has_no_interval_and_gets_another_run_beside_the_old_one() {
    let date = instant("2026-01-02T00:00:00Z");
    let partition = BackfillTick {
        run_after: date,
        data_interval: None,
        partition_key: Some("2026-01-02".to_owned()),
        partition_date: Some(date),
    };
    let planned = plan_backfill(
        BackfillOrder::NewestFirst,
        vec![partition.clone()],
        instant("2026-01-01T00:00:00Z"),
    );
    assert_eq!(planned.len(), 1, "a partition in the future is filled, too");
    let run = |state| Some(ExistingRun { id: 1, state });
    let action = |state, reprocess| plan_entry(&partition, run(state).as_ref(), reprocess);
    assert_eq!(
        action(DagRunState::Success, ReprocessBehavior::Completed),
        BackfillAction::Create
    );
    assert_eq!(
        action(DagRunState::Success, ReprocessBehavior::Failed),
        BackfillAction::Skip(SkipReason::AlreadyExists)
    );
    assert_eq!(
        action(DagRunState::Queued, ReprocessBehavior::Completed),
        BackfillAction::Skip(SkipReason::InFlight)
    );
}
