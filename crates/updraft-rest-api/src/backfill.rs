//! Backfills: what is sent to create one, and what comes back.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use updraft_model::DagId;
use updraft_model::backfill::{Backfill, BackfillTick, ReprocessBehavior};

use crate::fields::{Body, Fields};
use crate::time::{ApiTime, api_time, offset_of};
use crate::value;

/// Runs of a backfill that may run at once unless somebody says otherwise.
pub const MAX_ACTIVE_RUNS_DEFAULT: i32 = 10;

/// The body that creates a backfill, or asks what it would do.
#[derive(Clone, Debug, PartialEq)]
pub struct BackfillPostBody {
    pub dag_id: String,
    pub from_date: Timestamp,
    pub to_date: Timestamp,
    /// The offsets that the dates were written with; they show in refusals.
    pub from_date_offset_secs: i32,
    pub to_date_offset_secs: i32,
    pub run_backwards: bool,
    pub dag_run_conf: Option<Map<String, Value>>,
    pub reprocess_behavior: ReprocessBehavior,
    pub max_active_runs: i32,
    pub run_on_latest_version: Option<bool>,
}

impl Body for BackfillPostBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let behavior = value::one_of(ReprocessBehavior::ALL, ReprocessBehavior::as_str);
        let offset = |fields: &Fields<'_>, name| fields.peek(name).map_or(0, offset_of);
        Self {
            dag_id: fields.required("dag_id", value::text),
            from_date: fields.required("from_date", value::instant),
            to_date: fields.required("to_date", value::instant),
            from_date_offset_secs: offset(fields, "from_date"),
            to_date_offset_secs: offset(fields, "to_date"),
            run_backwards: fields.or("run_backwards", false, value::boolean),
            dag_run_conf: fields.optional("dag_run_conf", value::object),
            reprocess_behavior: fields
                .or(
                    "reprocess_behavior",
                    Some(ReprocessBehavior::None),
                    |value| behavior(value).map(Some),
                )
                .unwrap_or(ReprocessBehavior::None),
            max_active_runs: fields.or(
                "max_active_runs",
                MAX_ACTIVE_RUNS_DEFAULT,
                value::small_integer,
            ),
            run_on_latest_version: fields.optional("run_on_latest_version", value::boolean),
        }
    }
}

/// A backfill.
#[derive(Clone, Debug, Serialize)]
pub struct BackfillResponse {
    pub id: i64,
    pub dag_id: DagId,
    pub from_date: ApiTime,
    pub to_date: ApiTime,
    pub dag_run_conf: Option<Value>,
    pub is_paused: bool,
    pub reprocess_behavior: ReprocessBehavior,
    pub max_active_runs: i32,
    pub created_at: ApiTime,
    pub completed_at: Option<ApiTime>,
    pub updated_at: ApiTime,
    pub dag_display_name: String,
}

impl BackfillResponse {
    /// The answer for a row.
    #[must_use]
    pub fn new(backfill: &Backfill, dag_display_name: &str) -> Self {
        Self {
            id: backfill.id,
            dag_id: backfill.dag_id.clone(),
            from_date: ApiTime(backfill.from_date),
            to_date: ApiTime(backfill.to_date),
            dag_run_conf: backfill.dag_run_conf.clone(),
            is_paused: backfill.is_paused,
            reprocess_behavior: backfill.reprocess_behavior,
            max_active_runs: backfill.max_active_runs,
            created_at: ApiTime(backfill.created_at),
            completed_at: api_time(backfill.completed_at),
            updated_at: ApiTime(backfill.updated_at),
            dag_display_name: dag_display_name.to_owned(),
        }
    }
}

/// A page of backfills.
#[derive(Clone, Debug, Serialize)]
pub struct BackfillCollectionResponse {
    pub backfills: Vec<BackfillResponse>,
    pub total_entries: i64,
}

/// A run that a backfill would make or do again.
#[derive(Clone, Debug, Serialize)]
pub struct DryRunBackfillResponse {
    pub logical_date: Option<ApiTime>,
    pub partition_key: Option<String>,
    pub partition_date: Option<ApiTime>,
}

impl From<BackfillTick> for DryRunBackfillResponse {
    fn from(tick: BackfillTick) -> Self {
        Self {
            logical_date: api_time(tick.logical_date()),
            partition_key: tick.partition_key,
            partition_date: api_time(tick.partition_date),
        }
    }
}

/// The runs that a backfill would make or do again.
#[derive(Clone, Debug, Serialize)]
pub struct DryRunBackfillCollectionResponse {
    pub backfills: Vec<DryRunBackfillResponse>,
    pub total_entries: usize,
}
