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
        logical_date: date,
        data_interval: (date, date),
        run_after: date,
    };
    dates.map(tick).collect()
}

fn request_of(vector: &Value) -> BackfillRequest {
    let date = |key: &str| instant(vector[key].as_str().unwrap());
    BackfillRequest {
        from_date: date("from"),
        to_date: date("to"),
        order: if vector["reverse"] == json!(true) {
            BackfillOrder::NewestFirst
        } else {
            BackfillOrder::OldestFirst
        },
        reprocess: match vector["reprocess"].as_str() {
            Some("failed") => Reprocess::Failed,
            Some("completed") => Reprocess::Completed,
            _ => Reprocess::None,
        },
    }
}

fn check_backfill(vector: &Value) -> Result<(), String> {
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
            ticks(request.from_date, request.to_date, every)
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
        ticks: &ticks,
        existing: &existing.collect(),
    };
    let entries = match plan_backfill(&request, &view, instant(NOW)) {
        Ok(entries) => entries,
        Err(error) => return expect_eq("error", Some(class_of(&error)), vector["error"].as_str()),
    };
    expect_eq("error", None, vector["error"].as_str())?;
    let associations = entries.iter().map(|entry| {
        let reason = match entry.action {
            BackfillAction::Skip(reason) => Some(reason.as_str()),
            BackfillAction::Create | BackfillAction::Reprocess { .. } => None,
        };
        json!({
            "ordinal": entry.sort_ordinal, "logical_date": entry.tick.logical_date.to_string(),
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
        .filter_map(|entry| match entry.action {
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
    check_vectors("dagrun_creation", select, &[], check_backfill);
}
