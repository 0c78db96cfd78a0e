//! Task instances: what is sent to list, clear and change them, and what comes back.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use updraft_model::filter::Range;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagId, RunId, TaskId, TaskInstanceId, TaskInstanceState};

use crate::admin::JobResponse;
use crate::dag::DagVersionResponse;
use crate::dag_run::{DagRunResponse, NOTE_CHARS_MAX};
use crate::fields::{Body, Fields};
use crate::issue::{Checked, Issue};
use crate::time::{ApiTime, api_time};
use crate::value;
use updraft_model::python_repr::{repr, repr_text};

/// What an answer needs from the rows around a task instance.
#[derive(Clone, Debug)]
pub struct TaskInstanceContext {
    pub logical_date: Option<Timestamp>,
    pub run_after: Timestamp,
    pub dag_display_name: String,
    pub task_display_name: String,
    pub dag_version: Option<DagVersionResponse>,
    pub rendered_fields: Option<Value>,
    pub trigger: Option<TriggerResponse>,
    pub triggerer_job: Option<JobResponse>,
}

/// A trigger that a deferred task waits for.
#[derive(Clone, Debug, Serialize)]
pub struct TriggerResponse {
    pub id: i64,
    pub classpath: String,
    /// Encrypted at rest and never shown.
    pub kwargs: String,
    pub created_date: ApiTime,
    pub queue: Option<String>,
    pub triggerer_id: Option<i64>,
}

/// A task instance.
#[derive(Clone, Debug, Serialize)]
pub struct TaskInstanceResponse {
    pub id: TaskInstanceId,
    pub task_id: TaskId,
    pub dag_id: DagId,
    pub dag_run_id: RunId,
    pub map_index: i32,
    pub logical_date: Option<ApiTime>,
    pub run_after: ApiTime,
    pub start_date: Option<ApiTime>,
    pub end_date: Option<ApiTime>,
    pub duration: Option<f64>,
    pub state: Option<TaskInstanceState>,
    pub try_number: i32,
    pub max_tries: i32,
    pub task_display_name: String,
    pub dag_display_name: String,
    pub hostname: Option<String>,
    pub unixname: Option<String>,
    pub pool: String,
    pub pool_slots: i32,
    pub queue: Option<String>,
    pub priority_weight: Option<i64>,
    pub operator: Option<String>,
    pub operator_name: Option<String>,
    pub queued_when: Option<ApiTime>,
    pub scheduled_when: Option<ApiTime>,
    pub pid: Option<i32>,
    pub executor: Option<String>,
    pub executor_config: String,
    pub note: Option<String>,
    pub rendered_map_index: Option<String>,
    pub rendered_fields: Value,
    pub trigger: Option<TriggerResponse>,
    pub triggerer_job: Option<JobResponse>,
    pub dag_version: Option<DagVersionResponse>,
}

impl TaskInstanceResponse {
    /// The answer for a row.
    #[must_use]
    pub fn new(ti: &TaskInstance, context: TaskInstanceContext) -> Self {
        Self {
            id: ti.id,
            task_id: ti.task_id.clone(),
            dag_id: ti.dag_id.clone(),
            dag_run_id: ti.run_id.clone(),
            map_index: ti.map_index.0,
            logical_date: api_time(context.logical_date),
            run_after: ApiTime(context.run_after),
            start_date: api_time(ti.start_date),
            end_date: api_time(ti.end_date),
            duration: ti.duration_secs,
            state: stored_state(ti.state),
            try_number: ti.try_number,
            max_tries: ti.max_tries,
            task_display_name: context.task_display_name,
            dag_display_name: context.dag_display_name,
            hostname: Some(ti.hostname.clone()),
            unixname: Some(ti.unixname.clone()),
            pool: ti.pool.to_string(),
            pool_slots: ti.pool_slots,
            queue: Some(ti.queue.clone()),
            priority_weight: Some(ti.priority_weight),
            operator: Some(ti.operator.clone()),
            operator_name: Some(operator_name(ti)),
            queued_when: api_time(ti.queued_dttm),
            scheduled_when: api_time(ti.scheduled_dttm),
            pid: ti.pid,
            executor: ti.executor.clone(),
            executor_config: executor_config(&ti.executor_config),
            note: ti.note.clone(),
            rendered_map_index: rendered_map_index(ti),
            rendered_fields: context
                .rendered_fields
                .unwrap_or_else(|| Value::Object(Map::new())),
            trigger: context.trigger,
            triggerer_job: context.triggerer_job,
            dag_version: context.dag_version,
        }
    }
}

/// An instance that has rendered no name of its own is called by its number.
fn rendered_map_index(ti: &TaskInstance) -> Option<String> {
    let number = (ti.map_index.0 >= 0).then(|| ti.map_index.0.to_string());
    ti.rendered_map_index.clone().or(number)
}

fn stored_state(state: TaskInstanceState) -> Option<TaskInstanceState> {
    (state != TaskInstanceState::NoStatus).then_some(state)
}

fn operator_name(ti: &TaskInstance) -> String {
    ti.custom_operator_name
        .clone()
        .unwrap_or_else(|| ti.operator.clone())
}

fn executor_config(config: &Value) -> String {
    match config {
        Value::Null => "{}".to_owned(),
        config => repr(&crate::task::plain(config)),
    }
}

/// A page of task instances, counted by offset or walked by cursor.
#[derive(Clone, Debug, Serialize)]
pub struct TaskInstanceCollectionResponse {
    pub task_instances: Vec<TaskInstanceResponse>,
    pub total_entries: Option<i64>,
    pub total_entries_limit: Option<i64>,
    pub next_cursor: Option<String>,
    pub previous_cursor: Option<String>,
}

impl TaskInstanceCollectionResponse {
    /// All of a set, uncounted by page.
    #[must_use]
    pub fn whole(task_instances: Vec<TaskInstanceResponse>) -> Self {
        Self {
            total_entries: i64::try_from(task_instances.len()).ok(),
            task_instances,
            total_entries_limit: None,
            next_cursor: None,
            previous_cursor: None,
        }
    }
}

/// A task that a run gets because its Dag has a newer version.
#[derive(Clone, Debug, Serialize)]
pub struct NewTaskResponse {
    pub task_id: String,
    pub task_display_name: String,
}

/// What clearing a run would touch.
#[derive(Clone, Debug, Serialize)]
pub struct ClearTaskInstanceCollectionResponse {
    pub task_instances: Vec<TaskInstanceResponse>,
    pub total_entries: usize,
}

/// What clearing a run would add.
#[derive(Clone, Debug, Serialize)]
pub struct NewTaskCollectionResponse {
    pub task_instances: Vec<NewTaskResponse>,
    pub total_entries: usize,
}

/// What clearing a run answers.
#[derive(Clone, Debug)]
pub enum ClearedRun {
    WouldClear(ClearTaskInstanceCollectionResponse),
    WouldAdd(NewTaskCollectionResponse),
    Cleared(Box<DagRunResponse>),
}

/// One try of a task instance.
#[derive(Clone, Debug, Serialize)]
pub struct TaskInstanceHistoryResponse {
    pub task_id: TaskId,
    pub dag_id: DagId,
    pub dag_run_id: RunId,
    pub map_index: i32,
    pub start_date: Option<ApiTime>,
    pub end_date: Option<ApiTime>,
    pub duration: Option<f64>,
    pub state: Option<TaskInstanceState>,
    pub try_number: i32,
    pub max_tries: i32,
    pub task_display_name: String,
    pub dag_display_name: String,
    pub hostname: Option<String>,
    pub unixname: Option<String>,
    pub pool: String,
    pub pool_slots: i32,
    pub queue: Option<String>,
    pub priority_weight: Option<i64>,
    pub operator: Option<String>,
    pub operator_name: Option<String>,
    pub queued_when: Option<ApiTime>,
    pub scheduled_when: Option<ApiTime>,
    pub pid: Option<i32>,
    pub executor: Option<String>,
    pub executor_config: String,
    pub dag_version: Option<DagVersionResponse>,
}

impl TaskInstanceHistoryResponse {
    /// The answer for a try, present or past.
    #[must_use]
    pub fn new(ti: &TaskInstance, context: TaskInstanceContext) -> Self {
        let whole = TaskInstanceResponse::new(ti, context);
        Self {
            task_id: whole.task_id,
            dag_id: whole.dag_id,
            dag_run_id: whole.dag_run_id,
            map_index: whole.map_index,
            start_date: whole.start_date,
            end_date: whole.end_date,
            duration: whole.duration,
            state: whole.state,
            try_number: whole.try_number,
            max_tries: whole.max_tries,
            task_display_name: whole.task_display_name,
            dag_display_name: whole.dag_display_name,
            hostname: whole.hostname,
            unixname: whole.unixname,
            pool: whole.pool,
            pool_slots: whole.pool_slots,
            queue: whole.queue,
            priority_weight: whole.priority_weight,
            operator: whole.operator,
            operator_name: whole.operator_name,
            queued_when: whole.queued_when,
            scheduled_when: whole.scheduled_when,
            pid: whole.pid,
            executor: whole.executor,
            executor_config: whole.executor_config,
            dag_version: whole.dag_version,
        }
    }
}

/// The tries of a task instance.
#[derive(Clone, Debug, Serialize)]
pub struct TaskInstanceHistoryCollectionResponse {
    pub task_instances: Vec<TaskInstanceHistoryResponse>,
    pub total_entries: usize,
}

/// Why a task instance does not run.
#[derive(Clone, Debug, Serialize)]
pub struct TaskDependencyResponse {
    pub name: String,
    pub reason: String,
}

/// Everything that keeps a task instance from running.
#[derive(Clone, Debug, Serialize)]
pub struct TaskDependencyCollectionResponse {
    pub dependencies: Vec<TaskDependencyResponse>,
}

/// Why a task instance is where it is: Updraft's own answer.
#[derive(Clone, Debug, Serialize)]
pub struct TaskExplanationResponse {
    pub dag_id: DagId,
    pub dag_run_id: RunId,
    pub task_id: TaskId,
    pub map_index: i32,
    /// `None` for an instance without a state, and where there is no instance.
    pub state: Option<TaskInstanceState>,
    /// Whether it has still to begin.
    pub is_waiting: bool,
    /// One sentence.
    pub reason: String,
    /// When the reason goes away by itself.
    pub until: Option<ApiTime>,
}

/// The body that lists task instances of many runs.
#[derive(Clone, Debug, Default)]
pub struct TaskInstancesBatchBody {
    pub dag_ids: Option<Vec<String>>,
    pub dag_run_ids: Option<Vec<String>>,
    pub task_ids: Option<Vec<String>>,
    pub state: Option<Vec<Option<TaskInstanceState>>>,
    pub run_after: Range<Timestamp>,
    pub logical_date: Range<Timestamp>,
    pub start_date: Range<Timestamp>,
    pub end_date: Range<Timestamp>,
    pub duration: Range<f64>,
    pub pool: Option<Vec<String>>,
    pub queue: Option<Vec<String>>,
    pub executor: Option<Vec<String>>,
    pub page_offset: i64,
    pub page_limit: i64,
    pub order_by: Option<String>,
}

impl Body for TaskInstancesBatchBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let texts = || value::list_of(value::text);
        let state = value::nullable(value::one_of(STORED_STATES, TaskInstanceState::as_str));
        Self {
            dag_ids: fields.optional("dag_ids", texts()),
            dag_run_ids: fields.optional("dag_run_ids", texts()),
            task_ids: fields.optional("task_ids", texts()),
            state: fields.optional("state", value::list_of(state)),
            run_after: fields.range(
                [
                    "run_after_gte",
                    "run_after_gt",
                    "run_after_lte",
                    "run_after_lt",
                ],
                value::instant,
            ),
            logical_date: fields.range(
                [
                    "logical_date_gte",
                    "logical_date_gt",
                    "logical_date_lte",
                    "logical_date_lt",
                ],
                value::instant,
            ),
            start_date: fields.range(
                [
                    "start_date_gte",
                    "start_date_gt",
                    "start_date_lte",
                    "start_date_lt",
                ],
                value::instant,
            ),
            end_date: fields.range(
                ["end_date_gte", "end_date_gt", "end_date_lte", "end_date_lt"],
                value::instant,
            ),
            duration: fields.range(
                ["duration_gte", "duration_gt", "duration_lte", "duration_lt"],
                value::number,
            ),
            pool: fields.optional("pool", texts()),
            queue: fields.optional("queue", texts()),
            executor: fields.optional("executor", texts()),
            page_offset: fields.or("page_offset", 0, value::integer_from(0)),
            page_limit: fields.or("page_limit", 100, value::integer_from(0)),
            order_by: fields.optional("order_by", value::text),
        }
    }
}

/// The states that are written down, in the order Airflow lists them.
pub const STORED_STATES: &[TaskInstanceState] = &[
    TaskInstanceState::Removed,
    TaskInstanceState::Scheduled,
    TaskInstanceState::Queued,
    TaskInstanceState::Running,
    TaskInstanceState::Success,
    TaskInstanceState::Restarting,
    TaskInstanceState::Failed,
    TaskInstanceState::UpForRetry,
    TaskInstanceState::UpForReschedule,
    TaskInstanceState::UpstreamFailed,
    TaskInstanceState::Skipped,
    TaskInstanceState::Deferred,
    TaskInstanceState::AwaitingInput,
];

/// Which neighbours of a task are meant as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Include {
    pub upstream: bool,
    pub downstream: bool,
    pub future: bool,
    pub past: bool,
}

impl Include {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            upstream: fields.or("include_upstream", false, value::boolean),
            downstream: fields.or("include_downstream", false, value::boolean),
            future: fields.or("include_future", false, value::boolean),
            past: fields.or("include_past", false, value::boolean),
        }
    }
}

/// The body that changes task instances.
#[derive(Clone, Debug, Default)]
pub struct PatchTaskInstanceBody {
    pub new_state: Option<TaskInstanceState>,
    /// `Some(None)` removes the note.
    pub note: Option<Option<String>>,
    pub include: Include,
}

impl Body for PatchTaskInstanceBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let new_state = fields.optional("new_state", settable_state);
        let note = fields.optional("note", value::text_up_to(NOTE_CHARS_MAX));
        Self {
            new_state,
            note: fields.is_set("note").then_some(note),
            include: Include::read(fields),
        }
    }
}

fn settable_state(value: &Value) -> Checked<TaskInstanceState> {
    const SETTABLE: &[TaskInstanceState] = &[
        TaskInstanceState::Success,
        TaskInstanceState::Failed,
        TaskInstanceState::Skipped,
    ];
    let found = SETTABLE
        .iter()
        .find(|state| value.as_str() == Some(state.as_str()));
    found.copied().ok_or_else(|| {
        let msg = format!(
            "{} is not one of ['success', 'failed', 'skipped']",
            repr(value)
        );
        vec![Issue::rule(msg, value)]
    })
}

/// One task instance in a bulk request.
#[derive(Clone, Debug, Default)]
pub struct BulkTaskInstanceBody {
    pub patch: PatchTaskInstanceBody,
    pub task_id: String,
    /// `None`: every instance of the task.
    pub map_index: Option<i32>,
    pub dag_id: Option<String>,
    pub dag_run_id: Option<String>,
}

impl Body for BulkTaskInstanceBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            patch: PatchTaskInstanceBody::read(fields),
            task_id: fields.required("task_id", value::text),
            map_index: fields
                .optional("map_index", value::integer)
                .map(|index| i32::try_from(index).unwrap_or(i32::MAX)),
            dag_id: fields.optional("dag_id", value::text),
            dag_run_id: fields.optional("dag_run_id", value::text),
        }
    }
}

/// A task to clear, or one mapped instance of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClearSelector {
    pub task_id: String,
    pub map_index: Option<i32>,
}

/// The body that clears task instances of a Dag.
#[derive(Clone, Debug)]
pub struct ClearTaskInstancesBody {
    pub dry_run: bool,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub only_failed: bool,
    pub only_running: bool,
    pub reset_dag_runs: bool,
    pub task_ids: Option<Vec<ClearSelector>>,
    pub dag_run_id: Option<String>,
    pub include: Include,
    pub run_on_latest_version: Option<bool>,
    pub prevent_running_task: bool,
    pub note: Option<String>,
}

impl Body for ClearTaskInstancesBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let body = Self {
            dry_run: fields.or("dry_run", true, value::boolean),
            start_date: fields.optional("start_date", value::instant),
            end_date: fields.optional("end_date", value::instant),
            only_failed: fields.or("only_failed", true, value::boolean),
            only_running: fields.or("only_running", false, value::boolean),
            reset_dag_runs: fields.or("reset_dag_runs", true, value::boolean),
            task_ids: fields.optional("task_ids", value::list_of(clear_selector)),
            dag_run_id: fields.optional("dag_run_id", value::text),
            include: Include::read(fields),
            run_on_latest_version: fields.optional("run_on_latest_version", value::boolean),
            prevent_running_task: fields.or("prevent_running_task", false, value::boolean),
            note: fields.optional("note", value::text_up_to(NOTE_CHARS_MAX)),
        };
        check_clear_rules(&body, fields);
        body
    }
}

fn check_clear_rules(body: &ClearTaskInstancesBody, fields: &mut Fields<'_>) {
    fields.rule(
        !(body.only_failed && body.only_running && fields.is_set("only_failed")),
        "only_failed and only_running both are set to True",
    );
    let in_order = body
        .start_date
        .zip(body.end_date)
        .is_none_or(|(start, end)| start <= end);
    fields.rule(in_order, "end_date is sooner than start_date");
    fields.rule(
        !(body.start_date.is_some() && body.dag_run_id.is_some()),
        "Exactly one of dag_run_id or start_date must be provided",
    );
    fields.rule(
        !(body.end_date.is_some() && body.dag_run_id.is_some()),
        "Exactly one of dag_run_id or end_date must be provided",
    );
}

fn clear_selector(value: &Value) -> Checked<ClearSelector> {
    match value {
        Value::String(task_id) => Ok(ClearSelector {
            task_id: task_id.clone(),
            map_index: None,
        }),
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(task_id), index] => Ok(ClearSelector {
                task_id: task_id.clone(),
                map_index: i32::try_from(value::integer(index)?).ok(),
            }),
            _ => Err(vec![Issue::new(
                "tuple_type",
                format!(
                    "Input should be a task id and a map index, found {}",
                    repr(value)
                ),
                value,
            )]),
        },
        other => Err(vec![Issue::new(
            "string_type",
            "Input should be a valid string",
            other,
        )]),
    }
}

/// Names a task in Airflow's error texts.
#[must_use]
pub fn quoted(id: &str) -> String {
    repr_text(id)
}
