//! Human in the loop: questions of tasks are listed, shown and answered.

use updraft_execution::respond;
use updraft_model::MapIndex;
use updraft_model::hitl::{HitlDetail, HitlResponse, HitlUser};
use updraft_model::task_instance::TaskInstance;
use updraft_planning::hitl::{check_answer, may_answer};
use updraft_rest_api::hitl::{
    HITLDetail, HITLDetailCollection, HITLDetailResponse, UpdateHITLDetailPayload,
};
use updraft_rest_api::task_instance::TaskInstanceHistoryResponse;
use updraft_store::Reader;
use updraft_store::listing::HitlDetailFilter;

use crate::call::{ANY, Answer, Call, ok};
use crate::error::ApiError;
use crate::task_instances::{
    Surroundings, find_one, instance_not_found, load_tries, read_states, response, responses,
};

/// `GET …/dagRuns/{dag_run_id}/hitlDetails`; `~` for every Dag and every run.
pub(crate) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let some = |name: &str| Some(call.path(name).to_owned()).filter(|id| id != ANY);
    let filter = HitlDetailFilter {
        dag_id: some("dag_id").map(Into::into),
        run_id: some("dag_run_id").map(Into::into),
        task_id: query.text("task_id").map(Into::into),
        map_index: query.integer("map_index"),
        dag_id_pattern: query.pattern("dag_id"),
        task_id_pattern: query.pattern("task_id"),
        states: read_states(&query)?,
        response_received: query.boolean("response_received"),
        responded_by_user_ids: query.texts("responded_by_user_id"),
        responded_by_user_names: query.texts("responded_by_user_name"),
        subject: query.text("subject_search"),
        body: query.text("body_search"),
        created_at: query.instants("created_at"),
    };
    query.finish()?;
    let mut reader = call.reader().await?;
    let listed = reader.list_hitl_details(&filter, &page).await?;
    let (details, rows): (Vec<HitlDetail>, Vec<TaskInstance>) = listed.rows.into_iter().unzip();
    let shown = responses(&call.state, &mut reader, &rows).await?;
    let both = details.iter().zip(shown);
    ok(&HITLDetailCollection {
        hitl_details: both
            .map(|(detail, ti)| HITLDetail::new(detail, ti))
            .collect(),
        total_entries: listed.total,
    })
}

/// `GET …/{map_index}/hitlDetails`.
pub(crate) async fn get(call: Call) -> Answer {
    let map_index = call.path_map_index()?;
    let mut reader = call.reader().await?;
    let ti = find_one(&call, &mut reader, map_index).await?;
    let ti = ti.ok_or_else(|| ApiError::not_found(instance_not_found(&call, map_index)))?;
    let detail = reader.find_hitl_detail(ti.id).await?;
    let detail = detail.ok_or_else(|| no_question(&ti))?;
    let shown = response(&call.state, &mut reader, ti).await?;
    ok(&HITLDetail::new(&detail, shown))
}

/// `GET …/{map_index}/hitlDetails/tries/{try_number}`.
pub(crate) async fn get_try(call: Call) -> Answer {
    let map_index = call.path_map_index()?;
    let number = call.path_number("try_number")?;
    let mut reader = call.reader().await?;
    let tries = load_tries(&call, &mut reader, map_index).await?;
    let ti = tries
        .into_iter()
        .find(|ti| i64::from(ti.try_number) == number)
        .ok_or_else(|| ApiError::not_found(instance_not_found(&call, map_index)))?;
    let detail = question_of_try(&mut reader, &ti).await?;
    let shown = std::slice::from_ref(&ti);
    let surroundings = Surroundings::load(&call.state, &mut reader, shown).await?;
    let shown = TaskInstanceHistoryResponse::new(&ti, surroundings.context_of(&ti));
    ok(&HITLDetail::new(&detail, shown))
}

async fn question_of_try(reader: &mut Reader, ti: &TaskInstance) -> Result<HitlDetail, ApiError> {
    let found = match reader.find_past_hitl_detail(ti.id).await? {
        Some(past) => Some(past),
        None => reader.find_hitl_detail(ti.id).await?,
    };
    found.ok_or_else(|| no_question(ti))
}

/// `PATCH …/{map_index}/hitlDetails`: answers the question.
///
/// The task instance is locked before its question, as a worker does that lets it wait: an answer
/// and a wait that begins at the same moment cannot miss each other.
pub(crate) async fn answer(call: Call) -> Answer {
    let body = call.read::<UpdateHITLDetailPayload>()?;
    let map_index = call.path_map_index()?;
    let user = HitlUser {
        id: call.user.name.clone(),
        name: call.user.name.clone(),
    };
    let now = call.state.clock().now();
    let given = HitlResponse {
        responded_at: now,
        responded_by: Some(user.clone()),
        chosen_options: body.chosen_options,
        params_input: body.params_input,
    };
    let store = call.state.store();
    let refusal = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let ti = find_one_for(&call, &mut tx, map_index).await?;
            let Some(ti) = ti else {
                let text = instance_not_found(&call, map_index);
                return Ok(Some(ApiError::not_found(text)));
            };
            let Some(ti) = tx.lock_task_instance(ti.id).await? else {
                return Ok(Some(no_question(&ti)));
            };
            let Some(detail) = tx.lock_hitl_detail(ti.id).await? else {
                return Ok(Some(no_question(&ti)));
            };
            if let Some(refusal) = refusal_of(&call, &ti, &detail, &given, &user) {
                return Ok(Some(refusal));
            }
            if respond(&mut tx, &ti, &given, now).await?.is_none() {
                return Ok(Some(answered_already(&ti)));
            }
            tx.commit().await?;
            Ok(None)
        })
        .await?;
    match refusal {
        Some(refusal) => Err(refusal),
        None => ok(&HITLDetailResponse::new(&given, &user)),
    }
}

async fn find_one_for(
    call: &Call,
    reader: &mut Reader,
    map_index: MapIndex,
) -> Result<Option<TaskInstance>, updraft_store::Error> {
    let key = call.run_key();
    reader
        .find_task_instance_of(&key.dag_id, &key.run_id, &call.task_id(), map_index)
        .await
}

fn refusal_of(
    call: &Call,
    ti: &TaskInstance,
    detail: &HitlDetail,
    given: &HitlResponse,
    user: &HitlUser,
) -> Option<ApiError> {
    if detail.response.is_some() {
        return Some(answered_already(ti));
    }
    let everybody = call.state.settings().core.simple_auth_manager_all_admins;
    if !everybody && !may_answer(&detail.question, &user.id) {
        return Some(ApiError::forbidden(&format!(
            "User={} (id={}) is not a respondent for the task.",
            user.name, user.id
        )));
    }
    check_answer(&detail.question, &given.chosen_options)
        .err()
        .map(|bad| ApiError::bad_request(bad.to_string()))
}

fn answered_already(ti: &TaskInstance) -> ApiError {
    ApiError::conflict(format!(
        "Human-in-the-loop detail has already been updated for Task Instance with id {} and is \
         not allowed to write again.",
        ti.id
    ))
}

fn no_question(ti: &TaskInstance) -> ApiError {
    ApiError::not_found(format!(
        "Human-in-the-loop detail does not exist for Task Instance with id {}",
        ti.id
    ))
}
