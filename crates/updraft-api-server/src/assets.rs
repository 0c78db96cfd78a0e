//! Assets, their aliases and events.

use updraft_dag_run::{Refusal, RunRequest};
use updraft_model::asset::{AssetEvent, QueuedAssetEvent};
use updraft_model::python_repr::repr_text;
use updraft_model::{DagId, DagRunTriggeredBy, DagRunType};
use updraft_rest_api::asset::{
    AssetAliasCollectionResponse, AssetAliasResponse, AssetCollectionResponse,
    AssetEventCollectionResponse, AssetEventResponse, AssetResponse, CreateAssetEventsBody,
    MaterializeAssetBody, QueuedEventCollectionResponse, QueuedEventResponse,
};
use updraft_rest_api::value;
use updraft_store::listing::{AssetEventFilter, AssetFilter, QueuedEventFilter};
use updraft_store::{NewAssetEvent, Reader};

use crate::call::{Answer, Call, no_content, ok};
use crate::dag_runs::{Refused, request_of, require_run, trigger_dag};
use crate::error::ApiError;

/// `GET /assets`.
pub(crate) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let filter = AssetFilter {
        name: query.pattern("name"),
        uri: query.pattern("uri"),
        dag_ids: dag_ids(query.texts("dag_ids")),
        only_active: query.boolean("only_active").unwrap_or(true),
        ..AssetFilter::default()
    };
    query.finish()?;
    let listed = call.reader().await?.list_assets(&filter, &page).await?;
    ok(&AssetCollectionResponse {
        assets: listed.rows.iter().map(Into::into).collect(),
        total_entries: listed.total,
    })
}

/// Repeated, or all in one with commas between.
fn dag_ids(given: Vec<String>) -> Option<Vec<String>> {
    match &given[..] {
        [] => None,
        [only] => Some(only.split(',').map(str::to_owned).collect()),
        _ => Some(given),
    }
}

/// `GET /assets/{asset_id}`.
pub(crate) async fn get(call: Call) -> Answer {
    let id = call.path_number("asset_id")?;
    let found = call.reader().await?.find_asset_details(id).await?;
    let details = found
        .ok_or_else(|| ApiError::not_found(format!("The Asset with ID: `{id}` was not found")))?;
    ok(&AssetResponse::from(&details))
}

/// `GET /assets/aliases`.
pub(crate) async fn list_aliases(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let name = query.pattern("name");
    query.finish()?;
    let mut reader = call.reader().await?;
    let listed = reader.list_asset_aliases(&name, &page).await?;
    ok(&AssetAliasCollectionResponse {
        asset_aliases: listed.rows.iter().map(Into::into).collect(),
        total_entries: listed.total,
    })
}

/// `GET /assets/aliases/{asset_alias_id}`.
pub(crate) async fn get_alias(call: Call) -> Answer {
    let id = call.path_number("asset_alias_id")?;
    let found = call.reader().await?.find_asset_alias(id).await?;
    let alias = found.ok_or_else(|| {
        ApiError::not_found(format!("The Asset Alias with ID: `{id}` was not found"))
    })?;
    ok(&AssetAliasResponse::from(&alias))
}

/// `GET /assets/events`.
pub(crate) async fn list_events(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let filter = AssetEventFilter {
        asset_id: query.integer("asset_id"),
        source_dag_id: query.text("source_dag_id"),
        source_task_id: query.text("source_task_id"),
        source_run_id: query.text("source_run_id"),
        source_map_index: query.integer("source_map_index"),
        name: query.pattern("name"),
        timestamp: query.instants("timestamp"),
    };
    query.finish()?;
    let mut reader = call.reader().await?;
    let listed = reader.list_asset_events(&filter, &page).await?;
    ok(&AssetEventCollectionResponse {
        asset_events: responses(&mut reader, &listed.rows).await?,
        total_entries: listed.total,
    })
}

/// Events with the runs that consumed them.
async fn responses(
    reader: &mut Reader,
    events: &[AssetEvent],
) -> Result<Vec<AssetEventResponse>, ApiError> {
    let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
    let runs = reader.load_consuming_runs(&ids).await?;
    let answered = events
        .iter()
        .map(|event| AssetEventResponse::new(event, &runs));
    Ok(answered.collect())
}

/// `GET …/dagRuns/{dag_run_id}/upstreamAssetEvents`.
pub(crate) async fn upstream_events(call: Call) -> Answer {
    let mut reader = call.reader().await?;
    let run = require_run(&mut reader, &call.run_key()).await?;
    let events = reader.load_consumed_asset_events(run.id).await?;
    ok(&AssetEventCollectionResponse {
        asset_events: responses(&mut reader, &events).await?,
        total_entries: i64::try_from(events.len()).unwrap_or(i64::MAX),
    })
}

/// `POST /assets/events`.
pub(crate) async fn create_event(call: Call) -> Answer {
    let body = call.read::<CreateAssetEventsBody>()?;
    let extra = body.extra.into();
    let new = NewAssetEvent {
        asset_id: body.asset_id,
        extra: &extra,
        source: None,
        alias_ids: &[],
        partition_key: body.partition_key.as_deref(),
        partition_date: None,
    };
    let store = call.state.store();
    let created = store
        .retry(|| async {
            let mut tx = store.write().await?;
            if tx.find_asset(body.asset_id).await?.is_none() {
                return Ok(None);
            }
            let now = call.state.clock().now();
            let id = tx.register_asset_event(&new, now).await?;
            let event = tx.find_asset_event(id).await?;
            tx.commit().await?;
            Ok(event)
        })
        .await?;
    let event = created.ok_or_else(|| {
        ApiError::not_found(format!("Asset with ID: `{}` was not found", body.asset_id))
    })?;
    ok(&AssetEventResponse::new(&event, &[]))
}

/// `POST /assets/{asset_id}/materialize`: triggers the Dag that writes the asset.
pub(crate) async fn materialize(call: Call) -> Answer {
    let id = call.path_number("asset_id")?;
    let body = match call.body.is_empty() {
        true => MaterializeAssetBody::default(),
        false => call.read::<MaterializeAssetBody>()?,
    };
    let dag_id = require_producer(&mut call.reader().await?, id).await?;
    let request = RunRequest {
        run_type: DagRunType::AssetMaterialization,
        triggered_by: DagRunTriggeredBy::RestApi,
        ..request_of(&call, body.0)
    };
    trigger_dag(&call, &dag_id, request, |refusal| match refusal {
        Refusal::RunType { dag_id, .. } => ApiError::bad_request(format!(
            "Dag with dag_id: '{dag_id}' does not allow asset materialization runs"
        )),
        refusal => Refused(refusal).into(),
    })
    .await
}

/// The one Dag that writes the asset.
async fn require_producer(reader: &mut Reader, asset_id: i64) -> Result<DagId, ApiError> {
    let mut producers = reader.load_producing_dags(asset_id, 2).await?;
    match (producers.pop(), producers.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(ApiError::not_found(format!(
            "No Dag materializes asset with ID: {asset_id}"
        ))),
        (Some(_), false) => Err(ApiError::conflict(format!(
            "More than one Dag materializes asset with ID: {asset_id}"
        ))),
    }
}

/// `GET` of the three forms of `queuedEvents` that give a list.
pub(crate) async fn list_queued(call: Call) -> Answer {
    let (_, found) = load_queued(&call).await?;
    ok(&QueuedEventCollectionResponse {
        queued_events: found.iter().map(Into::into).collect(),
        total_entries: found.len(),
    })
}

/// `GET /dags/{dag_id}/assets/{asset_id}/queuedEvents`.
pub(crate) async fn get_queued(call: Call) -> Answer {
    let (filter, found) = load_queued(&call).await?;
    let queued = found.first().ok_or_else(|| nothing_queued(&filter))?;
    ok(&QueuedEventResponse::from(queued))
}

/// `DELETE` of every form of `queuedEvents`.
pub(crate) async fn delete_queued(call: Call) -> Answer {
    let filter = queued_filter(&call)?;
    let store = call.state.store();
    let deleted = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let deleted = tx.delete_queued_asset_events(&filter).await?;
            tx.commit().await?;
            Ok(deleted)
        })
        .await?;
    match deleted {
        0 => Err(nothing_queued(&filter)),
        _ => no_content(),
    }
}

async fn load_queued(call: &Call) -> Result<(QueuedEventFilter, Vec<QueuedAssetEvent>), ApiError> {
    let filter = queued_filter(call)?;
    let found = call
        .reader()
        .await?
        .list_queued_asset_events(&filter)
        .await?;
    Ok((filter, found))
}

fn queued_filter(call: &Call) -> Result<QueuedEventFilter, ApiError> {
    let has = |name: &str| call.path.iter().any(|(key, _)| key == name);
    let asset_id = match has("asset_id") {
        true => Some(call.path_number("asset_id")?),
        false => None,
    };
    let before = call.query().text("before").map(|text| {
        value::instant(&text.as_str().into()).map_err(|_| {
            let text = repr_text(&text);
            ApiError::bad_request(format!(
                "Invalid datetime: {text}. Please check the date parameter have this value."
            ))
        })
    });
    let before = before.transpose()?;
    Ok(QueuedEventFilter {
        asset_id,
        dag_id: has("dag_id").then(|| call.dag_id()),
        before,
    })
}

fn nothing_queued(filter: &QueuedEventFilter) -> ApiError {
    ApiError::not_found(match (&filter.dag_id, filter.asset_id) {
        (Some(dag_id), Some(asset_id)) => {
            format!("Queued event with dag_id: `{dag_id}` and asset_id: `{asset_id}` was not found")
        }
        (Some(dag_id), None) => format!("Queue event with dag_id: `{dag_id}` was not found"),
        (None, asset_id) => format!(
            "Queue event with asset_id: `{}` was not found",
            asset_id.unwrap_or_default()
        ),
    })
}
