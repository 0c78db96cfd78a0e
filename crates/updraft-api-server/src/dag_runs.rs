//! Dag runs: trigger, list, show, delete. Changing them is in [`crate::dag_run_changes`].

use axum::http::header;
use jiff::Timestamp;
use jiff::tz::Offset;
use updraft_dag_run::{Context, PlannedRun, Refusal, RunRequest, plan_dag_run};
use updraft_execution::dag_run_responses;
use updraft_model::dag_run::DagRun;
use updraft_model::filter::{Page, Pattern, Range};
use updraft_model::{DagId, DagRunState, DagRunTriggeredBy, DagRunType};
use updraft_rest_api::dag_run::{
    DagRunCollectionResponse, DagRunResponse, DagRunsBatchBody, TriggerDagRunBody,
};
use updraft_rest_api::query::Query;
use updraft_store::listing::{DagRunFilter, WALK_TOTAL_MAX};
use updraft_store::{Reader, RunCreation, RunKey, StartedTaskInstance};

use crate::call::{ANY, Answer, Call, dag_not_found, no_content, ok};
use crate::cursor::{Paging, encode, read_paging};
use crate::error::ApiError;
use crate::partitions::PartitionDays;
use crate::state::ApiState;

/// `GET /dags/{dag_id}/dagRuns`; `~` for every Dag.
pub(crate) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let mut filter = read_filter(&call, &mut query)?;
    let days = PartitionDays::read(&mut query);
    let paging = read_paging(&query)?;
    query.finish()?;
    let mut reader = call.reader().await?;
    let dag_id = call.dag_id();
    if dag_id != ANY && reader.find_dag(&dag_id).await?.is_none() {
        return Err(dag_not_found(dag_id.as_str()));
    }
    filter.partition_date = days.range(&call, &mut reader).await?;
    ok(&collection(&call, &mut reader, &filter, &page, &paging).await?)
}

/// `POST /dags/~/dagRuns/list`.
pub(crate) async fn list_batch(call: Call) -> Answer {
    call.require_any("dag_id")?;
    let body = call.read::<DagRunsBatchBody>()?;
    let page = call.page_of(body.page_limit, body.page_offset, body.order_by);
    let filter = DagRunFilter {
        dag_ids: ids(body.dag_ids.unwrap_or_default()),
        states: body.states.unwrap_or_default(),
        run_after: body.run_after,
        logical_date: body.logical_date,
        start_date: body.start_date,
        end_date: body.end_date,
        duration: body.duration,
        conf_contains: body.conf_contains,
        ..DagRunFilter::default()
    };
    let mut reader = call.reader().await?;
    ok(&collection(&call, &mut reader, &filter, &page, &Paging::Offset).await?)
}

async fn collection(
    call: &Call,
    reader: &mut Reader,
    filter: &DagRunFilter,
    page: &Page,
    paging: &Paging,
) -> Result<DagRunCollectionResponse, ApiError> {
    let now = call.state.clock().now();
    match paging {
        Paging::Offset => {
            let listed = reader.list_dag_runs(filter, page, now).await?;
            Ok(DagRunCollectionResponse {
                dag_runs: responses(reader, &listed.rows).await?,
                total_entries: Some(listed.total),
                total_entries_limit: None,
                next_cursor: None,
                previous_cursor: None,
            })
        }
        Paging::Cursor(cursor) => {
            let walked = reader
                .walk_dag_runs(filter, page, cursor.as_ref(), now)
                .await?;
            Ok(DagRunCollectionResponse {
                dag_runs: responses(reader, &walked.rows).await?,
                total_entries: Some(walked.total),
                total_entries_limit: Some(WALK_TOTAL_MAX),
                next_cursor: walked.next.as_ref().map(encode),
                previous_cursor: walked.previous.as_ref().map(encode),
            })
        }
    }
}

/// Runs with the names of their Dags and the versions their tries ran with.
pub(crate) async fn responses(
    reader: &mut Reader,
    runs: &[DagRun],
) -> Result<Vec<DagRunResponse>, ApiError> {
    Ok(dag_run_responses(reader, runs).await?)
}

/// One run as an answer.
pub(crate) async fn response(reader: &mut Reader, run: DagRun) -> Result<DagRunResponse, ApiError> {
    let mut one = responses(reader, &[run]).await?;
    Ok(one.remove(0))
}

pub(crate) fn key_of(run: &DagRun) -> RunKey {
    RunKey {
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
    }
}

/// `GET /dags/{dag_id}/dagRuns/{dag_run_id}`.
pub(crate) async fn get(call: Call) -> Answer {
    let mut reader = call.reader().await?;
    let run = require_run(&mut reader, &call.run_key()).await?;
    ok(&response(&mut reader, run).await?)
}

/// A run that must be there.
pub(crate) async fn require_run(reader: &mut Reader, key: &RunKey) -> Result<DagRun, ApiError> {
    let run = reader.find_dag_run(&key.dag_id, &key.run_id).await?;
    run.ok_or_else(|| run_not_found(key))
}

/// The refusal for a run that is not there.
pub(crate) fn run_not_found(key: &RunKey) -> ApiError {
    ApiError::not_found(format!(
        "The DagRun with dag_id: `{}` and run_id: `{}` was not found",
        key.dag_id, key.run_id
    ))
}

/// `POST /dags/{dag_id}/dagRuns`: triggers a run.
pub(crate) async fn trigger(call: Call) -> Answer {
    let body = call.read::<TriggerDagRunBody>()?;
    // Quirk: a browser sends a Referer, other clients do not; HTTP surface §1.8.
    let by_browser = call.headers.contains_key(header::REFERER);
    let triggered_by = if by_browser {
        DagRunTriggeredBy::Ui
    } else {
        DagRunTriggeredBy::RestApi
    };
    let request = RunRequest {
        triggered_by,
        ..request_of(&call, body)
    };
    trigger_dag(&call, &call.dag_id(), request, |refusal| {
        Refused(refusal).into()
    })
    .await
}

/// Creates the run that a client asks for; `refuse` puts a refusal in words.
pub(crate) async fn trigger_dag(
    call: &Call,
    dag_id: &DagId,
    mut request: RunRequest,
    refuse: impl Fn(Refusal) -> ApiError,
) -> Answer {
    let mut reader = call.reader().await?;
    let dag = reader.find_dag(dag_id).await?.filter(|dag| !dag.is_stale);
    let unknown = || ApiError::from(Refused(Refusal::Stale(dag_id.clone())));
    let dag = dag.ok_or_else(unknown)?;
    let latest = call
        .state
        .dags()
        .latest(&call.state, &mut reader, dag_id)
        .await?;
    let (version, serialized) = latest.ok_or_else(unknown)?;
    drop(reader);
    let context = Context {
        dag: &dag,
        version: &version,
        serialized: &serialized,
        rules: call.state.run_rules(),
    };
    let (now, ids) = (call.state.clock().now(), call.state.ids());
    if let Some(plugins) = call.state.plugins() {
        request = plugins.complete_request(request, &serialized, now).await?;
    }
    let planned = plan_dag_run(&request, &context, now, &ids.alphanumeric(8), || ids.uuid());
    let created = create(&call.state, &planned.map_err(refuse)?, now).await?;
    let RunCreation::Created(run) = created else {
        return Err(ApiError::unique_violation());
    };
    ok(&response(&mut call.reader().await?, *run).await?)
}

async fn create(
    state: &ApiState,
    planned: &PlannedRun,
    now: Timestamp,
) -> Result<RunCreation, updraft_store::Error> {
    let rows: Vec<StartedTaskInstance> = planned
        .task_instances
        .iter()
        .cloned()
        .map(Into::into)
        .collect();
    let store = state.store();
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            let created = tx.create_dag_run(&planned.run, now).await?;
            if let RunCreation::Created(_) = created {
                tx.create_task_instances(&rows, now).await?;
                tx.commit().await?;
            }
            Ok(created)
        })
        .await
}

/// A manual run as the body describes it.
pub(crate) fn request_of(call: &Call, body: TriggerDagRunBody) -> RunRequest {
    RunRequest {
        triggering_user_name: Some(call.user.name.clone()),
        run_id: body.dag_run_id,
        logical_date: body.logical_date,
        data_interval: body.data_interval.filter(|_| body.logical_date.is_some()),
        run_after: body.run_after,
        run_after_offset: Offset::from_seconds(body.run_after_offset_secs).unwrap_or(Offset::UTC),
        conf: body.conf,
        note: body.note,
        partition_key: body.partition_key,
        ..RunRequest::new(DagRunType::Manual, DagRunTriggeredBy::RestApi)
    }
}

/// A refusal on its way into an answer.
pub(crate) struct Refused(pub(crate) Refusal);

impl From<Refused> for ApiError {
    fn from(Refused(refusal): Refused) -> Self {
        match refusal {
            Refusal::Stale(_) => Self::not_found(refusal.to_string()),
            Refusal::ImportErrors(_)
            | Refusal::RunType { .. }
            | Refusal::RunId(_)
            | Refusal::Params(_)
            | Refusal::PartitionKey(_)
            | Refusal::IntervalWithoutDate
            | Refusal::Timetable(_) => Self::bad_request(refusal.to_string()),
        }
    }
}

/// `DELETE /dags/{dag_id}/dagRuns/{dag_run_id}`, unless it runs.
pub(crate) async fn delete(call: Call) -> Answer {
    let key = call.run_key();
    let store = call.state.store();
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            let run = tx.find_dag_run(&key.dag_id, &key.run_id).await?;
            let verdict = deletable(run, &key);
            if verdict.is_ok() {
                tx.delete_dag_run(&key.dag_id, &key.run_id).await?;
                tx.commit().await?;
            }
            Ok(verdict)
        })
        .await??;
    no_content()
}

/// Whether a run may be deleted now.
pub(crate) fn deletable(run: Option<DagRun>, key: &RunKey) -> Result<(), ApiError> {
    let run = run.ok_or_else(|| run_not_found(key))?;
    if run.state == DagRunState::Running {
        return Err(ApiError::conflict(format!(
            "The DagRun with dag_id: `{}` and run_id: `{}` cannot be deleted in {} state",
            key.dag_id, key.run_id, run.state
        )));
    }
    Ok(())
}

fn read_filter(call: &Call, query: &mut Query) -> Result<DagRunFilter, ApiError> {
    let dag_id = call.dag_id();
    let states = named(
        query,
        "state",
        "state",
        DagRunState::ALL,
        DagRunState::as_str,
    )?;
    Ok(DagRunFilter {
        dag_ids: if dag_id == ANY {
            Vec::new()
        } else {
            vec![dag_id]
        },
        dag_id: query.pattern("dag_id"),
        run_id: query.pattern("run_id"),
        states: states.into_iter().map(Some).collect(),
        run_types: named(
            query,
            "run_type",
            "run type",
            DagRunType::ALL,
            DagRunType::as_str,
        )?,
        run_after: query.instants("run_after"),
        logical_date: query.instants("logical_date"),
        start_date: query.instants("start_date"),
        end_date: query.instants("end_date"),
        updated_at: query.instants("updated_at"),
        partition_date: Range::default(),
        duration: query.numbers("duration"),
        conf_contains: query.text("conf_contains"),
        version_numbers: query.read_all("dag_version", updraft_rest_api::value::integer),
        bundle_version: query.text("bundle_version"),
        triggering_user_name: query.pattern("triggering_user_name"),
        partition_key: Pattern {
            anywhere: query.text("partition_key_pattern"),
            prefix: query.text("partition_key_prefix_pattern"),
        },
        consuming_asset: query.text("consuming_asset_pattern"),
    })
}

/// Repeatable names out of a fixed set; an unknown one is refused with a text that lists the set.
pub(crate) fn named<T: Copy>(
    query: &Query,
    parameter: &str,
    what: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<Vec<T>, ApiError> {
    let find = |text: String| {
        let known = all.iter().copied().find(|each| name(*each) == text);
        known.ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|each| name(*each)).collect();
            let names = names.join(", ");
            ApiError::unprocessable(format!(
                "Invalid value for {what}. Valid values are {names}"
            ))
        })
    };
    query.texts(parameter).into_iter().map(find).collect()
}

fn ids(texts: Vec<String>) -> Vec<DagId> {
    texts.into_iter().map(Into::into).collect()
}
