//! A Python interpreter and what is installed in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The release series of `apache-airflow-core` whose behaviour we reproduce.
pub(crate) const AIRFLOW_CORE_SERIES: &str = "3.3";

/// The release series of `apache-airflow-task-sdk` whose messages we speak.
pub(crate) const TASK_SDK_SERIES: &str = "1.3";

/// An interpreter as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// The program, inside its virtual environment if it has one.
    pub executable: PathBuf,
    /// Its version, for example `3.12.1`.
    #[serde(rename = "python")]
    pub version: String,
    /// Where packages are installed.
    pub site_packages: PathBuf,
    /// What there is of Airflow.
    pub airflow: Option<AirflowInstallation>,
}

/// What an interpreter has of Airflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AirflowInstallation {
    /// Version of `apache-airflow-core`.
    pub core_version: String,
    /// Version of `apache-airflow-task-sdk`.
    pub task_sdk_version: String,
    /// Folder of the package `airflow`; the stock user interface is in `ui/dist` below it.
    pub package_path: PathBuf,
    /// Version of each provider distribution.
    pub providers: BTreeMap<String, String>,
    /// Folders of example Dags, under the bundle names that Airflow gives them.
    pub example_bundles: Vec<ExampleBundle>,
}

/// One folder of example Dags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExampleBundle {
    /// Name of the Dag bundle.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
}

impl Interpreter {
    /// Asks the interpreter what it is and has, or says why it cannot tell.
    pub(crate) fn probe(executable: &Path, shim: &Path) -> Result<Self, String> {
        let output = Command::new(executable)
            .arg(shim)
            .arg("probe")
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let last = stderr.trim_end().lines().next_back().unwrap_or_default();
            return Err(format!("{}: {last}", output.status));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("its description of itself is unreadable: {error}"))
    }

    /// Major and minor version.
    pub(crate) fn series(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.split('.').map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    }

    /// Says why tasks cannot run in this interpreter, if so.
    pub(crate) fn unfit(&self) -> Option<String> {
        let Some(airflow) = &self.airflow else {
            return Some(format!(
                "Python {} without apache-airflow-core",
                self.version
            ));
        };
        let wanted = [
            (
                "apache-airflow-core",
                &airflow.core_version,
                AIRFLOW_CORE_SERIES,
            ),
            (
                "apache-airflow-task-sdk",
                &airflow.task_sdk_version,
                TASK_SDK_SERIES,
            ),
        ];
        wanted
            .iter()
            .find(|(_, found, series)| !is_in_series(found, series))
            .map(|(package, found, series)| format!("{package} {found}, expected {series}"))
    }
}

/// Whether a version such as `3.3.2` or `3.3.0rc1` belongs to a series such as `3.3`.
pub(crate) fn is_in_series(version: &str, series: &str) -> bool {
    version
        .strip_prefix(series)
        .is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::is_in_series;

    #[test]
    fn a_series_does_not_match_a_longer_number() {
        assert!(is_in_series("3.3.2", "3.3"));
        assert!(!is_in_series("3.30.1", "3.3"));
        assert!(!is_in_series("13.3.2", "3.3"));
    }
}
