//! Connections and variables.
//!
//! A child looks into its own environment and its own secrets backend before it asks; what is left
//! is the secrets backend of the server, then the store. (The environment of this process is the environment of the child, so looking there
//! again would find nothing new.)

use updraft_model::variable::Variable;
use updraft_store::Store;
use updraft_task_comms::message::{
    ConnectionResult, DeleteVariable, ErrorType, GetConnection, GetVariable, GetVariableKeys,
    PutVariable, Response, VariableKeysResult, VariableResult,
};

use super::{Outcome, stored};
use crate::PythonSide;

/// Keys that one answer may hold, as in Airflow.
const VARIABLE_KEYS_MAX: i64 = 10_000;

pub(super) async fn connection(
    store: &Store,
    python: Option<&PythonSide>,
    request: GetConnection,
) -> Outcome {
    if let Some(python) = python
        && let Some(found) = python.find_connection(&request.conn_id).await
    {
        return Ok(Some(Response::ConnectionResult(found)));
    }
    let found = stored(store.read().await)?
        .find_connection(&request.conn_id)
        .await;
    Ok(Some(match stored(found)? {
        Some(connection) => Response::ConnectionResult(ConnectionResult {
            conn_id: connection.conn_id,
            conn_type: connection.conn_type,
            host: connection.host,
            schema: connection.schema,
            login: connection.login,
            password: connection.password,
            port: connection.port.map(i64::from),
            extra: connection.extra,
        }),
        None => Response::error(
            ErrorType::ConnectionNotFound,
            &serde_json::json!({ "conn_id": request.conn_id }),
        ),
    }))
}

pub(super) async fn variable(
    store: &Store,
    python: Option<&PythonSide>,
    request: GetVariable,
) -> Outcome {
    if let Some(python) = python
        && let Some(found) = python.find_variable(&request.key).await
    {
        return Ok(Some(Response::VariableResult(found)));
    }
    let found = stored(store.read().await)?
        .find_variable(&request.key)
        .await;
    Ok(Some(match stored(found)? {
        Some(variable) => Response::VariableResult(VariableResult {
            key: variable.key,
            value: Some(variable.value),
        }),
        None => Response::error(
            ErrorType::VariableNotFound,
            &serde_json::json!({ "key": request.key }),
        ),
    }))
}

pub(super) async fn variable_keys(store: &Store, request: GetVariableKeys) -> Outcome {
    let prefix = request.prefix.unwrap_or_default();
    let limit = request.limit.clamp(1, VARIABLE_KEYS_MAX);
    let mut reader = stored(store.read().await)?;
    let found = stored(
        reader
            .page_variable_keys(&prefix, limit, request.offset.max(0))
            .await,
    )?;
    Ok(Some(Response::VariableKeysResult(VariableKeysResult {
        keys: found.keys,
        total_entries: found.total,
    })))
}

pub(super) async fn put_variable(
    store: &Store,
    python: Option<&PythonSide>,
    request: PutVariable,
) -> Outcome {
    if let Some(python) = python {
        python.forget_variable(&request.key);
    }
    let mut tx = stored(store.write().await)?;
    let variable = Variable {
        key: request.key,
        value: request.value.unwrap_or_default(),
        description: request.description,
        team_name: None,
    };
    stored(tx.set_variable(&variable).await)?;
    stored(tx.commit().await)?;
    Ok(Some(Response::ok()))
}

pub(super) async fn delete_variable(
    store: &Store,
    python: Option<&PythonSide>,
    request: DeleteVariable,
) -> Outcome {
    if let Some(python) = python {
        python.forget_variable(&request.key);
    }
    let mut tx = stored(store.write().await)?;
    stored(tx.delete_variable(&request.key).await)?;
    stored(tx.commit().await)?;
    Ok(Some(Response::ok()))
}
