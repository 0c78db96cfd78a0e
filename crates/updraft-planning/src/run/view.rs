//! What one pass needs to know about a run, in a form that few set-based queries can fill.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use updraft_model::serialized::{SerializedDag, Task};
use updraft_model::{
    DagRunState, DagRunType, DagVersionId, MapIndex, TaskId, TaskInstanceId, TaskInstanceState,
};

/// `[core] max_task_retry_delay`: nothing waits longer for its next try, by default a day.
pub const MAX_TASK_RETRY_DELAY_DEFAULT: SignedDuration = SignedDuration::from_hours(24);

/// One run with everything that decides about it.
#[derive(Clone, Debug)]
pub struct RunView<'a> {
    /// The version of the Dag that the run follows.
    pub dag: &'a SerializedDag,
    pub run: RunFacts,
    /// All rows of the run, in any order.
    pub task_instances: Vec<TaskInstanceView>,
    /// As far as [`ViewNeeds`] asks for it.
    pub xcoms: XComFacts,
    /// As far as [`ViewNeeds`] asks for it.
    pub past: PastFacts,
    /// `[core] max_task_retry_delay`; [`MAX_TASK_RETRY_DELAY_DEFAULT`].
    pub max_task_retry_delay: SignedDuration,
}

/// The row of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunFacts {
    pub state: DagRunState,
    pub run_type: DagRunType,
    pub logical_date: Option<Timestamp>,
    pub queued_at: Option<Timestamp>,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    /// `backfill_dag_run.sort_ordinal`, when the run belongs to a backfill.
    pub backfill_sort_ordinal: Option<i32>,
}

/// One task instance, as slim as deciding allows.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskInstanceView {
    pub id: TaskInstanceId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub state: TaskInstanceState,
    pub try_number: i32,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub retry_delay_override_secs: Option<f64>,
    /// The newest `task_reschedule.reschedule_date` of this try.
    pub reschedule_date: Option<Timestamp>,
    pub dag_version_id: Option<DagVersionId>,
}

/// What XComs and their lengths say. Values themselves are never read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct XComFacts {
    /// `task_map.length` of rows that are not mapped.
    pub mapped_lengths: BTreeMap<TaskId, u32>,
    /// How many mapped instances of a task stored a `return_value`.
    pub return_value_counts: BTreeMap<TaskId, u32>,
    /// `skipmixin_key` of branches and short circuits.
    pub skip_decisions: BTreeMap<(TaskId, MapIndex), SkipDecision>,
}

/// The content of one `skipmixin_key`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkipDecision {
    /// Everything else is skipped.
    pub followed: Option<Vec<TaskId>>,
    /// These are skipped.
    pub skipped: Option<Vec<TaskId>>,
}

/// What `depends_on_past` needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastFacts {
    /// The latest run before this one that [`PreviousRunRule`] accepts.
    pub previous: Option<PreviousRun>,
    /// Tasks that have an instance in *any* run of an earlier logical date.
    pub tasks_seen: BTreeSet<TaskId>,
}

/// The run before this one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PreviousRun {
    pub logical_date: Option<Timestamp>,
    /// Every instance of the tasks in [`ViewNeeds::past_tasks`].
    pub states: Vec<(TaskId, TaskInstanceState)>,
}

/// Which earlier run counts as the previous one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviousRunRule {
    /// Any run.
    Any,
    /// Any but manual ones: a Dag that catches up.
    NotManual,
}

/// Which facts a Dag needs beyond the rows of its run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewNeeds {
    /// Tasks for [`XComFacts::mapped_lengths`].
    pub mapped_lengths_of: Vec<TaskId>,
    /// Tasks for [`XComFacts::return_value_counts`].
    pub return_value_counts_of: Vec<TaskId>,
    /// Tasks for [`XComFacts::skip_decisions`].
    pub skip_decisions_of: Vec<TaskId>,
    /// How to find [`PastFacts::previous`]; `None` when nothing depends on past.
    pub previous_run: Option<PreviousRunRule>,
    /// Tasks for [`PreviousRun::states`].
    pub past_tasks: Vec<TaskId>,
    /// Tasks for [`PastFacts::tasks_seen`].
    pub tasks_seen: Vec<TaskId>,
}

impl PreviousRunRule {
    /// Whether a run of this type can be the previous one.
    #[must_use]
    pub fn accepts(self, run_type: DagRunType) -> bool {
        match self {
            Self::Any => true,
            Self::NotManual => run_type != DagRunType::Manual,
        }
    }
}

impl ViewNeeds {
    /// What this Dag needs. Most Dags need nothing.
    #[must_use]
    pub fn of(dag: &SerializedDag) -> Self {
        let id = |task: &Task| task.task_id.clone();
        let expanded_over: BTreeSet<_> = dag
            .tasks()
            .iter()
            .flat_map(|task| &task.relations.expansion_dependencies)
            .collect();
        let expanded_over = || expanded_over.iter().map(|index| dag.task(**index));
        let past = || dag.tasks().iter().filter(|task| task.depends_on_past);
        let past_tasks: BTreeSet<TaskId> = past()
            .flat_map(|task| {
                let downstream = task.downstream.iter().map(|index| dag.task(*index));
                std::iter::once(task).chain(downstream.filter(|_| task.wait_for_downstream))
            })
            .map(id)
            .collect();
        let rule = if dag.attributes().catchup {
            PreviousRunRule::NotManual
        } else {
            PreviousRunRule::Any
        };
        Self {
            mapped_lengths_of: expanded_over()
                .filter(|task| !task.is_mapped)
                .map(id)
                .collect(),
            return_value_counts_of: expanded_over()
                .filter(|task| task.is_mapped)
                .map(id)
                .collect(),
            skip_decisions_of: dag
                .tasks()
                .iter()
                .filter(|task| task.can_skip_downstream && !task.downstream.is_empty())
                .map(id)
                .collect(),
            previous_run: past().next().map(|_| rule),
            past_tasks: past_tasks.into_iter().collect(),
            tasks_seen: past().map(id).collect(),
        }
    }
}

impl SkipDecision {
    /// Reads the JSON of a `skipmixin_key`: `{"followed": [ids]}` or `{"skipped": [ids]}`.
    /// Anything else decides nothing.
    #[must_use]
    pub fn parse(value: &Value) -> Self {
        // The child stores maps either plain or in the wrapper of its encoding.
        let value = match value.get("__var") {
            Some(inner) if value.get("__type").is_some() => inner,
            _ => value,
        };
        let ids = |key: &str| {
            let items = value.get(key)?.as_array()?;
            Some(
                items
                    .iter()
                    .filter_map(Value::as_str)
                    .map(TaskId::new)
                    .collect(),
            )
        };
        Self {
            followed: ids("followed"),
            skipped: ids("skipped"),
        }
    }

    /// Whether the decision is against this task.
    #[must_use]
    pub fn skips(&self, task_id: &TaskId) -> bool {
        let not_followed = self
            .followed
            .as_ref()
            .is_some_and(|ids| !ids.contains(task_id));
        not_followed
            || self
                .skipped
                .as_ref()
                .is_some_and(|ids| ids.contains(task_id))
    }
}
