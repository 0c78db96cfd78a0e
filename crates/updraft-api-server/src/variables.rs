//! Variables.

use updraft_model::variable::Variable;
use updraft_rest_api::admin::{VariableBody, VariableCollectionResponse, VariableResponse};
use updraft_store::listing::VariableFilter;
use updraft_store::{Error, Tx};

use crate::access::Access;
use crate::bulk::{self, Resource};
use crate::call::{Answer, Call, created, no_content, ok};
use crate::error::ApiError;

/// `GET /variables`.
pub(crate) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let filter = VariableFilter {
        key: query.pattern("variable_key"),
    };
    query.finish()?;
    let listed = call.reader().await?.list_variables(&filter, &page).await?;
    ok(&VariableCollectionResponse {
        variables: listed.rows.iter().map(VariableResponse::from).collect(),
        total_entries: listed.total,
    })
}

/// `GET /variables/{variable_key}`.
pub(crate) async fn get(call: Call) -> Answer {
    let key = call.path("variable_key");
    let variable = call.reader().await?.find_variable(key).await?;
    let variable = variable.ok_or_else(|| not_found(key))?;
    ok(&VariableResponse::from(&variable))
}

/// `POST /variables`.
pub(crate) async fn create(call: Call) -> Answer {
    let variable = variable_of(call.read::<VariableBody>()?);
    let store = call.state.store();
    let is_new = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let is_new = tx.create_variable(&variable).await?;
            tx.commit().await?;
            Ok(is_new)
        })
        .await?;
    if !is_new {
        return Err(ApiError::conflict(format!(
            "The Variable with key: `{}` already exists",
            variable.key
        )));
    }
    created(&VariableResponse::from(&variable))
}

/// `PATCH /variables/{variable_key}`.
pub(crate) async fn patch(call: Call) -> Answer {
    let body = call.read::<VariableBody>()?;
    let key = call.path("variable_key");
    if body.key != key {
        return Err(ApiError::bad_request(
            "Invalid body, key from request body doesn't match uri parameter",
        ));
    }
    let fields = call.changed_fields()?;
    let store = call.state.store();
    let changed = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let Some(variable) = tx.find_variable(key).await? else {
                return Ok(None);
            };
            let variable = patched(variable, &body, &fields);
            tx.set_variable(&variable).await?;
            tx.commit().await?;
            Ok(Some(variable))
        })
        .await?;
    let variable = changed.ok_or_else(|| not_found(key))?;
    ok(&VariableResponse::from(&variable))
}

fn patched(variable: Variable, body: &VariableBody, fields: &[String]) -> Variable {
    let changes = |field: &str| fields.iter().any(|name| name == field);
    Variable {
        value: if changes("value") {
            body.value.clone()
        } else {
            variable.value
        },
        description: if changes("description") {
            body.description.clone()
        } else {
            variable.description
        },
        key: variable.key,
        team_name: variable.team_name,
    }
}

/// `DELETE /variables/{variable_key}`.
pub(crate) async fn delete(call: Call) -> Answer {
    let key = call.path("variable_key");
    let store = call.state.store();
    let found = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let found = tx.delete_variable(key).await?;
            tx.commit().await?;
            Ok(found)
        })
        .await?;
    if found {
        no_content()
    } else {
        Err(not_found(key))
    }
}

/// `PATCH /variables`.
pub(crate) async fn bulk(call: Call) -> Answer {
    bulk::run::<Variables>(call).await
}

/// Variables in bulk requests.
struct Variables;

impl Resource for Variables {
    type Body = VariableBody;

    const ACCESS: Access = Access::Variable;
    const PLURAL: &'static str = "variables";
    const KEYS: &'static str = "keys";

    fn key(body: &VariableBody) -> &str {
        &body.key
    }

    async fn exists(tx: &mut Tx, key: &str) -> Result<bool, Error> {
        Ok(tx.find_variable(key).await?.is_some())
    }

    async fn create(tx: &mut Tx, body: VariableBody) -> Result<(), Error> {
        tx.create_variable(&variable_of(body)).await.map(drop)
    }

    async fn replace(tx: &mut Tx, body: VariableBody) -> Result<(), Error> {
        tx.set_variable(&variable_of(body)).await
    }

    async fn update(tx: &mut Tx, body: VariableBody, fields: &[String]) -> Result<(), Error> {
        match tx.find_variable(&body.key).await? {
            Some(variable) => tx.set_variable(&patched(variable, &body, fields)).await,
            None => Ok(()),
        }
    }

    async fn delete(tx: &mut Tx, key: &str) -> Result<(), Error> {
        tx.delete_variable(key).await.map(drop)
    }
}

fn variable_of(body: VariableBody) -> Variable {
    Variable {
        key: body.key,
        value: body.value,
        description: body.description,
        team_name: None,
    }
}

fn not_found(key: &str) -> ApiError {
    ApiError::not_found(format!("The Variable with key: `{key}` was not found"))
}
