//! Dag runs as the public API shows them. Callbacks of deadlines get them like that, too.

use std::collections::BTreeMap;

use updraft_model::dag::DagVersion;
use updraft_model::dag_run::DagRun;
use updraft_model::{DagId, DagVersionId};
use updraft_rest_api::dag::DagVersionResponse;
use updraft_rest_api::dag_run::DagRunResponse;
use updraft_store::{Error, Reader, RunKey};

/// Runs with the names of their Dags and the versions their tries ran with.
///
/// # Errors
/// When the store fails.
pub async fn dag_run_responses(
    reader: &mut Reader,
    runs: &[DagRun],
) -> Result<Vec<DagRunResponse>, Error> {
    let names = names_of(reader, runs).await?;
    let keys: Vec<RunKey> = runs
        .iter()
        .map(|run| RunKey {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
        })
        .collect();
    let mut ids = reader.load_versions_of_runs(&keys).await?;
    // A run that is pinned to a version of its bundle shows the one it was created with.
    for (run, key) in runs.iter().zip(&keys) {
        if run.bundle_version.is_some() {
            ids.insert(
                key.clone(),
                run.created_dag_version_id.into_iter().collect(),
            );
        }
    }
    let mut wanted: Vec<DagVersionId> = ids.values().flatten().copied().collect();
    wanted.sort_unstable();
    wanted.dedup();
    let versions = reader.load_dag_versions(&wanted).await?;
    let answered = runs.iter().zip(&keys).map(|(run, key)| {
        let name = names
            .get(&run.dag_id)
            .map_or(run.dag_id.as_str(), String::as_str);
        let versions = versions_of(ids.get(key), &versions, name);
        DagRunResponse::new(run, name, versions)
    });
    Ok(answered.collect())
}

async fn names_of(reader: &mut Reader, runs: &[DagRun]) -> Result<BTreeMap<DagId, String>, Error> {
    let mut dag_ids: Vec<DagId> = runs.iter().map(|run| run.dag_id.clone()).collect();
    dag_ids.sort_unstable();
    dag_ids.dedup();
    if dag_ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    reader.load_dag_display_names(&dag_ids).await
}

fn versions_of(
    ids: Option<&Vec<DagVersionId>>,
    versions: &BTreeMap<DagVersionId, DagVersion>,
    dag_display_name: &str,
) -> Vec<DagVersionResponse> {
    let found = ids.into_iter().flatten().filter_map(|id| versions.get(id));
    found
        .map(|version| DagVersionResponse::new(version, dag_display_name))
        .collect()
}
