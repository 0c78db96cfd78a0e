//! XComs.

use updraft_model::xcom::XCom;
use updraft_model::{MapIndex, RunId, TaskId};
use updraft_store::{Slice, Store, XComKey};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::{
    DeleteXCom, ErrorType, GetXCom, GetXComCount, GetXComSequenceItem, GetXComSequenceSlice,
    Response, SetXCom, XComCountResponse, XComResult, XComSequenceIndexResult,
    XComSequenceSliceResult,
};

use super::{AnswerOptions, Outcome, stored};
use crate::failure::rejected;

pub(super) async fn set(store: &Store, options: &AnswerOptions, request: SetXCom) -> Outcome {
    let length_max = i64::from(options.map_length_max);
    let mapped_length = match request.mapped_length {
        Some(length) if length > length_max => {
            let message = format!(
                "expected at most {length_max} elements to map over ([core] max_map_length), found {length}"
            );
            return Err(rejected(400, &message));
        }
        length => length.and_then(|length| u32::try_from(length).ok()),
    };
    let xcom = XCom {
        dag_id: request.dag_id.into(),
        run_id: request.run_id.into(),
        task_id: request.task_id.into(),
        map_index: map_index(request.map_index),
        key: request.key,
        value: request.value.as_str().to_owned(),
        dag_result: request.dag_result,
        timestamp: options.clock.now(),
    };
    let mut tx = stored(store.write().await)?;
    if !stored(tx.set_xcom(&xcom, mapped_length).await)? {
        let message = format!(
            "Dag run `{}` of `{}` does not exist",
            xcom.run_id, xcom.dag_id
        );
        return Err(rejected(404, &message));
    }
    stored(tx.commit().await)?;
    Ok(None)
}

pub(super) async fn get(store: &Store, request: GetXCom) -> Outcome {
    let key = xcom_key(
        &request.dag_id,
        &request.run_id,
        &request.task_id,
        &request.key,
    );
    let map_index = map_index(request.map_index);
    let mut reader = stored(store.read().await)?;
    let found = if request.include_prior_dates {
        reader.find_xcom_or_earlier(&key, map_index).await
    } else {
        reader.find_xcom(&key, map_index).await
    };
    // A missing value is null, not an error.
    let value =
        stored(found)?.map_or_else(JsonText::null, |xcom| JsonText::from_stored(xcom.value));
    Ok(Some(Response::XComResult(XComResult {
        key: request.key,
        value,
    })))
}

pub(super) async fn count(store: &Store, request: GetXComCount) -> Outcome {
    let key = xcom_key(
        &request.dag_id,
        &request.run_id,
        &request.task_id,
        &request.key,
    );
    let len = stored(stored(store.read().await)?.count_xcoms(&key).await)?;
    Ok(Some(Response::XComCountResponse(XComCountResponse { len })))
}

pub(super) async fn item(store: &Store, request: GetXComSequenceItem) -> Outcome {
    let key = xcom_key(
        &request.dag_id,
        &request.run_id,
        &request.task_id,
        &request.key,
    );
    let found = stored(store.read().await)?
        .find_xcom_at(&key, request.offset)
        .await;
    Ok(Some(match stored(found)? {
        Some(xcom) => Response::XComSequenceIndexResult(XComSequenceIndexResult {
            root: JsonText::from_stored(xcom.value),
        }),
        None => Response::error(
            ErrorType::XComNotFound,
            &serde_json::json!({
                "dag_id": request.dag_id,
                "run_id": request.run_id,
                "task_id": request.task_id,
                "key": request.key,
                "offset": request.offset,
            }),
        ),
    }))
}

pub(super) async fn slice(store: &Store, request: GetXComSequenceSlice) -> Outcome {
    if request.step == Some(0) {
        return Err(rejected(400, "expected a step other than 0"));
    }
    let key = xcom_key(
        &request.dag_id,
        &request.run_id,
        &request.task_id,
        &request.key,
    );
    let slice = Slice {
        start: request.start,
        stop: request.stop,
        step: request.step,
    };
    let found = stored(store.read().await)?
        .load_xcom_slice(&key, slice)
        .await;
    let root = stored(found)?
        .into_iter()
        .map(|xcom| JsonText::from_stored(xcom.value))
        .collect();
    Ok(Some(Response::XComSequenceSliceResult(
        XComSequenceSliceResult { root },
    )))
}

pub(super) async fn delete(store: &Store, request: DeleteXCom) -> Outcome {
    let key = xcom_key(
        &request.dag_id,
        &request.run_id,
        &request.task_id,
        &request.key,
    );
    let mut tx = stored(store.write().await)?;
    stored(tx.delete_xcom(&key, map_index(request.map_index)).await)?;
    stored(tx.commit().await)?;
    Ok(None)
}

fn xcom_key(dag_id: &str, run_id: &str, task_id: &str, key: &str) -> XComKey {
    XComKey {
        dag_id: dag_id.into(),
        run_id: RunId::new(run_id),
        task_id: TaskId::new(task_id),
        key: key.to_owned(),
    }
}

/// A missing index means the value of a task that is not mapped.
fn map_index(given: Option<i64>) -> MapIndex {
    given
        .and_then(|index| i32::try_from(index).ok())
        .map_or(MapIndex::UNMAPPED, MapIndex)
}
