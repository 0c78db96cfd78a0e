//! Dags that a user likes to have at hand.

use updraft_model::DagId;

use crate::call::{Answer, Call, no_content};
use crate::error::ApiError;

/// `POST /dags/{dag_id}/favorite`.
pub(crate) async fn add(call: Call) -> Answer {
    let dag_id = require_dag(&call).await?;
    let (store, user) = (call.state.store(), call.user.name.as_str());
    let is_new = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let is_new = tx.add_favorite(user, &dag_id).await?;
            tx.commit().await?;
            Ok(is_new)
        })
        .await?;
    if is_new {
        no_content()
    } else {
        Err(ApiError::unique_violation())
    }
}

/// `POST /dags/{dag_id}/unfavorite`.
pub(crate) async fn remove(call: Call) -> Answer {
    let dag_id = require_dag(&call).await?;
    let (store, user) = (call.state.store(), call.user.name.as_str());
    let was_there = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let was_there = tx.remove_favorite(user, &dag_id).await?;
            tx.commit().await?;
            Ok(was_there)
        })
        .await?;
    if was_there {
        no_content()
    } else {
        Err(ApiError::conflict("Dag is not marked as favorite"))
    }
}

async fn require_dag(call: &Call) -> Result<DagId, ApiError> {
    let dag_id = call.dag_id();
    let found = call.reader().await?.find_dag(&dag_id).await?;
    match found {
        Some(_) => Ok(dag_id),
        None => {
            let detail = format!("Dag with id '{dag_id}' not found");
            Err(ApiError::not_found(detail))
        }
    }
}
