//! Changes of task instances: states, notes, clearing, one by one, by group and in bulk.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use updraft_execution::{ViewOf, load_view};
use updraft_model::dag_run::DagRun;
use updraft_model::filter::Range;
use updraft_model::python_repr::repr_text;
use updraft_model::serialized::SerializedDag;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{MapIndex, TaskInstanceId, TaskInstanceState};
use updraft_planning::clear::{RunAfterClear, RunningInstances};
use updraft_planning::run::ViewNeeds;
use updraft_rest_api::bulk::{
    BulkAction, BulkActionResponse, BulkBody, BulkResponse, Deletion, Entity, Otherwise,
};
use updraft_rest_api::task_instance::{
    BulkTaskInstanceBody, ClearTaskInstancesBody, Include, PatchTaskInstanceBody,
    TaskInstanceCollectionResponse,
};
use updraft_store::listing::TaskInstanceFilter;
use updraft_store::{Reader, RunKey};

use crate::actions::{
    ClearOrder, MarkOrder, Selector, clear, mark_instances, relatives_of, select_rows,
    with_relatives_in_run,
};
use crate::bulk::changed_fields;
use crate::call::{ANY, Answer, Call, ok};
use crate::dependencies::dag_of;
use crate::error::ApiError;
use crate::task_instances::{
    find_one, instance_not_found, query_map_index, responses, tasks_of_group,
};

/// The instances that a request is about.
struct Targets {
    dag: Arc<SerializedDag>,
    run: DagRun,
    rows: Vec<TaskInstance>,
    selectors: Vec<Selector>,
    /// For messages.
    subject: Subject,
}

enum Subject {
    Task(String),
    Group,
}

/// `PATCH …/taskInstances/{task_id}`: all instances, or the one of `map_index`.
pub(crate) async fn patch(call: Call) -> Answer {
    let targets = task_targets(&call, optional_map_index(&call)?).await?;
    patch_targets(&call, targets).await
}

/// `PATCH …/taskInstances/{task_id}/{map_index}`.
pub(crate) async fn patch_mapped(call: Call) -> Answer {
    let targets = task_targets(&call, Some(call.path_map_index()?)).await?;
    patch_targets(&call, targets).await
}

/// `PATCH …/taskInstances/{task_id}/dry_run`.
pub(crate) async fn dry_run(call: Call) -> Answer {
    let targets = task_targets(&call, optional_map_index(&call)?).await?;
    preview(&call, targets).await
}

/// `PATCH …/taskInstances/{task_id}/{map_index}/dry_run`.
pub(crate) async fn dry_run_mapped(call: Call) -> Answer {
    let targets = task_targets(&call, Some(call.path_map_index()?)).await?;
    preview(&call, targets).await
}

/// `PATCH …/taskGroupInstances/{group_id}`.
pub(crate) async fn patch_group(call: Call) -> Answer {
    let targets = group_targets(&call).await?;
    patch_targets(&call, targets).await
}

/// `PATCH …/taskGroupInstances/{group_id}/dry_run`.
pub(crate) async fn dry_run_group(call: Call) -> Answer {
    let targets = group_targets(&call).await?;
    preview(&call, targets).await
}

fn optional_map_index(call: &Call) -> Result<Option<MapIndex>, ApiError> {
    let mut query = call.query();
    let index = query.integer("map_index");
    query.finish()?;
    Ok(index.map(|index| MapIndex(i32::try_from(index).unwrap_or(i32::MAX))))
}

async fn task_targets(call: &Call, map_index: Option<MapIndex>) -> Result<Targets, ApiError> {
    // A body that makes no sense is refused before anything is looked up.
    call.read::<PatchTaskInstanceBody>()?;
    let (key, task_id) = (call.run_key(), call.task_id());
    let mut reader = call.reader().await?;
    let dag = call.require_serialized(&mut reader, &key.dag_id).await?;
    if dag.find_task(task_id.as_str()).is_none() {
        return Err(ApiError::not_found(format!(
            "Task '{task_id}' not found in Dag '{}'",
            key.dag_id
        )));
    }
    let selectors = vec![Selector { task_id, map_index }];
    let rows = rows_of(call, &mut reader, &key, &selectors).await?;
    let run = reader.find_dag_run(&key.dag_id, &key.run_id).await?;
    let (Some(run), false) = (run, rows.is_empty()) else {
        let index = map_index.unwrap_or(MapIndex::UNMAPPED);
        return Err(ApiError::not_found(vec![instance_not_found(call, index)]));
    };
    Ok(Targets {
        dag,
        run,
        rows,
        subject: Subject::Task(call.task_id().to_string()),
        selectors,
    })
}

async fn group_targets(call: &Call) -> Result<Targets, ApiError> {
    call.read::<PatchTaskInstanceBody>()?;
    let (key, group_id) = (call.run_key(), call.path("group_id"));
    let mut reader = call.reader().await?;
    let dag = call.require_serialized(&mut reader, &key.dag_id).await?;
    let tasks = tasks_of_group(&dag, group_id).map_err(|_| {
        ApiError::not_found(format!(
            "Task group '{group_id}' not found in DAG '{}'",
            key.dag_id
        ))
    })?;
    let selectors: Vec<Selector> = tasks
        .into_iter()
        .map(|task_id| Selector {
            task_id,
            map_index: None,
        })
        .collect();
    let rows = rows_of(call, &mut reader, &key, &selectors).await?;
    let run = reader.find_dag_run(&key.dag_id, &key.run_id).await?;
    let (Some(run), false) = (run, rows.is_empty()) else {
        return Err(ApiError::not_found(format!(
            "No task instances found for task group '{group_id}' in dag run '{}'",
            key.run_id
        )));
    };
    Ok(Targets {
        dag,
        run,
        rows,
        subject: Subject::Group,
        selectors,
    })
}

async fn rows_of(
    call: &Call,
    reader: &mut Reader,
    key: &RunKey,
    selectors: &[Selector],
) -> Result<Vec<TaskInstance>, ApiError> {
    let filter = TaskInstanceFilter {
        dag_ids: vec![key.dag_id.clone()],
        run_ids: vec![key.run_id.clone()],
        ..TaskInstanceFilter::default()
    };
    select_rows(reader, filter, Some(selectors), call.state.clock().now()).await
}

async fn patch_targets(call: &Call, targets: Targets) -> Answer {
    let body = call.read::<PatchTaskInstanceBody>()?;
    let fields = call.changed_fields()?;
    apply(call, &targets, &body, &fields).await?;
    let mut reader = call.reader().await?;
    let ids: BTreeSet<TaskInstanceId> = targets.rows.iter().map(|row| row.id).collect();
    let run = &targets.run;
    let rows = reader
        .load_task_instances_of_run(&run.dag_id, &run.run_id)
        .await?;
    let rows: Vec<TaskInstance> = rows
        .into_iter()
        .filter(|row| ids.contains(&row.id))
        .collect();
    let answered = responses(&call.state, &mut reader, &rows).await?;
    ok(&TaskInstanceCollectionResponse::whole(answered))
}

/// Writes the note, then the state.
async fn apply(
    call: &Call,
    targets: &Targets,
    body: &PatchTaskInstanceBody,
    fields: &[String],
) -> Result<(), ApiError> {
    let changes = |field: &str| fields.iter().any(|name| name == field);
    if let Some(note) = body.note.as_ref().filter(|_| changes("note")) {
        let ids: Vec<TaskInstanceId> = targets.rows.iter().map(|row| row.id).collect();
        write_notes(call, &ids, note.as_deref()).await?;
    }
    let Some(state) = body.new_state.filter(|_| changes("new_state")) else {
        return Ok(());
    };
    let marked = mark(call, targets, state, body.include, false).await?;
    if marked.is_empty() {
        return Err(ApiError::conflict(match &targets.subject {
            Subject::Task(task_id) => format!("Task id {task_id} is already in {state} state"),
            Subject::Group => {
                format!("All task instances in the group are already in {state} state")
            }
        }));
    }
    Ok(())
}

async fn mark(
    call: &Call,
    targets: &Targets,
    state: TaskInstanceState,
    include: Include,
    is_dry: bool,
) -> Result<Vec<TaskInstance>, ApiError> {
    let order = MarkOrder {
        dag: &targets.dag,
        run: &targets.run,
        selectors: &targets.selectors,
        include,
        state,
    };
    let mut reader = call.reader().await?;
    mark_instances(&call.state, &mut reader, &order, is_dry).await
}

async fn preview(call: &Call, targets: Targets) -> Answer {
    let body = call.read::<PatchTaskInstanceBody>()?;
    let rows = match body.new_state {
        Some(state) => mark(call, &targets, state, body.include, true).await?,
        None => Vec::new(),
    };
    let mut reader = call.reader().await?;
    let answered = responses(&call.state, &mut reader, &rows).await?;
    ok(&TaskInstanceCollectionResponse::whole(answered))
}

/// An empty note is no note.
async fn write_notes(
    call: &Call,
    ids: &[TaskInstanceId],
    note: Option<&str>,
) -> Result<(), ApiError> {
    let note = note.filter(|note| !note.is_empty());
    let user = call.user.name.as_str();
    let store = call.state.store();
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            for id in ids {
                tx.set_task_instance_note(*id, note, Some(user)).await?;
            }
            tx.commit().await
        })
        .await?;
    Ok(())
}

/// `DELETE …/taskInstances/{task_id}`.
pub(crate) async fn delete(call: Call) -> Answer {
    let map_index = query_map_index(&call)?;
    let mut reader = call.reader().await?;
    let ti = find_one(&call, &mut reader, map_index).await?;
    let ti = ti.ok_or_else(|| ApiError::not_found(instance_not_found(&call, map_index)))?;
    drop(reader);
    delete_rows(&call, &[ti.id]).await?;
    ok(&Value::Null)
}

async fn delete_rows(call: &Call, ids: &[TaskInstanceId]) -> Result<(), ApiError> {
    let store = call.state.store();
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            tx.delete_task_instances(ids).await?;
            tx.commit().await
        })
        .await?;
    Ok(())
}

/// `POST /dags/{dag_id}/clearTaskInstances`.
pub(crate) async fn clear_many(call: Call) -> Answer {
    let body = call.read::<ClearTaskInstancesBody>()?;
    let mut reader = call.reader().await?;
    let dag = call.require_serialized(&mut reader, &call.dag_id()).await?;
    let filter = clear_filter(&call, &mut reader, &body).await?;
    let selectors = clear_selectors(&call, &mut reader, &dag, &body).await?;
    let now = call.state.clock().now();
    let rows = select_rows(&mut reader, filter, selectors.as_deref(), now).await?;
    if body.dry_run {
        let answered = responses(&call.state, &mut reader, &rows).await?;
        return ok(&TaskInstanceCollectionResponse::whole(answered));
    }
    let order = ClearOrder {
        running: if body.prevent_running_task {
            RunningInstances::Refuse
        } else {
            RunningInstances::Restart
        },
        after: if body.reset_dag_runs {
            RunAfterClear::Queued
        } else {
            RunAfterClear::Untouched
        },
        run_on_latest_version: body.run_on_latest_version,
        rerun_with_latest_version: call.state.rerun_with_latest_version(),
    };
    let ids = clear(&call.state, &rows, order).await?;
    if let Some(note) = &body.note {
        write_notes(&call, &ids, Some(note)).await?;
    }
    let mut cleared = Vec::with_capacity(ids.len());
    for id in ids {
        cleared.extend(reader.find_task_instance(id).await?);
    }
    let answered = responses(&call.state, &mut reader, &cleared).await?;
    ok(&TaskInstanceCollectionResponse::whole(answered))
}

/// In which runs and states.
async fn clear_filter(
    call: &Call,
    reader: &mut Reader,
    body: &ClearTaskInstancesBody,
) -> Result<TaskInstanceFilter, ApiError> {
    let dag_id = call.dag_id();
    let states = match (body.only_failed, body.only_running) {
        (_, true) => vec![TaskInstanceState::Running],
        (true, false) => vec![TaskInstanceState::Failed, TaskInstanceState::UpstreamFailed],
        (false, false) => Vec::new(),
    };
    let mut filter = TaskInstanceFilter {
        dag_ids: vec![dag_id.clone()],
        states,
        ..TaskInstanceFilter::default()
    };
    let Include { past, future, .. } = body.include;
    let (mut start, mut end) = (body.start_date, body.end_date);
    if let Some(run_id) = &body.dag_run_id {
        let run = reader
            .find_dag_run(&dag_id, &run_id.as_str().into())
            .await?;
        let run = run.ok_or_else(|| {
            ApiError::not_found(format!("Dag Run id {run_id} not found in dag {dag_id}"))
        })?;
        if !past && !future {
            filter.run_ids = vec![run.run_id];
            return Ok(filter);
        }
        if run.logical_date.is_none() {
            return Err(ApiError::bad_request(
                "Cannot use include_past or include_future with no logical_date(e.g. manually or \
                 asset-triggered).",
            ));
        }
        (start, end) = (run.logical_date, run.logical_date);
    }
    filter.logical_date = Range {
        gte: start.filter(|_| !past),
        lte: end.filter(|_| !future),
        ..Range::default()
    };
    Ok(filter)
}

/// What was named, with its relatives; `None` for every task.
async fn clear_selectors(
    call: &Call,
    reader: &mut Reader,
    latest: &SerializedDag,
    body: &ClearTaskInstancesBody,
) -> Result<Option<Vec<Selector>>, ApiError> {
    let Some(named) = &body.task_ids else {
        return Ok(None);
    };
    let mut selectors: Vec<Selector> = named
        .iter()
        .map(|each| Selector {
            task_id: each.task_id.as_str().into(),
            map_index: each.map_index.map(MapIndex),
        })
        .collect();
    let run = match &body.dag_run_id {
        Some(run_id) => {
            let run_id = run_id.as_str().into();
            reader.find_examined_run(&call.dag_id(), &run_id).await?
        }
        None => None,
    };
    if let Some(locked) = run
        && let Some(dag) = dag_of(&call.state, reader, &locked).await?
    {
        let of = ViewOf {
            run: &locked.run,
            backfill_sort_ordinal: locked.backfill_sort_ordinal,
            max_task_retry_delay: call.state.settings().explain.max_task_retry_delay,
        };
        let view = load_view(reader, &dag, &ViewNeeds::of(&dag), &of).await?;
        let now = call.state.clock().now();
        // A task that the Dag has lost since has no relatives.
        let found = with_relatives_in_run(&view, &selectors, body.include, now);
        selectors.extend(found);
        return Ok(Some(selectors));
    }
    let relatives = relatives_of(latest, &selectors, body.include);
    selectors.extend(relatives.into_iter().map(|task_id| Selector {
        task_id,
        map_index: None,
    }));
    Ok(Some(selectors))
}

/// `PATCH …/taskInstances`.
pub(crate) async fn bulk(call: Call) -> Answer {
    let body = call.read::<BulkBody<BulkTaskInstanceBody>>()?;
    let mut answer = BulkResponse::default();
    for action in body.actions {
        match action {
            BulkAction::Create { .. } => answer
                .create
                .get_or_insert_default()
                .refuse(405, "Task instances bulk create is not supported"),
            BulkAction::Update {
                entities,
                update_mask,
                on_non_existence,
            } => {
                let applied = answer.update.get_or_insert_default();
                let mask = update_mask.as_deref();
                update_all(&call, &entities, mask, on_non_existence, applied).await?;
            }
            BulkAction::Delete {
                entities,
                on_non_existence,
            } => {
                let applied = answer.delete.get_or_insert_default();
                delete_all(&call, &entities, on_non_existence, applied).await?;
            }
        }
    }
    ok(&answer)
}

async fn update_all(
    call: &Call,
    entities: &[Entity<BulkTaskInstanceBody>],
    mask: Option<&[String]>,
    on_non_existence: Otherwise,
    applied: &mut BulkActionResponse,
) -> Result<(), ApiError> {
    let bodies = entities.iter().map(|entity| &entity.body);
    let found = find_all(call, bodies, on_non_existence, applied).await?;
    for (targets, entity) in found.into_iter().zip(entities) {
        let Some(targets) = targets else { continue };
        let fields = changed_fields(&entity.sent, mask);
        apply(call, &targets, &entity.body.patch, &fields).await?;
        applied.success.extend(targets.rows.iter().map(success_key));
    }
    Ok(())
}

async fn delete_all(
    call: &Call,
    entities: &[Deletion<BulkTaskInstanceBody>],
    on_non_existence: Otherwise,
    applied: &mut BulkActionResponse,
) -> Result<(), ApiError> {
    let bodies: Vec<BulkTaskInstanceBody> = entities.iter().map(body_of).collect();
    let found = find_all(call, bodies.iter(), on_non_existence, applied).await?;
    for targets in found.into_iter().flatten() {
        let ids: Vec<TaskInstanceId> = targets.rows.iter().map(|row| row.id).collect();
        delete_rows(call, &ids).await?;
        applied.success.extend(targets.rows.iter().map(success_key));
    }
    Ok(())
}

/// A plain key names a task of the run in the path.
fn body_of(entity: &Deletion<BulkTaskInstanceBody>) -> BulkTaskInstanceBody {
    match entity {
        Deletion::Entity(body) => body.clone(),
        Deletion::Key(task_id) => BulkTaskInstanceBody {
            task_id: task_id.clone(),
            ..BulkTaskInstanceBody::default()
        },
    }
}

fn success_key(row: &TaskInstance) -> String {
    format!(
        "{}.{}.{}[{}]",
        row.dag_id, row.run_id, row.task_id, row.map_index
    )
}

/// The instances of each entity, in order. When some are missing and that is not to be skipped, the
/// refusal is noted and nothing is found.
async fn find_all(
    call: &Call,
    bodies: impl Iterator<Item = &BulkTaskInstanceBody>,
    on_non_existence: Otherwise,
    applied: &mut BulkActionResponse,
) -> Result<Vec<Option<Targets>>, ApiError> {
    let mut reader = call.reader().await?;
    let mut found = Vec::new();
    for body in bodies {
        let key = key_of_entity(call, body)?;
        let targets = find(call, &mut reader, &key, body).await?;
        if targets.is_none() && on_non_existence == Otherwise::Fail {
            applied.refuse(
                404,
                format!(
                    "No task instances found for dag_id: {}, run_id: {}, task_id: {}",
                    key.dag_id, key.run_id, body.task_id
                ),
            );
            return Ok(Vec::new());
        }
        found.push(targets);
    }
    Ok(found)
}

async fn find(
    call: &Call,
    reader: &mut Reader,
    key: &RunKey,
    body: &BulkTaskInstanceBody,
) -> Result<Option<Targets>, ApiError> {
    let Some(run) = reader.find_dag_run(&key.dag_id, &key.run_id).await? else {
        return Ok(None);
    };
    let dag = call.require_serialized(reader, &key.dag_id).await?;
    let selectors = vec![Selector {
        task_id: body.task_id.as_str().into(),
        map_index: body.map_index.map(MapIndex),
    }];
    let rows = rows_of(call, reader, key, &selectors).await?;
    Ok((!rows.is_empty()).then(|| Targets {
        dag,
        run,
        rows,
        subject: Subject::Task(body.task_id.clone()),
        selectors,
    }))
}

/// The run an entity names, or that of the path.
fn key_of_entity(call: &Call, body: &BulkTaskInstanceBody) -> Result<RunKey, ApiError> {
    let in_path = call.run_key();
    let chosen = |own: &Option<String>, path: &str, what: &str| {
        let own = own.as_deref().filter(|own| *own != ANY);
        match own {
            Some(own) => Ok(own.to_owned()),
            None if path != ANY => Ok(path.to_owned()),
            None => Err(ApiError::bad_request(format!(
                "When the URL names no {what}, every entry must (missing on task_id: {}).",
                repr_text(&body.task_id)
            ))),
        }
    };
    Ok(RunKey {
        dag_id: chosen(&body.dag_id, in_path.dag_id.as_str(), "dag_id")?.into(),
        run_id: chosen(&body.dag_run_id, in_path.run_id.as_str(), "dag_run_id")?.into(),
    })
}
