//! A row of `task_instance`, and of `task_instance_history`.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    DagId, DagVersionId, JobId, MapIndex, PoolName, RunId, TaskId, TaskInstanceId,
    TaskInstanceState, TriggerId,
};

/// One task (or one mapped instance of it) in one Dag run.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskInstance {
    /// Identifies the present *try*; see [`TaskInstanceId`].
    pub id: TaskInstanceId,
    pub dag_id: DagId,
    pub run_id: RunId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub state: TaskInstanceState,
    /// 0 before the first scheduling; grows when the instance is set to `scheduled`.
    pub try_number: i32,
    pub max_tries: i32,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub duration_secs: Option<f64>,
    pub scheduled_dttm: Option<Timestamp>,
    pub queued_dttm: Option<Timestamp>,
    pub queued_by_job_id: Option<JobId>,
    pub last_heartbeat_at: Option<Timestamp>,
    pub hostname: String,
    pub unixname: String,
    pub pid: Option<i32>,
    pub external_executor_id: Option<String>,
    pub pool: PoolName,
    pub pool_slots: i32,
    pub queue: String,
    pub priority_weight: i64,
    pub operator: String,
    pub custom_operator_name: Option<String>,
    pub executor: Option<String>,
    pub executor_config: Value,
    pub trigger_id: Option<TriggerId>,
    pub trigger_timeout: Option<Timestamp>,
    pub next_method: Option<String>,
    /// Opaque serde JSON text; kept as the child wrote it.
    pub next_kwargs: Option<String>,
    pub dag_version_id: Option<DagVersionId>,
    pub retry_delay_override_secs: Option<f64>,
    pub retry_reason: Option<String>,
    pub rendered_map_index: Option<String>,
    pub note: Option<String>,
    pub updated_at: Timestamp,
}

impl TaskInstance {
    /// What names this try.
    #[must_use]
    pub fn key(&self) -> TaskInstanceKey {
        TaskInstanceKey {
            dag_id: self.dag_id.clone(),
            run_id: self.run_id.clone(),
            task_id: self.task_id.clone(),
            map_index: self.map_index,
            try_number: self.try_number,
        }
    }

    /// Whether the *worker* should ask for a retry when this try fails.
    ///
    /// `state` is the state the row had before it started running.
    /// Source: runtime protocols §1.7.
    #[must_use]
    pub fn should_retry(&self, state: TaskInstanceState) -> bool {
        state == TaskInstanceState::Restarting
            || (self.max_tries != 0 && self.try_number <= self.max_tries)
    }
}

/// What it takes to create a task instance.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTaskInstance {
    pub id: TaskInstanceId,
    pub dag_id: DagId,
    pub run_id: RunId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub state: TaskInstanceState,
    pub max_tries: i32,
    pub pool: PoolName,
    pub pool_slots: i32,
    pub queue: String,
    pub priority_weight: i64,
    /// The weight comes from a class of the user, which is asked before the instance is queued.
    pub has_custom_weight: bool,
    pub operator: String,
    pub custom_operator_name: Option<String>,
    pub executor: Option<String>,
    pub executor_config: Value,
    pub dag_version_id: DagVersionId,
}

/// Names one try for messages between roles: enough to load it, nothing that can go stale.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TaskInstanceKey {
    pub dag_id: DagId,
    pub run_id: RunId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub try_number: i32,
}

impl TaskInstanceKey {
    /// Where the log of this try is, below the log folder: Airflow's default layout.
    #[must_use]
    pub fn log_path(&self) -> String {
        let map_index = if self.map_index.is_mapped() {
            format!("map_index={}/", self.map_index)
        } else {
            String::new()
        };
        format!(
            "dag_id={}/run_id={}/task_id={}/{map_index}attempt={}.log",
            self.dag_id, self.run_id, self.task_id, self.try_number
        )
    }
}
