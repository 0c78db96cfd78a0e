//! Dags, their versions, tags, sources, statistics and warnings.

use serde::Serialize;
use serde_json::Value;
use updraft_model::dag::{Dag, DagVersion, DagWarning, ImportError};
use updraft_model::{BundleName, DagId, DagRunState, DagVersionId};

use crate::fields::{Body, Fields};
use crate::time::{ApiTime, api_time};
use crate::value;

/// A Dag in a list.
#[derive(Clone, Debug, Serialize)]
pub struct DagResponse {
    pub dag_id: DagId,
    pub dag_display_name: String,
    pub is_paused: bool,
    pub is_stale: bool,
    pub last_parsed_time: Option<ApiTime>,
    pub last_parse_duration: Option<f64>,
    pub last_expired: Option<ApiTime>,
    pub bundle_name: Option<BundleName>,
    pub bundle_version: Option<String>,
    pub relative_fileloc: Option<String>,
    pub fileloc: String,
    pub description: Option<String>,
    pub timetable_summary: Option<String>,
    pub timetable_description: Option<String>,
    pub timetable_partitioned: bool,
    pub timetable_periodic: bool,
    pub tags: Vec<DagTagResponse>,
    pub max_active_tasks: i32,
    pub max_active_runs: Option<i32>,
    pub max_consecutive_failed_dag_runs: i32,
    pub has_task_concurrency_limits: bool,
    pub has_import_errors: bool,
    pub next_dagrun_logical_date: Option<ApiTime>,
    pub next_dagrun_data_interval_start: Option<ApiTime>,
    pub next_dagrun_data_interval_end: Option<ApiTime>,
    pub next_dagrun_run_after: Option<ApiTime>,
    pub allowed_run_types: Option<Vec<String>>,
    pub owners: Vec<String>,
    pub is_backfillable: bool,
    pub file_token: String,
}

impl DagResponse {
    /// The answer for a row; `file_token` is what `parseDagFile` will understand.
    #[must_use]
    pub fn new(dag: &Dag, file_token: String) -> Self {
        let name = display_name(dag);
        let periodic = is_periodic(&dag.timetable_type);
        let mut tags: Vec<DagTagResponse> = dag
            .tags
            .iter()
            .map(|tag| DagTagResponse {
                name: tag.clone(),
                dag_id: dag.dag_id.clone(),
                dag_display_name: name.clone(),
            })
            .collect();
        tags.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            dag_id: dag.dag_id.clone(),
            dag_display_name: name,
            is_paused: dag.is_paused,
            is_stale: dag.is_stale,
            last_parsed_time: api_time(dag.last_parsed_time),
            last_parse_duration: dag.last_parse_duration_secs,
            last_expired: api_time(dag.last_expired),
            bundle_name: Some(dag.bundle_name.clone()),
            bundle_version: dag.bundle_version.clone(),
            relative_fileloc: Some(dag.relative_fileloc.clone()),
            fileloc: dag.fileloc.clone(),
            description: dag.description.clone(),
            timetable_summary: dag.timetable_summary.clone().filter(|text| text != "None"),
            timetable_description: dag.timetable_description.clone(),
            timetable_partitioned: dag.timetable_partitioned,
            timetable_periodic: periodic,
            tags,
            max_active_tasks: dag.max_active_tasks,
            max_active_runs: Some(dag.max_active_runs),
            max_consecutive_failed_dag_runs: dag.max_consecutive_failed_dag_runs,
            has_task_concurrency_limits: dag.has_task_concurrency_limits,
            has_import_errors: dag.has_import_errors,
            next_dagrun_logical_date: api_time(dag.next_dagrun.logical_date),
            next_dagrun_data_interval_start: api_time(dag.next_dagrun.data_interval_start),
            next_dagrun_data_interval_end: api_time(dag.next_dagrun.data_interval_end),
            next_dagrun_run_after: api_time(dag.next_dagrun.run_after),
            allowed_run_types: dag.allowed_run_types.clone(),
            owners: owners(&dag.owners),
            is_backfillable: periodic
                && dag
                    .allowed_run_types
                    .as_ref()
                    .is_none_or(|types| types.iter().any(|each| each == "backfill")),
            file_token,
        }
    }
}

/// The name people see: the display name, or the id.
#[must_use]
pub fn display_name(dag: &Dag) -> String {
    dag.dag_display_name
        .clone()
        .unwrap_or_else(|| dag.dag_id.to_string())
}

fn owners(owners: &str) -> Vec<String> {
    owners
        .split(',')
        .map(|owner| owner.trim().to_owned())
        .collect()
}

/// Whether a timetable makes runs by the clock. Those that never, once or only by outside events
/// do are known by name; a custom timetable counts as periodic, which is its default.
fn is_periodic(timetable_type: &str) -> bool {
    let class = timetable_type.rsplit('.').next().unwrap_or_default();
    !matches!(
        class,
        "NullTimetable"
            | "OnceTimetable"
            | "ContinuousTimetable"
            | "AssetTriggeredTimetable"
            | "PartitionedAssetTimetable"
            | "PartitionedAtRuntime"
    )
}

/// A tag of a Dag.
#[derive(Clone, Debug, Serialize)]
pub struct DagTagResponse {
    pub name: String,
    pub dag_id: DagId,
    pub dag_display_name: String,
}

/// A page of Dags.
#[derive(Clone, Debug, Serialize)]
pub struct DagCollectionResponse {
    pub dags: Vec<DagResponse>,
    pub total_entries: i64,
}

/// A Dag with what only its serialized form knows.
#[derive(Clone, Debug, Serialize)]
pub struct DagDetailsResponse {
    /// Golden tests pin the keys.
    #[serde(flatten)]
    pub dag: DagResponse,
    pub catchup: bool,
    pub dag_run_timeout: Option<String>,
    pub asset_expression: Option<Value>,
    pub doc_md: Option<String>,
    pub start_date: Option<ApiTime>,
    pub end_date: Option<ApiTime>,
    pub is_paused_upon_creation: Option<bool>,
    pub params: Option<Value>,
    pub render_template_as_native_obj: bool,
    pub template_search_path: Option<Vec<String>>,
    pub timezone: Option<String>,
    pub last_parsed: Option<ApiTime>,
    pub default_args: Option<Value>,
    pub rerun_with_latest_version: Option<bool>,
    pub owner_links: Option<Value>,
    pub is_favorite: bool,
    pub active_runs_count: i64,
    pub concurrency: i32,
    pub latest_dag_version: Option<DagVersionResponse>,
}

/// The body of a Dag patch.
#[derive(Clone, Debug, Default)]
pub struct DagPatchBody {
    pub is_paused: bool,
}

impl Body for DagPatchBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            is_paused: fields.required("is_paused", value::boolean),
        }
    }
}

/// A version of a Dag.
#[derive(Clone, Debug, Serialize)]
pub struct DagVersionResponse {
    pub id: DagVersionId,
    pub version_number: i32,
    pub dag_id: DagId,
    pub bundle_name: Option<BundleName>,
    pub bundle_version: Option<String>,
    pub created_at: ApiTime,
    pub dag_display_name: String,
    pub bundle_url: Option<String>,
}

impl DagVersionResponse {
    /// The answer for a row.
    #[must_use]
    pub fn new(version: &DagVersion, dag_display_name: &str) -> Self {
        Self {
            id: version.id,
            version_number: version.version_number,
            dag_id: version.dag_id.clone(),
            bundle_name: version.bundle_name.clone(),
            bundle_version: version.bundle_version.clone(),
            created_at: ApiTime(version.created_at),
            dag_display_name: dag_display_name.to_owned(),
            bundle_url: version
                .view_url
                .as_ref()
                .and_then(|url| url.render(version.bundle_version.as_deref())),
        }
    }
}

/// A page of versions.
#[derive(Clone, Debug, Serialize)]
pub struct DagVersionCollectionResponse {
    pub dag_versions: Vec<DagVersionResponse>,
    pub total_entries: i64,
}

/// A page of tag names.
#[derive(Clone, Debug, Serialize)]
pub struct DagTagCollectionResponse {
    pub tags: Vec<String>,
    pub total_entries: i64,
}

/// The source text of a Dag version.
#[derive(Clone, Debug, Serialize)]
pub struct DagSourceResponse {
    pub content: Option<String>,
    pub dag_id: String,
    pub version_number: Option<i32>,
    pub dag_display_name: String,
}

/// How many runs of a Dag are in one state.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DagStatsStateResponse {
    pub state: DagRunState,
    pub count: i64,
}

/// How many runs of a Dag are in which state; every state is listed.
#[derive(Clone, Debug, Serialize)]
pub struct DagStatsResponse {
    pub dag_id: String,
    pub dag_display_name: String,
    pub stats: Vec<DagStatsStateResponse>,
}

/// Run statistics of several Dags.
#[derive(Clone, Debug, Serialize)]
pub struct DagStatsCollectionResponse {
    pub dags: Vec<DagStatsResponse>,
    pub total_entries: i64,
}

/// A warning about a Dag.
#[derive(Clone, Debug, Serialize)]
pub struct DagWarningResponse {
    pub dag_id: String,
    pub warning_type: String,
    pub message: String,
    pub timestamp: ApiTime,
    pub dag_display_name: String,
}

impl DagWarningResponse {
    /// The answer for a row.
    #[must_use]
    pub fn new(warning: &DagWarning, dag_display_name: &str) -> Self {
        Self {
            dag_id: warning.dag_id.to_string(),
            warning_type: warning.warning_type.clone(),
            message: warning.message.clone(),
            timestamp: ApiTime(warning.timestamp),
            dag_display_name: dag_display_name.to_owned(),
        }
    }
}

/// A page of warnings.
#[derive(Clone, Debug, Serialize)]
pub struct DagWarningCollectionResponse {
    pub dag_warnings: Vec<DagWarningResponse>,
    pub total_entries: i64,
}

/// Why a file gave no Dag.
#[derive(Clone, Debug, Serialize)]
pub struct ImportErrorResponse {
    pub import_error_id: i64,
    pub timestamp: ApiTime,
    pub filename: String,
    pub bundle_name: Option<String>,
    pub stack_trace: String,
}

impl From<&ImportError> for ImportErrorResponse {
    fn from(error: &ImportError) -> Self {
        Self {
            import_error_id: error.id,
            timestamp: ApiTime(error.timestamp),
            filename: error.filename.clone(),
            bundle_name: Some(error.bundle_name.to_string()),
            stack_trace: error.stacktrace.clone(),
        }
    }
}

/// A page of import errors.
#[derive(Clone, Debug, Serialize)]
pub struct ImportErrorCollectionResponse {
    pub import_errors: Vec<ImportErrorResponse>,
    pub total_entries: i64,
}
