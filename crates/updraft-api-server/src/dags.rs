//! Dags: lists, details, pausing, deleting, parsing.

use axum::body::Bytes;
use axum::http::StatusCode;
use serde_json::Value;
use updraft_model::dag::Dag;
use updraft_model::filter::Page;
use updraft_model::{DagId, DagRunState, TaskInstanceState};
use updraft_rest_api::dag::{
    DagCollectionResponse, DagDetailsResponse, DagPatchBody, DagResponse, DagVersionResponse,
    display_name,
};
use updraft_rest_api::query::Query;
use updraft_rest_api::{task, value};
use updraft_store::ParseRequest;
use updraft_store::listing::{DagFilter, FavoriteFilter, TaskInstanceFilter};

use crate::call::{Answer, Call, bytes_answer, dag_not_found, json_bytes, no_content, ok};
use crate::error::ApiError;
use crate::state::ApiState;

/// The only thing about a Dag that does not come from its file.
const PAUSE_ONLY: &str = "Only `is_paused` field can be updated through the REST API";

/// `GET /dags`.
pub(crate) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let filter = read_filter(&call, &mut query);
    query.finish()?;
    let mut key = format!("dags?{}", call.raw_query);
    if let Some(favorites) = &filter.favorites {
        // No query has this sign.
        key = format!("{key}#{}", favorites.user_id);
    }
    let state = &call.state;
    let bytes = state
        .pages()
        .get(key, || async { listed(state, &filter, &page).await })
        .await?;
    Ok(bytes_answer(StatusCode::OK, bytes, "application/json"))
}

async fn listed(state: &ApiState, filter: &DagFilter, page: &Page) -> Result<Bytes, ApiError> {
    let now = state.clock().now();
    let listed = state
        .store()
        .read()
        .await?
        .list_dags(filter, page, now)
        .await?;
    Ok(json_bytes(&DagCollectionResponse {
        dags: listed.rows.iter().map(|dag| response(state, dag)).collect(),
        total_entries: listed.total,
    }))
}

/// `GET /dags/{dag_id}`.
pub(crate) async fn get(call: Call) -> Answer {
    let dag_id = call.dag_id();
    let dag = call.reader().await?.find_dag(&dag_id).await?;
    let dag = dag.ok_or_else(|| dag_not_found(dag_id.as_str()))?;
    ok(&response(&call.state, &dag))
}

/// `GET /dags/{dag_id}/details`.
pub(crate) async fn details(call: Call) -> Answer {
    let dag_id = call.dag_id();
    let mut reader = call.reader().await?;
    let dag = reader.find_dag(&dag_id).await?;
    let dag = dag.ok_or_else(|| dag_not_found(dag_id.as_str()))?;
    let latest = call
        .state
        .dags()
        .latest(&call.state, &mut reader, &dag_id)
        .await?;
    let (version, serialized) = latest.ok_or_else(|| dag_not_found(dag_id.as_str()))?;
    let attributes = serialized.attributes();
    let raw = &serialized.raw()["dag"];
    ok(&DagDetailsResponse {
        dag: response(&call.state, &dag),
        catchup: attributes.catchup,
        dag_run_timeout: attributes.dagrun_timeout.map(task::iso_duration),
        asset_expression: dag.asset_expression.clone(),
        doc_md: attributes.doc_md.clone(),
        start_date: updraft_rest_api::time::api_time(attributes.start_date),
        end_date: updraft_rest_api::time::api_time(attributes.end_date),
        is_paused_upon_creation: attributes.is_paused_upon_creation,
        params: Some(task::params(raw.get("params"))),
        render_template_as_native_obj: attributes.render_template_as_native_obj,
        template_search_path: serde_json::from_value(task::plain(&raw["template_searchpath"])).ok(),
        timezone: Some(zone_name(&attributes.timezone)),
        last_parsed: updraft_rest_api::time::api_time(dag.last_parsed_time),
        default_args: Some(or_empty(&raw["default_args"])),
        rerun_with_latest_version: attributes.rerun_with_latest_version,
        owner_links: Some(or_empty(&raw["owner_links"])),
        is_favorite: reader.is_favorite(&call.user.name, &dag_id).await?,
        active_runs_count: reader.count_active_runs(&dag_id).await?,
        concurrency: dag.max_active_tasks,
        latest_dag_version: Some(DagVersionResponse::new(&version, &display_name(&dag))),
    })
}

fn or_empty(map: &Value) -> Value {
    if map.is_null() {
        return Value::Object(serde_json::Map::new());
    }
    task::plain(map)
}

fn zone_name(zone: &Value) -> String {
    match zone {
        Value::String(name) => name.clone(),
        other => other.to_string(),
    }
}

/// `PATCH /dags/{dag_id}`: pauses or unpauses one Dag.
pub(crate) async fn patch(call: Call) -> Answer {
    let body = patch_body(&call)?;
    let dag_id = call.dag_id();
    let paused = set_paused(&call.state, std::slice::from_ref(&dag_id), body.is_paused).await?;
    if paused == 0 {
        return Err(missing(&dag_id));
    }
    let dag = call.reader().await?.find_dag(&dag_id).await?;
    let dag = dag.ok_or_else(|| missing(&dag_id))?;
    ok(&response(&call.state, &dag))
}

/// `PATCH /dags`: pauses or unpauses every Dag that its pattern names; without a pattern, none.
pub(crate) async fn patch_all(call: Call) -> Answer {
    let body = patch_body(&call)?;
    let mut query = call.query();
    let page = call.page(&mut query);
    let filter = read_filter(&call, &mut query);
    query.finish()?;
    let names_any = filter.dag_id.anywhere.is_some() || filter.dag_id.prefix.is_some();
    let page = Page {
        limit: if names_any { page.limit } else { 0 },
        ..page
    };
    let now = call.state.clock().now();
    let listed = call.reader().await?.list_dags(&filter, &page, now).await?;
    let dag_ids: Vec<DagId> = listed.rows.iter().map(|dag| dag.dag_id.clone()).collect();
    set_paused(&call.state, &dag_ids, body.is_paused).await?;
    let changed = listed.rows.into_iter().map(|dag| Dag {
        is_paused: body.is_paused,
        ..dag
    });
    ok(&DagCollectionResponse {
        dags: changed.map(|dag| response(&call.state, &dag)).collect(),
        total_entries: if names_any { listed.total } else { 0 },
    })
}

fn patch_body(call: &Call) -> Result<DagPatchBody, ApiError> {
    let body = call.read::<DagPatchBody>()?;
    match call.update_mask() {
        Some(mask) if mask != ["is_paused"] => Err(ApiError::bad_request(PAUSE_ONLY)),
        _ => Ok(body),
    }
}

async fn set_paused(
    state: &ApiState,
    dag_ids: &[DagId],
    is_paused: bool,
) -> Result<usize, updraft_store::Error> {
    let (store, now) = (state.store(), state.clock().now());
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            let mut found = 0;
            for dag_id in dag_ids {
                found += usize::from(tx.set_paused(dag_id, is_paused).await?);
            }
            tx.refresh_asset_watchers(now).await?;
            tx.commit().await?;
            Ok(found)
        })
        .await
}

/// `DELETE /dags/{dag_id}`: with everything that belongs to it.
pub(crate) async fn delete(call: Call) -> Answer {
    let dag_id = call.dag_id();
    let mut reader = call.reader().await?;
    reader
        .find_dag(&dag_id)
        .await?
        .ok_or_else(|| missing(&dag_id))?;
    let running = TaskInstanceFilter {
        dag_ids: vec![dag_id.clone()],
        states: vec![TaskInstanceState::Running],
        ..TaskInstanceFilter::default()
    };
    let none = Page::default();
    let now = call.state.clock().now();
    if reader
        .list_task_instances(&running, &none, now)
        .await?
        .total
        > 0
    {
        return Err(ApiError::conflict(format!(
            "Task instances of dag with id: '{dag_id}' are still running"
        )));
    }
    drop(reader);
    let store = call.state.store();
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            tx.delete_dag(&dag_id).await?;
            tx.commit().await
        })
        .await?;
    no_content()
}

/// `PUT /parseDagFile/{file_token}`: has a file parsed before its turn.
pub(crate) async fn parse_file(call: Call) -> Answer {
    let not_found = || ApiError::not_found("File not found");
    let file = call.state.signer().read_file_token(call.path("file_token"));
    let file = file.ok_or_else(not_found)?;
    let dags = call
        .reader()
        .await?
        .load_dags_of_file(file.bundle_name.as_str(), &file.relative_fileloc)
        .await?;
    if dags.is_empty() {
        return Err(not_found());
    }
    let request = ParseRequest {
        bundle_name: file.bundle_name,
        relative_fileloc: file.relative_fileloc,
    };
    let store = call.state.store();
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            tx.request_parse(&request).await?;
            tx.commit().await
        })
        .await?;
    crate::call::created(&Value::Null)
}

pub(crate) fn response(state: &ApiState, dag: &Dag) -> DagResponse {
    let token = state
        .signer()
        .file_token(&dag.bundle_name, &dag.relative_fileloc);
    DagResponse::new(dag, token)
}

fn missing(dag_id: &DagId) -> ApiError {
    ApiError::not_found(format!("Dag with id: {dag_id} was not found"))
}

fn read_filter(call: &Call, query: &mut Query) -> DagFilter {
    let state = value::one_of(DagRunState::ALL, DagRunState::as_str);
    let match_mode = query.read("tags_match_mode", value::literal(&["any", "all"]));
    DagFilter {
        tags: query.texts("tags"),
        all_tags: match_mode == Some("all"),
        owners: query.texts("owners"),
        dag_ids: query.texts("dag_ids").into_iter().map(Into::into).collect(),
        dag_id: query.pattern("dag_id"),
        dag_display_name: query.pattern("dag_display_name"),
        exclude_stale: query.boolean("exclude_stale").unwrap_or(true),
        paused: query.boolean("paused"),
        has_import_errors: query.boolean("has_import_errors"),
        last_dag_run_state: query.read("last_dag_run_state", &state),
        dag_run_state: query.read_all("dag_run_state", &state),
        dag_run_start_date: query.instants("dag_run_start_date"),
        dag_run_end_date: query.instants("dag_run_end_date"),
        bundle_name: query.text("bundle_name"),
        bundle_version: query.text("bundle_version"),
        has_asset_schedule: query.boolean("has_asset_schedule"),
        asset_dependency: query.text("asset_dependency"),
        timetable_type: query.texts("timetable_type"),
        favorites: query.boolean("is_favorite").map(|wanted| FavoriteFilter {
            user_id: call.user.name.clone(),
            wanted,
        }),
    }
}
