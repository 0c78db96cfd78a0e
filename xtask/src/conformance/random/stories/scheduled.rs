//! Dags with a schedule that begins and ends in the past: catching up, and backfills.

use std::collections::BTreeMap;

use serde_json::json;
use ureq::http::Method;

use super::{Phase, Rest, Story, small};
use crate::conformance::random::dag::{Dag, Ending, Kind};
use crate::conformance::random::numbers::Numbers;
use crate::conformance::random::scenario::{Act, dag_id};

/// A schedule, its first and last moment as arguments of `datetime`; two to six runs each.
const SCHEDULES: [(&str, &str, &str); 13] = [
    ("\"@daily\"", "2026, 1, 5", "2026, 1, 8"),
    ("\"0 6 * * *\"", "2026, 1, 5", "2026, 1, 8"),
    ("\"30 */8 * * *\"", "2026, 1, 5, 1", "2026, 1, 6, 12"),
    ("\"0 12 * * mon,thu\"", "2026, 1, 5", "2026, 1, 16"),
    ("\"@monthly\"", "2025, 9, 15", "2026, 1, 1"),
    (
        "datetime.timedelta(hours=12)",
        "2026, 1, 5",
        "2026, 1, 6, 12",
    ),
    ("datetime.timedelta(days=7)", "2026, 1, 5", "2026, 1, 26"),
    ("\"@once\"", "2026, 1, 5", "2026, 2, 5"),
    (
        "CronDataIntervalTimetable(\"@daily\", timezone=\"UTC\")",
        "2026, 1, 5",
        "2026, 1, 7",
    ),
    (
        "CronDataIntervalTimetable(\"30 2 * * *\", timezone=\"Europe/Berlin\")",
        "2026, 3, 27",
        "2026, 3, 30",
    ),
    (
        "CronTriggerTimetable(\"0 0 * * *\", timezone=\"America/New_York\", interval=datetime.timedelta(hours=6))",
        "2026, 1, 5",
        "2026, 1, 8",
    ),
    (
        "DeltaDataIntervalTimetable(datetime.timedelta(hours=18))",
        "2026, 1, 5",
        "2026, 1, 7",
    ),
    (
        "MultipleCronTriggerTimetable(\"0 6 * * *\", \"30 18 * * *\", timezone=\"UTC\")",
        "2026, 1, 5",
        "2026, 1, 7",
    ),
];

/// What tasks tell of their run.
const CONTEXTS: [&str; 6] = [
    "[data_interval_start, data_interval_end]",
    "[run_id, dag_run.run_type]",
    "logical_date",
    "ts",
    "dag_run.run_after",
    "ds_nodash",
];

/// The scheduler makes every run between two dates.
pub(super) fn catch_up(seed: u64, numbers: &mut Numbers) -> Story {
    let mut dag = scheduled(seed, numbers, &SCHEDULES);
    dag.arguments.push("catchup=True".to_owned());
    Story {
        title: "Catching up on a schedule.",
        phases: vec![Phase {
            acts: Vec::new(),
            rest: Rest::Settled,
        }],
        dags: vec![dag],
        foreseen: BTreeMap::new(),
    }
}

/// Somebody asks for the runs between two dates, and then perhaps again.
pub(super) fn backfill(seed: u64, numbers: &mut Numbers) -> Story {
    let mut dag = scheduled(seed, numbers, &SCHEDULES[..4]);
    dag.arguments.push("catchup=False".to_owned());
    let rest = Rest::Settled;
    let first = backfill_act(numbers, &dag, "none", false);
    let mut phases = vec![Phase {
        acts: vec![first],
        rest,
    }];
    if numbers.percent(60) {
        let behavior = numbers.pick(&["none", "failed", "completed"]);
        let acts = vec![backfill_act(numbers, &dag, behavior, true)];
        phases.push(Phase { acts, rest });
    }
    Story {
        title: "Backfills.",
        dags: vec![dag],
        phases,
        foreseen: BTreeMap::new(),
    }
}

fn backfill_act(numbers: &mut Numbers, dag: &Dag, behavior: &str, again: bool) -> Act {
    let backwards = numbers.percent(30);
    let limit = numbers.pick(&[1, 2, 10]);
    let (from, to) = numbers.pick(&[("05", "07"), ("05", "10"), ("06", "07"), ("05", "06")]);
    let conf = numbers.pick(&[json!(null), json!({ "by": "backfill" })]);
    let order = if backwards {
        ", the last day first"
    } else {
        ""
    };
    let verb = if again {
        "backfills again"
    } else {
        "backfills"
    };
    Act {
        says: format!("{verb} {from} to {to} of January, reprocessing {behavior}{order}"),
        method: Method::POST,
        path: "/api/v2/backfills".to_owned(),
        body: json!({
            "dag_id": dag.dag_id,
            "from_date": format!("2026-01-{from}T00:00:00Z"),
            "to_date": format!("2026-01-{to}T23:00:00Z"),
            "run_backwards": backwards,
            "dag_run_conf": conf,
            "reprocess_behavior": behavior,
            "max_active_runs": limit,
        }),
    }
}

fn scheduled(seed: u64, numbers: &mut Numbers, schedules: &[(&str, &str, &str)]) -> Dag {
    let (schedule, start, end) = numbers.pick(schedules);
    let moment =
        |arguments| format!("datetime.datetime({arguments}, tzinfo=datetime.timezone.utc)");
    let mut dag = Dag {
        dag_id: dag_id(seed),
        schedule: schedule.to_owned(),
        start: moment(start),
        ..super::unscheduled_dag()
    };
    dag.arguments.push(format!("end_date={}", moment(end)));
    if numbers.percent(50) {
        let limit = numbers.between(1, 3);
        dag.arguments.push(format!("max_active_runs={limit}"));
    }
    let blocks = numbers.between(1, 3);
    let mut dag = small::fill(numbers, dag, blocks);
    for task in &mut dag.tasks {
        if matches!(task.kind, Kind::Python { .. })
            && matches!(task.ending, Ending::Returns(_))
            && task.mapping.is_none()
            && task.reads.is_empty()
        {
            task.ending = Ending::Returns(numbers.pick(&CONTEXTS).to_owned());
        }
        if numbers.percent(20) {
            task.arguments.push("depends_on_past=True".to_owned());
        } else if numbers.percent(10) && task.mapping.is_none() {
            task.arguments
                .push(format!("start_date={}", moment("2026, 1, 6")));
        } else if numbers.percent(10) && task.mapping.is_none() {
            task.arguments
                .push(format!("end_date={}", moment("2026, 1, 6, 12")));
        }
    }
    let last = dag.tasks.len() - 1;
    let is_free = dag.tasks[last].mapping.is_none() && dag.tasks[last].kind == Kind::Empty;
    if is_free && numbers.percent(30) {
        dag.tasks[last].kind = Kind::LatestOnly;
    }
    dag
}
