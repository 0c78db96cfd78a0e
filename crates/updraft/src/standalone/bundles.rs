//! The Dag bundles of the settings.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use tracing::warn;
use updraft_bundles::{BundleConfig, BundleSource, Bundles, BundlesOptions, CleaningRules};
use updraft_config::{DagBundleConfig, Settings};
use updraft_execution::{Asker, ChildRunner, PythonSide};
use updraft_model::ViewUrl;
use updraft_python::PythonRuntime;
use updraft_runtime::{OnExit, Tasks};

use crate::cli::standalone::StandaloneArgs;

/// Airflow's class for a folder.
const LOCAL: &str = "airflow.dag_processing.bundles.local.LocalDagBundle";

/// What may be said of a folder without asking its class.
const LOCAL_ARGUMENTS: [&str; 3] = ["path", "refresh_interval", "view_url_template"];

/// The bundles of the settings, and those of the examples if they are wanted.
pub(super) fn configs(
    settings: &Settings,
    args: &StandaloneArgs,
    python: &PythonRuntime,
) -> Result<Vec<BundleConfig>> {
    let mut bundles = Vec::new();
    for bundle in &settings.dag_processor.bundles {
        let source =
            source(settings, bundle).with_context(|| format!("Dag bundle `{}`", bundle.name))?;
        bundles.push(BundleConfig {
            name: bundle.name.as_str().into(),
            source,
            team_name: bundle.team_name.clone(),
        });
    }
    if args.with_examples {
        let airflow = python.interpreter.airflow.iter();
        let examples = airflow.flat_map(|airflow| &airflow.example_bundles);
        bundles.extend(examples.map(|example| {
            BundleConfig::folder(example.name.as_str().into(), example.path.clone())
        }));
    }
    Ok(bundles)
}

fn source(settings: &Settings, bundle: &DagBundleConfig) -> Result<BundleSource> {
    let DagBundleConfig {
        classpath, kwargs, ..
    } = bundle;
    let is_folder = classpath == LOCAL
        && kwargs
            .keys()
            .all(|name| LOCAL_ARGUMENTS.contains(&name.as_str()));
    if !is_folder {
        return Ok(BundleSource::Class {
            classpath: classpath.clone(),
            kwargs: kwargs.clone(),
        });
    }
    let path = kwargs.get("path").and_then(Value::as_str).map(Path::new);
    let path = std::path::absolute(path.unwrap_or(&settings.core.dags_folder))?;
    if let Err(error) = std::fs::create_dir_all(&path) {
        // Others have nothing to do with it, and it may come later.
        warn!(bundle = bundle.name, path = %path.display(), %error, "failed to create the folder of a Dag bundle");
    }
    Ok(BundleSource::Folder {
        path,
        view_url: view_url(kwargs),
    })
}

fn view_url(kwargs: &Map<String, Value>) -> Option<ViewUrl> {
    let template = kwargs.get("view_url_template")?.as_str()?;
    Some(ViewUrl {
        template: template.to_owned(),
        params: std::collections::BTreeMap::new(),
    })
}

/// `[dag_processor] dag_bundle_storage_path`, or Airflow's place in the temporary folder.
pub(super) fn storage(settings: &Settings) -> Result<PathBuf> {
    let path = match &settings.dag_processor.dag_bundle_storage_path {
        Some(path) => path.clone(),
        None => std::env::temp_dir().join("airflow/dag_bundles"),
    };
    std::path::absolute(&path)
        .with_context(|| format!("failed to resolve the bundle storage `{}`", path.display()))
}

/// Makes the bundles available, and keeps their storage clean.
pub(super) fn open(
    settings: &Settings,
    configs: Vec<BundleConfig>,
    runner: &ChildRunner,
    python: &PythonSide,
    tasks: &Tasks,
) -> Result<Bundles> {
    let options = BundlesOptions {
        storage: storage(settings)?,
        timeout: settings.updraft.bundle_timeout,
        asker: Asker::dag_file_with(Some(python.clone())),
    };
    let bundles = Bundles::new(configs, runner.clone(), options);
    let config = &settings.dag_processor;
    if let Some(interval) = config.stale_bundle_cleanup_interval {
        let rules = CleaningRules {
            age: config.stale_bundle_cleanup_age_threshold,
            versions_min: usize::try_from(config.stale_bundle_cleanup_min_versions)?,
        };
        let cleaning = bundles.clone().keep_clean(interval, rules);
        tasks.spawn("bundles.clean", OnExit::Log, cleaning);
    }
    Ok(bundles)
}
