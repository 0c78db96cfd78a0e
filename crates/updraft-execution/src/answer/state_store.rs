//! Values that a task or an asset keeps from one try, or one run, to the next.

use jiff::Timestamp;
use updraft_model::TaskInstanceId;
use updraft_model::asset::Asset;
use updraft_model::state_store::{StateWriter, StateWriterKind};
use updraft_model::task_instance::TaskInstance;
use updraft_runtime::Clock;
use updraft_store::{Reader, Store, Tx};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::{
    AssetStateStoreResult, ErrorType, GetTaskStateStore, Response, SetTaskStateStore,
    TaskStateStoreResult,
};
use updraft_task_comms::session::Failure;
use uuid::Uuid;

use super::{Outcome, TaskAsker, stored};
use crate::failure::{rejected, superseded};

/// Which asset is meant.
pub(super) enum AssetName {
    Name(String),
    Uri(String),
}

pub(super) async fn get_of_task(
    store: &Store,
    clock: &Clock,
    request: GetTaskStateStore,
) -> Outcome {
    let mut reader = stored(store.read().await)?;
    let ti = require_try(&mut reader, request.ti_id).await?;
    let found = stored(
        reader
            .find_task_state(&(&ti).into(), &request.key, clock.now())
            .await,
    )?;
    Ok(Some(match found {
        Some(value) => Response::TaskStateStoreResult(TaskStateStoreResult {
            value: JsonText::from_stored(value),
        }),
        None => Response::error(
            ErrorType::TaskStoreNotFound,
            &serde_json::json!({ "key": request.key }),
        ),
    }))
}

pub(super) async fn set_of_task(
    store: &Store,
    clock: &Clock,
    request: SetTaskStateStore,
) -> Outcome {
    let mut tx = stored(store.write().await)?;
    let ti = require_try(&mut tx, request.ti_id).await?;
    let expires_at = request.expires_at.map(Timestamp::from);
    let value = request.value.as_str();
    stored(
        tx.set_task_state(&(&ti).into(), &request.key, value, expires_at, clock.now())
            .await,
    )?;
    committed(tx).await
}

pub(super) async fn delete_of_task(store: &Store, ti_id: Uuid, key: &str) -> Outcome {
    let mut tx = stored(store.write().await)?;
    let ti = require_try(&mut tx, ti_id).await?;
    stored(tx.delete_task_state(&(&ti).into(), key).await)?;
    committed(tx).await
}

pub(super) async fn clear_of_task(store: &Store, ti_id: Uuid) -> Outcome {
    let mut tx = stored(store.write().await)?;
    let ti = require_try(&mut tx, ti_id).await?;
    stored(tx.clear_task_state_store(&(&ti).into()).await)?;
    committed(tx).await
}

pub(super) async fn get_of_asset(store: &Store, asset: AssetName, key: &str) -> Outcome {
    let mut reader = stored(store.read().await)?;
    let asset = require_asset(&mut reader, &asset).await?;
    let found = stored(reader.find_asset_state(asset.id, key).await)?;
    Ok(Some(match found {
        Some(state) => Response::AssetStateStoreResult(AssetStateStoreResult {
            value: JsonText::from_stored(state.value),
        }),
        None => Response::error(
            ErrorType::AssetStoreNotFound,
            &serde_json::json!({ "key": key }),
        ),
    }))
}

pub(super) async fn set_of_asset(
    store: &Store,
    asker: &TaskAsker,
    asset: AssetName,
    key: &str,
    value: &JsonText,
) -> Outcome {
    let mut tx = stored(store.write().await)?;
    let ti = require_try(&mut tx, asker.ti_id.0).await?;
    let writer = StateWriter::from(&ti);
    let now = asker.options.clock.now();
    set_as(tx, &writer, asset, key, value, now).await
}

pub(super) async fn set_by_watcher(
    store: &Store,
    asset: AssetName,
    key: &str,
    value: &JsonText,
    now: Timestamp,
) -> Outcome {
    let tx = stored(store.write().await)?;
    let writer = StateWriter::outside(StateWriterKind::Watcher);
    set_as(tx, &writer, asset, key, value, now).await
}

async fn set_as(
    mut tx: Tx,
    writer: &StateWriter,
    asset: AssetName,
    key: &str,
    value: &JsonText,
    now: Timestamp,
) -> Outcome {
    let asset = require_asset(&mut tx, &asset).await?;
    stored(
        tx.set_asset_state(asset.id, key, value.as_str(), writer, now)
            .await,
    )?;
    committed(tx).await
}

pub(super) async fn delete_of_asset(store: &Store, asset: AssetName, key: &str) -> Outcome {
    let mut tx = stored(store.write().await)?;
    let asset = require_asset(&mut tx, &asset).await?;
    stored(tx.delete_asset_state(asset.id, key).await)?;
    committed(tx).await
}

pub(super) async fn clear_of_asset(store: &Store, asset: AssetName) -> Outcome {
    let mut tx = stored(store.write().await)?;
    let asset = require_asset(&mut tx, &asset).await?;
    stored(tx.clear_asset_state_store(asset.id).await)?;
    committed(tx).await
}

async fn committed(tx: Tx) -> Outcome {
    stored(tx.commit().await)?;
    Ok(Some(Response::ok()))
}

async fn require_try(reader: &mut Reader, id: Uuid) -> Result<TaskInstance, Failure> {
    stored(reader.find_task_instance(TaskInstanceId(id)).await)?.ok_or_else(superseded)
}

async fn require_asset(reader: &mut Reader, asset: &AssetName) -> Result<Asset, Failure> {
    let (found, shown) = match asset {
        AssetName::Name(name) => (reader.find_asset_by_name(name).await, name),
        AssetName::Uri(uri) => (reader.find_asset_by_uri(uri).await, uri),
    };
    stored(found)?.ok_or_else(|| rejected(404, &format!("no active asset `{shown}`")))
}
