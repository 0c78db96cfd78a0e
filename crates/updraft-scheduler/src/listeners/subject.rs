//! From an event to what a hook is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tracing::debug;
use updraft_model::dag::DagVersion;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagId, DagVersionId, RunId};
use updraft_plugins::{DagSource, RunRows, Subject, dag_facts, run_facts};
use updraft_store::{Error as StoreError, ListenerEvent, Reader, Store};
use updraft_timetable::isoformat;

/// Loads what an event is about; `None` when it is gone.
pub(super) async fn of(
    store: &Store,
    event: &ListenerEvent,
) -> Result<Option<Subject>, StoreError> {
    let body = &event.body;
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    Ok(Some(match event.hook.as_str() {
        "on_dag_run_running" | "on_dag_run_success" | "on_dag_run_failed" => {
            let Some(rows) = run_rows(&mut store.read().await?, body).await? else {
                return Ok(None);
            };
            Subject::DagRun {
                rows,
                msg: text("msg"),
            }
        }
        "on_task_instance_success" | "on_task_instance_failed" | "on_task_instance_skipped" => {
            let Some(rows) = run_rows(&mut store.read().await?, body).await? else {
                return Ok(None);
            };
            let ti_id = text("ti_id");
            if !rows
                .task_instances
                .iter()
                .any(|row| row["id"] == ti_id.as_str())
            {
                debug!(
                    ti_id,
                    "a task instance is gone that listeners were to be told of"
                );
                return Ok(None);
            }
            Subject::TaskInstance {
                rows,
                ti_id,
                previous_state: body["previous_state"].as_str().map(str::to_owned),
                msg: text("msg"),
            }
        }
        "on_asset_created" | "on_asset_changed" => Subject::Asset(body["asset"].clone()),
        "on_asset_alias_created" => Subject::AssetAlias(body["asset_alias"].clone()),
        "on_asset_event_emitted" => Subject::AssetEvent(body["asset_event"].clone()),
        "on_new_dag_import_error" | "on_existing_dag_import_error" => Subject::ImportError {
            filename: text("filename"),
            stacktrace: text("stacktrace"),
        },
        _ => return Ok(None),
    }))
}

/// The run of an event, as it was when the event happened: it may have moved on since.
async fn run_rows(reader: &mut Reader, body: &Value) -> Result<Option<RunRows>, StoreError> {
    let dag_id = DagId::from(body["dag_id"].as_str().unwrap_or_default());
    let run_id = RunId::from(body["run_id"].as_str().unwrap_or_default());
    let Some(mut rows) = rows_of_run(reader, &dag_id, &run_id).await? else {
        debug!(%dag_id, %run_id, "a run is gone that listeners were to be told of");
        return Ok(None);
    };
    for key in ["state", "start_date", "end_date"] {
        if let Some(value) = body.get(key) {
            rows.dag_run[key] = value.clone();
        }
    }
    Ok(Some(rows))
}

/// A run and what belongs to it; `None` when it is gone.
pub(crate) async fn rows_of_run(
    reader: &mut Reader,
    dag_id: &DagId,
    run_id: &RunId,
) -> Result<Option<RunRows>, StoreError> {
    let run = reader.find_dag_run(dag_id, run_id).await?;
    let dag = reader.find_dag(dag_id).await?;
    let (Some(run), Some(dag)) = (run, dag) else {
        return Ok(None);
    };
    let rows = reader.load_task_instances_of_run(dag_id, run_id).await?;
    let mut versions: BTreeSet<DagVersionId> =
        rows.iter().filter_map(|row| row.dag_version_id).collect();
    versions.extend(run.created_dag_version_id);
    let ids: Vec<DagVersionId> = versions.into_iter().collect();
    let found = reader.load_dag_versions(&ids).await?;
    let current = found
        .values()
        .max_by_key(|version| version.version_number)
        .map(|version| version.id);
    let source = match current {
        Some(version) => reader.find_serialized_dag(version).await?,
        None => None,
    };
    Ok(Some(RunRows {
        dag_run: run_facts(&run),
        dag_row: dag_facts(&dag),
        dag_versions: found.values().map(version_facts).collect(),
        task_instances: rows.iter().map(task_instance_facts).collect(),
        dag: source.map(|text| DagSource {
            hash: text.dag_hash,
            data: Arc::from(text.data),
        }),
    }))
}

fn version_facts(version: &DagVersion) -> Value {
    json!({
        "id": version.id.to_string(),
        "dag_id": version.dag_id,
        "version_number": version.version_number,
        "bundle_name": version.bundle_name,
        "bundle_version": version.bundle_version,
        "created_at": isoformat(version.created_at),
        "last_updated": isoformat(version.last_updated),
    })
}

fn task_instance_facts(ti: &TaskInstance) -> Value {
    let date = |at: Option<jiff::Timestamp>| at.map(isoformat);
    json!({
        "id": ti.id.to_string(),
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": ti.map_index.0,
        "state": ti.state.to_nullable(),
        "try_number": ti.try_number,
        "max_tries": ti.max_tries,
        "start_date": date(ti.start_date),
        "end_date": date(ti.end_date),
        "duration": ti.duration_secs,
        "scheduled_dttm": date(ti.scheduled_dttm),
        "queued_dttm": date(ti.queued_dttm),
        "queued_by_job_id": ti.queued_by_job_id.map(|id| id.0),
        "last_heartbeat_at": date(ti.last_heartbeat_at),
        "hostname": ti.hostname,
        "unixname": ti.unixname,
        "pid": ti.pid,
        "pool": ti.pool,
        "pool_slots": ti.pool_slots,
        "queue": ti.queue,
        "priority_weight": ti.priority_weight,
        "operator": ti.operator,
        "custom_operator_name": ti.custom_operator_name.clone().unwrap_or_default(),
        "executor": ti.executor,
        "executor_config": {},
        "dag_version_id": ti.dag_version_id.map(|id| id.to_string()),
        "rendered_map_index": ti.rendered_map_index,
        "updated_at": isoformat(ti.updated_at),
    })
}
