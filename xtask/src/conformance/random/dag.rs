//! A random Dag before it is written as Python: its tasks, groups and edges.

use std::collections::BTreeSet;

use super::rules::{Rule, State};
use super::waits::{Deferral, Sensing, Waits};

/// Tasks are named by their place in [`Dag::tasks`]; upstream tasks come before downstream ones.
pub(super) type TaskIndex = usize;
pub(super) type GroupIndex = usize;

#[derive(Clone, Debug, Default)]
pub(super) struct Dag {
    pub(super) dag_id: String,
    /// `schedule=…` and `start_date=…`, as Python.
    pub(super) schedule: String,
    pub(super) start: String,
    /// Further arguments of the Dag, as Python.
    pub(super) arguments: Vec<String>,
    /// Further entries of `default_args`, as Python.
    pub(super) defaults: Vec<String>,
    pub(super) tasks: Vec<Task>,
    pub(super) groups: Vec<Group>,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) parent: Option<GroupIndex>,
    /// Whether the ids of its tasks begin with its own.
    pub(super) prefixes: bool,
    /// Its tasks, those of groups inside it included: one after the other.
    pub(super) tasks: std::ops::Range<TaskIndex>,
    pub(super) mapping: Option<Mapping>,
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) group: Option<GroupIndex>,
    pub(super) kind: Kind,
    /// The first lines of its function.
    pub(super) lines: Vec<String>,
    /// What its code does when it runs.
    pub(super) ending: Ending,
    /// The numbers for which an instance of a mapped task does something else.
    pub(super) by_item: Vec<(i64, Ending)>,
    /// The runs in which it does something else.
    pub(super) by_run: Vec<(String, Ending)>,
    /// Upstream tasks whose output its function is given.
    pub(super) reads: Vec<TaskIndex>,
    pub(super) upstream: Vec<TaskIndex>,
    pub(super) rule: Rule,
    pub(super) role: Role,
    pub(super) retries: u32,
    pub(super) mapping: Option<Mapping>,
    /// Further keyword arguments, as Python.
    pub(super) arguments: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Empty,
    /// A decorated function, or an operator that is given one.
    Python {
        decorated: bool,
    },
    Bash,
    Branch {
        decorated: bool,
        follows: Vec<TaskIndex>,
    },
    ShortCircuit {
        passes: bool,
        ignores_rules: bool,
    },
    LatestOnly,
    Sensor(Sensing),
    /// A sensor that waits for another task of the same run, and ends as that does.
    External {
        target: TaskIndex,
        waits: Waits,
    },
    /// An operator that waits for triggers.
    Deferral(Deferral),
    /// An operator that is written out, but for what every operator takes: `SETTINGS`.
    Written(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Role {
    Work,
    Setup,
    Teardown {
        setups: Vec<TaskIndex>,
        fails_run: bool,
    },
}

/// What becomes of a task's code.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ending {
    /// Returns this Python expression.
    Returns(String),
    /// Returns the numbers, from which other tasks are mapped.
    Gives(Vec<i64>, Container),
    Raises,
    /// Raises what is not tried again.
    FailsForGood,
    Skips,
    /// Raises as long as the try is lower, then returns its number.
    FailsUntil(u32),
    /// As above, and then skips itself.
    FailsThenSkips(u32),
    /// `sys.exit`.
    Exits(i32),
    /// `os._exit`: the process is gone without a word.
    Dies(i32),
    TimesOut,
}

/// How numbers are returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    List,
    /// `{"k1": 1, …}`
    Dict,
    /// `[{"x": 1}, …]`
    Keywords,
}

/// What a task or a group is mapped over.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub(super) form: Form,
    /// The numbers that are written in the Dag file, if any.
    pub(super) items: Vec<i64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// `expand(x=[1, 2])`
    Literal,
    /// `expand_kwargs([{"x": 1}, …])`
    LiteralKeywords,
    /// `expand(x=…, y=[10, 20])`: every `x` with every `y`.
    Crossed { with: Option<TaskIndex> },
    /// `expand(x=task)`
    Task(TaskIndex),
    /// `expand(x=task.map(lambda x: x + 10))`
    Mapped(TaskIndex),
    /// `expand(item=task)` of a task that returns a dict.
    Entries(TaskIndex),
    /// `expand_kwargs(task)`
    Keywords(TaskIndex),
    /// `expand(pair=task.zip(other, fillvalue=-1))`
    Zipped(TaskIndex, TaskIndex, bool),
    /// `expand(x=task.concat(other))`
    Joined(TaskIndex, TaskIndex),
}

impl Form {
    /// The tasks whose output is mapped over.
    pub(super) fn feeders(&self) -> Vec<TaskIndex> {
        match self {
            Self::Literal | Self::LiteralKeywords | Self::Crossed { with: None } => Vec::new(),
            Self::Crossed { with: Some(task) }
            | Self::Task(task)
            | Self::Mapped(task)
            | Self::Entries(task)
            | Self::Keywords(task) => vec![*task],
            Self::Zipped(task, other, _) | Self::Joined(task, other) => vec![*task, *other],
        }
    }
}

impl Ending {
    /// How an instance ends that may be tried from try `first` to try `last`, and with which try.
    pub(super) fn after(&self, first: u32, last: u32) -> (State, u32) {
        match self {
            Self::Returns(_) | Self::Gives(..) => (State::Success, first),
            Self::Skips => (State::Skipped, first),
            Self::FailsForGood => (State::Failed, first),
            Self::FailsUntil(good) if *good <= last => (State::Success, first.max(*good)),
            Self::FailsThenSkips(good) if *good <= last => (State::Skipped, first.max(*good)),
            Self::FailsUntil(_)
            | Self::FailsThenSkips(_)
            | Self::Raises
            | Self::Exits(_)
            | Self::Dies(_)
            | Self::TimesOut => (State::Failed, last),
        }
    }
}

impl Task {
    /// A decorated function that returns an expression, in no group.
    pub(super) fn function(name: &str, returns: &str, upstream: Vec<TaskIndex>) -> Self {
        Self {
            name: name.to_owned(),
            group: None,
            kind: Kind::Python { decorated: true },
            lines: Vec::new(),
            ending: Ending::Returns(returns.to_owned()),
            by_item: Vec::new(),
            by_run: Vec::new(),
            reads: Vec::new(),
            upstream,
            rule: Rule::AllSuccess,
            role: Role::Work,
            retries: 0,
            mapping: None,
            arguments: Vec::new(),
        }
    }
}

impl Dag {
    /// The groups around a task or group, innermost first.
    pub(super) fn groups_around(&self, group: Option<GroupIndex>) -> Vec<GroupIndex> {
        std::iter::successors(group, |group| self.groups[*group].parent).collect()
    }

    /// The innermost mapped group around a task.
    pub(super) fn mapped_group(&self, task: TaskIndex) -> Option<GroupIndex> {
        let around = self.groups_around(self.tasks[task].group);
        around
            .into_iter()
            .find(|group| self.groups[*group].mapping.is_some())
    }

    pub(super) fn group_id(&self, group: GroupIndex) -> String {
        let Group { name, parent, .. } = &self.groups[group];
        match parent {
            Some(parent) if self.groups[*parent].prefixes => {
                format!("{}.{name}", self.group_id(*parent))
            }
            _ => name.clone(),
        }
    }

    pub(super) fn task_id(&self, task: TaskIndex) -> String {
        let Task { name, group, .. } = &self.tasks[task];
        match group {
            Some(group) if self.groups[*group].prefixes => {
                format!("{}.{name}", self.group_id(*group))
            }
            _ => name.clone(),
        }
    }

    pub(super) fn downstream(&self, task: TaskIndex) -> Vec<TaskIndex> {
        let tasks = self.tasks.iter().enumerate();
        tasks
            .filter(|(_, other)| other.upstream.contains(&task))
            .map(|(index, _)| index)
            .collect()
    }

    pub(super) fn descendants(&self, task: TaskIndex) -> BTreeSet<TaskIndex> {
        let mut found = BTreeSet::new();
        for index in task + 1..self.tasks.len() {
            let above = &self.tasks[index].upstream;
            if above.iter().any(|up| *up == task || found.contains(up)) {
                found.insert(index);
            }
        }
        found
    }

    pub(super) fn ancestors(&self, task: TaskIndex) -> BTreeSet<TaskIndex> {
        let mut found: BTreeSet<TaskIndex> = self.tasks[task].upstream.iter().copied().collect();
        for index in (0..task).rev() {
            if found.contains(&index) {
                found.extend(self.tasks[index].upstream.iter().copied());
            }
        }
        found
    }
}
