//! What is done to a run that has ended: tasks are cleared or marked, and the run goes on.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use ureq::http::Method;

use super::dag::{Dag, Kind, Role, TaskIndex};
use super::fate::{Before, Fate, foresee};
use super::numbers::Numbers;
use super::rules::State;
use super::scenario::{Act, RUN_ID};

/// How often something else is tried when what was chosen races.
const CHOICES_MAX: usize = 20;

/// What is done, and what becomes of the tasks then.
pub(super) struct Afterwards {
    pub(super) act: Act,
    pub(super) fates: Vec<Fate>,
}

/// Chooses something to do with the ended run of `dag`.
pub(super) fn choose(numbers: &mut Numbers, dag: &Dag, fates: &[Fate]) -> Option<Afterwards> {
    (0..CHOICES_MAX).find_map(|_| match numbers.below(10) {
        0..=3 => clear(numbers, dag, fates),
        4 | 5 => clear_run(numbers, dag, fates),
        6 => clear_index(numbers, dag, fates),
        _ => mark(numbers, dag, fates),
    })
}

fn clear(numbers: &mut Numbers, dag: &Dag, fates: &[Fate]) -> Option<Afterwards> {
    let all: Vec<TaskIndex> = (0..dag.tasks.len()).collect();
    let count = numbers.pick(&[1, 1, 2]);
    let mut chosen = BTreeSet::new();
    for _ in 0..count {
        chosen.insert(numbers.pick(&all));
    }
    let (upstream, downstream) = numbers.pick(&[
        (false, false),
        (false, true),
        (false, true),
        (true, false),
        (true, true),
    ]);
    let only_failed = numbers.percent(25);
    let ids: Vec<String> = chosen.iter().map(|task| dag.task_id(*task)).collect();
    let mut tasks = chosen;
    if upstream {
        tasks.extend(with_ancestors(dag, &tasks));
    }
    if downstream {
        tasks.extend(with_descendants(dag, &tasks));
    }
    let cleared = instances(&tasks, fates, only_failed);
    let body = json!({
        "dry_run": false,
        "dag_run_id": RUN_ID,
        "task_ids": ids,
        "include_upstream": upstream,
        "include_downstream": downstream,
        "only_failed": only_failed,
        "reset_dag_runs": true,
    });
    let with = match (upstream, downstream) {
        (false, false) => "",
        (true, false) => " with what is above",
        (false, true) => " with what is below",
        (true, true) => " with what is above and below",
    };
    let only = if only_failed { "what failed of " } else { "" };
    let says = format!("clears {only}{}{with}", ids.join(" and "));
    after_clear(dag, fates, &cleared, says, "clearTaskInstances", body)
}

fn clear_run(numbers: &mut Numbers, dag: &Dag, fates: &[Fate]) -> Option<Afterwards> {
    let only_failed = numbers.percent(50);
    let all: BTreeSet<TaskIndex> = (0..dag.tasks.len()).collect();
    let cleared = instances(&all, fates, only_failed);
    let body = json!({ "dry_run": false, "only_failed": only_failed });
    let says = if only_failed {
        "clears what failed"
    } else {
        "clears the run"
    };
    let path = format!("dagRuns/{RUN_ID}/clear");
    after_clear(dag, fates, &cleared, says.to_owned(), &path, body)
}

/// Clears one instance of a mapped task, without relatives.
fn clear_index(numbers: &mut Numbers, dag: &Dag, fates: &[Fate]) -> Option<Afterwards> {
    let is_expanded = |task: &TaskIndex| fates[*task].expanded;
    let mapped: Vec<TaskIndex> = (0..dag.tasks.len()).filter(is_expanded).collect();
    if mapped.is_empty() {
        return None;
    }
    let task = numbers.pick(&mapped);
    let index = numbers.below(fates[task].states.len());
    let id = dag.task_id(task);
    let body = json!({
        "dry_run": false,
        "dag_run_id": RUN_ID,
        "task_ids": [[id, index]],
        "only_failed": false,
        "reset_dag_runs": true,
    });
    let says = format!("clears {id}[{index}]");
    let cleared = BTreeSet::from([(task, index)]);
    after_clear(dag, fates, &cleared, says, "clearTaskInstances", body)
}

fn after_clear(
    dag: &Dag,
    fates: &[Fate],
    cleared: &BTreeSet<(TaskIndex, usize)>,
    says: String,
    path: &str,
    body: Value,
) -> Option<Afterwards> {
    if cleared.is_empty() {
        return None;
    }
    let fates = foresee(dag, Some(&Before { fates, cleared })).ok()?;
    let act = Act {
        says,
        method: Method::POST,
        path: format!("/api/v2/dags/{}/{path}", dag.dag_id),
        body,
    };
    Some(Afterwards { act, fates })
}

/// Marks a task with another state than it has.
fn mark(numbers: &mut Numbers, dag: &Dag, fates: &[Fate]) -> Option<Afterwards> {
    let feeders: BTreeSet<TaskIndex> = feeders(dag);
    // The engine looks at what these leave behind when they run, not only at how they ended.
    let is_markable = |task: &TaskIndex| {
        let kind = &dag.tasks[*task].kind;
        let excludes = matches!(kind, Kind::Branch { .. } | Kind::ShortCircuit { .. });
        fates[*task].states.len() == 1 && !feeders.contains(task) && !excludes
    };
    let markable: Vec<TaskIndex> = (0..dag.tasks.len()).filter(is_markable).collect();
    if markable.is_empty() {
        return None;
    }
    let task = numbers.pick(&markable);
    let state = numbers.pick(&[
        State::Success,
        State::Success,
        State::Failed,
        State::Skipped,
    ]);
    let mut marked = fates.to_vec();
    if marked[task].states == [state] {
        return None;
    }
    marked[task].states = vec![state];
    let mut below = with_descendants(dag, &BTreeSet::from([task]));
    below.remove(&task);
    let cleared = instances(&below, fates, true);
    let before = Before {
        fates: &marked,
        cleared: &cleared,
    };
    let after = foresee(dag, Some(&before)).ok()?;
    let id = dag.task_id(task);
    let mut path = format!(
        "/api/v2/dags/{}/dagRuns/{RUN_ID}/taskInstances/{id}",
        dag.dag_id
    );
    if fates[task].expanded {
        path.push_str("/0");
    }
    let act = Act {
        says: format!("marks {id} as {}", state.name()),
        method: Method::PATCH,
        path,
        body: json!({ "new_state": state.name() }),
    };
    Some(Afterwards { act, fates: after })
}

fn feeders(dag: &Dag) -> BTreeSet<TaskIndex> {
    let of_tasks = dag.tasks.iter().filter_map(|task| task.mapping.as_ref());
    let of_groups = dag.groups.iter().filter_map(|group| group.mapping.as_ref());
    of_tasks
        .chain(of_groups)
        .flat_map(|mapping| mapping.form.feeders())
        .collect()
}

/// The instances of tasks that a clear reaches.
fn instances(
    tasks: &BTreeSet<TaskIndex>,
    fates: &[Fate],
    only_failed: bool,
) -> BTreeSet<(TaskIndex, usize)> {
    let mut found = BTreeSet::new();
    for task in tasks {
        for (index, state) in fates[*task].states.iter().enumerate() {
            let has_failed = matches!(state, State::Failed | State::UpstreamFailed);
            if has_failed || !only_failed {
                found.insert((*task, index));
            }
        }
    }
    found
}

fn is_teardown(dag: &Dag, task: TaskIndex) -> bool {
    matches!(dag.tasks[task].role, Role::Teardown { .. })
}

/// The tasks, what is above them, and the teardowns of setups above.
fn with_ancestors(dag: &Dag, tasks: &BTreeSet<TaskIndex>) -> BTreeSet<TaskIndex> {
    let mut found = tasks.clone();
    for task in tasks {
        for above in dag.ancestors(*task) {
            found.insert(above);
            if dag.tasks[above].role == Role::Setup {
                found.extend(teardowns_below(dag, above));
            }
        }
        if dag.tasks[*task].role == Role::Setup {
            found.extend(teardowns_below(dag, *task));
        }
    }
    found
}

/// The tasks, what is below them, and the setups that those need, with their teardowns.
fn with_descendants(dag: &Dag, tasks: &BTreeSet<TaskIndex>) -> BTreeSet<TaskIndex> {
    let mut found = tasks.clone();
    for task in tasks {
        found.extend(dag.descendants(*task));
        let below = dag.descendants(*task);
        let others = below.iter().filter(|other| !tasks.contains(other));
        for needy in others.chain([task]) {
            if dag.tasks[*needy].role == Role::Work {
                found.extend(setups_needed(dag, *needy));
            }
        }
    }
    found
}

fn teardowns_below(dag: &Dag, setup: TaskIndex) -> Vec<TaskIndex> {
    let mut below = dag.downstream(setup);
    below.retain(|other| is_teardown(dag, *other));
    below
}

/// Setups above whose teardown is below the task, or that have none; and those teardowns.
fn setups_needed(dag: &Dag, task: TaskIndex) -> Vec<TaskIndex> {
    let below = dag.descendants(task);
    let mut needed = Vec::new();
    for setup in dag.ancestors(task) {
        if dag.tasks[setup].role != Role::Setup {
            continue;
        }
        let teardowns = teardowns_below(dag, setup);
        if teardowns.is_empty() || teardowns.iter().any(|teardown| below.contains(teardown)) {
            needed.push(setup);
            needed.extend(teardowns);
        }
    }
    needed
}
