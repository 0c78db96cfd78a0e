//! The parsed Dag itself.

use std::collections::HashMap;

use serde_json::Value;

use super::attributes::DagAttributes;
use super::error::{Error, Place};
use super::fields::{Fields, Object, unwrapped_object};
use super::graph;
use super::group::{self, GroupIndex, TaskGroup};
use super::task::{Context, Task, TaskIndex};
use super::weights;
use crate::{DagId, TaskId};

/// The version of the format that the child of Airflow 3.3 writes.
pub const SERIALIZED_VERSION: i64 = 3;

/// A Dag as the scheduler sees it: structure without user code.
#[derive(Clone, Debug, PartialEq)]
pub struct SerializedDag {
    dag_id: DagId,
    attributes: DagAttributes,
    tasks: Vec<Task>,
    task_ids: HashMap<TaskId, TaskIndex>,
    alphabetical: Vec<TaskIndex>,
    topological: Vec<TaskIndex>,
    groups: Vec<TaskGroup>,
    leaves: Vec<TaskIndex>,
    raw: Value,
}

impl SerializedDag {
    /// Reads the whole document: `{"__version": 3, "dag": …, "client_defaults": …}`.
    ///
    /// # Errors
    /// Names the Dag, the task and the key that could not be understood.
    pub fn parse(raw: Value) -> Result<Self, Error> {
        let nowhere = Place::default();
        let document = raw
            .as_object()
            .ok_or_else(|| nowhere.expected("__version", "a map", &raw))?;
        let version = document.get("__version").unwrap_or(&Value::Null);
        if version.as_i64() != Some(SERIALIZED_VERSION) {
            let expected = format!("version {SERIALIZED_VERSION}; parse the Dag file again");
            return Err(nowhere.expected("__version", &expected, version));
        }
        let dag = document
            .get("dag")
            .and_then(Value::as_object)
            .ok_or_else(|| nowhere.error("dag", "expected a map"))?;
        let dag_id = Fields::new(&nowhere, dag)
            .text("dag_id")?
            .ok_or_else(|| nowhere.error("dag_id", "expected a text, found none"))?;
        let place = Place::dag(dag_id);
        let dag_id = DagId::new(dag_id);
        let attributes = DagAttributes::parse(&Fields::new(&place, dag))?;
        let client_defaults = document
            .get("client_defaults")
            .and_then(|defaults| defaults.get("tasks"))
            .and_then(Value::as_object);
        let structure = Structure::parse(&place, dag, &attributes, client_defaults)?;
        let mut alphabetical = structure.topological.clone();
        alphabetical.sort_unstable_by_key(|index| &structure.tasks[index.place()].task_id);
        Ok(Self {
            dag_id,
            attributes,
            alphabetical,
            leaves: graph::leaves(&structure.tasks),
            tasks: structure.tasks,
            task_ids: structure.task_ids,
            topological: structure.topological,
            groups: structure.groups,
            raw,
        })
    }

    #[must_use]
    pub fn dag_id(&self) -> &DagId {
        &self.dag_id
    }

    /// What the Dag says about itself.
    #[must_use]
    pub fn attributes(&self) -> &DagAttributes {
        &self.attributes
    }

    /// All tasks in the order of their definition.
    #[must_use]
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// One task.
    ///
    /// # Panics
    /// When `index` belongs to another Dag that has more tasks.
    #[must_use]
    pub fn task(&self, index: TaskIndex) -> &Task {
        &self.tasks[index.place()]
    }

    /// The place of a task.
    #[must_use]
    pub fn index_of(&self, task_id: &str) -> Option<TaskIndex> {
        self.task_ids.get(task_id).copied()
    }

    /// The task of this id.
    #[must_use]
    pub fn find_task(&self, task_id: &str) -> Option<&Task> {
        self.index_of(task_id).map(|index| self.task(index))
    }

    /// All tasks by id: the order in which a pass looks at them.
    #[must_use]
    pub fn alphabetical(&self) -> &[TaskIndex] {
        &self.alphabetical
    }

    /// All tasks, each behind everything upstream of it.
    #[must_use]
    pub fn topological(&self) -> &[TaskIndex] {
        &self.topological
    }

    /// The tasks that decide how a run ended. See scheduling semantics §4.8.
    #[must_use]
    pub fn leaves(&self) -> &[TaskIndex] {
        &self.leaves
    }

    /// All task groups; the root is [`GroupIndex::ROOT`].
    #[must_use]
    pub fn groups(&self) -> &[TaskGroup] {
        &self.groups
    }

    /// One task group.
    ///
    /// # Panics
    /// When `index` belongs to another Dag that has more groups.
    #[must_use]
    pub fn group(&self, index: GroupIndex) -> &TaskGroup {
        &self.groups[index.place()]
    }

    /// The id by which users name a group: with the ids of the groups around it in front, as far
    /// as these lend theirs. `None` for the root.
    #[must_use]
    pub fn full_group_id(&self, index: GroupIndex) -> Option<String> {
        let group = self.group(index);
        let own = group.group_id.as_deref()?;
        let around = group
            .parent
            .filter(|parent| self.group(*parent).prefix_group_id);
        Some(match around.and_then(|parent| self.full_group_id(parent)) {
            Some(prefix) => format!("{prefix}.{own}"),
            None => own.to_owned(),
        })
    }

    /// The place of the group that users name by this id.
    #[must_use]
    pub fn find_group(&self, group_id: &str) -> Option<GroupIndex> {
        let count = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        let mut places = (0..count).map(GroupIndex);
        places.find(|index| self.full_group_id(*index).as_deref() == Some(group_id))
    }

    /// The tasks in a group and in the groups within it.
    pub fn tasks_in_group(&self, group: GroupIndex) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(move |task| {
            let mut around = Some(task.group);
            while let Some(index) = around.filter(|index| *index != group) {
                around = self.group(index).parent;
            }
            around.is_some()
        })
    }

    /// The mapped groups around a task, from the innermost to the outermost.
    pub fn mapped_groups_of(&self, task: &Task) -> impl Iterator<Item = GroupIndex> {
        graph::mapped_groups(&self.groups, task.group)
    }

    /// Every task below this one, at any depth, in no particular order.
    #[must_use]
    pub fn descendants(&self, index: TaskIndex) -> Vec<TaskIndex> {
        graph::reachable(&self.tasks, index, |task| &task.downstream)
    }

    /// Every task above this one, at any depth, in no particular order.
    #[must_use]
    pub fn ancestors(&self, index: TaskIndex) -> Vec<TaskIndex> {
        graph::reachable(&self.tasks, index, |task| &task.upstream)
    }

    /// The document this was read from.
    #[must_use]
    pub fn raw(&self) -> &Value {
        &self.raw
    }

    /// The map of one task within [`SerializedDag::raw`].
    #[must_use]
    pub fn raw_task(&self, index: TaskIndex) -> &Value {
        &self.raw["dag"]["tasks"][index.place()]["__var"]
    }
}

/// Tasks, groups and edges while they are read.
struct Structure {
    tasks: Vec<Task>,
    task_ids: HashMap<TaskId, TaskIndex>,
    topological: Vec<TaskIndex>,
    groups: Vec<TaskGroup>,
}

impl Structure {
    fn parse(
        place: &Place,
        dag: &Object,
        attributes: &DagAttributes,
        client_defaults: Option<&Object>,
    ) -> Result<Self, Error> {
        let encoded = Fields::new(place, dag)
            .list("tasks")?
            .iter()
            .map(|task| {
                unwrapped_object(task).ok_or_else(|| place.expected("tasks", "an operator", task))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let task_ids = read_task_ids(place, &encoded)?;
        let groups = group::parse(place, dag.get("task_group"), &task_ids)?;
        let find_task = |task_id: &str| task_ids.get(task_id).copied();
        let context = Context {
            dag: attributes,
            client_defaults,
            find_task: &find_task,
        };
        let mut tasks = Vec::with_capacity(encoded.len());
        for (index, own) in (0..).map(TaskIndex).zip(encoded) {
            let task_id = own["task_id"].as_str().unwrap_or_default();
            let place = place.node(task_id);
            let group = groups.of_task[index.place()];
            let mut task = Task::parse(&place, index, own, group, &context)?;
            task.downstream = read_downstream(&Fields::new(&place, own), &find_task)?;
            tasks.push(task);
        }
        let topological = graph::connect(place, &mut tasks)?;
        graph::relate(&mut tasks, &groups.groups);
        weights::fill_in(&mut tasks, &topological);
        Ok(Self {
            tasks,
            task_ids,
            topological,
            groups: groups.groups,
        })
    }
}

fn read_task_ids(place: &Place, encoded: &[&Object]) -> Result<HashMap<TaskId, TaskIndex>, Error> {
    let mut task_ids = HashMap::with_capacity(encoded.len());
    for (index, own) in (0..).map(TaskIndex).zip(encoded) {
        let task_id = Fields::new(place, own)
            .text("task_id")?
            .ok_or_else(|| place.error("task_id", "expected a text, found none"))?;
        if task_ids.insert(TaskId::new(task_id), index).is_some() {
            return Err(place
                .node(task_id)
                .error("task_id", "another task has the same id"));
        }
    }
    Ok(task_ids)
}

fn read_downstream(
    fields: &Fields<'_>,
    find_task: &impl Fn(&str) -> Option<TaskIndex>,
) -> Result<Vec<TaskIndex>, Error> {
    const KEY: &str = "downstream_task_ids";
    let mut downstream = fields
        .texts(KEY)?
        .into_iter()
        .map(|task_id| {
            find_task(task_id).ok_or_else(|| {
                let problem = format!("names task `{task_id}`, which the Dag does not have");
                fields.place.error(KEY, problem)
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    downstream.sort_unstable();
    downstream.dedup();
    Ok(downstream)
}
