//! The recorded outcome of real Airflow: one JSON file a Dag.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::outcome::{DagOutcome, Outcomes};
use crate::{airflow, workspace};

/// The file beside the Dags' that lists which files real Airflow cannot import.
const IMPORT_ERRORS: &str = "import-errors.json";

fn folder() -> PathBuf {
    workspace::root()
        .join("conformance")
        .join(format!("airflow-{}", airflow::VERSION))
}

/// Stores `found`. A complete recording replaces the old one; one of `only` some Dags leaves
/// the others' files alone.
pub(super) fn write(found: &Outcomes, only: &[String]) -> Result<()> {
    let folder = folder();
    if only.is_empty() && folder.exists() {
        fs::remove_dir_all(&folder).context("failed to remove the old record")?;
    }
    fs::create_dir_all(&folder).context("failed to create the folder of the record")?;
    for (dag_id, outcome) in &found.dags {
        write_json(&folder.join(format!("{dag_id}.json")), outcome)?;
    }
    write_json(&folder.join(IMPORT_ERRORS), &found.import_errors)?;
    println!("recorded {} Dags in {}", found.dags.len(), folder.display());
    Ok(())
}

fn write_json(path: &PathBuf, value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).context("failed to write JSON")?;
    fs::write(path, text + "\n").with_context(|| format!("failed to write `{}`", path.display()))
}

/// Reads the record of all Dags, or of `only` some.
pub(super) fn read(only: &[String]) -> Result<Outcomes> {
    let folder = folder();
    let mut outcomes = Outcomes::default();
    let entries = fs::read_dir(&folder)
        .with_context(|| format!("failed to read the record in `{}`", folder.display()))?;
    for entry in entries {
        let path = entry.context("failed to list the record")?.path();
        let named = || format!("failed to read `{}`", path.display());
        let text = fs::read_to_string(&path).with_context(named)?;
        if path.ends_with(IMPORT_ERRORS) {
            outcomes.import_errors = serde_json::from_str(&text).with_context(named)?;
            continue;
        }
        let dag: DagOutcome = serde_json::from_str(&text).with_context(named)?;
        if only.is_empty() || only.contains(&dag.dag_id) {
            outcomes.dags.insert(dag.dag_id.clone(), dag);
        }
    }
    for dag_id in only {
        if !outcomes.dags.contains_key(dag_id) {
            bail!("there is no record of Dag `{dag_id}`");
        }
    }
    Ok(outcomes)
}
