//! Task instances: list and show them and their tries. Changing them is in
//! [`crate::task_instance_changes`].

use std::collections::BTreeMap;

use updraft_model::filter::Page;
use updraft_model::job::Job;
use updraft_model::serialized::{GroupChild, GroupIndex, SerializedDag};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagId, DagVersionId, JobId, MapIndex, TaskId, TaskInstanceState};
use updraft_rest_api::admin::JobResponse;
use updraft_rest_api::dag::DagVersionResponse;
use updraft_rest_api::query::Query;
use updraft_rest_api::task::display_name;
use updraft_rest_api::task_instance::{
    STORED_STATES, TaskDependencyCollectionResponse, TaskInstanceCollectionResponse,
    TaskInstanceContext, TaskInstanceHistoryCollectionResponse, TaskInstanceHistoryResponse,
    TaskInstanceResponse, TaskInstancesBatchBody, TriggerResponse,
};
use updraft_rest_api::time::ApiTime;
use updraft_rest_api::value;
use updraft_store::listing::{TaskInstanceFilter, TriggerSummary, WALK_TOTAL_MAX};
use updraft_store::{Reader, RunKey};

use crate::call::{ANY, Answer, Call, dag_not_found, ok};
use crate::cursor::{Paging, encode, read_paging};
use crate::dag_info::names_of;
use crate::error::ApiError;
use crate::state::ApiState;

/// `GET …/taskInstances`; `~` for every Dag and every run.
pub(crate) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let mut filter = read_filter(&mut query)?;
    let paging = read_paging(&query)?;
    let group = query.text("task_group_id");
    query.finish()?;
    let mut reader = call.reader().await?;
    narrow_by_path(&call, &mut reader, &mut filter).await?;
    if let Some(group) = group {
        let dag = call.require_serialized(&mut reader, &call.dag_id()).await?;
        filter.task_ids = Some(tasks_of_group(&dag, &group)?);
    }
    ok(&collection(&call, &mut reader, &filter, &page, &paging).await?)
}

async fn narrow_by_path(
    call: &Call,
    reader: &mut Reader,
    filter: &mut TaskInstanceFilter,
) -> Result<(), ApiError> {
    let key = call.run_key();
    if key.dag_id == ANY {
        return if key.run_id == ANY {
            Ok(())
        } else {
            Err(ApiError::bad_request(
                "dag_id is required when dag_run_id is specified",
            ))
        };
    }
    filter.dag_ids = vec![key.dag_id.clone()];
    if key.run_id == ANY {
        let dag = reader.find_dag(&key.dag_id).await?;
        return dag
            .map(drop)
            .ok_or_else(|| dag_not_found(key.dag_id.as_str()));
    }
    filter.run_ids = vec![key.run_id.clone()];
    let run = reader.find_dag_run(&key.dag_id, &key.run_id).await?;
    run.map(drop).ok_or_else(|| {
        ApiError::not_found(format!(
            "DagRun with dag_id: `{}` and run_id: `{}` was not found",
            key.dag_id, key.run_id
        ))
    })
}

/// `POST /dags/~/dagRuns/~/taskInstances/list`.
pub(crate) async fn list_batch(call: Call) -> Answer {
    call.require_any("dag_id")?;
    call.require_any("dag_run_id")?;
    let body = call.read::<TaskInstancesBatchBody>()?;
    let page = call.page_of(body.page_limit, body.page_offset, body.order_by);
    let states = body.state.unwrap_or_default();
    let filter = TaskInstanceFilter {
        dag_ids: ids(body.dag_ids.unwrap_or_default()),
        run_ids: ids(body.dag_run_ids.unwrap_or_default()),
        task_ids: body.task_ids.filter(|some| !some.is_empty()).map(ids),
        states: states
            .into_iter()
            .map(|state| state.unwrap_or(TaskInstanceState::NoStatus))
            .collect(),
        run_after: body.run_after,
        logical_date: body.logical_date,
        start_date: body.start_date,
        end_date: body.end_date,
        duration: body.duration,
        pools: body.pool.unwrap_or_default(),
        queues: body.queue.unwrap_or_default(),
        executors: body.executor.unwrap_or_default(),
        ..TaskInstanceFilter::default()
    };
    let mut reader = call.reader().await?;
    ok(&collection(&call, &mut reader, &filter, &page, &Paging::Offset).await?)
}

/// `GET …/taskInstances/{task_id}/listMapped`.
pub(crate) async fn list_mapped(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let mut filter = read_filter(&mut query)?;
    query.finish()?;
    let key = call.run_key();
    filter.dag_ids = vec![key.dag_id.clone()];
    filter.run_ids = vec![key.run_id.clone()];
    filter.task_ids = Some(vec![call.task_id()]);
    filter.mapped_only = true;
    let mut reader = call.reader().await?;
    let listed = collection(&call, &mut reader, &filter, &page, &Paging::Offset).await?;
    if listed.total_entries == Some(0) {
        require_mapped(&call, &mut reader).await?;
    }
    ok(&listed)
}

/// An empty list of mapped instances is an answer only for a task that is mapped.
async fn require_mapped(call: &Call, reader: &mut Reader) -> Result<(), ApiError> {
    let task_id = call.task_id();
    let latest = call
        .state
        .dags()
        .latest(&call.state, reader, &call.dag_id())
        .await?;
    let task = latest
        .as_ref()
        .and_then(|(_, dag)| dag.find_task(task_id.as_str()));
    match task {
        None => Err(ApiError::not_found(format!("Task id {task_id} not found"))),
        Some(task) if !task.needs_expansion => Err(ApiError::not_found(format!(
            "Task id {task_id} is not mapped"
        ))),
        Some(_) => Ok(()),
    }
}

async fn collection(
    call: &Call,
    reader: &mut Reader,
    filter: &TaskInstanceFilter,
    page: &Page,
    paging: &Paging,
) -> Result<TaskInstanceCollectionResponse, ApiError> {
    let now = call.state.clock().now();
    match paging {
        Paging::Offset => {
            let listed = reader.list_task_instances(filter, page, now).await?;
            Ok(TaskInstanceCollectionResponse {
                task_instances: responses(&call.state, reader, &listed.rows).await?,
                total_entries: Some(listed.total),
                total_entries_limit: None,
                next_cursor: None,
                previous_cursor: None,
            })
        }
        Paging::Cursor(cursor) => {
            let cursor = cursor.as_ref();
            let walked = reader
                .walk_task_instances(filter, page, cursor, now)
                .await?;
            Ok(TaskInstanceCollectionResponse {
                task_instances: responses(&call.state, reader, &walked.rows).await?,
                total_entries: Some(walked.total),
                total_entries_limit: Some(WALK_TOTAL_MAX),
                next_cursor: walked.next.as_ref().map(encode),
                previous_cursor: walked.previous.as_ref().map(encode),
            })
        }
    }
}

/// Task instances with everything their answers show of other tables.
pub(crate) async fn responses(
    state: &ApiState,
    reader: &mut Reader,
    rows: &[TaskInstance],
) -> Result<Vec<TaskInstanceResponse>, ApiError> {
    let mut surroundings = Surroundings::load(state, reader, rows).await?;
    surroundings.rendered_fields = reader.load_rendered_fields(rows).await?;
    let triggers: Vec<i64> = rows
        .iter()
        .filter_map(|ti| ti.trigger_id.map(|id| id.0))
        .collect();
    surroundings.triggers = reader.load_trigger_summaries(&triggers).await?;
    let jobs: Vec<JobId> = surroundings
        .triggers
        .values()
        .filter_map(|trigger| trigger.triggerer_id.map(JobId))
        .collect();
    surroundings.triggerer_jobs = reader.load_jobs(&jobs).await?;
    let answered = rows.iter().map(|ti| {
        let context = surroundings.context_of(ti);
        TaskInstanceResponse::new(ti, context)
    });
    Ok(answered.collect())
}

/// One task instance as an answer.
pub(crate) async fn response(
    state: &ApiState,
    reader: &mut Reader,
    ti: TaskInstance,
) -> Result<TaskInstanceResponse, ApiError> {
    let mut one = responses(state, reader, &[ti]).await?;
    Ok(one.remove(0))
}

/// Rows of other tables that the answers for a page of task instances show.
pub(crate) struct Surroundings {
    runs: BTreeMap<RunKey, updraft_store::listing::RunDates>,
    dag_names: BTreeMap<DagId, String>,
    versions: BTreeMap<DagVersionId, DagVersionResponse>,
    /// Only tasks whose name is not their id.
    task_names: BTreeMap<(DagVersionId, TaskId), String>,
    rendered_fields: BTreeMap<(RunKey, TaskId, i32), serde_json::Value>,
    triggers: BTreeMap<i64, TriggerSummary>,
    triggerer_jobs: BTreeMap<JobId, Job>,
}

impl Surroundings {
    pub(crate) async fn load(
        state: &ApiState,
        reader: &mut Reader,
        rows: &[TaskInstance],
    ) -> Result<Self, ApiError> {
        let mut keys: Vec<RunKey> = rows.iter().map(key_of).collect();
        keys.sort_unstable();
        keys.dedup();
        let dag_names = names_of(reader, rows.iter().map(|ti| ti.dag_id.clone()).collect()).await?;
        let mut ids: Vec<DagVersionId> = rows.iter().filter_map(|ti| ti.dag_version_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut versions = BTreeMap::new();
        let mut task_names = BTreeMap::new();
        for (id, version) in reader.load_dag_versions(&ids).await? {
            let name = dag_names
                .get(&version.dag_id)
                .map_or(version.dag_id.as_str(), String::as_str);
            versions.insert(id, DagVersionResponse::new(&version, name));
            if let Some(dag) = state.dags().structure(state, reader, &version).await? {
                let named = dag
                    .tasks()
                    .iter()
                    .filter(|task| task.display_name.is_some());
                task_names
                    .extend(named.map(|task| ((id, task.task_id.clone()), display_name(task))));
            }
        }
        Ok(Self {
            runs: reader.load_run_dates(&keys).await?,
            dag_names,
            versions,
            task_names,
            rendered_fields: BTreeMap::new(),
            triggers: BTreeMap::new(),
            triggerer_jobs: BTreeMap::new(),
        })
    }

    pub(crate) fn context_of(&self, ti: &TaskInstance) -> TaskInstanceContext {
        let key = key_of(ti);
        let run = self.runs.get(&key);
        let version = ti.dag_version_id;
        let named = version.and_then(|id| self.task_names.get(&(id, ti.task_id.clone())));
        let trigger = ti.trigger_id.and_then(|id| self.triggers.get(&id.0));
        let job = trigger.and_then(|trigger| trigger.triggerer_id);
        let job = job.and_then(|id| self.triggerer_jobs.get(&JobId(id)));
        TaskInstanceContext {
            logical_date: run.and_then(|run| run.logical_date),
            run_after: run.map_or(ti.updated_at, |run| run.run_after),
            dag_display_name: self
                .dag_names
                .get(&ti.dag_id)
                .cloned()
                .unwrap_or_else(|| ti.dag_id.to_string()),
            task_display_name: named.cloned().unwrap_or_else(|| ti.task_id.to_string()),
            dag_version: version.and_then(|id| self.versions.get(&id)).cloned(),
            rendered_fields: self
                .rendered_fields
                .get(&(key, ti.task_id.clone(), ti.map_index.0))
                .cloned(),
            trigger: trigger.map(trigger_response),
            triggerer_job: job.map(JobResponse::from),
        }
    }
}

fn trigger_response(trigger: &TriggerSummary) -> TriggerResponse {
    TriggerResponse {
        id: trigger.id,
        classpath: trigger.classpath.clone(),
        kwargs: "{}".to_owned(),
        created_date: ApiTime(trigger.created_date),
        queue: trigger.queue.clone(),
        triggerer_id: trigger.triggerer_id,
    }
}

fn key_of(ti: &TaskInstance) -> RunKey {
    RunKey {
        dag_id: ti.dag_id.clone(),
        run_id: ti.run_id.clone(),
    }
}

/// `GET …/taskInstances/{task_id}`: of a task that is not mapped.
pub(crate) async fn get(call: Call) -> Answer {
    let key = call.run_key();
    let task_id = call.task_id();
    let mut reader = call.reader().await?;
    let found = find_all(&call, &mut reader).await?;
    let Some(first) = found.first() else {
        return Err(ApiError::not_found(format!(
            "The Task Instance with dag_id: `{}`, run_id: `{}` and task_id: `{task_id}` was not \
             found",
            key.dag_id, key.run_id
        )));
    };
    if first.map_index != MapIndex::UNMAPPED {
        return Err(ApiError::not_found(
            "Task instance is mapped, add the map_index value to the URL",
        ));
    }
    ok(&response(&call.state, &mut reader, first.clone()).await?)
}

/// Every instance of a task in a run.
async fn find_all(call: &Call, reader: &mut Reader) -> Result<Vec<TaskInstance>, ApiError> {
    let key = call.run_key();
    let task_id = call.task_id();
    let rows = reader
        .load_task_instances_of_run(&key.dag_id, &key.run_id)
        .await?;
    Ok(rows
        .into_iter()
        .filter(|ti| ti.task_id == task_id)
        .collect())
}

/// `GET …/taskInstances/{task_id}/{map_index}`.
pub(crate) async fn get_mapped(call: Call) -> Answer {
    let map_index = call.path_map_index()?;
    let mut reader = call.reader().await?;
    let ti = find_one(&call, &mut reader, map_index).await?;
    let ti = ti.ok_or_else(|| {
        let key = call.run_key();
        ApiError::not_found(format!(
            "The Mapped Task Instance with dag_id: `{}`, run_id: `{}`, task_id: `{}`, and \
             map_index: `{map_index}` was not found",
            key.dag_id,
            key.run_id,
            call.task_id()
        ))
    })?;
    ok(&response(&call.state, &mut reader, ti).await?)
}

/// The instance that the path names.
pub(crate) async fn find_one(
    call: &Call,
    reader: &mut Reader,
    map_index: MapIndex,
) -> Result<Option<TaskInstance>, ApiError> {
    let key = call.run_key();
    let found = reader
        .find_task_instance_of(&key.dag_id, &key.run_id, &call.task_id(), map_index)
        .await?;
    Ok(found)
}

/// `map_index` in the query; -1 without one.
pub(crate) fn query_map_index(call: &Call) -> Result<MapIndex, ApiError> {
    let mut query = call.query();
    let index = query.integer("map_index").unwrap_or(-1);
    query.finish()?;
    Ok(MapIndex(i32::try_from(index).unwrap_or(i32::MAX)))
}

/// The refusal that names a task instance with its map index.
pub(crate) fn instance_not_found(call: &Call, map_index: MapIndex) -> String {
    let key = call.run_key();
    format!(
        "The Task Instance with dag_id: `{}`, run_id: `{}`, task_id: `{}` and map_index: \
         `{map_index}` was not found",
        key.dag_id,
        key.run_id,
        call.task_id()
    )
}

/// `GET …/tries`.
pub(crate) async fn tries(call: Call) -> Answer {
    let map_index = query_map_index(&call)?;
    tries_of(call, map_index).await
}

/// `GET …/{map_index}/tries`.
pub(crate) async fn tries_mapped(call: Call) -> Answer {
    let map_index = call.path_map_index()?;
    tries_of(call, map_index).await
}

async fn tries_of(call: Call, map_index: MapIndex) -> Answer {
    let mut reader = call.reader().await?;
    let rows = load_tries(&call, &mut reader, map_index).await?;
    if rows.is_empty() {
        return Err(ApiError::not_found(instance_not_found(&call, map_index)));
    }
    let surroundings = Surroundings::load(&call.state, &mut reader, &rows).await?;
    let answered: Vec<TaskInstanceHistoryResponse> = rows
        .iter()
        .map(|ti| TaskInstanceHistoryResponse::new(ti, surroundings.context_of(ti)))
        .collect();
    ok(&TaskInstanceHistoryCollectionResponse {
        total_entries: answered.len(),
        task_instances: answered,
    })
}

/// Past tries in order, then the present one.
pub(crate) async fn load_tries(
    call: &Call,
    reader: &mut Reader,
    map_index: MapIndex,
) -> Result<Vec<TaskInstance>, ApiError> {
    let key = call.run_key();
    let mut rows = reader
        .load_past_tries(&key.dag_id, &key.run_id, &call.task_id(), map_index)
        .await?;
    if let Some(present) = find_one(call, reader, map_index).await? {
        // One that waits for its next try is in the past tries already.
        if present.state != TaskInstanceState::UpForRetry {
            rows.push(present);
        }
    }
    Ok(rows)
}

/// `GET …/tries/{task_try_number}`.
pub(crate) async fn try_details(call: Call) -> Answer {
    let map_index = query_map_index(&call)?;
    try_of(call, map_index).await
}

/// `GET …/{map_index}/tries/{task_try_number}`.
pub(crate) async fn try_details_mapped(call: Call) -> Answer {
    let map_index = call.path_map_index()?;
    try_of(call, map_index).await
}

async fn try_of(call: Call, map_index: MapIndex) -> Answer {
    let number = call.path_number("task_try_number")?;
    let mut reader = call.reader().await?;
    let rows = load_tries(&call, &mut reader, map_index).await?;
    let found = rows
        .into_iter()
        .find(|ti| i64::from(ti.try_number) == number);
    let ti = found.ok_or_else(|| {
        let key = call.run_key();
        ApiError::not_found(format!(
            "The Task Instance with dag_id: `{}`, run_id: `{}`, task_id: `{}`, try_number: \
             `{number}` and map_index: `{map_index}` was not found",
            key.dag_id,
            key.run_id,
            call.task_id()
        ))
    })?;
    let surroundings =
        Surroundings::load(&call.state, &mut reader, std::slice::from_ref(&ti)).await?;
    ok(&TaskInstanceHistoryResponse::new(
        &ti,
        surroundings.context_of(&ti),
    ))
}

/// `GET …/dependencies`.
pub(crate) async fn dependencies(call: Call) -> Answer {
    let map_index = query_map_index(&call)?;
    dependencies_of(call, map_index).await
}

/// `GET …/{map_index}/dependencies`.
pub(crate) async fn dependencies_mapped(call: Call) -> Answer {
    let map_index = call.path_map_index()?;
    dependencies_of(call, map_index).await
}

async fn dependencies_of(call: Call, map_index: MapIndex) -> Answer {
    let mut reader = call.reader().await?;
    let found = find_one(&call, &mut reader, map_index).await?;
    // Quirk: a list with one text; HTTP surface §1.3.
    let not_found = || ApiError::not_found(vec![instance_not_found(&call, map_index)]);
    let ti = found.ok_or_else(not_found)?;
    let dependencies = crate::dependencies::of(&call.state, &mut reader, ti).await?;
    ok(&TaskDependencyCollectionResponse { dependencies })
}

/// The tasks of a group, those of its groups among them.
pub(crate) fn tasks_of_group(dag: &SerializedDag, group_id: &str) -> Result<Vec<TaskId>, ApiError> {
    let found = dag
        .groups()
        .iter()
        .position(|group| group.group_id.as_deref() == Some(group_id));
    let Some(found) = found else {
        return Err(ApiError::not_found(serde_json::json!({
            "reason": "not_found",
            "message": format!("Task group {group_id} not found"),
        })));
    };
    let mut tasks = Vec::new();
    let index = u32::try_from(found).unwrap_or(u32::MAX);
    collect_tasks(dag, GroupIndex(index), &mut tasks);
    Ok(tasks)
}

fn collect_tasks(dag: &SerializedDag, group: GroupIndex, tasks: &mut Vec<TaskId>) {
    for child in &dag.group(group).children {
        match child {
            GroupChild::Task(task) => tasks.push(dag.task(*task).task_id.clone()),
            GroupChild::Group(group) => collect_tasks(dag, *group, tasks),
        }
    }
}

fn read_filter(query: &mut Query) -> Result<TaskInstanceFilter, ApiError> {
    let task_id = query.text("task_id").map(|task_id| vec![task_id.into()]);
    Ok(TaskInstanceFilter {
        task_ids: task_id,
        dag_id: query.pattern("dag_id"),
        run_id: query.pattern("run_id"),
        states: read_states(query)?,
        run_after: query.instants("run_after"),
        logical_date: query.instants("logical_date"),
        start_date: query.instants("start_date"),
        end_date: query.instants("end_date"),
        updated_at: query.instants("updated_at"),
        duration: query.numbers("duration"),
        pools: query.texts("pool"),
        pool_name: query.pattern("pool_name"),
        queues: query.texts("queue"),
        queue_name: query.pattern("queue_name"),
        executors: query.texts("executor"),
        version_numbers: query.read_all("version_number", value::integer),
        try_numbers: query.read_all("try_number", value::integer),
        operators: query.texts("operator"),
        operator_name: query.pattern("operator_name"),
        map_indexes: query.read_all("map_index", value::integer),
        rendered_map_index: query.pattern("rendered_map_index"),
        ..TaskInstanceFilter::default()
    })
}

/// `state`, where `none` and `no_status` stand for instances without one.
pub(crate) fn read_states(query: &Query) -> Result<Vec<TaskInstanceState>, ApiError> {
    let find = |text: String| {
        if text == "none" || text == "no_status" {
            return Ok(TaskInstanceState::NoStatus);
        }
        let known = STORED_STATES.iter().find(|state| state.as_str() == text);
        known.copied().ok_or_else(|| {
            let names: Vec<&str> = STORED_STATES.iter().map(|state| state.as_str()).collect();
            ApiError::unprocessable(format!(
                "Invalid value for state. Valid values are {}",
                names.join(", ")
            ))
        })
    };
    query.texts("state").into_iter().map(find).collect()
}

fn ids<T: From<String>>(texts: Vec<String>) -> Vec<T> {
    texts.into_iter().map(T::from).collect()
}
