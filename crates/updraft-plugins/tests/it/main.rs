//! Questions to a real Python with a real Airflow in it.

mod hostile;
mod others;
mod timetables;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;
use updraft_plugins::{Error, LastRun, NextRun, Plugins, PluginsOptions};
use updraft_python::{ProvisionRequest, Zygote, ZygoteConfig, provision};
use updraft_runtime::Tasks;
use updraft_task_comms::message::{Response, StoreRequest, VariableResult};
use updraft_timetable::TimeRestriction;

/// Long enough for a loaded machine, short enough to wait for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A home with a zygote and plugins in it. Every test owns one.
struct Home {
    folder: TempDir,
    zygote: Zygote,
    plugins: Plugins,
}

impl Home {
    async fn new() -> Result<Self> {
        Self::with(|_| {}, |_| {}).await
    }

    async fn with(
        prepare: impl FnOnce(&Path),
        change: impl FnOnce(&mut PluginsOptions),
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        copy_plugins(folder.path())?;
        prepare(folder.path());
        let tasks = Tasks::new();
        let zygote = Zygote::start(zygote_config(folder.path())?, &tasks).await?;
        let mut options = PluginsOptions {
            timeout: TIMEOUT,
            answer_child: Arc::new(|request| Box::pin(async { Ok(Some(answer(request.request))) })),
            ..PluginsOptions::new()
        };
        change(&mut options);
        Ok(Self {
            plugins: Plugins::new(zygote.clone(), &tasks, options),
            folder,
            zygote,
        })
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks an odd timetable for its next run.
    async fn odd(&self, class: &str, conduct: &str) -> Result<Option<NextRun>, Error> {
        let class = format!("odd_timetables.{class}");
        let timetable = json!({"__type": class, "__var": {"conduct": conduct}});
        self.plugins
            .next_dagrun(&timetable, &class, None::<&LastRun>, &restriction())
            .await
    }
}

fn restriction() -> TimeRestriction {
    TimeRestriction {
        earliest: "2026-01-05T00:00:00Z".parse().ok(),
        latest: None,
        catchup: true,
    }
}

/// The store of these tests: a variable.
fn answer(request: StoreRequest) -> Response {
    match request {
        StoreRequest::GetVariable(wanted) => Response::VariableResult(VariableResult {
            key: wanted.key,
            value: Some("2".to_owned()),
        }),
        other => panic!("nobody asks for {other:?}"),
    }
}

fn copy_plugins(home: &Path) -> Result<()> {
    let plugins = home.join("plugins");
    std::fs::create_dir(&plugins)?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/plugins");
    for entry in std::fs::read_dir(source)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), plugins.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn zygote_config(home: &Path) -> Result<ZygoteConfig> {
    let request = ProvisionRequest {
        runtime_dir: home.join("runtime"),
        python: Some(interpreter()),
        ..ProvisionRequest::default()
    };
    let config = ZygoteConfig::new(&provision(&request, &mut |_| {})?);
    Ok(ZygoteConfig {
        environment: vec![
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ("AIRFLOW_HOME".to_owned(), home.display().to_string()),
        ],
        example_plugins: true,
        ..config
    })
}

/// `cargo xtask test` says which interpreter has Airflow.
fn interpreter() -> PathBuf {
    std::env::var_os("UPDRAFT_TEST_PYTHON")
        .expect("set UPDRAFT_TEST_PYTHON to a Python with apache-airflow-core 3.3 in it")
        .into()
}

fn at(text: &str) -> jiff::Timestamp {
    text.parse().expect("tests write dates right")
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}
