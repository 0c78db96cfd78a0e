//! The attributes of a Dag that scheduling and the Dag list use.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::error::Error;
use super::fields::Fields;
use crate::DagRunType;

/// Stands for a limit that the Dag file does not set; the client normally writes it out.
const MAX_ACTIVE_DEFAULT: i32 = 16;

/// What the Dag says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct DagAttributes {
    pub display_name: Option<String>,
    pub description: Option<String>,
    pub doc_md: Option<String>,
    /// Absolute path when the file was parsed.
    pub fileloc: String,
    /// Path within the bundle.
    pub relative_fileloc: Option<String>,
    /// A name or an offset in seconds; see runtime protocols §4.3.
    pub timezone: Value,
    /// Class path of the timetable.
    pub timetable_type: String,
    /// The whole `{"__type", "__var"}` of the timetable.
    pub timetable: Value,
    pub catchup: bool,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub dagrun_timeout: Option<SignedDuration>,
    pub max_active_tasks: i32,
    pub max_active_runs: i32,
    /// Pauses the Dag after so many failed runs in a row; 0 for never.
    pub max_consecutive_failed_dag_runs: i32,
    pub fail_fast: bool,
    pub disable_bundle_versioning: bool,
    pub is_paused_upon_creation: Option<bool>,
    pub rerun_with_latest_version: Option<bool>,
    pub render_template_as_native_obj: bool,
    pub allowed_run_types: Option<Vec<DagRunType>>,
    pub has_on_success_callback: bool,
    pub has_on_failure_callback: bool,
    pub tags: Vec<String>,
    /// Name and serialized `Param`, in the order of the Dag file.
    pub params: Vec<(String, Value)>,
}

impl DagAttributes {
    pub(super) fn parse(fields: &Fields<'_>) -> Result<Self, Error> {
        let text = |key| Ok(fields.text(key)?.map(str::to_owned));
        let flag = |key| Ok(fields.flag(key)?.unwrap_or(false));
        let (timetable_type, timetable) = parse_timetable(fields)?;
        Ok(Self {
            display_name: text("dag_display_name")?,
            description: text("description")?,
            doc_md: text("doc_md")?,
            fileloc: text("fileloc")?.unwrap_or_default(),
            relative_fileloc: text("relative_fileloc")?,
            timezone: fields
                .find("timezone")
                .cloned()
                .unwrap_or_else(|| "UTC".into()),
            timetable_type,
            timetable,
            catchup: flag("catchup")?,
            start_date: fields.instant("start_date")?,
            end_date: fields.instant("end_date")?,
            dagrun_timeout: fields.duration("dagrun_timeout")?,
            max_active_tasks: fields
                .count("max_active_tasks")?
                .unwrap_or(MAX_ACTIVE_DEFAULT),
            max_active_runs: fields
                .count("max_active_runs")?
                .unwrap_or(MAX_ACTIVE_DEFAULT),
            max_consecutive_failed_dag_runs: fields
                .count("max_consecutive_failed_dag_runs")?
                .unwrap_or(0),
            fail_fast: flag("fail_fast")?,
            disable_bundle_versioning: flag("disable_bundle_versioning")?,
            is_paused_upon_creation: fields.flag("is_paused_upon_creation")?,
            rerun_with_latest_version: fields.flag("rerun_with_latest_version")?,
            render_template_as_native_obj: flag("render_template_as_native_obj")?,
            allowed_run_types: parse_run_types(fields)?,
            has_on_success_callback: flag("has_on_success_callback")?,
            has_on_failure_callback: flag("has_on_failure_callback")?,
            tags: fields
                .texts("tags")?
                .into_iter()
                .map(str::to_owned)
                .collect(),
            params: parse_params(fields)?,
        })
    }
}

/// The timetable keeps its wrapper: the class path is half of its meaning.
fn parse_timetable(fields: &Fields<'_>) -> Result<(String, Value), Error> {
    let value = fields.find_wrapped("timetable").ok_or_else(|| {
        fields
            .place
            .error("timetable", "expected a timetable, found none")
    })?;
    match super::fields::wrapper_type(value) {
        Some(class_path) => Ok((class_path.to_owned(), value.clone())),
        None => Err(fields
            .place
            .expected("timetable", "a map with `__type` and `__var`", value)),
    }
}

fn parse_run_types(fields: &Fields<'_>) -> Result<Option<Vec<DagRunType>>, Error> {
    const KEY: &str = "allowed_run_types";
    if fields.find(KEY).is_none() {
        return Ok(None);
    }
    fields
        .texts(KEY)?
        .into_iter()
        .map(|text| {
            text.parse()
                .map_err(|error: crate::UnknownName| fields.place.error(KEY, error.to_string()))
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Params are a list of pairs, because their order is shown to the user.
fn parse_params(fields: &Fields<'_>) -> Result<Vec<(String, Value)>, Error> {
    fields
        .list("params")?
        .iter()
        .map(|pair| match pair.as_array().map(Vec::as_slice) {
            Some([Value::String(name), param]) => Ok((name.clone(), param.clone())),
            _ => Err(fields
                .place
                .expected("params", "a pair of a name and a param", pair)),
        })
        .collect()
}
