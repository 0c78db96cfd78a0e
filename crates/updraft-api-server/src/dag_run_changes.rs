//! Changes of Dag runs: notes, states, clearing, one by one and in bulk.

use serde_json::Value;
use updraft_model::dag_run::DagRun;
use updraft_model::python_repr::repr_text;
use updraft_model::{DagId, TaskInstanceState};
use updraft_planning::clear::{RunAfterClear, RunningInstances};
use updraft_rest_api::bulk::{
    BulkAction, BulkActionResponse, BulkBody, BulkResponse, Deletion, Otherwise,
};
use updraft_rest_api::dag_run::{
    BulkDagRunBody, BulkDagRunClearBody, DagRunClearBody, DagRunCollectionResponse, DagRunPatchBody,
};
use updraft_rest_api::partition::RunSelection;
use updraft_rest_api::task_instance::{
    ClearTaskInstanceCollectionResponse, NewTaskCollectionResponse, NewTaskResponse,
    TaskInstanceResponse,
};
use updraft_store::listing::TaskInstanceFilter;
use updraft_store::{Reader, RunKey};

use crate::actions::{ClearOrder, add_new_tasks, clear, mark_run, select_rows};
use crate::bulk::changed_fields;
use crate::call::{ANY, Answer, Call, ok};
use crate::dag_runs::{deletable, require_run, response, responses};
use crate::error::ApiError;
use crate::{partitions, task_instances};

/// `PATCH …/dagRuns/{dag_run_id}`.
pub(crate) async fn patch(call: Call) -> Answer {
    let body = call.read::<DagRunPatchBody>()?;
    let fields = call.changed_fields()?;
    let key = call.run_key();
    let mut reader = call.reader().await?;
    let run = require_run(&mut reader, &key).await?;
    change(&call, &mut reader, &run, &body, &fields).await?;
    let run = require_run(&mut reader, &key).await?;
    ok(&response(&mut reader, run).await?)
}

async fn change(
    call: &Call,
    reader: &mut Reader,
    run: &DagRun,
    body: &DagRunPatchBody,
    fields: &[String],
) -> Result<(), ApiError> {
    let changes = |field: &str| fields.iter().any(|name| name == field);
    let key = crate::dag_runs::key_of(run);
    if let Some(note) = body.note.as_ref().filter(|_| changes("note")) {
        write_note(call, &key, note.as_deref()).await?;
    }
    if let Some(state) = body.state.filter(|_| changes("state")) {
        let dag = call.require_serialized(reader, &run.dag_id).await?;
        mark_run(&call.state, &dag, &key, state).await?;
    }
    Ok(())
}

/// An empty note is no note.
async fn write_note(call: &Call, key: &RunKey, note: Option<&str>) -> Result<(), ApiError> {
    let note = note.filter(|note| !note.is_empty());
    let now = call.state.clock().now();
    let store = call.state.store();
    let user = call.user.name.as_str();
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            tx.set_dag_run_note(&key.dag_id, &key.run_id, note, Some(user), now)
                .await?;
            tx.commit().await
        })
        .await?;
    Ok(())
}

/// `POST …/dagRuns/{dag_run_id}/clear`.
pub(crate) async fn clear_one(call: Call) -> Answer {
    let body = call.read::<DagRunClearBody>()?;
    let key = call.run_key();
    let mut reader = call.reader().await?;
    let run = require_run(&mut reader, &key).await?;
    if body.dry_run && body.only_new {
        return ok(&new_tasks(&call, &mut reader, &run).await?);
    }
    if body.dry_run {
        let rows = rows_to_clear(&call, &mut reader, &key, body.only_failed).await?;
        let task_instances = task_instances::responses(&call.state, &mut reader, &rows).await?;
        return ok(&would_clear(task_instances));
    }
    let moves = body.run_on_latest_version;
    clear_run(
        &call,
        &mut reader,
        &key,
        body.only_failed,
        body.only_new,
        moves,
    )
    .await?;
    if let Some(note) = &body.note {
        write_note(&call, &key, Some(note)).await?;
    }
    let run = require_run(&mut reader, &key).await?;
    ok(&response(&mut reader, run).await?)
}

fn would_clear(task_instances: Vec<TaskInstanceResponse>) -> ClearTaskInstanceCollectionResponse {
    ClearTaskInstanceCollectionResponse {
        total_entries: task_instances.len(),
        task_instances,
    }
}

async fn rows_to_clear(
    call: &Call,
    reader: &mut Reader,
    key: &RunKey,
    only_failed: bool,
) -> Result<Vec<updraft_model::task_instance::TaskInstance>, ApiError> {
    let failed = [TaskInstanceState::Failed, TaskInstanceState::UpstreamFailed];
    let filter = TaskInstanceFilter {
        dag_ids: vec![key.dag_id.clone()],
        run_ids: vec![key.run_id.clone()],
        states: if only_failed {
            failed.to_vec()
        } else {
            Vec::new()
        },
        ..TaskInstanceFilter::default()
    };
    select_rows(reader, filter, None, call.state.clock().now()).await
}

/// Clears what is asked for, or only adds the tasks that the run lacks.
async fn clear_run(
    call: &Call,
    reader: &mut Reader,
    key: &RunKey,
    only_failed: bool,
    only_new: bool,
    run_on_latest_version: Option<bool>,
) -> Result<(), ApiError> {
    if only_new {
        return add_new_tasks(&call.state, reader, key).await;
    }
    let rows = rows_to_clear(call, reader, key, only_failed).await?;
    let order = ClearOrder {
        running: RunningInstances::Restart,
        after: RunAfterClear::Queued,
        run_on_latest_version,
        rerun_with_latest_version: call.state.rerun_with_latest_version(),
    };
    clear(&call.state, &rows, order).await?;
    Ok(())
}

/// Tasks of the newest version that the run has no instance of.
async fn new_tasks(
    call: &Call,
    reader: &mut Reader,
    run: &DagRun,
) -> Result<NewTaskCollectionResponse, ApiError> {
    let dag = call.require_serialized(reader, &run.dag_id).await?;
    let rows = reader
        .load_task_instances_of_run(&run.dag_id, &run.run_id)
        .await?;
    let new = dag
        .tasks()
        .iter()
        .filter(|task| !rows.iter().any(|row| row.task_id == task.task_id));
    let task_instances: Vec<NewTaskResponse> = new
        .map(|task| NewTaskResponse {
            task_id: task.task_id.to_string(),
            task_display_name: updraft_rest_api::task::display_name(task),
        })
        .collect();
    Ok(NewTaskCollectionResponse {
        total_entries: task_instances.len(),
        task_instances,
    })
}

/// `POST /dags/{dag_id}/clearDagRuns`.
pub(crate) async fn clear_many(call: Call) -> Answer {
    let body = call.read::<BulkDagRunClearBody>()?;
    let mut reader = call.reader().await?;
    let keys = selected(&call, &mut reader, &body.runs).await?;
    if body.dry_run {
        return ok(&preview_all(&call, &mut reader, &keys, body.only_failed).await?);
    }
    let mut runs = Vec::new();
    for key in &keys {
        let (failed, new, moves) = (body.only_failed, body.only_new, body.run_on_latest_version);
        clear_run(&call, &mut reader, key, failed, new, moves).await?;
        if let Some(note) = &body.note {
            write_note(&call, key, Some(note)).await?;
        }
        runs.push(require_run(&mut reader, key).await?);
    }
    ok(&DagRunCollectionResponse {
        total_entries: i64::try_from(runs.len()).ok(),
        dag_runs: responses(&mut reader, &runs).await?,
        total_entries_limit: None,
        next_cursor: None,
        previous_cursor: None,
    })
}

/// The runs that are meant, each once.
async fn selected(
    call: &Call,
    reader: &mut Reader,
    runs: &RunSelection<Vec<BulkDagRunBody>>,
) -> Result<Vec<RunKey>, ApiError> {
    let RunSelection::Named(named) = runs else {
        return partitions::selected(call, reader, runs).await;
    };
    let mut keys = Vec::new();
    for each in named {
        let key = key_of_entity(call, each.dag_id.as_deref(), &each.dag_run_id)?;
        require_run(reader, &key).await?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

async fn preview_all(
    call: &Call,
    reader: &mut Reader,
    keys: &[RunKey],
    only_failed: bool,
) -> Result<ClearTaskInstanceCollectionResponse, ApiError> {
    let mut task_instances = Vec::new();
    for key in keys {
        let rows = rows_to_clear(call, reader, key, only_failed).await?;
        task_instances.extend(task_instances::responses(&call.state, reader, &rows).await?);
    }
    Ok(would_clear(task_instances))
}

/// The run an entity names, under the Dag of the path or, where that is `~`, under its own.
fn key_of_entity(call: &Call, own: Option<&str>, run_id: &str) -> Result<RunKey, ApiError> {
    let in_path = call.dag_id();
    let dag_id: DagId = match own.filter(|own| *own != ANY) {
        Some(own) if in_path == ANY || in_path == own => own.into(),
        Some(own) => {
            return Err(ApiError::bad_request(format!(
                "Entry dag_id {} does not match the URL dag_id {}.",
                repr_text(own),
                repr_text(in_path.as_str())
            )));
        }
        None if in_path == ANY => {
            return Err(ApiError::bad_request(format!(
                "When the URL dag_id is '~', every entry must provide a concrete dag_id (missing on \
                 dag_run_id: {}).",
                repr_text(run_id)
            )));
        }
        None => in_path,
    };
    Ok(RunKey {
        dag_id,
        run_id: run_id.into(),
    })
}

/// `PATCH /dags/{dag_id}/dagRuns`.
pub(crate) async fn bulk(call: Call) -> Answer {
    let body = call.read::<BulkBody<BulkDagRunBody>>()?;
    let mut answer = BulkResponse::default();
    for action in body.actions {
        match action {
            BulkAction::Create { .. } => answer.create.get_or_insert_default().refuse(
                405,
                "Dag Runs bulk create is not supported. Use the trigger Dag Run endpoint instead.",
            ),
            BulkAction::Update {
                entities,
                update_mask,
                on_non_existence,
            } => {
                let applied = answer.update.get_or_insert_default();
                let entities: Vec<(BulkDagRunBody, Value)> = entities
                    .into_iter()
                    .map(|each| (each.body, each.sent))
                    .collect();
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
    entities: &[(BulkDagRunBody, Value)],
    mask: Option<&[String]>,
    on_non_existence: Otherwise,
    applied: &mut BulkActionResponse,
) -> Result<(), ApiError> {
    let mut reader = call.reader().await?;
    let named = entities
        .iter()
        .map(|(body, _)| (body.dag_id.as_deref(), &body.dag_run_id));
    let found = find_all(call, &mut reader, named, on_non_existence, applied).await?;
    for (run, (body, sent)) in found.iter().zip(entities) {
        if let Some(run) = run {
            let fields = changed_fields(sent, mask);
            change(call, &mut reader, run, &body.patch, &fields).await?;
            applied
                .success
                .push(format!("{}.{}", run.dag_id, run.run_id));
        }
    }
    Ok(())
}

/// The runs in the order of their entities. When one is missing and that is not to be skipped, the
/// refusal is noted and nothing is found.
async fn find_all<'e>(
    call: &Call,
    reader: &mut Reader,
    named: impl Iterator<Item = (Option<&'e str>, &'e String)>,
    on_non_existence: Otherwise,
    applied: &mut BulkActionResponse,
) -> Result<Vec<Option<DagRun>>, ApiError> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for (dag_id, run_id) in named {
        let key = key_of_entity(call, dag_id, run_id)?;
        let run = reader.find_dag_run(&key.dag_id, &key.run_id).await?;
        if run.is_none() {
            let dag_id = repr_text(key.dag_id.as_str());
            missing.push(format!("({dag_id}, {})", repr_text(run_id)));
        }
        found.push(run);
    }
    if on_non_existence == Otherwise::Fail && !missing.is_empty() {
        let missing = missing.join(", ");
        applied.refuse(
            404,
            format!("The DagRuns with these identifiers: [{missing}] were not found"),
        );
        found.clear();
    }
    Ok(found)
}

async fn delete_all(
    call: &Call,
    entities: &[Deletion<BulkDagRunBody>],
    on_non_existence: Otherwise,
    applied: &mut BulkActionResponse,
) -> Result<(), ApiError> {
    let mut reader = call.reader().await?;
    let named = entities.iter().map(|entity| match entity {
        Deletion::Key(run_id) => (None, run_id),
        Deletion::Entity(body) => (body.dag_id.as_deref(), &body.dag_run_id),
    });
    let found = find_all(call, &mut reader, named, on_non_existence, applied).await?;
    drop(reader);
    let store = call.state.store();
    for run in found.into_iter().flatten() {
        let key = crate::dag_runs::key_of(&run);
        let refused = store
            .retry(|| async {
                let mut tx = store.write().await?;
                let run = tx.find_dag_run(&key.dag_id, &key.run_id).await?;
                if deletable(run, &key).is_err() {
                    return Ok(true);
                }
                tx.delete_dag_run(&key.dag_id, &key.run_id).await?;
                tx.commit().await?;
                Ok(false)
            })
            .await?;
        let name = format!("{}.{}", key.dag_id, key.run_id);
        if refused {
            let run_id = &key.run_id;
            applied.refuse(
                409,
                format!("The DagRun `{run_id}` runs and cannot be deleted"),
            );
        } else {
            applied.success.push(name);
        }
    }
    Ok(())
}
