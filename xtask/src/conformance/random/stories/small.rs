//! Small Dags of plain tasks, for stories that are about their runs.

use crate::conformance::random::build::{self, Mix};
use crate::conformance::random::dag::{Dag, Kind, TaskIndex};
use crate::conformance::random::numbers::Numbers;

/// Tasks that all succeed, without anything that could race.
const CALM: Mix = Mix {
    groups: 3,
    mapped: 3,
    mapped_groups: 0,
    setups: 2,
    branches: 0,
    sensors: 0,
    deferrals: 0,
    rules: 0,
    troubles: 0,
};

/// Adds some tasks to `dag`.
pub(super) fn fill(numbers: &mut Numbers, dag: Dag, blocks: usize) -> Dag {
    loop {
        if let Ok((filled, _)) = build::build(numbers, CALM, blocks, dag.clone()) {
            return filled;
        }
    }
}

/// A task that is not mapped and has no role; made one that runs code.
pub(super) fn pick_function(numbers: &mut Numbers, dag: &mut Dag) -> Option<TaskIndex> {
    let plain: Vec<TaskIndex> = (0..dag.tasks.len())
        .filter(|task| {
            dag.tasks[*task].mapping.is_none()
                && matches!(dag.tasks[*task].kind, Kind::Empty | Kind::Python { .. })
        })
        .collect();
    if plain.is_empty() {
        return None;
    }
    let task = numbers.pick(&plain);
    if dag.tasks[task].kind == Kind::Empty {
        dag.tasks[task].kind = Kind::Python { decorated: true };
        dag.tasks[task].ending =
            crate::conformance::random::dag::Ending::Returns("run_id".to_owned());
    }
    Some(task)
}
