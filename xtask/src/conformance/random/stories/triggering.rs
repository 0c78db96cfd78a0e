//! A Dag whose tasks trigger runs of another one.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Phase, Rest, Story, small, trigger};
use crate::conformance::random::dag::{Dag, Ending, Kind, Task, TaskIndex};
use crate::conformance::random::numbers::Numbers;
use crate::conformance::random::rules::Rule;
use crate::conformance::random::scenario::{RUN_ID, dag_id};

/// What a triggering task may say besides which run it triggers.
const EXTRAS: [&str; 7] = [
    "",
    ", conf={\"colour\": \"{{ ds }}\", \"list\": [1, 2]}",
    ", skip_when_already_exists=True",
    ", reset_dag_run=True, wait_for_completion=True, poke_interval=1",
    ", wait_for_completion=True, poke_interval=1",
    ", wait_for_completion=True, poke_interval=1, allowed_states=[\"success\", \"failed\"], failed_states=[]",
    ", wait_for_completion=True, poke_interval=1, deferrable=True",
];

/// How an extra begins that starts a run over which is there already.
const RESETS: &str = ", reset_dag_run=True";

/// How many runs of the other Dag there may be.
const RUNS_MAX: usize = 2;

pub(super) fn tell(seed: u64, numbers: &mut Numbers) -> Story {
    let child_id = format!("{}_child", dag_id(seed));
    let mut child = Dag {
        dag_id: child_id.clone(),
        ..super::unscheduled_dag()
    };
    let blocks = numbers.between(1, 3);
    child = small::fill(numbers, child, blocks);
    let fails = numbers.percent(30);
    if let Some(task) = small::pick_function(numbers, &mut child) {
        let ending = if fails {
            Ending::Raises
        } else {
            Ending::Returns("dag_run.conf".to_owned())
        };
        child.tasks[task].ending = ending;
        child.tasks[task].reads.clear();
    }
    for task in &mut child.tasks {
        // Its runs are due when they are triggered: now.
        if let Ending::Returns(text) = &mut task.ending
            && text.contains("run_after")
        {
            "dag_run.logical_date".clone_into(text);
        }
    }
    let mut parent = Dag {
        dag_id: dag_id(seed),
        ..super::unscheduled_dag()
    };
    // One after the other: two that trigger the same run would race.
    let names = ["one", "two", "three", "four"];
    let count = numbers.between(1, names.len());
    let mut is_left_alone = [false; RUNS_MAX + 1];
    for (place, name) in names.into_iter().take(count).enumerate() {
        let run = numbers.between(1, RUNS_MAX);
        let mut extra = numbers.pick(&EXTRAS);
        if is_left_alone[run] {
            // How far the run has got when it starts over is chance.
            extra = extra.strip_prefix(RESETS).unwrap_or(extra);
        }
        is_left_alone[run] |= !extra.contains("wait_for_completion");
        let call = format!(
            "TriggerDagRunOperator(SETTINGS, trigger_dag_id=\"{child_id}\", \
             trigger_run_id=\"from_parent_{run}\", \
             logical_date=\"2026-02-0{run}T00:00:00+00:00\"{extra})"
        );
        let above: Vec<TaskIndex> = place.checked_sub(1).into_iter().collect();
        let mut task = Task::function(name, "", above);
        task.kind = Kind::Written(call);
        if place > 0 {
            task.rule = Rule::AllDone;
        }
        parent.tasks.push(task);
    }
    let acts = vec![trigger(&parent.dag_id, RUN_ID, "2026-01-05", &json!({}))];
    let rest = Rest::Settled;
    Story {
        title: "A Dag that triggers another one.",
        dags: vec![parent, child],
        phases: vec![Phase { acts, rest }],
        foreseen: BTreeMap::new(),
    }
}
