//! Limits: pools, places in a run, order by priority, `fail_fast` and `dagrun_timeout`.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Phase, Rest, Story, trigger};
use crate::conformance::random::dag::{Dag, Ending, Form, Kind, Mapping, Role, Task, TaskIndex};
use crate::conformance::random::numbers::Numbers;
use crate::conformance::random::rules::Rule;
use crate::conformance::random::scenario::{RUN_ID, dag_id};

pub(super) fn tell(seed: u64, numbers: &mut Numbers) -> Story {
    let mut dag = Dag {
        dag_id: dag_id(seed),
        ..super::unscheduled_dag()
    };
    let mut runs = vec![(RUN_ID, "2026-01-05")];
    let title = match numbers.below(10) {
        0..=2 => order(numbers, &mut dag),
        3..=5 => fail_fast(numbers, &mut dag),
        6 => timeout(numbers, &mut dag),
        _ => {
            runs.push(("second", "2026-01-06"));
            places(numbers, &mut dag)
        }
    };
    let acts = runs
        .iter()
        .map(|(run_id, day)| trigger(&dag.dag_id, run_id, day, &json!({})))
        .collect();
    Story {
        title,
        dags: vec![dag],
        phases: vec![Phase {
            acts,
            rest: Rest::Ended,
        }],
        foreseen: BTreeMap::new(),
    }
}

/// One task at a time, in the order of their priorities; the last one tells the order.
fn order(numbers: &mut Numbers, dag: &mut Dag) -> &'static str {
    dag.arguments.push("max_active_tasks=1".to_owned());
    let mut start = Task::function("start", "", Vec::new());
    start.kind = Kind::Empty;
    dag.tasks.push(start);
    let mut weights: Vec<i64> = vec![-7, 0, 3, 8, 20, 99];
    numbers.shuffle(&mut weights);
    weights.truncate(numbers.between(3, 6));
    for (place, weight) in weights.iter().enumerate() {
        let returns = "noted(f\"{dag_run.dag_id}-{run_id}\", ti.task_id)";
        let mut task = Task::function(&format!("p{place}"), returns, vec![0]);
        task.arguments.push(format!(
            "priority_weight={weight}, weight_rule=\"absolute\""
        ));
        dag.tasks.push(task);
    }
    let all = (1..dag.tasks.len()).collect();
    let returns = "noted(f\"{dag_run.dag_id}-{run_id}\", \"end\")";
    dag.tasks.push(Task::function("tells", returns, all));
    "Priorities."
}

/// A chain that fails somewhere: what has not run is skipped.
fn fail_fast(numbers: &mut Numbers, dag: &mut Dag) -> &'static str {
    dag.arguments.push("fail_fast=True".to_owned());
    let count = numbers.between(3, 6);
    let fails = numbers.below(count);
    for place in 0..count {
        let above: Vec<TaskIndex> = place.checked_sub(1).into_iter().collect();
        let mut task = Task::function(&format!("t{place}"), "run_id", above);
        if place == fails {
            task.ending =
                numbers.pick(&[Ending::Raises, Ending::FailsForGood, Ending::FailsUntil(3)]);
            task.retries = numbers.pick(&[0, 1]);
        } else if place > fails && numbers.percent(40) {
            task.kind = Kind::Empty;
        }
        dag.tasks.push(task);
    }
    if numbers.percent(50) {
        // The teardown runs, whatever has failed.
        dag.tasks[0].role = Role::Setup;
        let mut teardown = Task::function("cleans", "run_id", vec![0, count - 1]);
        teardown.role = Role::Teardown {
            setups: vec![0],
            fails_run: false,
        };
        dag.tasks.push(teardown);
    }
    "A Dag that fails fast."
}

/// A run that is stopped while its one task sleeps.
fn timeout(numbers: &mut Numbers, dag: &mut Dag) -> &'static str {
    // Long enough for the task to have begun, however busy the machine is.
    let limit = numbers.pick(&[25, 30]);
    dag.arguments.push(format!(
        "dagrun_timeout=datetime.timedelta(seconds={limit})"
    ));
    dag.arguments
        .push("on_failure_callback=note(\"run failure\")".to_owned());
    let mut sleeps = Task::function("sleeps", "time.sleep(120)", Vec::new());
    sleeps.retries = numbers.pick(&[0, 2]);
    dag.tasks.push(sleeps);
    for place in 0..numbers.between(1, 3) {
        let mut task = Task::function(&format!("t{place}"), "", vec![place]);
        task.kind = Kind::Empty;
        task.rule = numbers.pick(&[Rule::AllSuccess, Rule::AllDone]);
        dag.tasks.push(task);
    }
    "A run that takes too long."
}

/// Tasks that fail when they are not alone where only so many may be.
fn places(numbers: &mut Numbers, dag: &mut Dag) -> &'static str {
    let kinds = [
        ("pool=\"conformance_one_slot\"", "one_slot", 1, false),
        (
            "pool=\"conformance_three_slots\", pool_slots=2",
            "three_slots",
            1,
            false,
        ),
        ("max_active_tis_per_dag=1", "per_dag", 1, true),
        ("max_active_tis_per_dag=2", "two_per_dag", 2, true),
        ("max_active_tis_per_dagrun=1", "per_run", 1, true),
    ];
    let (argument, place, count, is_own) = numbers.pick(&kinds);
    let place = match (place, is_own) {
        ("per_run", _) => "f\"{dag_run.dag_id}-{run_id}\"".to_owned(),
        (_, true) => format!("\"{}-{place}\"", dag.dag_id),
        (_, false) => format!("\"{place}\""),
    };
    let mut task = Task::function("guarded", "x * 10", Vec::new());
    task.ending = Ending::Returns(format!("taken({place}, {count})"));
    task.arguments.push(argument.to_owned());
    let items: Vec<i64> = (0..).take(numbers.between(2, 4)).collect();
    let form = Form::Literal;
    task.mapping = Some(Mapping { form, items });
    dag.tasks.push(task);
    "Places that only so many tasks may take."
}
