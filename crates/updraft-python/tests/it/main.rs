//! The zygote with a real interpreter and a real Airflow.

mod children;
mod provisioning;
mod session;
mod zygote;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;
use updraft_python::provision;
use updraft_python::{ChildHandle, ChildKind, ProvisionRequest, Zygote, ZygoteConfig};
use updraft_runtime::Tasks;

/// An Updraft home with a zygote in it. Every test owns one.
struct Home {
    folder: TempDir,
    tasks: Tasks,
    zygote: Zygote,
}

impl Home {
    async fn new() -> Result<Self> {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut ZygoteConfig)) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let tasks = Tasks::new();
        let mut config = zygote_config(folder.path())?;
        change(&mut config);
        let zygote = Zygote::start(config, &tasks).await?;
        Ok(Self {
            folder,
            tasks,
            zygote,
        })
    }

    async fn spawn(&self, kind: ChildKind) -> Result<ChildHandle> {
        Ok(self.zygote.spawn(kind, Vec::new()).await?)
    }
}

fn zygote_config(home: &Path) -> Result<ZygoteConfig> {
    let request = ProvisionRequest {
        runtime_dir: home.join("runtime"),
        python: Some(interpreter()),
        ..ProvisionRequest::default()
    };
    let mut config = ZygoteConfig::new(&provision(&request, &mut |_| {})?);
    config.environment = vec![
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ("AIRFLOW_HOME".to_owned(), home.display().to_string()),
        (
            "AIRFLOW__CORE__DAGS_FOLDER".to_owned(),
            dags().display().to_string(),
        ),
        (
            "AIRFLOW__CORE__FERNET_KEY".to_owned(),
            "a secret".to_owned(),
        ),
    ];
    Ok(config)
}

fn dags() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dags")
}

/// `cargo xtask test` says which interpreter has Airflow.
fn interpreter() -> PathBuf {
    std::env::var_os("UPDRAFT_TEST_PYTHON").map_or_else(
        || panic!("set UPDRAFT_TEST_PYTHON to a Python with apache-airflow-core 3.3 in it"),
        |path: OsString| path.into(),
    )
}
