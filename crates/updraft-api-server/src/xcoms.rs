//! XCom entries.

use std::collections::BTreeMap;

use serde_json::Value;
use updraft_model::python_repr::repr;
use updraft_model::xcom::XCom;
use updraft_model::{DagId, MapIndex};
use updraft_rest_api::xcom::{
    XComCollectionResponse, XComContext, XComCreateBody, XComResponse, XComResponseNative,
    XComUpdateBody, stored_value, without_types,
};
use updraft_store::listing::{RunDates, XComFilter};
use updraft_store::{Reader, RunKey, XComKey};

use crate::call::{ANY, Answer, Call, created, dag_not_found, no_content, ok};
use crate::dag_info::names_of;
use crate::dag_runs::require_run;
use crate::error::ApiError;
use crate::task_instances::query_map_index;

/// `GET …/xcomEntries`, without values; `~` for every Dag, run and task.
pub(crate) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let some = |name: &str| Some(call.path(name).to_owned()).filter(|id| id != ANY);
    let filter = XComFilter {
        dag_id: some("dag_id").map(Into::into),
        run_id: some("dag_run_id").map(Into::into),
        task_id: some("task_id").map(Into::into),
        map_index: query
            .integer("map_index")
            .or(query.integer("map_index_filter")),
        key: query.text("xcom_key"),
        key_pattern: query.pattern("xcom_key"),
        dag_display_name: query.pattern("dag_display_name"),
        run_id_pattern: query.pattern("run_id"),
        task_id_pattern: query.pattern("task_id"),
        logical_date: query.instants("logical_date"),
        run_after: query.instants("run_after"),
    };
    query.finish()?;
    let mut reader = call.reader().await?;
    let listed = reader.list_xcoms(&filter, &page).await?;
    let contexts = Contexts::load(&mut reader, &listed.rows).await?;
    let answered = listed
        .rows
        .iter()
        .filter_map(|xcom| Some(XComResponse::new(xcom, &contexts.of(xcom)?)));
    ok(&XComCollectionResponse {
        xcom_entries: answered.collect(),
        total_entries: listed.total,
    })
}

/// What the answers for a page of entries show of runs and Dags.
struct Contexts {
    runs: BTreeMap<RunKey, RunDates>,
    names: BTreeMap<DagId, String>,
}

impl Contexts {
    async fn load(reader: &mut Reader, xcoms: &[XCom]) -> Result<Self, ApiError> {
        let mut keys: Vec<RunKey> = xcoms.iter().map(run_key).collect();
        keys.sort_unstable();
        keys.dedup();
        Ok(Self {
            names: names_of(reader, keys.iter().map(|key| key.dag_id.clone()).collect()).await?,
            runs: reader.load_run_dates(&keys).await?,
        })
    }

    /// `None` when the run went away in the meantime, and the entry with it.
    fn of(&self, xcom: &XCom) -> Option<XComContext> {
        let run = self.runs.get(&run_key(xcom))?;
        let name = self.names.get(&xcom.dag_id);
        Some(XComContext {
            logical_date: run.logical_date,
            run_after: run.run_after,
            dag_display_name: name.cloned().unwrap_or_else(|| xcom.dag_id.to_string()),
            task_display_name: xcom.task_id.to_string(),
        })
    }
}

fn run_key(xcom: &XCom) -> RunKey {
    RunKey {
        dag_id: xcom.dag_id.clone(),
        run_id: xcom.run_id.clone(),
    }
}

/// `GET …/xcomEntries/{xcom_key}`.
pub(crate) async fn get(call: Call) -> Answer {
    let mut query = call.query();
    let deserialize = query.boolean("deserialize").unwrap_or(false);
    let stringify = query.boolean("stringify").unwrap_or(false);
    query.finish()?;
    let key = key_in(&call, call.path("xcom_key"));
    let mut reader = call.reader().await?;
    let xcom = reader.find_xcom(&key, query_map_index(&call)?).await?;
    let xcom = xcom.ok_or_else(|| {
        ApiError::not_found(format!("XCom entry with key: `{}` not found", key.key))
    })?;
    let mut value = stored_value(&xcom.value);
    if deserialize {
        value = without_types(&value);
    }
    if stringify {
        value = match value {
            Value::Null => Value::Null,
            Value::String(text) => Value::String(text),
            other => repr(&other).into(),
        };
    }
    ok(&native(&mut reader, &xcom, value).await?)
}

async fn native(
    reader: &mut Reader,
    xcom: &XCom,
    value: Value,
) -> Result<XComResponseNative, ApiError> {
    let contexts = Contexts::load(reader, std::slice::from_ref(xcom)).await?;
    let gone = || ApiError::not_found(format!("XCom entry with key: `{}` not found", xcom.key));
    let context = contexts.of(xcom).ok_or_else(gone)?;
    Ok(XComResponseNative {
        entry: XComResponse::new(xcom, &context),
        value,
    })
}

/// `POST …/xcomEntries`.
pub(crate) async fn create(call: Call) -> Answer {
    let body = call.read::<XComCreateBody>()?;
    let map_index = MapIndex(body.map_index);
    let mut reader = call.reader().await?;
    require_task(&call, &mut reader).await?;
    require_run(&mut reader, &call.run_key()).await?;
    let xcom = xcom_of(&call, &body.key, map_index, &body.value);
    let key = key_in(&call, &body.key);
    let store = call.state.store();
    let is_new = store
        .retry(|| async {
            let mut tx = store.write().await?;
            if tx.find_xcom(&key, map_index).await?.is_some() {
                return Ok(false);
            }
            tx.set_xcom(&xcom, None).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await?;
    if !is_new {
        return Err(ApiError::conflict(format!(
            "The XCom with key: `{}` with mentioned task instance already exists.",
            body.key
        )));
    }
    created(&native(&mut reader, &xcom, body.value).await?)
}

/// An entry is created only for a task that the Dag has.
async fn require_task(call: &Call, reader: &mut Reader) -> Result<(), ApiError> {
    let (dag_id, task_id) = (call.dag_id(), call.task_id());
    let latest = call
        .state
        .dags()
        .latest(&call.state, reader, &dag_id)
        .await?;
    let (_, dag) = latest.ok_or_else(|| dag_not_found(dag_id.as_str()))?;
    if dag.find_task(task_id.as_str()).is_none() {
        return Err(ApiError::not_found(format!(
            "Task with ID: `{task_id}` not found in dag: `{dag_id}`"
        )));
    }
    Ok(())
}

/// `PATCH …/xcomEntries/{xcom_key}`.
pub(crate) async fn update(call: Call) -> Answer {
    let body = call.read::<XComUpdateBody>()?;
    let map_index = MapIndex(body.map_index);
    let key = key_in(&call, call.path("xcom_key"));
    let xcom = xcom_of(&call, &key.key, map_index, &body.value);
    let store = call.state.store();
    let found = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let Some(stored) = tx.find_xcom(&key, map_index).await? else {
                return Ok(None);
            };
            let xcom = XCom {
                dag_result: stored.dag_result,
                ..xcom.clone()
            };
            tx.set_xcom(&xcom, None).await?;
            tx.commit().await?;
            Ok(Some(xcom))
        })
        .await?;
    let xcom = found.ok_or_else(|| missing(&key))?;
    let mut reader = call.reader().await?;
    ok(&native(&mut reader, &xcom, body.value).await?)
}

/// `DELETE …/xcomEntries/{xcom_key}`.
pub(crate) async fn delete(call: Call) -> Answer {
    let map_index = query_map_index(&call)?;
    let key = key_in(&call, call.path("xcom_key"));
    let store = call.state.store();
    let found = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let found = tx.delete_xcom(&key, map_index).await?;
            tx.commit().await?;
            Ok(found)
        })
        .await?;
    if found {
        no_content()
    } else {
        Err(missing(&key))
    }
}

fn missing(key: &XComKey) -> ApiError {
    ApiError::not_found(format!(
        "The XCom with key: `{}` with mentioned task instance doesn't exist.",
        key.key
    ))
}

fn key_in(call: &Call, key: &str) -> XComKey {
    XComKey {
        dag_id: call.dag_id(),
        run_id: call.run_id(),
        task_id: call.task_id(),
        key: key.to_owned(),
    }
}

fn xcom_of(call: &Call, key: &str, map_index: MapIndex, value: &Value) -> XCom {
    XCom {
        dag_id: call.dag_id(),
        run_id: call.run_id(),
        task_id: call.task_id(),
        map_index,
        key: key.to_owned(),
        value: value.to_string(),
        dag_result: false,
        timestamp: call.state.clock().now(),
    }
}
