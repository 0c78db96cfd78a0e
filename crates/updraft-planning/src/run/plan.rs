//! What a run needs, as data: to be applied in one transaction, by compare-and-set.

use jiff::{SignedDuration, Timestamp};
use updraft_model::{
    DagRunState, DagVersionId, MapIndex, TaskId, TaskInstanceId, TaskInstanceState,
};

use crate::Because;
use crate::run_state::RunTimes;

/// The net effect of one or more passes over one run.
///
/// Apply all or nothing: later changes rest on earlier ones. When a compare-and-set is lost, drop
/// the plan and plan again from fresh rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunPlan {
    /// Rows to change, by task id and map index.
    pub changes: Vec<TaskInstanceChange>,
    /// Rows to insert, by task id and map index.
    pub created: Vec<NewInstance>,
    /// Rows to delete: replaced by expanded ones.
    pub deleted: Vec<TaskInstanceId>,
    /// Rows that are about to be expanded: their XCom, rendered fields, task map, note and
    /// reschedule rows go first.
    pub forgotten: Vec<TaskInstanceId>,
    /// What becomes of the run itself; `None` while it keeps running.
    pub end: Option<RunEnd>,
    /// What waits, and why.
    pub waiting: Vec<Waiting>,
    /// When the next of them should be looked at although nothing happened.
    pub wake_at: Option<Timestamp>,
    /// How many passes it took.
    pub passes: u32,
    /// Nothing more would come of another pass now.
    pub is_settled: bool,
}

/// A row to change, guarded by `id` and `from`.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskInstanceChange {
    pub id: TaskInstanceId,
    pub task_id: TaskId,
    /// The map index to store; differs from the row's when an unmapped row becomes index 0.
    pub map_index: MapIndex,
    /// The state the view showed.
    pub from: TaskInstanceState,
    pub to: InstanceFields,
    pub because: Because,
}

/// A row to insert. Its other columns come from the task.
#[derive(Clone, Debug, PartialEq)]
pub struct NewInstance {
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub dag_version_id: Option<DagVersionId>,
    pub max_tries: i32,
    pub fields: InstanceFields,
    pub because: Because,
}

/// The columns that planning decides, with the values to store.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceFields {
    pub state: TaskInstanceState,
    pub try_number: i32,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    /// `None`: leave as it is.
    pub duration: Option<SignedDuration>,
    /// `None`: leave as it is.
    pub scheduled_dttm: Option<Timestamp>,
    /// For [`TaskInstanceState::Deferred`] only: the task starts in the triggerer.
    pub deferral: Option<Deferral>,
}

/// A deferral without a worker, from `start_trigger_args` of the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferral {
    /// Trigger timeout and execution timeout, whichever is earlier.
    pub trigger_timeout: Option<Timestamp>,
}

/// The run is over.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnd {
    pub state: DagRunState,
    pub reason: RunEndReason,
    pub times: RunTimes,
    /// Present when the Dag wants to hear of it.
    pub callback: Option<DagCallback>,
    /// `max_consecutive_failed_dag_runs` of the Dag, when it must now be checked.
    pub check_consecutive_failures: Option<i32>,
    /// Deadlines of the run that were not missed are void.
    pub prune_deadlines: bool,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEndReason {
    /// All tasks are done and a leaf failed.
    TaskFailure,
    /// All tasks are done and the leaves are fine.
    Success,
    /// Tasks are left, and none of them can ever run.
    AllTasksDeadlocked,
    /// `dagrun_timeout` has passed.
    TimedOut,
}

impl RunEndReason {
    /// The text that Airflow puts into the callback.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TaskFailure => "task_failure",
            Self::Success => "success",
            Self::AllTasksDeadlocked => "all_tasks_deadlocked",
            Self::TimedOut => "timed_out",
        }
    }
}

/// A Dag callback to request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DagCallback {
    pub is_failure: bool,
    pub msg: &'static str,
    /// The instance whose context the callback gets.
    pub last_ti: Option<(TaskId, MapIndex)>,
}

/// A task instance that could not be scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub because: Because,
}

impl RunPlan {
    /// The rows that become `scheduled`: work for the queueing step.
    pub fn scheduled(&self) -> impl Iterator<Item = (&TaskId, MapIndex)> {
        let is_scheduled = |state: TaskInstanceState| state == TaskInstanceState::Scheduled;
        let changed = self
            .changes
            .iter()
            .filter(move |change| is_scheduled(change.to.state))
            .map(|change| (&change.task_id, change.map_index));
        let created = self
            .created
            .iter()
            .filter(move |new| is_scheduled(new.fields.state))
            .map(|new| (&new.task_id, new.map_index));
        changed.chain(created)
    }

    /// Whether applying the plan would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
            && self.created.is_empty()
            && self.deleted.is_empty()
            && self.end.is_none()
    }
}
