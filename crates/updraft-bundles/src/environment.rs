//! What children are told about bundles: each is a plain folder.
//!
//! Source: runtime protocols §3.6.

use std::path::Path;

use serde_json::json;
use updraft_model::BundleName;

/// The setting that names the bundles.
pub(crate) const BUNDLES_VARIABLE: &str = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST";

/// The setting that says where bundles are kept.
pub(crate) const STORAGE_VARIABLE: &str = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH";

/// The list of bundles for a child: names and folders.
pub(crate) fn bundle_list<'a>(
    folders: impl IntoIterator<Item = (&'a BundleName, &'a Path)>,
) -> String {
    let list = folders.into_iter().map(|(name, path)| {
        json!({
            "name": name,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": { "path": path },
        })
    });
    serde_json::Value::from_iter(list).to_string()
}
