//! A bundle, a store and a Dag processor that keeps them in step. Every test owns one.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;
use updraft_bundles::{BundleConfig, BundleSource, Bundles, BundlesOptions};
use updraft_dag_processor::{DagProcessor, DagProcessorOptions};
use updraft_execution::{Asker, ChildRunner};
use updraft_model::DagId;
use updraft_model::dag::{Dag, DagVersion, ImportError};
use updraft_model::filter::Page;
use updraft_python::{ProvisionRequest, PythonRuntime, Zygote, ZygoteConfig, provision};
use updraft_runtime::{Clock, OnExit, Tasks};
use updraft_store::listing::ImportErrorFilter;
use updraft_store::{Keyring, Store, StoreOptions};
use updraft_task_comms::masker::MaskerConfig;

/// How long any one step of a test may take.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// How long a class may take: more than a busy machine needs, less than a test may wait.
const BUNDLE_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) const BUNDLE: &str = "dags-folder";

pub(crate) struct Scene {
    folder: TempDir,
    pub(crate) store: Store,
    tasks: Tasks,
}

impl Scene {
    /// A processor that watches a bundle with these files.
    pub(crate) async fn new(files: &[(&str, &str)]) -> Result<Self> {
        Self::with(files, |_| {}).await
    }

    pub(crate) async fn with(
        files: &[(&str, &str)],
        change: impl FnOnce(&mut DagProcessorOptions),
    ) -> Result<Self> {
        let scene = Self::without_processor().await?;
        fs::create_dir(scene.bundle())?;
        for (path, text) in files {
            scene.write(path, text)?;
        }
        let python = scene.python()?;
        let bundle = BundleConfig::folder(BUNDLE.into(), scene.bundle());
        let mut options = DagProcessorOptions::new(scene.path("logs"));
        change(&mut options);
        scene
            .start(ZygoteConfig::new(&python), vec![bundle], options)
            .await?;
        Ok(scene)
    }

    /// A processor of all examples that come with Airflow and its providers.
    pub(crate) async fn of_examples() -> Result<Self> {
        let scene = Self::without_processor().await?;
        let python = scene.python()?;
        let airflow = python.interpreter.airflow.as_ref().context("an Airflow")?;
        let bundles = airflow
            .example_bundles
            .iter()
            .map(|bundle| BundleConfig::folder(bundle.name.as_str().into(), bundle.path.clone()));
        let mut zygote = ZygoteConfig::new(&python);
        zygote.example_plugins = true;
        let options = DagProcessorOptions::new(scene.path("logs"));
        scene.start(zygote, bundles.collect(), options).await?;
        Ok(scene)
    }

    /// A processor of bundles (name, class, arguments) that classes of the module `classes` fetch.
    pub(crate) async fn of_classes(classes: &str, bundles: &[(&str, &str, Value)]) -> Result<Self> {
        let scene = Self::without_processor().await?;
        let module = scene.path("plugins/classes.py");
        fs::create_dir(scene.path("plugins"))?;
        fs::write(module, classes)?;
        let bundles = bundles.iter().map(|(name, class, kwargs)| BundleConfig {
            name: (*name).into(),
            source: BundleSource::Class {
                classpath: format!("classes.{class}"),
                kwargs: kwargs.as_object().cloned().unwrap_or_default(),
            },
            team_name: None,
        });
        let mut options = DagProcessorOptions::new(scene.path("logs"));
        options.bundle_refresh_check_interval = Duration::from_millis(100);
        let zygote = ZygoteConfig::new(&scene.python()?);
        scene.start(zygote, bundles.collect(), options).await?;
        Ok(scene)
    }

    async fn without_processor() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite:///{}", folder.path().join("updraft.db").display());
        let store = Store::open(StoreOptions::new(url, Keyring::parse("")?)).await?;
        store.migrate().await?;
        Ok(Self {
            folder,
            store,
            tasks: Tasks::new(),
        })
    }

    fn python(&self) -> Result<PythonRuntime> {
        let request = ProvisionRequest {
            runtime_dir: self.path("runtime"),
            python: Some(interpreter()),
            ..ProvisionRequest::default()
        };
        Ok(provision(&request, &mut |_| {})?)
    }

    async fn start(
        &self,
        mut zygote: ZygoteConfig,
        bundles: Vec<BundleConfig>,
        options: DagProcessorOptions,
    ) -> Result<()> {
        let variable = |name: &str, value: String| (name.to_owned(), value);
        zygote.environment = vec![
            variable("PATH", "/usr/bin:/bin".to_owned()),
            variable("AIRFLOW_HOME", self.folder.path().display().to_string()),
            variable(
                "AIRFLOW__CORE__DAGS_FOLDER",
                self.bundle().display().to_string(),
            ),
            variable("AIRFLOW__CORE__LOAD_EXAMPLES", "False".to_owned()),
        ];
        let storage = self.path("bundles");
        let of_bundles = Bundles::environment_of_zygote(&bundles, &storage);
        zygote.environment.extend(of_bundles);
        let runner = ChildRunner {
            store: self.store.clone(),
            zygote: Zygote::start(zygote, &self.tasks).await?,
            tasks: self.tasks.clone(),
            shutdown: self.tasks.shutdown(),
            clock: Clock::machine(),
            masker: MaskerConfig::default(),
        };
        let kept = BundlesOptions {
            storage,
            timeout: BUNDLE_TIMEOUT,
            asker: Asker::dag_file(),
        };
        let bundles = Bundles::new(bundles, runner.clone(), kept);
        let processor = DagProcessor::start(bundles, runner, options).await?;
        let run = processor.run(self.tasks.shutdown());
        self.tasks.spawn("dag_processor", OnExit::Shutdown, run);
        Ok(())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.path("dags")
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.bundle().join(path);
        let folder = path.parent().context("a folder")?;
        fs::create_dir_all(folder)?;
        Ok(fs::write(path, text)?)
    }

    pub(crate) fn remove(&self, path: &str) -> Result<()> {
        Ok(fs::remove_file(self.bundle().join(path))?)
    }

    /// The parse log of a file, reached over the link to the latest day.
    pub(crate) fn log(&self, path: &str) -> Result<String> {
        let folder = self.path("logs/latest").join(BUNDLE);
        Ok(fs::read_to_string(folder.join(format!("{path}.log")))?)
    }

    pub(crate) async fn dag(&self, dag_id: &str) -> Result<Option<Dag>> {
        Ok(self
            .store
            .read()
            .await?
            .find_dag(&DagId::new(dag_id))
            .await?)
    }

    pub(crate) async fn version(&self, dag_id: &str) -> Result<DagVersion> {
        let mut reader = self.store.read().await?;
        let version = reader.find_latest_version(&DagId::new(dag_id)).await?;
        version.context("a version")
    }

    /// Import errors by file name.
    pub(crate) async fn import_errors(&self) -> Result<Vec<ImportError>> {
        let mut reader = self.store.read().await?;
        let page = Page {
            limit: 100,
            offset: 0,
            order_by: vec!["filename".to_owned()],
        };
        let listed = reader
            .list_import_errors(&ImportErrorFilter::default(), &page)
            .await?;
        Ok(listed.rows)
    }

    /// Waits for a Dag that fulfils a condition.
    pub(crate) async fn wait_for_dag(
        &self,
        dag_id: &str,
        condition: impl Fn(&Dag) -> bool,
    ) -> Result<Dag> {
        let started = Instant::now();
        loop {
            let dag = self.dag(dag_id).await?;
            if let Some(dag) = dag.clone().filter(&condition) {
                return Ok(dag);
            }
            let errors = || async { self.import_errors().await };
            if started.elapsed() > LONG {
                anyhow::bail!(
                    "waited too long for `{dag_id}`, found {dag:#?}, {:#?}",
                    errors().await
                );
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Checks for a while that a Dag keeps fulfilling a condition.
    pub(crate) async fn remains_for(
        &self,
        time: Duration,
        dag_id: &str,
        condition: impl Fn(&Dag) -> bool,
    ) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < time {
            let dag = self.dag(dag_id).await?;
            anyhow::ensure!(dag.as_ref().is_some_and(&condition), "found {dag:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Waits until there are so many import errors.
    pub(crate) async fn wait_for_import_errors(&self, count: usize) -> Result<Vec<ImportError>> {
        let started = Instant::now();
        loop {
            let errors = self.import_errors().await?;
            if errors.len() == count {
                return Ok(errors);
            }
            anyhow::ensure!(
                started.elapsed() < LONG,
                "expected {count} errors, found {errors:#?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.tasks.shutdown().cancel();
    }
}

/// A Dag with tasks, one after the other.
pub(crate) fn dag_file(dag_id: &str, tasks: &[&str]) -> String {
    let mut text = format!(
        "from airflow.sdk import DAG\n\
         from airflow.providers.standard.operators.empty import EmptyOperator\n\
         with DAG({dag_id:?}, schedule=None):\n    pass\n"
    );
    for task in tasks {
        text.push_str(&format!("    EmptyOperator(task_id={task:?})\n"));
    }
    text
}

/// Waits for a condition on files.
pub(crate) async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    let started = Instant::now();
    while !condition() {
        anyhow::ensure!(started.elapsed() < LONG, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// `cargo xtask test` says which interpreter has Airflow.
fn interpreter() -> PathBuf {
    std::env::var_os("UPDRAFT_TEST_PYTHON").map_or_else(
        || panic!("set UPDRAFT_TEST_PYTHON to a Python with apache-airflow-core 3.3 in it"),
        |path: OsString| Path::new(&path).to_owned(),
    )
}
