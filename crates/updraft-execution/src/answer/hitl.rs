//! A task asks people something.

use updraft_store::Store;
use updraft_task_comms::message::{CreateHITLDetailPayload, Response};

use super::{Outcome, TaskAsker, stored};
use crate::failure::{rejected, superseded};

/// Puts the question of the try that asks, whatever id the message names.
pub(super) async fn ask(
    store: &Store,
    asker: &TaskAsker,
    request: CreateHITLDetailPayload,
) -> Outcome {
    let question = request
        .question()
        .map_err(|problem| rejected(422, &problem))?;
    let mut tx = stored(store.write().await)?;
    if stored(tx.lock_task_instance(asker.ti_id).await)?.is_none() {
        return Err(superseded());
    }
    stored(
        tx.put_hitl_question(asker.ti_id, &question, asker.options.clock.now())
            .await,
    )?;
    stored(tx.commit().await)?;
    Ok(Some(Response::HITLDetailRequestResult(request.result())))
}
