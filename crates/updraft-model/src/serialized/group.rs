//! Task groups: the tree that the UI draws, and the scopes of group mapping.

use std::collections::HashMap;

use serde_json::Value;

use super::error::{Error, Place};
use super::expand::ExpandInput;
use super::fields::{Fields, Object};
use super::task::TaskIndex;
use crate::TaskId;

/// Position of a group in [`super::SerializedDag::groups`]; the root is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupIndex(pub u32);

impl GroupIndex {
    /// The group that holds everything.
    pub const ROOT: Self = Self(0);

    pub(super) fn place(self) -> usize {
        self.0 as usize
    }
}

/// One task group.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskGroup {
    /// `None` for the root.
    pub group_id: Option<String>,
    /// `None` for the root.
    pub parent: Option<GroupIndex>,
    pub display_name: String,
    pub tooltip: String,
    pub doc_md: Option<String>,
    pub prefix_group_id: bool,
    /// Present when the group is mapped.
    pub expand_input: Option<ExpandInput>,
    /// In the order of their definition.
    pub children: Vec<GroupChild>,
    pub upstream_group_ids: Vec<String>,
    pub downstream_group_ids: Vec<String>,
    pub upstream_task_ids: Vec<String>,
    pub downstream_task_ids: Vec<String>,
}

/// A member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupChild {
    Task(TaskIndex),
    Group(GroupIndex),
}

/// All groups, and to which of them each task belongs.
pub(super) struct Groups {
    pub(super) groups: Vec<TaskGroup>,
    pub(super) of_task: Vec<GroupIndex>,
}

/// Reads the tree below `root`; without one every task is a child of an empty root.
pub(super) fn parse(
    place: &Place,
    root: Option<&Value>,
    task_ids: &HashMap<TaskId, TaskIndex>,
) -> Result<Groups, Error> {
    let mut reader = Reader {
        dag: place,
        task_ids,
        result: Groups {
            groups: Vec::new(),
            of_task: vec![GroupIndex::ROOT; task_ids.len()],
        },
    };
    match root {
        Some(Value::Object(root)) => {
            reader.read(root, None)?;
        }
        Some(other) => return Err(place.expected("task_group", "a map", other)),
        None => {
            reader.read(&Object::new(), None)?;
        }
    }
    Ok(reader.result)
}

struct Reader<'a> {
    dag: &'a Place,
    task_ids: &'a HashMap<TaskId, TaskIndex>,
    result: Groups,
}

impl Reader<'_> {
    /// Reads one group and what is below it. The depth is bounded by that of the JSON parser.
    fn read(&mut self, object: &Object, parent: Option<GroupIndex>) -> Result<GroupIndex, Error> {
        let group_id = object.get("_group_id").and_then(Value::as_str);
        let place = group_id.map_or_else(|| self.dag.clone(), |id| self.dag.node(id));
        let index = self.result.groups.len();
        let index = GroupIndex(
            u32::try_from(index).map_err(|_| place.error("task_group", "too many task groups"))?,
        );
        let group = self.read_attributes(&place, object, group_id, parent)?;
        self.result.groups.push(group);
        let children = match object.get("children") {
            Some(Value::Object(children)) => children
                .iter()
                .map(|(label, child)| self.read_child(&place, label, child, index))
                .collect::<Result<Vec<_>, _>>()?,
            Some(Value::Null) | None => Vec::new(),
            Some(other) => return Err(place.expected("children", "a map", other)),
        };
        self.result.groups[index.place()].children = children;
        Ok(index)
    }

    fn read_attributes(
        &self,
        place: &Place,
        object: &Object,
        group_id: Option<&str>,
        parent: Option<GroupIndex>,
    ) -> Result<TaskGroup, Error> {
        let fields = Fields::new(place, object);
        let text = |key| Ok(fields.text(key)?.unwrap_or_default().to_owned());
        let ids = |key| Ok(fields.texts(key)?.into_iter().map(str::to_owned).collect());
        let expand_input = match object.get("expand_input") {
            Some(input) if fields.flag("is_mapped")?.unwrap_or(false) => {
                let task = |id: &str| self.task_ids.get(id).copied();
                Some(ExpandInput::parse(place, "expand_input", input, &task)?)
            }
            _ => None,
        };
        Ok(TaskGroup {
            group_id: group_id.map(str::to_owned),
            parent,
            display_name: text("group_display_name")?,
            tooltip: text("tooltip")?,
            doc_md: fields.text("doc_md")?.map(str::to_owned),
            prefix_group_id: fields.flag("prefix_group_id")?.unwrap_or(true),
            expand_input,
            children: Vec::new(),
            upstream_group_ids: ids("upstream_group_ids")?,
            downstream_group_ids: ids("downstream_group_ids")?,
            upstream_task_ids: ids("upstream_task_ids")?,
            downstream_task_ids: ids("downstream_task_ids")?,
        })
    }

    fn read_child(
        &mut self,
        place: &Place,
        label: &str,
        child: &Value,
        group: GroupIndex,
    ) -> Result<GroupChild, Error> {
        match child.as_array().map(Vec::as_slice) {
            Some([Value::String(kind), Value::String(task_id)]) if kind == "operator" => {
                let task = self.task_ids.get(task_id.as_str()).copied();
                let task = task.ok_or_else(|| {
                    let problem = format!("names task `{task_id}`, which the Dag does not have");
                    place.error("children", problem)
                })?;
                self.result.of_task[task.place()] = group;
                Ok(GroupChild::Task(task))
            }
            Some([Value::String(kind), Value::Object(object)]) if kind == "taskgroup" => {
                self.read(object, Some(group)).map(GroupChild::Group)
            }
            _ => Err(place.expected(
                "children",
                &format!("an operator or a taskgroup under `{label}`"),
                child,
            )),
        }
    }
}
