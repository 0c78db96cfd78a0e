//! Bulk requests over resources that have a key: pools, variables, connections.
//!
//! Each action is applied as a whole or not at all, and independently of the others: what one action
//! did stays when the next is refused. HTTP surface §1.7.

use std::collections::BTreeSet;
use std::future::Future;

use serde_json::Value;
use updraft_model::python_repr::repr_set;
use updraft_rest_api::bulk::{
    BulkAction, BulkActionResponse, BulkBody, BulkResponse, Deletion, Entity, Otherwise,
};
use updraft_rest_api::fields::Body;
use updraft_store::{Error, Tx};

use crate::access::Access;
use crate::call::{Answer, Call, ok};
use crate::error::ApiError;

/// A kind of thing that bulk requests change.
pub(crate) trait Resource {
    type Body: Body + Clone + Send + Sync;

    const ACCESS: Access;
    /// For messages: "The pools with these pool names: …".
    const PLURAL: &'static str;
    const KEYS: &'static str;

    fn key(body: &Self::Body) -> &str;

    fn exists(tx: &mut Tx, key: &str) -> impl Future<Output = Result<bool, Error>> + Send;

    fn create(tx: &mut Tx, body: Self::Body) -> impl Future<Output = Result<(), Error>> + Send;

    fn replace(tx: &mut Tx, body: Self::Body) -> impl Future<Output = Result<(), Error>> + Send;

    /// Takes over the named fields.
    fn update(
        tx: &mut Tx,
        body: Self::Body,
        fields: &[String],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    fn delete(tx: &mut Tx, key: &str) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Serves a bulk request.
pub(crate) async fn run<R: Resource>(call: Call) -> Answer {
    let body = call.read::<BulkBody<R::Body>>()?;
    if !call.user.role.may(R::ACCESS) {
        return Err(ApiError::forbidden("Forbidden"));
    }
    let store = call.state.store();
    let mut response = BulkResponse::default();
    for action in body.actions {
        let applied = store
            .retry(|| async {
                let mut tx = store.write().await?;
                let mut applied = BulkActionResponse::default();
                apply::<R>(&mut tx, &action, &mut applied).await?;
                if applied.errors.is_empty() {
                    tx.commit().await?;
                }
                Ok(applied)
            })
            .await?;
        let slot = match action {
            BulkAction::Create { .. } => &mut response.create,
            BulkAction::Update { .. } => &mut response.update,
            BulkAction::Delete { .. } => &mut response.delete,
        };
        let slot = slot.get_or_insert_default();
        slot.success.extend(applied.success);
        slot.errors.extend(applied.errors);
    }
    ok(&response)
}

async fn apply<R: Resource>(
    tx: &mut Tx,
    action: &BulkAction<R::Body>,
    applied: &mut BulkActionResponse,
) -> Result<(), Error> {
    match action {
        BulkAction::Create {
            entities,
            on_existence,
        } => create::<R>(tx, entities, *on_existence, applied).await,
        BulkAction::Update {
            entities,
            update_mask,
            on_non_existence,
        } => {
            let mask = update_mask.as_deref();
            update::<R>(tx, entities, mask, *on_non_existence, applied).await
        }
        BulkAction::Delete {
            entities,
            on_non_existence,
        } => {
            let keys = entities.iter().map(|entity| match entity {
                Deletion::Key(key) => key.clone(),
                Deletion::Entity(body) => R::key(body).to_owned(),
            });
            delete::<R>(tx, &keys.collect::<Vec<_>>(), *on_non_existence, applied).await
        }
    }
}

async fn create<R: Resource>(
    tx: &mut Tx,
    entities: &[R::Body],
    on_existence: Otherwise,
    applied: &mut BulkActionResponse,
) -> Result<(), Error> {
    let (existing, _) = split::<R>(tx, entities.iter().map(R::key)).await?;
    if on_existence == Otherwise::Fail && !existing.is_empty() {
        let keys = repr_set(existing.iter().map(String::as_str));
        applied.refuse(
            409,
            format!(
                "The {} with these {}: {keys} already exist.",
                R::PLURAL,
                R::KEYS
            ),
        );
        return Ok(());
    }
    for body in entities {
        let key = R::key(body).to_owned();
        match (existing.contains(&key), on_existence) {
            (true, Otherwise::Overwrite) => R::replace(tx, body.clone()).await?,
            (true, _) => continue,
            (false, _) => R::create(tx, body.clone()).await?,
        }
        applied.success.push(key);
    }
    Ok(())
}

async fn update<R: Resource>(
    tx: &mut Tx,
    entities: &[Entity<R::Body>],
    mask: Option<&[String]>,
    on_non_existence: Otherwise,
    applied: &mut BulkActionResponse,
) -> Result<(), Error> {
    let keys = entities.iter().map(|entity| R::key(&entity.body));
    let (existing, missing) = split::<R>(tx, keys).await?;
    if refuse_missing::<R>(&missing, on_non_existence, applied) {
        return Ok(());
    }
    for entity in entities {
        let key = R::key(&entity.body).to_owned();
        if existing.contains(&key) {
            let fields = changed_fields(&entity.sent, mask);
            R::update(tx, entity.body.clone(), &fields).await?;
            applied.success.push(key);
        }
    }
    Ok(())
}

/// The fields that were sent, as far as the mask names them.
pub(crate) fn changed_fields(sent: &Value, mask: Option<&[String]>) -> Vec<String> {
    let sent = sent
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys());
    sent.filter(|field| mask.is_none_or(|mask| mask.contains(field)))
        .cloned()
        .collect()
}

async fn delete<R: Resource>(
    tx: &mut Tx,
    keys: &[String],
    on_non_existence: Otherwise,
    applied: &mut BulkActionResponse,
) -> Result<(), Error> {
    let (existing, missing) = split::<R>(tx, keys.iter().map(String::as_str)).await?;
    if refuse_missing::<R>(&missing, on_non_existence, applied) {
        return Ok(());
    }
    for key in existing {
        R::delete(tx, &key).await?;
        applied.success.push(key);
    }
    Ok(())
}

/// Which keys exist and which do not.
async fn split<R: Resource>(
    tx: &mut Tx,
    keys: impl Iterator<Item = &str>,
) -> Result<(BTreeSet<String>, BTreeSet<String>), Error> {
    let (mut existing, mut missing) = (BTreeSet::new(), BTreeSet::new());
    for key in keys {
        if R::exists(tx, key).await? {
            existing.insert(key.to_owned());
        } else {
            missing.insert(key.to_owned());
        }
    }
    Ok((existing, missing))
}

fn refuse_missing<R: Resource>(
    missing: &BTreeSet<String>,
    on_non_existence: Otherwise,
    applied: &mut BulkActionResponse,
) -> bool {
    let refused = on_non_existence == Otherwise::Fail && !missing.is_empty();
    if refused {
        let keys = repr_set(missing.iter().map(String::as_str));
        applied.refuse(
            404,
            format!(
                "The {} with these {}: {keys} were not found.",
                R::PLURAL,
                R::KEYS
            ),
        );
    }
    refused
}
