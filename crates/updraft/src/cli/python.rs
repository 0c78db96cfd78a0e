//! A Python of the command's own, for what only it knows: started for one question, and ended with
//! it. Beside a running server it disturbs nothing.

use std::sync::Arc;
use std::time::Duration;

use updraft_config::Settings;
use updraft_execution::{Asker, answer};
use updraft_plugins::{Plugins, PluginsOptions};
use updraft_python::{Zygote, ZygoteConfig};
use updraft_runtime::Tasks;
use updraft_store::Store;

use super::failure::Failure;
use crate::output::remark;
use crate::standalone::options;

/// How long Python may take to end.
const STOP_MAX: Duration = Duration::from_secs(3);

/// Runs `work` with helpers that answer its questions.
pub(super) async fn with_plugins<T>(
    settings: &Settings,
    store: Option<Store>,
    work: impl AsyncFnOnce(&Plugins) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let tasks = Tasks::new();
    let request = options::provision_request(settings);
    let python = tasks
        .blocking(move || updraft_python::provision(&request, &mut |line| remark(line)))
        .await
        .map_err(|error| {
            Failure::from(error).hint("`[updraft] python` names an interpreter with Airflow in it")
        })?;
    let config = ZygoteConfig {
        idle_children: 0,
        ..options::zygote(settings, &python, &[])?
    };
    let zygote = Zygote::start(config, &tasks).await?;
    let mut plugins = PluginsOptions {
        timeout: settings.updraft.plugin_timeout,
        masker: options::masker(settings),
        ..PluginsOptions::new()
    };
    if let Some(store) = store {
        plugins.answer_child = Arc::new(move |asked| {
            let store = store.clone();
            Box::pin(async move { answer(&store, &Asker::dag_file(), asked.request).await })
        });
    }
    let done = work(&Plugins::new(zygote, &tasks, plugins)).await;
    // Whatever does not end in time ends with this process.
    tasks.drain(STOP_MAX).await;
    done
}
