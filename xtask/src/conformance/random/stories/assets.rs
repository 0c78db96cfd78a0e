//! Two Dags that produce assets, and Dags that their events start.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Phase, Rest, Story, trigger};
use crate::conformance::random::dag::{Dag, Ending, Form, Kind, Mapping, Task};
use crate::conformance::random::numbers::Numbers;
use crate::conformance::random::scenario::dag_id;

/// What a started run tells of the events that started it.
const EVENTS: &str = "sorted([asset.name, [[event.extra, event.source_task_id, event.source_map_index] \
     for event in events]] for asset, events in triggering_asset_events.items())";

pub(super) fn tell(seed: u64, numbers: &mut Numbers) -> Story {
    let main = dag_id(seed);
    let new = |suffix: &str| Dag {
        dag_id: format!("{main}{suffix}"),
        ..super::unscheduled_dag()
    };
    let alias = format!("AssetAlias(\"{main}_alias\")");
    let (a, b) = (asset(&main, "a"), asset(&main, "b"));
    let mut first = new("");
    produce(numbers, &mut first, &a);
    let mut second = new("_b");
    let uses_alias = numbers.percent(35);
    if uses_alias {
        produce_by_alias(&mut second, &alias, &asset(&main, "found"));
    } else {
        produce(numbers, &mut second, &b);
    }
    let b = if uses_alias { alias } else { b };
    let mut user = new("_use");
    user.schedule = numbers.pick(&[
        format!("[{a}]"),
        format!("[{a}, {b}]"),
        format!("({a} | {b})"),
        format!("({a} & {b})"),
        format!("[{b}]"),
    ]);
    user.tasks.push(Task::function("tells", EVENTS, Vec::new()));
    let mut dags = vec![first, second, user];
    if numbers.percent(35) {
        let c = asset(&main, "c");
        let mut produces = Task::function("produces", "1", vec![0]);
        produces.arguments.push(format!("outlets=[{c}]"));
        dags[2].tasks.push(produces);
        let mut last = new("_last");
        last.schedule = format!("[{c}]");
        last.tasks.push(Task::function("tells", EVENTS, Vec::new()));
        dags.push(last);
    }
    let mut phases = Vec::new();
    for number in 0..numbers.between(2, 4) {
        let producer = if number < 2 { number } else { numbers.below(2) };
        let run_id = format!("run_{number}");
        let day = format!("2026-01-0{}", number + 5);
        let act = trigger(&dags[producer].dag_id, &run_id, &day, &json!({}));
        phases.push(Phase {
            acts: vec![act],
            rest: Rest::Settled,
        });
    }
    Story {
        title: "Assets.",
        dags,
        phases,
        foreseen: BTreeMap::new(),
    }
}

fn asset(dag_id: &str, name: &str) -> String {
    format!("Asset(\"{dag_id}_{name}\")")
}

/// A task that produces the asset, or fails to.
fn produce(numbers: &mut Numbers, dag: &mut Dag, asset: &str) {
    let mut task = Task::function("gives", "run_id", Vec::new());
    task.arguments.push(format!("outlets=[{asset}]"));
    match numbers.below(8) {
        0 => task.by_run.push(("run_0".to_owned(), Ending::Raises)),
        1 => task.by_run.push(("run_1".to_owned(), Ending::Skips)),
        2 => task.kind = Kind::Empty,
        3 => {
            task.mapping = Some(Mapping {
                form: Form::Literal,
                items: vec![0],
            });
        }
        4..=6 => task
            .lines
            .push(format!("outlet_events[{asset}].extra = {{\"by\": run_id}}")),
        _ => {}
    }
    dag.tasks.push(task);
}

fn produce_by_alias(dag: &mut Dag, alias: &str, asset: &str) {
    let mut task = Task::function("gives", "run_id", Vec::new());
    task.arguments.push(format!("outlets=[{alias}]"));
    task.lines.push(format!(
        "outlet_events[{alias}].add({asset}, extra={{\"by\": run_id}})"
    ));
    dag.tasks.push(task);
}
