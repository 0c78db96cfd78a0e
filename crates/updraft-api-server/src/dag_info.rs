//! What hangs on a Dag: tags, versions, source, statistics, warnings, import errors, tasks.

use std::collections::BTreeMap;

use serde_json::Value;
use updraft_model::dag::DagVersion;
use updraft_model::filter::Page;
use updraft_model::serialized::{SerializedDag, Task};
use updraft_model::{DagId, DagRunState};
use updraft_rest_api::dag::{
    DagSourceResponse, DagStatsCollectionResponse, DagStatsResponse, DagStatsStateResponse,
    DagTagCollectionResponse, DagVersionCollectionResponse, DagVersionResponse,
    DagWarningCollectionResponse, DagWarningResponse, ImportErrorCollectionResponse,
    ImportErrorResponse,
};
use updraft_rest_api::task::{TaskCollectionResponse, TaskResponse};
use updraft_rest_api::value;
use updraft_store::Reader;
use updraft_store::listing::{
    DagTagFilter, DagVersionFilter, DagWarningFilter, ImportErrorFilter, ListError,
};

use crate::call::{ANY, Answer, Call, dag_not_found, ok, text_answer};
use crate::error::ApiError;

/// Kinds of warnings.
const WARNING_TYPES: &[&str] = &[
    "asset conflict",
    "non-existent pool",
    "runtime varying value",
];

/// `GET /dagTags`.
pub(crate) async fn list_tags(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let filter = DagTagFilter {
        name: query.pattern("tag_name"),
    };
    query.finish()?;
    let listed = call.reader().await?.list_dag_tags(&filter, &page).await?;
    ok(&DagTagCollectionResponse {
        tags: listed.rows,
        total_entries: listed.total,
    })
}

/// `GET /dags/{dag_id}/dagVersions`; `~` for every Dag.
pub(crate) async fn list_versions(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let dag_id = call.dag_id();
    let filter = DagVersionFilter {
        dag_id: (dag_id != ANY).then(|| dag_id.clone()),
        version_number: query.integer("version_number"),
        bundle_name: query.text("bundle_name"),
        bundle_version: query.text("bundle_version"),
    };
    query.finish()?;
    let mut reader = call.reader().await?;
    if dag_id != ANY && reader.find_latest_version(&dag_id).await?.is_none() {
        return Err(dag_not_found(dag_id.as_str()));
    }
    let listed = reader.list_dag_versions(&filter, &page).await?;
    ok(&DagVersionCollectionResponse {
        dag_versions: version_responses(&mut reader, &listed.rows).await?,
        total_entries: listed.total,
    })
}

/// Versions with the present names of their Dags.
pub(crate) async fn version_responses(
    reader: &mut Reader,
    versions: &[DagVersion],
) -> Result<Vec<DagVersionResponse>, ApiError> {
    let dag_ids = versions.iter().map(|version| version.dag_id.clone());
    let names = names_of(reader, dag_ids.collect()).await?;
    let named = versions.iter().map(|version| {
        let name = names
            .get(&version.dag_id)
            .map_or(version.dag_id.as_str(), String::as_str);
        DagVersionResponse::new(version, name)
    });
    Ok(named.collect())
}

/// The names people see.
pub(crate) async fn names_of(
    reader: &mut Reader,
    mut dag_ids: Vec<DagId>,
) -> Result<BTreeMap<DagId, String>, ApiError> {
    dag_ids.sort_unstable();
    dag_ids.dedup();
    if dag_ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    Ok(reader.load_dag_display_names(&dag_ids).await?)
}

/// `GET /dags/{dag_id}/dagVersions/{version_number}`.
pub(crate) async fn get_version(call: Call) -> Answer {
    let number = call.path_number("version_number")?;
    let dag_id = call.dag_id();
    let mut reader = call.reader().await?;
    let version = find_version(&mut reader, &dag_id, number).await?;
    let version = version.ok_or_else(|| {
        ApiError::not_found(format!(
            "The DagVersion with dag_id: `{dag_id}` and version_number: `{number}` was not found"
        ))
    })?;
    let responses = version_responses(&mut reader, &[version]).await?;
    ok(&responses[0])
}

async fn find_version(
    reader: &mut Reader,
    dag_id: &DagId,
    number: i64,
) -> Result<Option<DagVersion>, ApiError> {
    let filter = DagVersionFilter {
        dag_id: Some(dag_id.clone()),
        version_number: Some(number),
        ..DagVersionFilter::default()
    };
    let one = Page {
        limit: 1,
        ..Page::default()
    };
    Ok(reader.list_dag_versions(&filter, &one).await?.rows.pop())
}

/// `GET /dagSources/{dag_id}`, as JSON or as it is.
pub(crate) async fn get_source(call: Call) -> Answer {
    let mut query = call.query();
    let number = query.integer("version_number");
    query.finish()?;
    let kind = call.json_or_text()?;
    let dag_id = call.dag_id();
    let mut reader = call.reader().await?;
    let version = match number {
        Some(number) => find_version(&mut reader, &dag_id, number).await?,
        None => reader.find_latest_version(&dag_id).await?,
    };
    let source = match &version {
        Some(version) => reader.find_source_code(version.id).await?,
        None => None,
    };
    let found = version.zip(source);
    let (version, content) = found.ok_or_else(|| source_not_found(&dag_id, number))?;
    if kind == "text/plain" {
        return Ok(text_answer(content));
    }
    let mut names = names_of(&mut reader, vec![dag_id.clone()]).await?;
    ok(&DagSourceResponse {
        content: Some(content),
        dag_display_name: names.remove(&dag_id).unwrap_or_else(|| dag_id.to_string()),
        dag_id: dag_id.to_string(),
        version_number: Some(version.version_number),
    })
}

fn source_not_found(dag_id: &DagId, number: Option<i64>) -> ApiError {
    let number = number.map_or_else(|| "None".to_owned(), |number| number.to_string());
    ApiError::not_found(format!(
        "The source code of the Dag {dag_id}, version_number {number} was not found"
    ))
}

/// `GET /dagStats`.
pub(crate) async fn stats(call: Call) -> Answer {
    let dag_ids: Vec<DagId> = call
        .query()
        .texts("dag_ids")
        .into_iter()
        .map(Into::into)
        .collect();
    let mut reader = call.reader().await?;
    let mut counts: BTreeMap<DagId, BTreeMap<DagRunState, i64>> = BTreeMap::new();
    for found in reader.count_dag_runs_by_state(&dag_ids).await? {
        counts
            .entry(found.dag_id)
            .or_default()
            .insert(found.state, found.count);
    }
    let names = names_of(&mut reader, counts.keys().cloned().collect()).await?;
    let dags: Vec<DagStatsResponse> = counts
        .iter()
        .map(|(dag_id, counts)| DagStatsResponse {
            dag_id: dag_id.to_string(),
            dag_display_name: names
                .get(dag_id)
                .cloned()
                .unwrap_or_else(|| dag_id.to_string()),
            stats: DagRunState::ALL
                .iter()
                .map(|state| DagStatsStateResponse {
                    state: *state,
                    count: counts.get(state).copied().unwrap_or(0),
                })
                .collect(),
        })
        .collect();
    ok(&DagStatsCollectionResponse {
        total_entries: i64::try_from(dags.len()).unwrap_or(i64::MAX),
        dags,
    })
}

/// `GET /dagWarnings`.
pub(crate) async fn list_warnings(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let all = |name: &'static str| name;
    let filter = DagWarningFilter {
        dag_id: query.text("dag_id").map(Into::into),
        warning_type: query
            .read("warning_type", value::one_of(WARNING_TYPES, all))
            .map(str::to_owned),
    };
    query.finish()?;
    let mut reader = call.reader().await?;
    let listed = reader.list_dag_warnings(&filter, &page).await?;
    let dag_ids = listed.rows.iter().map(|warning| warning.dag_id.clone());
    let names = names_of(&mut reader, dag_ids.collect()).await?;
    let named = listed.rows.iter().map(|warning| {
        let name = names
            .get(&warning.dag_id)
            .map_or(warning.dag_id.as_str(), String::as_str);
        DagWarningResponse::new(warning, name)
    });
    ok(&DagWarningCollectionResponse {
        dag_warnings: named.collect(),
        total_entries: listed.total,
    })
}

/// `GET /importErrors`.
pub(crate) async fn list_import_errors(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    let filter = ImportErrorFilter {
        filename: query.pattern("filename"),
        exact_filename: query.text("filename"),
        bundle_name: query.text("bundle_name"),
    };
    query.finish()?;
    let listed = call
        .reader()
        .await?
        .list_import_errors(&filter, &page)
        .await?;
    ok(&ImportErrorCollectionResponse {
        import_errors: listed.rows.iter().map(ImportErrorResponse::from).collect(),
        total_entries: listed.total,
    })
}

/// `GET /importErrors/{import_error_id}`.
pub(crate) async fn get_import_error(call: Call) -> Answer {
    let id = call.path_number("import_error_id")?;
    let error = call.reader().await?.find_import_error(id).await?;
    let error = error.ok_or_else(|| {
        ApiError::not_found(format!(
            "The ImportError with import_error_id: `{id}` was not found"
        ))
    })?;
    ok(&ImportErrorResponse::from(&error))
}

/// `GET /dags/{dag_id}/tasks`, ordered by any one attribute of the answer.
pub(crate) async fn list_tasks(call: Call) -> Answer {
    let order_by = call.query().text("order_by");
    let order_by = order_by.as_deref().unwrap_or("task_id");
    let mut reader = call.reader().await?;
    let dag = call.require_serialized(&mut reader, &call.dag_id()).await?;
    let mut tasks: Vec<TaskResponse> = dag
        .tasks()
        .iter()
        .map(|task| TaskResponse::new(&dag, task))
        .collect();
    sort_tasks(&mut tasks, order_by)?;
    ok(&TaskCollectionResponse {
        total_entries: tasks.len(),
        tasks,
    })
}

fn sort_tasks(tasks: &mut Vec<TaskResponse>, order_by: &str) -> Result<(), ApiError> {
    let attribute = order_by.trim_start_matches('-');
    let unknown = || ApiError::from(ListError::UnknownOrder(attribute.to_owned()));
    let mut keyed = Vec::with_capacity(tasks.len());
    for task in tasks.drain(..) {
        let answer = serde_json::to_value(&task).map_err(|_| unknown())?;
        let key = answer.get(attribute).ok_or_else(unknown)?.clone();
        keyed.push((key, task));
    }
    keyed.sort_by(|(one, _), (other, _)| compare(one, other));
    if order_by.starts_with('-') {
        keyed.reverse();
    }
    tasks.extend(keyed.into_iter().map(|(_, task)| task));
    Ok(())
}

fn compare(one: &Value, other: &Value) -> std::cmp::Ordering {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        _ => match (one.as_str(), other.as_str()) {
            (Some(one), Some(other)) => one.cmp(other),
            _ => one.to_string().cmp(&other.to_string()),
        },
    }
}

/// `GET /dags/{dag_id}/tasks/{task_id}`.
pub(crate) async fn get_task(call: Call) -> Answer {
    let mut reader = call.reader().await?;
    let dag = call.require_serialized(&mut reader, &call.dag_id()).await?;
    let task = require_task(&dag, call.path("task_id"))?;
    ok(&TaskResponse::new(&dag, task))
}

fn require_task<'d>(dag: &'d SerializedDag, task_id: &str) -> Result<&'d Task, ApiError> {
    dag.find_task(task_id)
        .ok_or_else(|| ApiError::not_found(format!("Task with id {task_id} was not found")))
}
