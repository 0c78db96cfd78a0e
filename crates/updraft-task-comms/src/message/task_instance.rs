//! Task instances and tasks.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::json::JsonText;
use crate::scalar::UtcDateTime;

/// Counts task instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetTICount {
    pub dag_id: String,
    pub map_index: Option<i64>,
    pub task_ids: Option<Vec<String>>,
    pub task_group_id: Option<String>,
    pub logical_dates: Option<Vec<UtcDateTime>>,
    pub run_ids: Option<Vec<String>>,
    pub states: Option<Vec<String>>,
}

/// Reads the states of task instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetTaskStates {
    pub dag_id: String,
    pub map_index: Option<i64>,
    pub task_ids: Option<Vec<String>>,
    pub task_group_id: Option<String>,
    pub logical_dates: Option<Vec<UtcDateTime>>,
    pub run_ids: Option<Vec<String>>,
}

/// Reads the same task's instance of an earlier run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetPreviousTI {
    pub dag_id: String,
    pub task_id: String,
    pub logical_date: Option<UtcDateTime>,
    #[serde(default = "GetPreviousTI::unmapped")]
    pub map_index: i64,
    pub state: Option<String>,
}

impl GetPreviousTI {
    fn unmapped() -> i64 {
        -1
    }
}

/// Reads what happened to the tasks of a run so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetTaskBreadcrumbs {
    pub dag_id: String,
    pub run_id: String,
}

/// Asks when a rescheduled sensor first started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetTaskRescheduleStartDate {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
    #[serde(default = "GetTaskRescheduleStartDate::first_try")]
    pub try_number: i64,
}

impl GetTaskRescheduleStartDate {
    fn first_try() -> i64 {
        1
    }
}

/// Skips direct downstream tasks, as branches and short circuits do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SkipDownstreamTasks {
    pub tasks: Vec<SkippedTask>,
}

/// A task to skip: every map index of it, or one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SkippedTask {
    Task(String),
    Mapped(String, i64),
}

/// Answers [`GetTICount`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TICount {
    pub count: i64,
}

/// Answers [`GetTaskStates`]: `{run id: {task id or taskid_mapindex: state}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskStatesResult {
    pub task_states: JsonText,
}

/// Answers [`GetPreviousTI`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviousTIResult {
    pub task_instance: Option<PreviousTIResponse>,
}

/// The task instance of a [`PreviousTIResult`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviousTIResponse {
    pub task_id: String,
    pub dag_id: String,
    pub run_id: String,
    pub logical_date: Option<UtcDateTime>,
    pub start_date: Option<UtcDateTime>,
    pub end_date: Option<UtcDateTime>,
    pub state: Option<String>,
    pub try_number: i64,
    pub map_index: Option<i64>,
    pub duration: Option<f64>,
}

/// Answers [`GetTaskBreadcrumbs`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskBreadcrumbsResult {
    pub breadcrumbs: Vec<TaskBreadcrumb>,
}

/// One line of a [`TaskBreadcrumbsResult`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskBreadcrumb {
    pub task_id: String,
    pub map_index: Option<i64>,
    pub state: Option<String>,
    pub operator: Option<String>,
    pub duration: Option<f64>,
}

/// Answers [`GetTaskRescheduleStartDate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRescheduleStartDate {
    pub start_date: Option<UtcDateTime>,
}
