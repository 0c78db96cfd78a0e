//! The audit log and the jobs.

use std::collections::BTreeMap;

use updraft_model::DagId;
use updraft_model::event_log::EventLog;
use updraft_rest_api::admin::{
    EventLogCollectionResponse, EventLogResponse, JobCollectionResponse, JobResponse,
};
use updraft_rest_api::query::Query;
use updraft_rest_api::value;
use updraft_store::Reader;
use updraft_store::listing::{EventLogFilter, JobFilter};

use crate::call::{Answer, Call, ok};
use crate::dag_info::names_of;
use crate::error::ApiError;

/// `GET /eventLogs`.
pub(crate) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let filter = read_filter(&mut query);
    query.finish()?;
    let mut reader = call.reader().await?;
    let listed = reader.list_event_logs(&filter, &page).await?;
    ok(&EventLogCollectionResponse {
        event_logs: responses(&mut reader, &listed.rows).await?,
        total_entries: listed.total,
    })
}

/// `GET /eventLogs/{event_log_id}`.
pub(crate) async fn get(call: Call) -> Answer {
    let id = call.path_number("event_log_id")?;
    let mut reader = call.reader().await?;
    let log = reader.find_event_log(id).await?;
    let log =
        log.ok_or_else(|| ApiError::not_found(format!("The Event Log with id: `{id}` not found")))?;
    let answered = responses(&mut reader, &[log]).await?;
    ok(&answered[0])
}

async fn responses(
    reader: &mut Reader,
    logs: &[EventLog],
) -> Result<Vec<EventLogResponse>, ApiError> {
    let dag_ids = logs.iter().filter_map(|log| log.dag_id.clone()).collect();
    let names: BTreeMap<DagId, String> = names_of(reader, dag_ids).await?;
    let answered = logs.iter().map(|log| {
        let name = log.dag_id.as_ref().and_then(|dag_id| names.get(dag_id));
        let task = log.task_id.as_ref().filter(|_| name.is_some());
        EventLogResponse::new(log, name.cloned(), task.map(ToString::to_string))
    });
    Ok(answered.collect())
}

fn read_filter(query: &mut Query) -> EventLogFilter {
    EventLogFilter {
        dag_id: query.text("dag_id"),
        task_id: query.text("task_id"),
        run_id: query.text("run_id"),
        map_index: query.integer("map_index"),
        try_number: query.integer("try_number"),
        owner: query.text("owner"),
        event: query.text("event"),
        excluded_events: query.texts("excluded_events"),
        included_events: query.texts("included_events"),
        before: query.read("before", value::instant),
        after: query.read("after", value::instant),
        dag_id_pattern: query.pattern("dag_id"),
        task_id_pattern: query.pattern("task_id"),
        run_id_pattern: query.pattern("run_id"),
        owner_pattern: query.pattern("owner"),
        event_pattern: query.pattern("event"),
    }
}

/// `GET /jobs`.
pub(crate) async fn list_jobs(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let is_alive = query.boolean("is_alive").unwrap_or(false);
    let threshold = call.state.settings().health.scheduler;
    let filter = JobFilter {
        alive_since: is_alive.then(|| call.state.clock().now() - threshold),
        start_date: query.instants("start_date"),
        end_date: query.instants("end_date"),
        state: query.text("job_state"),
        job_type: query.text("job_type"),
        hostname: query.text("hostname"),
    };
    query.finish()?;
    let listed = call.reader().await?.list_jobs(&filter, &page).await?;
    ok(&JobCollectionResponse {
        jobs: listed.rows.iter().map(JobResponse::from).collect(),
        total_entries: listed.total,
    })
}
