//! Backfills: list, show, create, preview, pause, cancel.

use jiff::tz::Offset;
use tracing::error;
use updraft_execution::{
    BackfillError, BackfillRules, BackfillWish, DateFinder, Filler, create_backfill,
    preview_backfill,
};
use updraft_model::DagId;
use updraft_model::backfill::Backfill;
use updraft_planning::backfill::{
    BackfillOrder, BackfillRequest, Error as Refused, SkipReason, WrittenDate,
};
use updraft_rest_api::backfill::{
    BackfillCollectionResponse, BackfillPostBody, BackfillResponse,
    DryRunBackfillCollectionResponse, DryRunBackfillResponse,
};
use updraft_rest_api::value;
use updraft_store::Reader;
use updraft_store::listing::BackfillFilter;

use crate::call::{Answer, Call, ok};
use crate::dag_info::names_of;
use crate::error::ApiError;
use crate::state::ApiState;

/// `GET /backfills`: those of one Dag.
pub(crate) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let dag_id = query.required("dag_id", value::text);
    let page = call.page(&mut query);
    query.finish()?;
    let filter = BackfillFilter {
        dag_id: dag_id.map(DagId::from),
        is_completed: None,
    };
    let mut reader = call.reader().await?;
    let listed = reader.list_backfills(&filter, &page).await?;
    ok(&BackfillCollectionResponse {
        backfills: responses(&mut reader, &listed.rows).await?,
        total_entries: listed.total,
    })
}

/// `GET /backfills/{backfill_id}`.
pub(crate) async fn get(call: Call) -> Answer {
    let id = backfill_id(&call)?;
    let mut reader = call.reader().await?;
    let backfill = reader.find_backfill(id).await?.ok_or_else(not_found)?;
    ok(&response(&mut reader, &backfill).await?)
}

/// What is done to a backfill that is not completed.
#[derive(Clone, Copy)]
enum Change {
    Pause,
    Unpause,
    /// No further run of it starts.
    Cancel,
}

/// `PUT /backfills/{backfill_id}/pause`.
pub(crate) async fn pause(call: Call) -> Answer {
    change(&call, Change::Pause).await
}

/// `PUT /backfills/{backfill_id}/unpause`.
pub(crate) async fn unpause(call: Call) -> Answer {
    change(&call, Change::Unpause).await
}

/// `PUT /backfills/{backfill_id}/cancel`.
pub(crate) async fn cancel(call: Call) -> Answer {
    change(&call, Change::Cancel).await
}

/// Changes a backfill, and shows it as it is then.
async fn change(call: &Call, change: Change) -> Answer {
    let id = backfill_id(call)?;
    let (store, now) = (call.state.store(), call.state.clock().now());
    let changed = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let Some(before) = tx.lock_backfill(id).await? else {
                return Ok(Err(not_found()));
            };
            if before.completed_at.is_some() {
                return Ok(Err(ApiError::conflict("Backfill is already completed.")));
            }
            match change {
                Change::Pause => tx.set_backfill_paused(id, true, now).await?,
                Change::Unpause => tx.set_backfill_paused(id, false, now).await?,
                Change::Cancel => {
                    let reason = SkipReason::Unknown.as_str();
                    tx.cancel_backfill(id, reason, now).await?
                }
            };
            let after = tx.find_backfill(id).await?.unwrap_or(before);
            tx.commit().await?;
            Ok(Ok(after))
        })
        .await??;
    ok(&response(&mut call.reader().await?, &changed).await?)
}

/// `POST /backfills`: the answer comes when all runs are there, as in Airflow. Should that fail on
/// the way, or the client leave, the scheduler makes the rest.
pub(crate) async fn create(call: Call) -> Answer {
    let body = read_body(&call)?;
    let state = &call.state;
    let rules = BackfillRules {
        run: state.run_rules().clone(),
        rerun_with_latest_version: state.settings().core.rerun_with_latest_version,
    };
    let wish = wish_of(&call, body);
    let now = state.clock().now();
    let created = create_backfill(state.store(), &dates(state), &wish, &rules, now).await;
    let backfill = created.map_err(|error| refusal(error, &wish.dag_id))?;
    let filler = Filler {
        store: state.store(),
        rules: state.run_rules(),
        ids: state.ids(),
    };
    if let Err(failed) = filler.fill(backfill.id, || state.clock().now()).await {
        error!(error = %failed, backfill_id = backfill.id, "failed to make the runs of a backfill; the scheduler makes the rest");
    }
    ok(&response(&mut call.reader().await?, &backfill).await?)
}

/// `POST /backfills/dry_run`: the runs that a backfill would make or do again.
pub(crate) async fn dry_run(call: Call) -> Answer {
    let body = read_body(&call)?;
    let wish = wish_of(&call, body);
    let state = &call.state;
    let now = state.clock().now();
    let ticks = preview_backfill(state.store(), &dates(state), &wish, now).await;
    let ticks = ticks.map_err(|error| refusal(error, &wish.dag_id))?;
    let backfills: Vec<DryRunBackfillResponse> = ticks.into_iter().map(Into::into).collect();
    ok(&DryRunBackfillCollectionResponse {
        total_entries: backfills.len(),
        backfills,
    })
}

fn dates(state: &ApiState) -> DateFinder<'_> {
    DateFinder {
        tasks: state.tasks(),
        python: state.settings().plugins.as_ref(),
    }
}

/// Quirk: who may backfill which Dag is asked before the body is looked at as a whole.
fn read_body(call: &Call) -> Result<BackfillPostBody, ApiError> {
    let dag_id = call
        .json()
        .ok()
        .and_then(|body| body.get("dag_id").cloned());
    if dag_id.is_some_and(|dag_id| !dag_id.is_string() && !dag_id.is_null()) {
        return Err(ApiError::bad_request("'dag_id' must be a string"));
    }
    call.read::<BackfillPostBody>()
}

fn wish_of(call: &Call, body: BackfillPostBody) -> BackfillWish {
    let written = |at, offset_secs| WrittenDate {
        at,
        offset: Offset::from_seconds(offset_secs).unwrap_or(Offset::UTC),
    };
    BackfillWish {
        dag_id: body.dag_id.into(),
        request: BackfillRequest {
            from_date: written(body.from_date, body.from_date_offset_secs),
            to_date: written(body.to_date, body.to_date_offset_secs),
            order: if body.run_backwards {
                BackfillOrder::NewestFirst
            } else {
                BackfillOrder::OldestFirst
            },
            reprocess: body.reprocess_behavior,
        },
        conf: body.dag_run_conf,
        max_active_runs: body.max_active_runs,
        run_on_latest_version: body.run_on_latest_version,
        triggering_user_name: Some(call.user.name.clone()),
    }
}

fn refusal(error: BackfillError, dag_id: &DagId) -> ApiError {
    match error {
        BackfillError::NoDag(_) => ApiError::not_found(error.to_string()),
        BackfillError::Refused(Refused::AlreadyRunning { .. }) => ApiError::conflict(format!(
            "There is already a running backfill for dag {dag_id}"
        )),
        BackfillError::Refused(Refused::RunTypeNotAllowed { .. }) => {
            ApiError::bad_request(error.to_string())
        }
        BackfillError::Refused(_)
        | BackfillError::Run(_)
        | BackfillError::Timetable(_)
        | BackfillError::TooMany => ApiError::unprocessable(error.to_string()),
        BackfillError::Python(error) => error.into(),
        BackfillError::Store(error) => error.into(),
    }
}

fn backfill_id(call: &Call) -> Result<i64, ApiError> {
    call.path_number_from("backfill_id", 0)
}

fn not_found() -> ApiError {
    ApiError::not_found("Backfill not found")
}

async fn response(reader: &mut Reader, backfill: &Backfill) -> Result<BackfillResponse, ApiError> {
    let mut one = responses(reader, std::slice::from_ref(backfill)).await?;
    Ok(one.remove(0))
}

async fn responses(
    reader: &mut Reader,
    backfills: &[Backfill],
) -> Result<Vec<BackfillResponse>, ApiError> {
    let dag_ids = backfills.iter().map(|each| each.dag_id.clone()).collect();
    let names = names_of(reader, dag_ids).await?;
    let answered = backfills.iter().map(|backfill| {
        let dag_id = &backfill.dag_id;
        let name = names.get(dag_id).map_or(dag_id.as_str(), String::as_str);
        BackfillResponse::new(backfill, name)
    });
    Ok(answered.collect())
}
