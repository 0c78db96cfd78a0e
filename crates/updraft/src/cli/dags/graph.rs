//! A Dag as a graph in DOT, the language of Graphviz.
//!
//! Tasks are boxes, groups are boxes around them. Where a whole group stands before or after
//! something else, one small circle takes the place of an arrow for each of its tasks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use updraft_model::serialized::{
    GroupChild, GroupIndex, SerializedDag, Task, TaskGroup, TaskIndex,
};

/// How a group looks that does not say: transparent blue, whatever it says of its background.
const GROUP_FILL: &str = "#6495ed7f";
const GROUP_COLOR: &str = "CornflowerBlue";
const GROUP_FOREGROUND: &str = "#000";

/// How a task looks that does not say.
const TASK_COLOR: &str = "#fff";
const TASK_FOREGROUND: &str = "#000";

/// Words that DOT has a meaning for.
const KEYWORDS: &[&str] = &["digraph", "edge", "graph", "node", "strict", "subgraph"];

/// The whole graph.
pub(super) fn dot_of(dag: &SerializedDag) -> String {
    let mut drawing = Drawing {
        dag,
        colors: group_colors(dag),
        text: String::new(),
    };
    let name = quoted(dag.dag_id().as_str());
    drawing.line(0, &format!("digraph {name} {{"));
    drawing.line(1, &format!("graph [label={name} labelloc=t rankdir=LR]"));
    drawing.group_inside(GroupIndex::ROOT, 1);
    for (source, target) in edges(dag) {
        let label = edge_label(dag, &source, &target);
        let label = label.map(|label| format!(" [label={}]", quoted(label)));
        let arrow = format!("{} -> {}", quoted(&source), quoted(&target));
        drawing.line(1, &(arrow + &label.unwrap_or_default()));
    }
    drawing.line(0, "}");
    drawing.text
}

struct Drawing<'d> {
    dag: &'d SerializedDag,
    /// Colour and foreground of each group.
    colors: BTreeMap<String, (String, String)>,
    text: String,
}

impl Drawing<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        self.text.push_str(&"\t".repeat(depth));
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// The circles of a group, and its children in the order of their ids.
    fn group_inside(&mut self, index: GroupIndex, depth: usize) {
        let group = self.dag.group(index);
        if !group.upstream_group_ids.is_empty() || !group.upstream_task_ids.is_empty() {
            self.circle(group, &upstream_join(group), depth);
        }
        if !group.downstream_group_ids.is_empty() || !group.downstream_task_ids.is_empty() {
            self.circle(group, &downstream_join(group), depth);
        }
        let mut children = group.children.clone();
        children.sort_by_key(|child| self.id_of(*child).to_owned());
        for child in children {
            match child {
                GroupChild::Task(task) => self.task(task, depth),
                GroupChild::Group(group) => self.cluster(group, depth),
            }
        }
    }

    fn id_of(&self, child: GroupChild) -> &str {
        match child {
            GroupChild::Task(task) => self.dag.task(task).task_id.as_str(),
            GroupChild::Group(group) => id_of(self.dag.group(group)),
        }
    }

    fn cluster(&mut self, index: GroupIndex, depth: usize) {
        let group = self.dag.group(index);
        let name = quoted(&format!("cluster_{}", id_of(group)));
        let (_, foreground) = self.colors_of(group);
        let label = last_part(self.dag, group.parent, id_of(group));
        let label = Some(&group.display_name)
            .filter(|it| !it.is_empty())
            .map_or(label, |it| it);
        self.line(depth, &format!("subgraph {name} {{"));
        let look = format!(
            "color={} fillcolor={} label={} shape=rectangle style=filled",
            quoted(&foreground),
            quoted(GROUP_FILL),
            quoted(label)
        );
        self.line(depth + 1, &look);
        self.group_inside(index, depth + 1);
        self.line(depth, "}");
    }

    fn circle(&mut self, group: &TaskGroup, id: &str, depth: usize) {
        let (color, foreground) = self.colors_of(group);
        let look = format!(
            "{} [color={} fillcolor={} height=0.2 label=\"\" shape=circle \
             style=\"filled,rounded\" width=0.2]",
            quoted(id),
            quoted(&foreground),
            quoted(&color)
        );
        self.line(depth, &look);
    }

    fn task(&mut self, index: TaskIndex, depth: usize) {
        let task = self.dag.task(index);
        let raw = self.dag.raw_task(index);
        let raw = raw.get("__var").unwrap_or(raw);
        let color = |name: &str, default: &str| {
            refined(raw.get(name).and_then(Value::as_str).unwrap_or(default))
        };
        let label = task
            .display_name
            .as_deref()
            .unwrap_or_else(|| last_part(self.dag, Some(task.group), task.task_id.as_str()));
        let look = format!(
            "{} [color={} fillcolor={} label={} shape=rectangle style=\"filled,rounded\"]",
            quoted(task.task_id.as_str()),
            quoted(&color("ui_fgcolor", TASK_FOREGROUND)),
            quoted(&color("ui_color", TASK_COLOR)),
            quoted(label)
        );
        self.line(depth, &look);
    }

    fn colors_of(&self, group: &TaskGroup) -> (String, String) {
        let found = self.colors.get(id_of(group)).cloned();
        found.unwrap_or_else(|| (GROUP_COLOR.to_owned(), refined(GROUP_FOREGROUND)))
    }
}

fn id_of(group: &TaskGroup) -> &str {
    group.group_id.as_deref().unwrap_or_default()
}

fn upstream_join(group: &TaskGroup) -> String {
    format!("{}.upstream_join_id", id_of(group))
}

fn downstream_join(group: &TaskGroup) -> String {
    format!("{}.downstream_join_id", id_of(group))
}

/// An id without the prefix that its group gave it.
fn last_part<'i>(dag: &SerializedDag, parent: Option<GroupIndex>, id: &'i str) -> &'i str {
    let Some(group) = parent
        .map(|parent| dag.group(parent))
        .filter(|group| group.prefix_group_id)
    else {
        return id;
    };
    let prefix = group.group_id.as_deref().unwrap_or_default();
    id.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or(id)
}

/// Colour and foreground of every group that says.
fn group_colors(dag: &SerializedDag) -> BTreeMap<String, (String, String)> {
    let mut colors = BTreeMap::new();
    let raw = dag.raw();
    let mut left: Vec<&Value> = raw
        .get("dag")
        .unwrap_or(raw)
        .get("task_group")
        .into_iter()
        .collect();
    while let Some(group) = left.pop() {
        let text = |name: &str, default: &str| {
            refined(group.get(name).and_then(Value::as_str).unwrap_or(default))
        };
        if let Some(id) = group.get("_group_id").and_then(Value::as_str) {
            let pair = (
                text("ui_color", GROUP_COLOR),
                text("ui_fgcolor", GROUP_FOREGROUND),
            );
            colors.insert(id.to_owned(), pair);
        }
        // A child is its kind and what it is: the id of a task, or a whole group.
        let children = group.get("children").and_then(Value::as_object);
        let children = children.into_iter().flat_map(|members| members.values());
        left.extend(
            children
                .filter_map(|child| child.get(1))
                .filter(|child| child.is_object()),
        );
    }
    colors
}

/// The arrows, in order.
fn edges(dag: &SerializedDag) -> BTreeSet<(String, String)> {
    let mut added = BTreeSet::new();
    let mut replaced = BTreeSet::new();
    for index in 0..dag.groups().len() {
        let index = GroupIndex(u32::try_from(index).unwrap_or(u32::MAX));
        join_group(dag, index, &mut added, &mut replaced);
    }
    let tasks = dag.tasks().iter().flat_map(|task| {
        let targets = task.downstream.iter().map(|target| dag.task(*target));
        targets.map(|target| (task.task_id.to_string(), target.task_id.to_string()))
    });
    let all: BTreeSet<(String, String)> = tasks.chain(added).collect();
    all.difference(&replaced).cloned().collect()
}

/// The arrows to and from the circles of a group, and those they replace.
fn join_group(
    dag: &SerializedDag,
    index: GroupIndex,
    added: &mut BTreeSet<(String, String)>,
    replaced: &mut BTreeSet<(String, String)>,
) {
    let group = dag.group(index);
    let (up, down) = (upstream_join(group), downstream_join(group));
    let roots = roots_of(dag, index);
    let leaves = leaves_of(dag, index);
    for target in group
        .downstream_group_ids
        .iter()
        .filter_map(|id| dag.find_group(id))
    {
        let join = upstream_join(dag.group(target));
        added.insert((down.clone(), join.clone()));
        for leaf in &leaves {
            added.insert((leaf.clone(), down.clone()));
            for root in roots_of(dag, target) {
                replaced.insert((leaf.clone(), root));
            }
            replaced.insert((leaf.clone(), join.clone()));
        }
        for root in roots_of(dag, target) {
            added.insert((join.clone(), root.clone()));
            replaced.insert((down.clone(), root));
        }
    }
    for target in &group.downstream_task_ids {
        added.insert((down.clone(), target.clone()));
        for leaf in &leaves {
            added.insert((leaf.clone(), down.clone()));
            replaced.insert((leaf.clone(), target.clone()));
        }
    }
    for source in &group.upstream_task_ids {
        added.insert((source.clone(), up.clone()));
        for root in &roots {
            added.insert((up.clone(), root.clone()));
            replaced.insert((source.clone(), root.clone()));
        }
    }
}

/// The tasks of a group that wait for none of it.
fn roots_of(dag: &SerializedDag, group: GroupIndex) -> BTreeSet<String> {
    let members: BTreeSet<TaskIndex> = dag.tasks_in_group(group).map(|task| task.index).collect();
    dag.tasks_in_group(group)
        .filter(|task| !task.upstream.iter().any(|up| members.contains(up)))
        .map(|task| task.task_id.to_string())
        .collect()
}

/// The tasks of a group that none of it waits for; a teardown stands for the work before it.
fn leaves_of(dag: &SerializedDag, group: GroupIndex) -> BTreeSet<String> {
    let members: BTreeSet<TaskIndex> = dag.tasks_in_group(group).map(|task| task.index).collect();
    let mut leaves = BTreeSet::new();
    let mut left: Vec<&Task> = dag
        .tasks_in_group(group)
        .filter(|task| !task.downstream.iter().any(|down| members.contains(down)))
        .collect();
    while let Some(task) = left.pop() {
        if !task.is_teardown {
            leaves.insert(task.task_id.to_string());
            continue;
        }
        let inside = task.upstream.iter().filter(|up| members.contains(up));
        left.extend(inside.map(|up| dag.task(*up)).filter(|up| !up.is_setup));
    }
    leaves
}

fn edge_label<'d>(dag: &'d SerializedDag, source: &str, target: &str) -> Option<&'d str> {
    let raw = dag.raw();
    let info = raw.get("dag").unwrap_or(raw).get("edge_info")?;
    info.get(source)?.get(target)?.get("label")?.as_str()
}

/// `#abc` as `#aabbcc`: Graphviz knows no short colours.
fn refined(color: &str) -> String {
    match color.strip_prefix('#') {
        Some(digits) if digits.chars().count() == 3 => {
            let doubled: String = digits.chars().flat_map(|digit| [digit, digit]).collect();
            format!("#{doubled}")
        }
        _ => color.to_owned(),
    }
}

/// A name as DOT takes it: bare when it is a word or a number.
fn quoted(text: &str) -> String {
    let is_word = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text
            .chars()
            .all(|each| each.is_ascii_alphanumeric() || each == '_');
    let is_number = text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|each| each.is_ascii_digit());
    let is_keyword = KEYWORDS.contains(&text.to_lowercase().as_str());
    if (is_word || is_number) && !is_keyword {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

#[cfg(test)]
mod tests;
