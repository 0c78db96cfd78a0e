//! A Dag as a graph in DOT, the language of Graphviz.
//!
//! Tasks are boxes, groups are boxes around them. Where a whole group stands before or after
//! something else, one small circle takes the place of an arrow for each of its tasks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use updraft_model::serialized::{GroupChild, GroupIndex, SerializedDag, Task, TaskIndex};

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
    let groups = Groups::of(dag);
    let mut drawing = Drawing {
        dag,
        groups: &groups,
        text: String::new(),
    };
    let name = quoted(dag.dag_id().as_str());
    drawing.line(0, &format!("digraph {name} {{"));
    drawing.line(1, &format!("graph [label={name} labelloc=t rankdir=LR]"));
    drawing.group_inside(GroupIndex::ROOT, 1);
    for (source, target) in edges(&groups) {
        let label = edge_label(dag, &source, &target);
        let label = label.map(|label| format!(" [label={}]", quoted(label)));
        let arrow = format!("{} -> {}", quoted(&source), quoted(&target));
        drawing.line(1, &(arrow + &label.unwrap_or_default()));
    }
    drawing.line(0, "}");
    drawing.text
}

/// The groups under their whole ids: a group in a group has the name of the outer one before its own.
struct Groups<'d> {
    dag: &'d SerializedDag,
    ids: Vec<String>,
    /// Colour and foreground of each group that says.
    colors: BTreeMap<String, (String, String)>,
}

impl<'d> Groups<'d> {
    fn of(dag: &'d SerializedDag) -> Self {
        let mut ids: Vec<String> = Vec::with_capacity(dag.groups().len());
        for group in dag.groups() {
            // A group stands behind the one it is in.
            let parent = group
                .parent
                .map(|parent| (dag.group(parent), &ids[parent.0 as usize]));
            let name = group.group_id.as_deref().unwrap_or_default();
            ids.push(whole_id(
                parent.map(|(group, id)| (group.prefix_group_id, id.as_str())),
                name,
            ));
        }
        let colors = group_colors(dag);
        Self { dag, ids, colors }
    }

    fn id(&self, index: GroupIndex) -> &str {
        &self.ids[index.0 as usize]
    }

    fn find(&self, id: &str) -> Option<GroupIndex> {
        let place = self.ids.iter().position(|each| each == id)?;
        u32::try_from(place).ok().map(GroupIndex)
    }

    fn upstream_join(&self, index: GroupIndex) -> String {
        format!("{}.upstream_join_id", self.id(index))
    }

    fn downstream_join(&self, index: GroupIndex) -> String {
        format!("{}.downstream_join_id", self.id(index))
    }
}

/// `parent` is whether it gives its name to its children, and its id.
fn whole_id(parent: Option<(bool, &str)>, name: &str) -> String {
    match parent {
        Some((true, parent)) if !parent.is_empty() => format!("{parent}.{name}"),
        _ => name.to_owned(),
    }
}

struct Drawing<'d> {
    dag: &'d SerializedDag,
    groups: &'d Groups<'d>,
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
            self.circle(index, &self.groups.upstream_join(index), depth);
        }
        if !group.downstream_group_ids.is_empty() || !group.downstream_task_ids.is_empty() {
            self.circle(index, &self.groups.downstream_join(index), depth);
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
            GroupChild::Group(group) => self.groups.id(group),
        }
    }

    fn cluster(&mut self, index: GroupIndex, depth: usize) {
        let group = self.dag.group(index);
        let name = quoted(&format!("cluster_{}", self.groups.id(index)));
        let (_, foreground) = self.colors_of(index);
        let label = match group.display_name.as_str() {
            "" => group.group_id.as_deref().unwrap_or_default(),
            name => name,
        };
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

    fn circle(&mut self, index: GroupIndex, id: &str, depth: usize) {
        let (color, foreground) = self.colors_of(index);
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
            .unwrap_or_else(|| self.own_name(task));
        let look = format!(
            "{} [color={} fillcolor={} label={} shape=rectangle style=\"filled,rounded\"]",
            quoted(task.task_id.as_str()),
            quoted(&color("ui_fgcolor", TASK_FOREGROUND)),
            quoted(&color("ui_color", TASK_COLOR)),
            quoted(label)
        );
        self.line(depth, &look);
    }

    /// The id of a task without what its group put before it.
    fn own_name<'t>(&self, task: &'t Task) -> &'t str {
        let id = task.task_id.as_str();
        if !self.dag.group(task.group).prefix_group_id {
            return id;
        }
        let rest = id.strip_prefix(self.groups.id(task.group));
        rest.and_then(|rest| rest.strip_prefix('.')).unwrap_or(id)
    }

    fn colors_of(&self, index: GroupIndex) -> (String, String) {
        let found = self.groups.colors.get(self.groups.id(index)).cloned();
        found.unwrap_or_else(|| (GROUP_COLOR.to_owned(), refined(GROUP_FOREGROUND)))
    }
}

fn group_colors(dag: &SerializedDag) -> BTreeMap<String, (String, String)> {
    let mut colors = BTreeMap::new();
    let raw = dag.raw();
    let root = raw.get("dag").unwrap_or(raw).get("task_group");
    let mut left: Vec<(&Value, String)> =
        root.into_iter().map(|root| (root, String::new())).collect();
    while let Some((group, id)) = left.pop() {
        let text = |name: &str, default: &str| {
            refined(group.get(name).and_then(Value::as_str).unwrap_or(default))
        };
        let pair = (
            text("ui_color", GROUP_COLOR),
            text("ui_fgcolor", GROUP_FOREGROUND),
        );
        let prefixes = group
            .get("prefix_group_id")
            .and_then(Value::as_bool)
            .unwrap_or(true);
        // A child is its kind and what it is: the id of a task, or a whole group.
        let children = group.get("children").and_then(Value::as_object);
        let children = children.into_iter().flat_map(|members| members.values());
        for child in children.filter_map(|child| child.get(1)) {
            if let Some(name) = child.get("_group_id").and_then(Value::as_str) {
                left.push((child, whole_id(Some((prefixes, &id)), name)));
            }
        }
        colors.insert(id, pair);
    }
    colors
}

/// The arrows, in order.
fn edges(groups: &Groups<'_>) -> BTreeSet<(String, String)> {
    let dag = groups.dag;
    let mut added = BTreeSet::new();
    let mut replaced = BTreeSet::new();
    for index in 0..dag.groups().len() {
        let index = GroupIndex(u32::try_from(index).unwrap_or(u32::MAX));
        join_group(groups, index, &mut added, &mut replaced);
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
    groups: &Groups<'_>,
    index: GroupIndex,
    added: &mut BTreeSet<(String, String)>,
    replaced: &mut BTreeSet<(String, String)>,
) {
    let dag = groups.dag;
    let group = dag.group(index);
    let (up, down) = (groups.upstream_join(index), groups.downstream_join(index));
    let roots = roots_of(dag, index);
    let leaves = leaves_of(dag, index);
    for target in group
        .downstream_group_ids
        .iter()
        .filter_map(|id| groups.find(id))
    {
        let join = groups.upstream_join(target);
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
