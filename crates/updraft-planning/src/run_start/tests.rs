use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::scenario::{NOW, instant};
use crate::vectors::{check_vectors, expect_eq};

fn run(id: i64, dag_id: &str) -> QueuedRun {
    QueuedRun {
        id,
        dag_id: dag_id.into(),
        run_after: instant("2026-01-01T00:00:00Z"),
        last_scheduling_decision: None,
        dag_max_active_runs: Some(16),
        dag_is_paused: false,
        dag_is_stale: false,
        backfill: None,
    }
}

#[test]
fn queued_runs_start_as_in_airflow() {
    let select = |vector: &Value| vector["group"] == json!("start-queued");
    check_vectors("dagrun_creation", select, &[], |vector| {
        let mut view = StartView {
            examine_max: 20,
            ..StartView::default()
        };
        let listed = |key: &str, dag: &Value| vector[key].as_array().unwrap().contains(dag);
        let runs = vector["runs"].as_array().unwrap();
        for (id, entry) in (0..).zip(runs) {
            let dag_id = entry["dag"].as_str().unwrap();
            if entry["state"] == json!("running") {
                *view.running.entry((dag_id.into(), None)).or_default() += 1;
                continue;
            }
            let limit = vector["dags"][dag_id]["max_active_runs"].as_i64();
            let rank = entry["last_scheduling_decision_rank"].as_i64();
            let day = SignedDuration::from_hours(24 * entry["day"].as_i64().unwrap());
            let start = instant("2026-01-01T00:00:00Z");
            view.queued.push(QueuedRun {
                run_after: start + day,
                last_scheduling_decision: rank.map(|rank| start + SignedDuration::from_mins(rank)),
                dag_max_active_runs: limit.map(|limit| i32::try_from(limit).unwrap()),
                dag_is_paused: listed("paused", &entry["dag"]),
                dag_is_stale: listed("stale", &entry["dag"]),
                ..run(id, dag_id)
            });
        }
        let plan = plan_start(&view, instant("2026-02-01T00:00:00Z"));
        let started: Value = plan
            .start
            .iter()
            .map(|id| &runs[usize::try_from(*id).unwrap()])
            .map(|entry| json!([entry["dag"], entry["day"]]))
            .collect();
        expect_eq("started", started, vector["started_in_order"].clone())?;
        expect_eq(
            "told",
            plan.start.len() + plan.waiting.len(),
            view.queued.len(),
        )
    });
}

#[test]
fn a_backfill_has_its_own_limit_and_comes_after_ordinary_runs() {
    let of_backfill = |id, sort_ordinal| QueuedRun {
        backfill: Some(BackfillOfRun {
            backfill_id: 7,
            max_active_runs: 1,
            sort_ordinal,
            is_paused: false,
        }),
        ..run(id, "d")
    };
    let view = StartView {
        queued: vec![of_backfill(2, 2), of_backfill(1, 1), run(3, "d")],
        running: BTreeMap::from([(("d".into(), None), 15)]),
        examine_max: 20,
    };
    let plan = plan_start(&view, instant(NOW));
    assert_eq!(plan.start, [3, 1]);
    assert_eq!(plan.waiting, [(2, RunWaits::MaxActiveRuns(1))]);
}

#[test]
fn a_run_waits_for_its_time() {
    let later = instant("2027-01-01T00:00:00Z");
    let view = StartView {
        queued: vec![QueuedRun {
            run_after: later,
            ..run(1, "d")
        }],
        examine_max: 20,
        ..StartView::default()
    };
    assert_eq!(
        plan_start(&view, instant(NOW)).waiting,
        [(1, RunWaits::NotDue(later))]
    );
    assert_eq!(plan_start(&view, later).start, [1]);
}
