//! Pools.

use updraft_model::PoolName;
use updraft_model::pool::{DEFAULT_POOL, Pool};
use updraft_rest_api::admin::{PoolBody, PoolCollectionResponse, PoolPatchBody, PoolResponse};
use updraft_rest_api::issue::Issue;
use updraft_store::listing::PoolFilter;
use updraft_store::{Reader, Tx};

use crate::access::{Access, Verb};
use crate::bulk::{self, Resource};
use crate::call::{Answer, Call, created, no_content, ok};
use crate::error::ApiError;

/// What may change about the default pool.
const DEFAULT_POOL_FIXED: &str = "Only slots and included_deferred can be modified on Default Pool";

/// `GET /pools`.
pub(crate) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let filter = PoolFilter {
        name: query.pattern("pool_name"),
    };
    query.finish()?;
    let mut reader = call.reader().await?;
    let listed = reader.list_pools(&filter, &page).await?;
    let usage = reader.load_pool_usage().await?;
    let answered = listed.rows.iter().map(|pool| {
        let usage = usage.get(&pool.name).copied().unwrap_or_default();
        PoolResponse::new(pool, &usage)
    });
    ok(&PoolCollectionResponse {
        pools: answered.collect(),
        total_entries: listed.total,
    })
}

/// `GET /pools/{pool_name}`.
pub(crate) async fn get(call: Call) -> Answer {
    let mut reader = call.reader().await?;
    let pool = require(&mut reader, &name_in(&call)).await?;
    ok(&response(&mut reader, &pool).await?)
}

/// `POST /pools`.
pub(crate) async fn create(call: Call) -> Answer {
    let pool = pool_of(call.read::<PoolBody>()?);
    let store = call.state.store();
    let is_new = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let is_new = tx.create_pool(&pool).await?;
            tx.commit().await?;
            Ok(is_new)
        })
        .await?;
    if !is_new {
        return Err(ApiError::unique_violation());
    }
    created(&response(&mut call.reader().await?, &pool).await?)
}

/// `PATCH /pools/{pool_name}`.
pub(crate) async fn patch(call: Call) -> Answer {
    let body = call.read::<PoolPatchBody>()?;
    let name = name_in(&call);
    let mask = call.update_mask();
    check_patch(&call, &body, &name, mask.as_deref())?;
    let store = call.state.store();
    let changed = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let Some(pool) = tx.find_pool(&name).await? else {
                return Ok(None);
            };
            let pool = patched(pool, &body, mask.as_deref());
            tx.update_pool(&pool).await?;
            tx.commit().await?;
            Ok(Some(pool))
        })
        .await?;
    let pool = changed.ok_or_else(|| not_found(&name))?;
    ok(&response(&mut call.reader().await?, &pool).await?)
}

fn check_patch(
    call: &Call,
    body: &PoolPatchBody,
    name: &PoolName,
    mask: Option<&[String]>,
) -> Result<(), ApiError> {
    if body
        .pool
        .as_ref()
        .is_some_and(|pool| *name != pool.as_str())
    {
        return Err(ApiError::bad_request(
            "Invalid body, pool name from request body doesn't match uri parameter",
        ));
    }
    if *name == DEFAULT_POOL {
        let may_change = |field: &String| matches!(field.as_str(), "slots" | "include_deferred");
        return if mask.is_some_and(|mask| mask.iter().all(may_change)) {
            Ok(())
        } else {
            Err(ApiError::bad_request(DEFAULT_POOL_FIXED))
        };
    }
    // Quirk: whatever the mask says, the body must be complete; HTTP surface §1.6.
    let sent = call.json()?;
    let required = ["pool", "slots", "include_deferred"];
    let missing: Vec<Issue> = required
        .into_iter()
        .filter(|field| mask.is_some() && sent.get(field).is_none())
        .map(|field| Issue::missing(field, &sent).found_late())
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(missing.into())
    }
}

fn patched(pool: Pool, body: &PoolPatchBody, mask: Option<&[String]>) -> Pool {
    let masked = |field: &str| mask.is_none_or(|mask| mask.iter().any(|name| name == field));
    Pool {
        slots: body.slots.filter(|_| masked("slots")).unwrap_or(pool.slots),
        description: body
            .description
            .clone()
            .filter(|_| masked("description"))
            .or(pool.description),
        include_deferred: body
            .include_deferred
            .filter(|_| masked("include_deferred"))
            .unwrap_or(pool.include_deferred),
        name: pool.name,
    }
}

/// `DELETE /pools/{pool_name}`.
pub(crate) async fn delete(call: Call) -> Answer {
    let name = name_in(&call);
    if name == DEFAULT_POOL {
        return Err(ApiError::bad_request("Default Pool can't be deleted"));
    }
    let store = call.state.store();
    let found = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let found = tx.delete_pool(&name).await?;
            tx.commit().await?;
            Ok(found)
        })
        .await?;
    if found {
        no_content()
    } else {
        Err(not_found(&name))
    }
}

/// `PATCH /pools`.
pub(crate) async fn bulk(call: Call) -> Answer {
    bulk::run::<Pools>(call).await
}

/// Pools in bulk requests.
struct Pools;

impl Resource for Pools {
    type Body = PoolBody;

    const ACCESS: Access = Access::Pool(Verb::Write);
    const PLURAL: &'static str = "pools";
    const KEYS: &'static str = "pool names";

    fn key(body: &PoolBody) -> &str {
        &body.name
    }

    async fn exists(tx: &mut Tx, key: &str) -> Result<bool, updraft_store::Error> {
        Ok(tx.find_pool(&key.into()).await?.is_some())
    }

    async fn create(tx: &mut Tx, body: PoolBody) -> Result<(), updraft_store::Error> {
        tx.create_pool(&pool_of(body)).await.map(drop)
    }

    async fn replace(tx: &mut Tx, body: PoolBody) -> Result<(), updraft_store::Error> {
        tx.update_pool(&pool_of(body)).await.map(drop)
    }

    async fn update(
        tx: &mut Tx,
        body: PoolBody,
        fields: &[String],
    ) -> Result<(), updraft_store::Error> {
        let patch = PoolPatchBody {
            pool: None,
            slots: Some(body.slots),
            description: body.description,
            include_deferred: Some(body.include_deferred),
        };
        if let Some(pool) = tx.find_pool(&body.name.as_str().into()).await? {
            tx.update_pool(&patched(pool, &patch, Some(fields))).await?;
        }
        Ok(())
    }

    async fn delete(tx: &mut Tx, key: &str) -> Result<(), updraft_store::Error> {
        tx.delete_pool(&key.into()).await.map(drop)
    }
}

fn pool_of(body: PoolBody) -> Pool {
    Pool {
        name: body.name.into(),
        slots: body.slots,
        description: body.description,
        include_deferred: body.include_deferred,
    }
}

fn name_in(call: &Call) -> PoolName {
    call.path("pool_name").into()
}

async fn require(reader: &mut Reader, name: &PoolName) -> Result<Pool, ApiError> {
    let pool = reader.find_pool(name).await?;
    pool.ok_or_else(|| not_found(name))
}

fn not_found(name: &PoolName) -> ApiError {
    ApiError::not_found(format!("The Pool with name: `{name}` was not found"))
}

async fn response(reader: &mut Reader, pool: &Pool) -> Result<PoolResponse, ApiError> {
    let usage = reader.load_pool_usage().await?;
    let usage = usage.get(&pool.name).copied().unwrap_or_default();
    Ok(PoolResponse::new(pool, &usage))
}
