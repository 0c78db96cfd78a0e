//! Runs that look at the runs before them: `depends_on_past` and `wait_for_downstream`.

use std::collections::BTreeMap;

use serde_json::json;
use ureq::http::Method;

use super::{Phase, Rest, Story, small, trigger};
use crate::conformance::random::dag::{Dag, Ending};
use crate::conformance::random::numbers::Numbers;
use crate::conformance::random::scenario::{Act, dag_id};

const RUNS: [(&str, &str); 3] = [
    ("first", "2026-01-05"),
    ("second", "2026-01-06"),
    ("third", "2026-01-07"),
];

pub(super) fn tell(seed: u64, numbers: &mut Numbers) -> Story {
    let dag = Dag {
        dag_id: dag_id(seed),
        ..super::unscheduled_dag()
    };
    let blocks = numbers.between(2, 4);
    let mut dag = small::fill(numbers, dag, blocks);
    for task in &mut dag.tasks {
        let argument = numbers.weighted(&[
            (50, Some("depends_on_past=True")),
            (20, Some("wait_for_downstream=True")),
            (30, None),
        ]);
        task.arguments.extend(argument.map(str::to_owned));
    }
    if numbers.percent(30) {
        dag.arguments.push("max_active_runs=1".to_owned());
    }
    let (run_id, day) = numbers.pick(&RUNS[..2]);
    let mut repair = None;
    if let Some(task) = small::pick_function(numbers, &mut dag) {
        let ending = numbers.pick(&[Ending::Skips, Ending::FailsUntil(2), Ending::FailsUntil(2)]);
        if ending != Ending::Skips {
            dag.tasks[task].retries = 0;
            repair = Some(repaired(numbers, &dag, task, run_id, day));
        }
        dag.tasks[task].by_run.push((run_id.to_owned(), ending));
    }
    let mut runs = RUNS.to_vec();
    if numbers.percent(40) {
        numbers.shuffle(&mut runs);
    }
    let acts = runs
        .iter()
        .map(|(run_id, day)| trigger(&dag.dag_id, run_id, day, &json!({})))
        .collect();
    let rest = Rest::Settled;
    let mut phases = vec![Phase { acts, rest }];
    phases.extend(repair.map(|act| Phase {
        acts: vec![act],
        rest,
    }));
    Story {
        title: "Runs that depend on the past.",
        dags: vec![dag],
        phases,
        foreseen: BTreeMap::new(),
    }
}

/// Clears what failed, or says that it is good.
fn repaired(numbers: &mut Numbers, dag: &Dag, task: usize, run_id: &str, day: &str) -> Act {
    let (dag_id, id) = (&dag.dag_id, dag.task_id(task));
    match numbers.below(3) {
        0 => Act {
            says: format!("clears {id} of `{run_id}` with what is below"),
            method: Method::POST,
            path: format!("/api/v2/dags/{dag_id}/clearTaskInstances"),
            body: json!({
                "dry_run": false,
                "dag_run_id": run_id,
                "task_ids": [id],
                "include_downstream": true,
                "only_failed": false,
                "reset_dag_runs": true,
            }),
        },
        1 => Act {
            says: format!("clears what failed since {day}"),
            method: Method::POST,
            path: format!("/api/v2/dags/{dag_id}/clearTaskInstances"),
            body: json!({
                "dry_run": false,
                "start_date": format!("{day}T00:00:00Z"),
                "only_failed": true,
                "reset_dag_runs": true,
            }),
        },
        _ => Act {
            says: format!("marks {id} of `{run_id}` as success"),
            method: Method::PATCH,
            path: format!("/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{id}"),
            body: json!({ "new_state": "success" }),
        },
    }
}
