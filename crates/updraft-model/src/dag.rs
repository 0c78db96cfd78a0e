//! Rows about a Dag: `dag`, `dag_version`, `import_error`, `dag_warning`.

use jiff::Timestamp;
use serde_json::Value;

use crate::{BundleName, DagId, DagVersionId, ViewUrl};

/// What is known of a Dag beside its structure: the row `dag`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dag {
    pub dag_id: DagId,
    pub dag_display_name: Option<String>,
    pub description: Option<String>,
    pub is_paused: bool,
    pub is_stale: bool,
    pub has_import_errors: bool,
    /// No further scheduled run is created until an active one ends.
    pub exceeds_max_non_backfill: bool,
    pub bundle_name: BundleName,
    pub bundle_version: Option<String>,
    pub relative_fileloc: String,
    pub fileloc: String,
    /// Comma-separated, as the Dag list shows them.
    pub owners: String,
    pub tags: Vec<String>,
    pub timetable_summary: Option<String>,
    pub timetable_description: Option<String>,
    pub timetable_type: String,
    pub timetable_partitioned: bool,
    pub asset_expression: Option<Value>,
    pub max_active_tasks: i32,
    pub max_active_runs: i32,
    pub max_consecutive_failed_dag_runs: i32,
    pub has_task_concurrency_limits: bool,
    pub fail_fast: bool,
    pub allowed_run_types: Option<Vec<String>>,
    pub next_dagrun: NextDagRun,
    pub last_parsed_time: Option<Timestamp>,
    pub last_parse_duration_secs: Option<f64>,
    pub last_expired: Option<Timestamp>,
}

/// When and for which interval the next scheduled run will be created.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NextDagRun {
    pub logical_date: Option<Timestamp>,
    pub data_interval_start: Option<Timestamp>,
    pub data_interval_end: Option<Timestamp>,
    pub run_after: Option<Timestamp>,
    pub partition_key: Option<String>,
    pub partition_date: Option<Timestamp>,
    /// The id that its timetable gives it; `None`: the usual one.
    pub run_id: Option<String>,
}

/// One version of a Dag's structure. `serialized` and `source` are loaded apart.
#[derive(Clone, Debug, PartialEq)]
pub struct DagVersion {
    pub id: DagVersionId,
    pub dag_id: DagId,
    pub version_number: i32,
    pub bundle_name: Option<BundleName>,
    pub bundle_version: Option<String>,
    /// Where people look at the versions of its bundle.
    pub view_url: Option<ViewUrl>,
    pub dag_hash: String,
    pub created_at: Timestamp,
    pub last_updated: Timestamp,
}

/// Why a Dag file gave no Dag.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportError {
    pub id: i64,
    pub timestamp: Timestamp,
    pub bundle_name: BundleName,
    /// Relative to the bundle.
    pub filename: String,
    pub stacktrace: String,
}

/// Something about a Dag that works but should not stay.
#[derive(Clone, Debug, PartialEq)]
pub struct DagWarning {
    pub dag_id: DagId,
    pub warning_type: String,
    pub message: String,
    pub timestamp: Timestamp,
}
