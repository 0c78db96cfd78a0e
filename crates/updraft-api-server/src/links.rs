//! Links that operators offer to other systems.

use serde_json::{Map, Value, json};
use updraft_model::MapIndex;
use updraft_rest_api::xcom::stored_value;
use updraft_store::XComKey;

use crate::call::{Answer, Call, ok};
use crate::error::ApiError;
use crate::task_instances::query_map_index;

/// `GET …/links`: each link's name with its URL, which a task leaves as an XCom when it knows it.
pub(crate) async fn list(call: Call) -> Answer {
    let map_index = query_map_index(&call)?;
    let key = call.run_key();
    let task_id = call.task_id();
    let mut reader = call.reader().await?;
    let dag = call.require_serialized(&mut reader, &key.dag_id).await?;
    let task = dag
        .find_task(task_id.as_str())
        .ok_or_else(|| ApiError::not_found(format!("Task with ID = {task_id} not found")))?;
    let raw = dag.raw_task(task.index);
    let mut links = Map::new();
    for (name, xcom_key) in raw["_operator_extra_links"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let key = XComKey {
            dag_id: key.dag_id.clone(),
            run_id: key.run_id.clone(),
            task_id: task_id.clone(),
            key: xcom_key.as_str().unwrap_or_default().to_owned(),
        };
        let found = reader.find_xcom(&key, MapIndex(map_index.0)).await?;
        let url = found.map_or(Value::Null, |xcom| stored_value(&xcom.value));
        links.insert(name.clone(), url);
    }
    ok(&json!({"total_entries": links.len(), "extra_links": links}))
}
