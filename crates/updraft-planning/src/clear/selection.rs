//! Which tasks are cleared together.
//!
//! Source: §1.5 "Selection".

use std::collections::BTreeSet;

use updraft_model::serialized::{SerializedDag, Task, TaskIndex};

/// How far a selection of tasks reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The tasks, with the setups they need and the teardowns of these.
    Only,
    /// And everything above.
    Upstream,
    /// And everything below.
    Downstream,
    /// And everything above and below.
    Both,
}

impl Reach {
    fn is_upstream(self) -> bool {
        matches!(self, Self::Upstream | Self::Both)
    }

    fn is_downstream(self) -> bool {
        matches!(self, Self::Downstream | Self::Both)
    }
}

/// The tasks that come along with `tasks`; these themselves only when another one brings them.
#[must_use]
pub fn companions(dag: &SerializedDag, tasks: &[TaskIndex], reach: Reach) -> BTreeSet<TaskIndex> {
    let mut found = BTreeSet::new();
    let has_setups = dag.tasks().iter().any(|task| task.is_setup);
    for index in tasks {
        let task = dag.task(*index);
        if reach.is_downstream() {
            for below in dag.descendants(*index) {
                found.insert(below);
                // A task below may need setups that none of the chosen ones needs.
                if has_setups && !tasks.contains(&below) {
                    add_setups(dag, dag.task(below), &mut found);
                }
            }
        } else if task.is_setup {
            found.extend(teardowns_of(dag, task));
        }
        if reach.is_upstream() {
            for above in dag.ancestors(*index) {
                found.insert(above);
                if dag.task(above).is_setup {
                    let teardowns = teardowns_of(dag, dag.task(above));
                    found.extend(teardowns.filter(|teardown| teardown != index));
                }
            }
        } else if has_setups {
            add_setups(dag, task, &mut found);
        }
    }
    found
}

/// The setups that a task needs, and their teardowns. A setup or a teardown needs none.
fn add_setups(dag: &SerializedDag, task: &Task, found: &mut BTreeSet<TaskIndex>) {
    if task.is_setup || task.is_teardown {
        return;
    }
    let below = dag.descendants(task.index);
    for above in dag.ancestors(task.index) {
        let setup = dag.task(above);
        let mut teardowns = teardowns_of(dag, setup).peekable();
        let is_open = teardowns.peek().is_none()
            || teardowns_of(dag, setup).any(|teardown| below.contains(&teardown));
        if setup.is_setup && is_open {
            found.insert(above);
            found.extend(teardowns);
        }
    }
}

fn teardowns_of<'a>(
    dag: &'a SerializedDag,
    setup: &'a Task,
) -> impl Iterator<Item = TaskIndex> + 'a {
    let downstream = setup.downstream.iter().copied();
    downstream.filter(|index| dag.task(*index).is_teardown)
}
