//! Writes what is above what.

use super::Writer;
use crate::conformance::random::dag::{GroupIndex, Role, Task, TaskIndex};

/// Edges by what is above them.
#[derive(Default)]
pub(super) struct Edges {
    all: Vec<(Vec<String>, Vec<String>)>,
}

impl Edges {
    fn add(&mut self, above: Vec<String>, below: &str) {
        if above.is_empty() {
            return;
        }
        let is_one = above.len() == 1;
        match self
            .all
            .iter_mut()
            .find(|(other, _)| is_one && *other == above)
        {
            Some((_, already)) => already.push(below.to_owned()),
            None => self.all.push((above, vec![below.to_owned()])),
        }
    }
}

impl Writer<'_> {
    /// Writes all edges that data and mapped groups have not made.
    pub(super) fn edges(&mut self) {
        self.text.gap();
        let mut edges = Edges::default();
        for task in 0..self.dag.tasks.len() {
            if self.dag.mapped_group(task).is_none() {
                self.edges_of(task, None, &mut edges);
            }
        }
        for group in 0..self.dag.groups.len() {
            self.edges_into_mapped_group(group, &mut edges);
        }
        self.write_edges(&edges);
        for task in 0..self.dag.tasks.len() {
            self.role(task);
        }
    }

    /// Writes the edges into a task from those that are in the same mapped group, or in none.
    pub(super) fn edges_of(&self, task: TaskIndex, group: Option<GroupIndex>, edges: &mut Edges) {
        let by_data = self.upstream_by_data(task);
        let mut above: Vec<String> = Vec::new();
        for up in &self.dag.tasks[task].upstream {
            let other = self.dag.mapped_group(*up);
            let name = match other {
                _ if by_data.contains(up) => continue,
                _ if other == group => self.dag.tasks[*up].name.clone(),
                Some(other) if group.is_none() => self.dag.groups[other].name.clone(),
                // Into a mapped group: that edge is the group's.
                _ => continue,
            };
            if !above.contains(&name) {
                above.push(name);
            }
        }
        edges.add(above, &self.dag.tasks[task].name);
    }

    fn edges_into_mapped_group(&self, group: GroupIndex, edges: &mut Edges) {
        let Some(mapping) = &self.dag.groups[group].mapping else {
            return;
        };
        let feeders = mapping.form.feeders();
        let tasks = self.dag.groups[group].tasks.clone();
        let mut above: Vec<String> = Vec::new();
        for task in tasks.clone() {
            for up in &self.dag.tasks[task].upstream {
                if tasks.contains(up) || feeders.contains(up) {
                    continue;
                }
                let other = self.dag.mapped_group(*up);
                let name = other.map_or(&self.dag.tasks[*up].name, |other| {
                    &self.dag.groups[other].name
                });
                if !above.contains(name) {
                    above.push(name.clone());
                }
            }
        }
        edges.add(above, &self.dag.groups[group].name);
    }

    /// Writes what has the same single task above on one line.
    pub(super) fn write_edges(&mut self, edges: &Edges) {
        for (above, below) in &edges.all {
            let below = match below.as_slice() {
                [one] => one.clone(),
                _ => format!("[{}]", below.join(", ")),
            };
            match above.as_slice() {
                [one] => self.text.line(&format!("{one} >> {below}")),
                _ => self
                    .text
                    .line(&format!("[{}] >> {below}", above.join(", "))),
            }
        }
    }

    fn upstream_by_data(&self, task: TaskIndex) -> Vec<TaskIndex> {
        let Task {
            reads,
            mapping,
            role,
            ..
        } = &self.dag.tasks[task];
        let mut by_data = reads.clone();
        by_data.extend(mapping.iter().flat_map(|mapping| mapping.form.feeders()));
        if let Role::Teardown { setups, .. } = role {
            by_data.extend(setups);
        }
        by_data
    }
}
