//! Connections.

use serde_json::Value;
use updraft_model::connection::Connection;
use updraft_model::python_repr::dumps;
use updraft_rest_api::admin::{ConnectionBody, ConnectionCollectionResponse, ConnectionResponse};
use updraft_rest_api::mask::{MASK, unmasked};
use updraft_store::listing::ConnectionFilter;
use updraft_store::{Error, Tx};

use crate::access::Access;
use crate::bulk::{self, Resource};
use crate::call::{Answer, Call, created, no_content, ok};
use crate::error::ApiError;

/// `GET /connections`.
pub(crate) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let filter = ConnectionFilter {
        conn_id: query.pattern("connection_id"),
    };
    query.finish()?;
    let listed = call
        .reader()
        .await?
        .list_connections(&filter, &page)
        .await?;
    ok(&ConnectionCollectionResponse {
        connections: listed.rows.iter().map(ConnectionResponse::from).collect(),
        total_entries: listed.total,
    })
}

/// `GET /connections/{connection_id}`.
pub(crate) async fn get(call: Call) -> Answer {
    let id = call.path("connection_id");
    let connection = call.reader().await?.find_connection(id).await?;
    let connection = connection.ok_or_else(|| not_found(id))?;
    ok(&ConnectionResponse::from(&connection))
}

/// `POST /connections`.
pub(crate) async fn create(call: Call) -> Answer {
    let connection = call.read::<ConnectionBody>()?.into_connection();
    let store = call.state.store();
    let is_new = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let is_new = tx.create_connection(&connection).await?;
            tx.commit().await?;
            Ok(is_new)
        })
        .await?;
    if !is_new {
        return Err(ApiError::unique_violation());
    }
    created(&ConnectionResponse::from(&connection))
}

/// `PATCH /connections/{connection_id}`.
pub(crate) async fn patch(call: Call) -> Answer {
    let body = call.read::<ConnectionBody>()?;
    let id = call.path("connection_id");
    if body.connection_id != id {
        return Err(ApiError::bad_request(
            "The connection_id in the request body does not match the URL parameter",
        ));
    }
    let fields = call.changed_fields()?;
    let store = call.state.store();
    let changed = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let Some(connection) = tx.find_connection(id).await? else {
                return Ok(None);
            };
            let connection = patched(connection, body.clone(), &fields);
            tx.set_connection(&connection).await?;
            tx.commit().await?;
            Ok(Some(connection))
        })
        .await?;
    let connection = changed.ok_or_else(|| not_found(id))?;
    ok(&ConnectionResponse::from(&connection))
}

/// Takes the named fields over. A secret that comes back as it was shown stays as it is stored.
pub(crate) fn patched(
    mut stored: Connection,
    body: ConnectionBody,
    fields: &[String],
) -> Connection {
    for field in fields {
        match field.as_str() {
            "conn_type" => stored.conn_type.clone_from(&body.conn_type),
            "description" => stored.description.clone_from(&body.description),
            "host" => stored.host.clone_from(&body.host),
            "login" => stored.login.clone_from(&body.login),
            "schema" => stored.schema.clone_from(&body.schema),
            "port" => stored.port = body.port,
            "password" if body.password.as_deref() != Some(MASK) => {
                stored.password.clone_from(&body.password);
            }
            "extra" => {
                stored.extra = body
                    .extra
                    .as_deref()
                    .map(|extra| unmasked_extra(extra, stored.extra.as_deref()));
            }
            _ => {}
        }
    }
    stored
}

fn unmasked_extra(sent: &str, stored: Option<&str>) -> String {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (json(sent), stored.and_then(json)) {
        (Some(sent), Some(stored)) => dumps(&unmasked(&sent, Some(&stored))),
        _ => sent.to_owned(),
    }
}

/// `DELETE /connections/{connection_id}`.
pub(crate) async fn delete(call: Call) -> Answer {
    let id = call.path("connection_id");
    let store = call.state.store();
    let found = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let found = tx.delete_connection(id).await?;
            tx.commit().await?;
            Ok(found)
        })
        .await?;
    if found {
        no_content()
    } else {
        Err(not_found(id))
    }
}

/// `PATCH /connections`.
pub(crate) async fn bulk(call: Call) -> Answer {
    bulk::run::<Connections>(call).await
}

/// Connections in bulk requests.
struct Connections;

impl Resource for Connections {
    type Body = ConnectionBody;

    const ACCESS: Access = Access::Connection;
    const PLURAL: &'static str = "connections";
    const KEYS: &'static str = "connection_ids";

    fn key(body: &ConnectionBody) -> &str {
        &body.connection_id
    }

    async fn exists(tx: &mut Tx, key: &str) -> Result<bool, Error> {
        Ok(tx.find_connection(key).await?.is_some())
    }

    async fn create(tx: &mut Tx, body: ConnectionBody) -> Result<(), Error> {
        tx.create_connection(&body.into_connection())
            .await
            .map(drop)
    }

    async fn replace(tx: &mut Tx, body: ConnectionBody) -> Result<(), Error> {
        tx.set_connection(&body.into_connection()).await
    }

    async fn update(tx: &mut Tx, body: ConnectionBody, fields: &[String]) -> Result<(), Error> {
        match tx.find_connection(&body.connection_id).await? {
            Some(stored) => tx.set_connection(&patched(stored, body, fields)).await,
            None => Ok(()),
        }
    }

    async fn delete(tx: &mut Tx, key: &str) -> Result<(), Error> {
        tx.delete_connection(key).await.map(drop)
    }
}

fn not_found(id: &str) -> ApiError {
    ApiError::not_found(format!(
        "The Connection with connection_id: `{id}` was not found"
    ))
}
