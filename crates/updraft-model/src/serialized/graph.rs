//! What follows from the edges of a Dag, computed once when it is read.

use std::collections::VecDeque;

use super::error::{Error, Place};
use super::group::{GroupIndex, TaskGroup};
use super::task::{Task, TaskIndex};

/// The tasks around one task, beyond its direct neighbours. All lists ascend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relations {
    /// Setups that must succeed before the task although they are not directly upstream.
    /// Empty for teardowns.
    pub indirect_setups: Vec<TaskIndex>,
    /// For a teardown: what lies between its setups and itself and must be finished first, beyond
    /// its direct upstream.
    pub teardown_scope: Vec<TaskIndex>,
    /// Tasks whose XCom the task, or else its closest mapped group, expands over.
    pub mapped_dependencies: Vec<TaskIndex>,
    /// Tasks whose XCom the task or any of its mapped groups expands over.
    pub expansion_dependencies: Vec<TaskIndex>,
    /// Tasks about which a decision may change when an instance of this task changes.
    pub watchers: Vec<TaskIndex>,
}

/// Fills in [`Task::upstream`] from [`Task::downstream`] and gives a topological order.
pub(super) fn connect(place: &Place, tasks: &mut [Task]) -> Result<Vec<TaskIndex>, Error> {
    let edges: Vec<(TaskIndex, TaskIndex)> = tasks
        .iter()
        .flat_map(|task| task.downstream.iter().map(|down| (*down, task.index)))
        .collect();
    // Tasks come in ascending order, so each upstream list ascends.
    for (down, up) in edges {
        tasks[down.place()].upstream.push(up);
    }

    let mut waiting: Vec<usize> = tasks.iter().map(|task| task.upstream.len()).collect();
    let mut ready: VecDeque<TaskIndex> = tasks
        .iter()
        .filter(|task| task.upstream.is_empty())
        .map(|task| task.index)
        .collect();
    let mut order = Vec::with_capacity(tasks.len());
    while let Some(index) = ready.pop_front() {
        order.push(index);
        for down in &tasks[index.place()].downstream {
            waiting[down.place()] -= 1;
            if waiting[down.place()] == 0 {
                ready.push_back(*down);
            }
        }
    }
    match waiting.iter().position(|count| *count > 0) {
        Some(stuck) => Err(place
            .node(tasks[stuck].task_id.as_str())
            .error("downstream_task_ids", "the task is part of a cycle")),
        None => Ok(order),
    }
}

/// Fills in [`Task::relations`].
pub(super) fn relate(tasks: &mut [Task], groups: &[TaskGroup]) {
    relate_setups(tasks);
    relate_teardowns(tasks);
    relate_mappings(tasks, groups);
    relate_watchers(tasks);
}

/// The tasks that decide how the run ended: those below which nothing but ignorable teardowns
/// stands; in a Dag of teardowns only, those below which nothing stands.
///
/// Source: scheduling semantics §4.8.
pub(super) fn leaves(tasks: &[Task]) -> Vec<TaskIndex> {
    let is_ignorable = |task: &Task| task.is_teardown && !task.on_failure_fail_dagrun;
    let effective: Vec<TaskIndex> = tasks
        .iter()
        .filter(|task| !is_ignorable(task))
        .filter(|task| {
            let mut downstream = task.downstream.iter();
            downstream.all(|down| is_ignorable(&tasks[down.place()]))
        })
        .map(|task| task.index)
        .collect();
    if !effective.is_empty() {
        return effective;
    }
    tasks
        .iter()
        .filter(|task| task.downstream.is_empty())
        .map(|task| task.index)
        .collect()
}

/// The mapped groups around a group, itself included, from the innermost to the outermost.
pub(super) fn mapped_groups(
    groups: &[TaskGroup],
    innermost: GroupIndex,
) -> impl Iterator<Item = GroupIndex> {
    std::iter::successors(Some(innermost), |group| groups[group.place()].parent)
        .filter(|group| groups[group.place()].expand_input.is_some())
}

/// A setup concerns every task below it that one of its teardowns is still below of; a setup
/// without teardown concerns every task below it.
fn relate_setups(tasks: &mut [Task]) {
    let setups: Vec<TaskIndex> = tasks
        .iter()
        .filter(|task| task.is_setup)
        .map(|task| task.index)
        .collect();
    for setup in setups {
        let below = descendants(tasks, setup);
        let direct = tasks[setup.place()].downstream.clone();
        let teardowns: Vec<TaskIndex> = direct
            .iter()
            .copied()
            .filter(|down| tasks[down.place()].is_teardown)
            .collect();
        let mut above_teardown = vec![teardowns.is_empty(); tasks.len()];
        for teardown in teardowns {
            for ancestor in ancestors(tasks, teardown) {
                above_teardown[ancestor.place()] = true;
            }
        }
        for index in below {
            let task = &mut tasks[index.place()];
            let is_direct = direct.binary_search(&index).is_ok();
            if !task.is_teardown && !is_direct && above_teardown[index.place()] {
                task.relations.indirect_setups.push(setup);
            }
        }
    }
}

fn relate_teardowns(tasks: &mut [Task]) {
    for place in 0..tasks.len() {
        let teardown = &tasks[place];
        if !teardown.is_teardown {
            continue;
        }
        let mut in_scope = vec![false; tasks.len()];
        for setup in &teardown.upstream {
            if tasks[setup.place()].is_setup {
                for index in descendants(tasks, *setup) {
                    in_scope[index.place()] = true;
                }
            }
        }
        let mut scope = ancestors(tasks, teardown.index);
        scope.retain(|index| {
            in_scope[index.place()] && teardown.upstream.binary_search(index).is_err()
        });
        scope.sort_unstable();
        tasks[place].relations.teardown_scope = scope;
    }
}

fn relate_mappings(tasks: &mut [Task], groups: &[TaskGroup]) {
    for task in tasks {
        if !task.needs_expansion {
            continue;
        }
        let mut expansion = Vec::new();
        if let Some(input) = &task.expand_input {
            input.for_each_task(&mut |index| expansion.push(index));
        }
        let mut mapped = task.is_mapped.then(|| expansion.clone());
        for group in mapped_groups(groups, task.group) {
            let mut dependencies = Vec::new();
            if let Some(input) = &groups[group.place()].expand_input {
                input.for_each_task(&mut |index| dependencies.push(index));
            }
            expansion.extend_from_slice(&dependencies);
            mapped.get_or_insert(dependencies);
        }
        task.relations.mapped_dependencies = sorted(mapped.unwrap_or_default());
        task.relations.expansion_dependencies = sorted(expansion);
    }
}

fn relate_watchers(tasks: &mut [Task]) {
    let mut watchers: Vec<Vec<TaskIndex>> =
        tasks.iter().map(|task| task.downstream.clone()).collect();
    for task in tasks.iter() {
        let relations = &task.relations;
        let watched = relations
            .indirect_setups
            .iter()
            .chain(&relations.teardown_scope)
            .chain(&relations.expansion_dependencies);
        for index in watched {
            watchers[index.place()].push(task.index);
        }
    }
    for (task, watchers) in tasks.iter_mut().zip(watchers) {
        task.relations.watchers = sorted(watchers);
    }
}

fn descendants(tasks: &[Task], from: TaskIndex) -> Vec<TaskIndex> {
    reachable(tasks, from, |task| &task.downstream)
}

fn ancestors(tasks: &[Task], from: TaskIndex) -> Vec<TaskIndex> {
    reachable(tasks, from, |task| &task.upstream)
}

/// Everything that `next` leads to, without `from` itself.
pub(super) fn reachable(
    tasks: &[Task],
    from: TaskIndex,
    next: impl Fn(&Task) -> &Vec<TaskIndex>,
) -> Vec<TaskIndex> {
    let mut seen = vec![false; tasks.len()];
    let mut found: Vec<TaskIndex> = Vec::new();
    let mut current = from;
    let mut read = 0;
    loop {
        for neighbour in next(&tasks[current.place()]) {
            if !std::mem::replace(&mut seen[neighbour.place()], true) {
                found.push(*neighbour);
            }
        }
        match found.get(read) {
            Some(index) => current = *index,
            None => return found,
        }
        read += 1;
    }
}

fn sorted(mut indexes: Vec<TaskIndex>) -> Vec<TaskIndex> {
    indexes.sort_unstable();
    indexes.dedup();
    indexes
}
