//! Assets and their events.

use std::collections::BTreeMap;

use jiff::Timestamp;
use updraft_model::TaskInstanceId;
use updraft_model::asset::{Asset, AssetEvent};
use updraft_model::dag_run::DagRun;
use updraft_model::serialized::SerializedDag;
use updraft_store::{AssetEventQuery, EventsOf, Store};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::{
    AssetEventResponse, AssetEventsResult, AssetProfile, AssetResponse, AssetResult,
    AssetsByAliasResult, DagRunAssetReference, ErrorType, GetAssetEventByAsset,
    GetAssetEventByAssetAlias, InactiveAssetsResult, Response, ValidateInletsAndOutlets,
};
use updraft_task_comms::scalar::UtcDateTime;

use super::{Outcome, stored};
use crate::failure::rejected;

pub(super) async fn by_name(store: &Store, name: &str) -> Outcome {
    let found = stored(store.read().await)?.find_asset_by_name(name).await;
    Ok(Some(found_or_not(stored(found)?, "name", name)))
}

pub(super) async fn by_uri(store: &Store, uri: &str) -> Outcome {
    let found = stored(store.read().await)?.find_asset_by_uri(uri).await;
    Ok(Some(found_or_not(stored(found)?, "uri", uri)))
}

pub(super) async fn by_alias(store: &Store, alias: &str) -> Outcome {
    let found = stored(store.read().await)?
        .load_assets_of_alias(alias)
        .await;
    let assets = stored(found)?
        .into_iter()
        .map(|asset| AssetResult {
            name: asset.name,
            uri: asset.uri,
            group: asset.group,
            extra: Some(JsonText::from(&asset.extra)),
        })
        .collect();
    Ok(Some(Response::AssetsByAliasResult(AssetsByAliasResult {
        assets,
    })))
}

pub(super) async fn events_of_asset(store: &Store, request: GetAssetEventByAsset) -> Outcome {
    if request.name.is_none() && request.uri.is_none() {
        return Err(rejected(400, "expected the name or the URI of an asset"));
    }
    let of = EventsOf::Asset {
        name: request.name.as_deref(),
        uri: request.uri.as_deref(),
    };
    let query = query(
        request.after,
        request.before,
        request.limit,
        request.ascending,
    );
    events(store, &of, &query).await
}

pub(super) async fn events_of_alias(store: &Store, request: GetAssetEventByAssetAlias) -> Outcome {
    let of = EventsOf::Alias {
        name: &request.alias_name,
    };
    let query = query(
        request.after,
        request.before,
        request.limit,
        request.ascending,
    );
    events(store, &of, &query).await
}

/// Which concrete inlets and outlets of the task are not active: the task then fails.
pub(super) async fn validate(store: &Store, request: ValidateInletsAndOutlets) -> Outcome {
    let mut reader = stored(store.read().await)?;
    let ti = stored(
        reader
            .find_task_instance(TaskInstanceId(request.ti_id))
            .await,
    )?;
    let Some(ti) = ti else {
        return Err(rejected(
            404,
            "the task instance does not exist or has begun another try",
        ));
    };
    let serialized = match ti.dag_version_id {
        Some(version) => stored(reader.find_serialized_dag(version).await)?,
        None => None,
    };
    let dag = serialized
        .and_then(|stored| serde_json::from_str(&stored.data).ok())
        .and_then(|raw| SerializedDag::parse(raw).ok());
    let task = dag
        .as_ref()
        .and_then(|dag| dag.find_task(ti.task_id.as_str()));
    let assets: Vec<(String, String)> = task
        .into_iter()
        .flat_map(|task| task.inlets.iter().chain(&task.outlets))
        .filter_map(concrete_asset)
        .collect();
    let inactive = stored(reader.load_inactive_assets(&assets).await)?
        .into_iter()
        .map(|(name, uri)| AssetProfile {
            name: Some(name),
            uri: Some(uri),
            r#type: "Asset".to_owned(),
        })
        .collect();
    Ok(Some(Response::InactiveAssetsResult(InactiveAssetsResult {
        inactive_assets: Some(inactive),
    })))
}

/// Name and URI of a serialized asset; references and aliases have none to check.
fn concrete_asset(value: &serde_json::Value) -> Option<(String, String)> {
    if value.get("__type")?.as_str()? != "asset" {
        return None;
    }
    let asset = value.get("__var").unwrap_or(value);
    let text = |key: &str| asset.get(key)?.as_str().map(str::to_owned);
    Some((text("name")?, text("uri")?))
}

fn query(
    after: Option<UtcDateTime>,
    before: Option<UtcDateTime>,
    limit: Option<i64>,
    ascending: bool,
) -> AssetEventQuery {
    AssetEventQuery {
        after: after.map(Timestamp::from),
        before: before.map(Timestamp::from),
        limit: limit.filter(|limit| *limit > 0),
        newest_first: !ascending,
    }
}

async fn events(store: &Store, of: &EventsOf<'_>, query: &AssetEventQuery) -> Outcome {
    let mut reader = stored(store.read().await)?;
    let events = stored(reader.load_asset_events(of, query).await)?;
    let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
    let mut created: BTreeMap<i64, Vec<DagRunAssetReference>> = BTreeMap::new();
    for consuming in stored(reader.load_consuming_runs(&ids).await)? {
        let of_event = created.entry(consuming.event_id).or_default();
        of_event.extend(reference(&consuming.run));
    }
    let asset_events = events
        .into_iter()
        .map(|event| {
            let created_dagruns = created.remove(&event.id).unwrap_or_default();
            event_of(event, created_dagruns)
        })
        .collect();
    Ok(Some(Response::AssetEventsResult(AssetEventsResult {
        asset_events,
    })))
}

/// A run that consumed an event. One that has not started yet is left out: it has no start that the
/// SDK could read.
fn reference(run: &DagRun) -> Option<DagRunAssetReference> {
    Some(DagRunAssetReference {
        run_id: run.run_id.to_string(),
        dag_id: run.dag_id.to_string(),
        logical_date: run.logical_date.map(UtcDateTime::from),
        start_date: run.start_date?.into(),
        end_date: run.end_date.map(UtcDateTime::from),
        state: run.state.to_string(),
        data_interval_start: run.data_interval_start.map(UtcDateTime::from),
        data_interval_end: run.data_interval_end.map(UtcDateTime::from),
        partition_key: run.partition_key.clone(),
    })
}

fn event_of(event: AssetEvent, created_dagruns: Vec<DagRunAssetReference>) -> AssetEventResponse {
    AssetEventResponse {
        id: event.id,
        timestamp: event.timestamp.into(),
        extra: Some(JsonText::from(&event.extra)),
        asset: AssetResponse {
            name: event.name,
            uri: event.uri,
            group: event.group,
            extra: Some(JsonText::from(&event.asset_extra)),
        },
        created_dagruns,
        source_task_id: event.source_task_id.map(|id| id.to_string()),
        source_dag_id: event.source_dag_id.map(|id| id.to_string()),
        source_run_id: event.source_run_id.map(|id| id.to_string()),
        source_map_index: Some(i64::from(event.source_map_index.0)),
        partition_key: event.partition_key,
    }
}

fn found_or_not(asset: Option<Asset>, key: &str, value: &str) -> Response {
    match asset {
        Some(asset) => Response::AssetResult(AssetResponse {
            name: asset.name,
            uri: asset.uri,
            group: asset.group,
            extra: Some(JsonText::from(&asset.extra)),
        }),
        None => Response::error(ErrorType::AssetNotFound, &serde_json::json!({ key: value })),
    }
}
