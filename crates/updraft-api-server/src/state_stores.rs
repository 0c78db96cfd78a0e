//! Values that tasks and assets keep.

use jiff::SignedDuration;
use jiff::Timestamp;
use serde_json::Value;
use updraft_model::MapIndex;
use updraft_model::python_repr::{dumps, repr_text};
use updraft_model::state_store::{StateWriter, StateWriterKind, TaskScope};
use updraft_rest_api::issue::under;
use updraft_rest_api::state_store::{
    AssetStateStoreCollectionResponse, AssetStateStoreResponse, Expiry, StateBody, TaskStateBody,
    TaskStateStoreCollectionResponse, TaskStateStoreResponse, require_size,
};
use updraft_rest_api::value;
use updraft_store::{Reader, Tx};

use crate::call::{Answer, Call, no_content, ok};
use crate::error::ApiError;

/// `GET /assets/{asset_id}/state-store`.
pub(crate) async fn list_of_asset(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let id = call.path_number("asset_id")?;
    query.finish()?;
    let mut reader = call.reader().await?;
    require_asset(&mut reader, id).await?;
    let listed = reader.list_asset_states(id, &page).await?;
    ok(&AssetStateStoreCollectionResponse {
        asset_state_store: listed.rows.iter().map(Into::into).collect(),
        total_entries: listed.total,
    })
}

/// `GET /assets/{asset_id}/state-store/{key}`.
pub(crate) async fn get_of_asset(call: Call) -> Answer {
    let (id, key) = (call.path_number("asset_id")?, call.path("key"));
    let mut reader = call.reader().await?;
    require_asset(&mut reader, id).await?;
    let found = reader.find_asset_state(id, key).await?;
    let state = found.ok_or_else(|| {
        let key = repr_text(key);
        ApiError::not_found(format!("Asset state store key {key} not found"))
    })?;
    ok(&AssetStateStoreResponse::from(&state))
}

/// `PUT /assets/{asset_id}/state-store/{key}`.
pub(crate) async fn set_of_asset(call: Call) -> Answer {
    let id = call.path_number("asset_id")?;
    let body = call.read::<StateBody>()?;
    require_fit(&call, &body.value)?;
    change(&call, &Edit::SetOfAsset(id, dumps(&body.value))).await
}

/// `DELETE /assets/{asset_id}/state-store/{key}`.
pub(crate) async fn delete_of_asset(call: Call) -> Answer {
    let id = call.path_number("asset_id")?;
    change(&call, &Edit::DeleteOfAsset(id)).await
}

/// `DELETE /assets/{asset_id}/state-store`.
pub(crate) async fn clear_of_asset(call: Call) -> Answer {
    let id = call.path_number("asset_id")?;
    change(&call, &Edit::ClearOfAsset(id)).await
}

async fn require_asset(reader: &mut Reader, id: i64) -> Result<(), ApiError> {
    let found = reader.find_asset(id).await?;
    found
        .map(|_| ())
        .ok_or_else(|| ApiError::not_found(format!("Asset with id {id} not found")))
}

/// `GET …/taskInstances/{task_id}/state-store`.
pub(crate) async fn list_of_task(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    query.finish()?;
    let scope = scope(&call)?;
    let listed = call.reader().await?.list_task_states(&scope, &page).await?;
    ok(&TaskStateStoreCollectionResponse {
        task_state_store: listed.rows.iter().map(Into::into).collect(),
        total_entries: listed.total,
    })
}

/// `GET …/taskInstances/{task_id}/state-store/{key}`.
pub(crate) async fn get_of_task(call: Call) -> Answer {
    let (scope, key) = (scope(&call)?, call.path("key"));
    let found = call
        .reader()
        .await?
        .find_kept_task_state(&scope, key)
        .await?;
    let state = found.ok_or_else(|| no_task_state(key))?;
    ok(&TaskStateStoreResponse::from(&state))
}

/// `PUT …/taskInstances/{task_id}/state-store/{key}`.
pub(crate) async fn set_of_task(call: Call) -> Answer {
    let scope = scope(&call)?;
    let body = call.read::<TaskStateBody>()?;
    require_fit(&call, &body.value)?;
    let value = dumps(&body.value);
    change(&call, &Edit::SetOfTask(scope, value, body.expires_at)).await
}

/// `PATCH …/taskInstances/{task_id}/state-store/{key}`: a new value, and the old expiry.
pub(crate) async fn patch_of_task(call: Call) -> Answer {
    let scope = scope(&call)?;
    let body = call.read::<StateBody>()?;
    require_fit(&call, &body.value)?;
    change(&call, &Edit::PatchOfTask(scope, dumps(&body.value))).await?;
    ok(&Value::Null)
}

/// `DELETE …/taskInstances/{task_id}/state-store/{key}`.
pub(crate) async fn delete_of_task(call: Call) -> Answer {
    let scope = scope(&call)?;
    change(&call, &Edit::DeleteOfTask(scope)).await
}

/// `DELETE …/taskInstances/{task_id}/state-store`.
pub(crate) async fn clear_of_task(call: Call) -> Answer {
    let scope = scope(&call)?;
    let mut query = call.query();
    let all = query.boolean("all_map_indices").unwrap_or(false);
    query.finish()?;
    let edit = match all {
        true => Edit::ClearOfMappedTask(scope),
        false => Edit::ClearOfTask(scope),
    };
    change(&call, &edit).await
}

fn scope(call: &Call) -> Result<TaskScope, ApiError> {
    let mut query = call.query();
    let map_index = query.read("map_index", value::integer_from(-1));
    query.finish()?;
    Ok(TaskScope {
        dag_id: call.dag_id(),
        run_id: call.run_id(),
        task_id: call.task_id(),
        map_index: map_index.map_or(MapIndex::UNMAPPED, |index| {
            MapIndex(i32::try_from(index).unwrap_or(i32::MAX))
        }),
    })
}

/// `map_index` of `None`: any.
async fn require_task_instance(
    reader: &mut Reader,
    scope: &TaskScope,
    map_index: Option<MapIndex>,
) -> Result<(), ApiError> {
    if reader.has_task_instance(scope, map_index).await? {
        return Ok(());
    }
    let by = map_index.map_or_else(
        || "all_map_indices=True".to_owned(),
        |index| format!("map_index={}", index.0),
    );
    Err(ApiError::not_found(format!(
        "Task instance not found for dag_id={}, run_id={}, task_id={}, {by}",
        repr_text(scope.dag_id.as_str()),
        repr_text(scope.run_id.as_str()),
        repr_text(scope.task_id.as_str()),
    )))
}

fn no_task_state(key: &str) -> ApiError {
    let key = repr_text(key);
    ApiError::not_found(format!("Task state store key {key} not found"))
}

fn expiry(call: &Call, wanted: Expiry, now: Timestamp) -> Option<Timestamp> {
    match wanted {
        Expiry::Never => None,
        Expiry::At(instant) => Some(instant),
        Expiry::Default => match call.state.settings().state_store.default_retention_days {
            0 => None,
            days => now
                .checked_add(SignedDuration::from_hours(24 * i64::from(days)))
                .ok(),
        },
    }
}

fn require_fit(call: &Call, value: &Value) -> Result<(), ApiError> {
    let bytes_max = call.state.settings().state_store.max_value_storage_bytes;
    Ok(under(require_size(value, bytes_max), "body")?)
}

/// A change of what is kept; the key is the one in the path.
enum Edit {
    SetOfAsset(i64, String),
    DeleteOfAsset(i64),
    ClearOfAsset(i64),
    SetOfTask(TaskScope, String, Expiry),
    PatchOfTask(TaskScope, String),
    DeleteOfTask(TaskScope),
    ClearOfTask(TaskScope),
    ClearOfMappedTask(TaskScope),
}

/// Makes a change, or none when it is refused.
async fn change(call: &Call, edit: &Edit) -> Answer {
    let store = call.state.store();
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            let verdict = make(call, &mut tx, edit).await;
            if verdict.is_ok() {
                tx.commit().await?;
            }
            Ok(verdict)
        })
        .await??;
    no_content()
}

async fn make(call: &Call, tx: &mut Tx, edit: &Edit) -> Result<(), ApiError> {
    let (key, now) = (call.path("key"), call.state.clock().now());
    match edit {
        Edit::SetOfAsset(id, _) | Edit::DeleteOfAsset(id) | Edit::ClearOfAsset(id) => {
            require_asset(tx, *id).await?;
        }
        Edit::SetOfTask(scope, ..)
        | Edit::PatchOfTask(scope, _)
        | Edit::DeleteOfTask(scope)
        | Edit::ClearOfTask(scope) => {
            require_task_instance(tx, scope, Some(scope.map_index)).await?;
        }
        Edit::ClearOfMappedTask(scope) => require_task_instance(tx, scope, None).await?,
    }
    match edit {
        Edit::SetOfAsset(id, value) => {
            let writer = StateWriter::outside(StateWriterKind::Api);
            tx.set_asset_state(*id, key, value, &writer, now).await?;
        }
        Edit::DeleteOfAsset(id) => _ = tx.delete_asset_state(*id, key).await?,
        Edit::ClearOfAsset(id) => tx.clear_asset_state_store(*id).await?,
        Edit::SetOfTask(scope, value, wanted) => {
            let expires_at = expiry(call, *wanted, now);
            tx.set_task_state(scope, key, value, expires_at, now)
                .await?;
        }
        Edit::PatchOfTask(scope, value) => {
            let kept = tx.find_kept_task_state(scope, key).await?;
            let expires_at = kept.ok_or_else(|| no_task_state(key))?.expires_at;
            tx.set_task_state(scope, key, value, expires_at, now)
                .await?;
        }
        Edit::DeleteOfTask(scope) => _ = tx.delete_task_state(scope, key).await?,
        Edit::ClearOfTask(scope) => tx.clear_task_state_store(scope).await?,
        Edit::ClearOfMappedTask(scope) => tx.clear_mapped_task_state_stores(scope).await?,
    }
    Ok(())
}
