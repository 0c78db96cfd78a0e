//! Dag runs: what is sent to start, change, list and clear them, and what comes back.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use updraft_model::dag_run::DagRun;
use updraft_model::filter::Range;
use updraft_model::{DagId, DagRunState, DagRunTriggeredBy, DagRunType, RunId};

use crate::dag::DagVersionResponse;
use crate::fields::{Body, Fields, read_body};
use crate::partition::{Partitions, RunSelection};
use crate::time::{ApiTime, api_time, offset_of};
use crate::value;

/// A note has at most this many characters.
pub const NOTE_CHARS_MAX: usize = 1_000;

/// A Dag run.
#[derive(Clone, Debug, Serialize)]
pub struct DagRunResponse {
    pub dag_run_id: RunId,
    pub dag_id: DagId,
    pub logical_date: Option<ApiTime>,
    pub queued_at: Option<ApiTime>,
    pub start_date: Option<ApiTime>,
    pub end_date: Option<ApiTime>,
    pub duration: Option<f64>,
    pub data_interval_start: Option<ApiTime>,
    pub data_interval_end: Option<ApiTime>,
    pub run_after: ApiTime,
    pub last_scheduling_decision: Option<ApiTime>,
    pub run_type: DagRunType,
    pub state: DagRunState,
    pub triggered_by: Option<DagRunTriggeredBy>,
    pub triggering_user_name: Option<String>,
    pub conf: Value,
    pub note: Option<String>,
    pub dag_versions: Vec<DagVersionResponse>,
    pub bundle_version: Option<String>,
    pub dag_display_name: String,
    pub partition_key: Option<String>,
    pub partition_date: Option<ApiTime>,
}

impl DagRunResponse {
    /// The answer for a row and the versions its task instances ran with.
    #[must_use]
    pub fn new(
        run: &DagRun,
        dag_display_name: &str,
        dag_versions: Vec<DagVersionResponse>,
    ) -> Self {
        Self {
            dag_run_id: run.run_id.clone(),
            dag_id: run.dag_id.clone(),
            logical_date: api_time(run.logical_date),
            queued_at: api_time(run.queued_at),
            start_date: api_time(run.start_date),
            end_date: api_time(run.end_date),
            duration: duration_secs(run),
            data_interval_start: api_time(run.data_interval_start),
            data_interval_end: api_time(run.data_interval_end),
            run_after: ApiTime(run.run_after),
            last_scheduling_decision: api_time(run.last_scheduling_decision),
            run_type: run.run_type,
            state: run.state,
            triggered_by: run.triggered_by,
            triggering_user_name: run.triggering_user_name.clone(),
            conf: run.conf.clone(),
            note: run.note.clone(),
            dag_versions,
            bundle_version: run.bundle_version.clone(),
            dag_display_name: dag_display_name.to_owned(),
            partition_key: run.partition_key.clone(),
            partition_date: api_time(run.partition_date),
        }
    }
}

fn duration_secs(run: &DagRun) -> Option<f64> {
    Some(run.end_date?.duration_since(run.start_date?).as_secs_f64())
}

/// A page of Dag runs, counted by offset or walked by cursor.
#[derive(Clone, Debug, Serialize)]
pub struct DagRunCollectionResponse {
    pub dag_runs: Vec<DagRunResponse>,
    pub total_entries: Option<i64>,
    pub total_entries_limit: Option<i64>,
    pub next_cursor: Option<String>,
    pub previous_cursor: Option<String>,
}

/// The body that triggers a run.
#[derive(Clone, Debug, Default)]
pub struct TriggerDagRunBody {
    pub dag_run_id: Option<String>,
    pub data_interval: Option<(Timestamp, Timestamp)>,
    pub logical_date: Option<Timestamp>,
    pub run_after: Option<Timestamp>,
    /// The offset `run_after` was written with; it shows in the run id.
    pub run_after_offset_secs: i32,
    pub conf: Option<Map<String, Value>>,
    pub note: Option<String>,
    pub partition_key: Option<String>,
}

impl Body for TriggerDagRunBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self::read_with(fields, |fields| {
            fields.required("logical_date", value::nullable(value::instant))
        })
    }
}

impl TriggerDagRunBody {
    /// Reads the body, its date by `read_date`.
    pub(crate) fn read_with(
        fields: &mut Fields<'_>,
        read_date: impl FnOnce(&mut Fields<'_>) -> Option<Timestamp>,
    ) -> Self {
        let dag_run_id = fields.optional("dag_run_id", value::text);
        let start = fields.optional("data_interval_start", value::instant);
        let end = fields.optional("data_interval_end", value::instant);
        let logical_date = read_date(fields);
        let run_after = fields.optional("run_after", value::instant);
        let run_after_offset_secs = fields.peek("run_after").map_or(0, offset_of);
        let body = Self {
            dag_run_id,
            data_interval: start.zip(end),
            logical_date,
            run_after,
            run_after_offset_secs,
            conf: fields.optional("conf", value::object),
            note: fields.optional("note", value::text),
            partition_key: fields.optional("partition_key", value::text),
        };
        fields.rule(
            start.is_some() == end.is_some(),
            "Either both data_interval_start and data_interval_end must be provided or both \
             must be None",
        );
        body
    }
}

/// The states a person may give a run.
const MUTABLE_STATES: &[DagRunState] = &[
    DagRunState::Queued,
    DagRunState::Success,
    DagRunState::Failed,
];

/// The body that changes a run.
#[derive(Clone, Debug, Default)]
pub struct DagRunPatchBody {
    pub state: Option<DagRunState>,
    /// `Some(None)` removes the note.
    pub note: Option<Option<String>>,
}

impl Body for DagRunPatchBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let state = fields.optional("state", value::one_of(MUTABLE_STATES, DagRunState::as_str));
        let note = fields.optional("note", value::text_up_to(NOTE_CHARS_MAX));
        Self {
            state,
            note: fields.is_set("note").then_some(note),
        }
    }
}

/// The body that lists runs of many Dags.
#[derive(Clone, Debug, Default)]
pub struct DagRunsBatchBody {
    pub order_by: Option<String>,
    pub page_offset: i64,
    pub page_limit: i64,
    pub dag_ids: Option<Vec<String>>,
    pub states: Option<Vec<Option<DagRunState>>>,
    pub run_after: Range<Timestamp>,
    pub logical_date: Range<Timestamp>,
    pub start_date: Range<Timestamp>,
    pub end_date: Range<Timestamp>,
    pub duration: Range<f64>,
    pub conf_contains: Option<String>,
}

impl Body for DagRunsBatchBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let state = value::nullable(value::one_of(DagRunState::ALL, DagRunState::as_str));
        Self {
            order_by: fields.optional("order_by", value::text),
            page_offset: fields.or("page_offset", 0, value::integer_from(0)),
            page_limit: fields.or("page_limit", 100, value::integer_from(0)),
            dag_ids: fields.optional("dag_ids", value::list_of(value::text)),
            states: fields.optional("states", value::list_of(state)),
            run_after: fields.range(
                [
                    "run_after_gte",
                    "run_after_gt",
                    "run_after_lte",
                    "run_after_lt",
                ],
                value::instant,
            ),
            logical_date: fields.range(
                [
                    "logical_date_gte",
                    "logical_date_gt",
                    "logical_date_lte",
                    "logical_date_lt",
                ],
                value::instant,
            ),
            start_date: fields.range(
                [
                    "start_date_gte",
                    "start_date_gt",
                    "start_date_lte",
                    "start_date_lt",
                ],
                value::instant,
            ),
            end_date: fields.range(
                ["end_date_gte", "end_date_gt", "end_date_lte", "end_date_lt"],
                value::instant,
            ),
            duration: fields.range(
                ["duration_gte", "duration_gt", "duration_lte", "duration_lt"],
                value::number,
            ),
            conf_contains: fields.optional("conf_contains", value::text),
        }
    }
}

/// The body that clears one run.
#[derive(Clone, Debug)]
pub struct DagRunClearBody {
    pub dry_run: bool,
    pub only_failed: bool,
    pub only_new: bool,
    pub run_on_latest_version: Option<bool>,
    pub note: Option<String>,
}

impl Body for DagRunClearBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let body = Self {
            dry_run: fields.or("dry_run", true, value::boolean),
            only_failed: fields.or("only_failed", false, value::boolean),
            only_new: fields.or("only_new", false, value::boolean),
            run_on_latest_version: fields.optional("run_on_latest_version", value::boolean),
            note: fields.optional("note", value::text_up_to(NOTE_CHARS_MAX)),
        };
        fields.rule(
            !(body.only_new && body.only_failed),
            "only_new and only_failed are mutually exclusive",
        );
        body
    }
}

/// One run in a bulk request.
#[derive(Clone, Debug, Default)]
pub struct BulkDagRunBody {
    pub dag_run_id: String,
    pub dag_id: Option<String>,
    pub patch: DagRunPatchBody,
}

impl Body for BulkDagRunBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            dag_run_id: fields.required("dag_run_id", value::text),
            dag_id: fields.optional("dag_id", value::text),
            patch: DagRunPatchBody::read(fields),
        }
    }
}

/// The body that clears several runs.
#[derive(Clone, Debug)]
pub struct BulkDagRunClearBody {
    pub dry_run: bool,
    pub only_failed: bool,
    pub only_new: bool,
    pub run_on_latest_version: Option<bool>,
    pub note: Option<String>,
    pub runs: RunSelection<Vec<BulkDagRunBody>>,
}

impl Body for BulkDagRunClearBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let partitions = Partitions::read(fields);
        let dry_run = fields.or("dry_run", true, value::boolean);
        let only_failed = fields.or("only_failed", false, value::boolean);
        let only_new = fields.or("only_new", false, value::boolean);
        let run_on_latest_version = fields.optional("run_on_latest_version", value::boolean);
        let note = fields.optional("note", value::text_up_to(NOTE_CHARS_MAX));
        let named = fields.or(
            "dag_runs",
            Vec::new(),
            value::list_of(read_body::<BulkDagRunBody>),
        );
        let named = Some(named).filter(|runs| !runs.is_empty());
        let body = Self {
            dry_run,
            only_failed,
            only_new,
            run_on_latest_version,
            note,
            runs: partitions.or_named(fields, "dag_runs (non-empty)", named),
        };
        fields.rule(
            !(body.only_new && body.only_failed),
            "only_new and only_failed are mutually exclusive",
        );
        body
    }
}
