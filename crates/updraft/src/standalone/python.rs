//! The user's Python as the server needs it: helpers that answer, tasks beside the scheduler, and a
//! watch on what is loaded once.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;
use tracing::{info, warn};
use updraft_config::Settings;
use updraft_execution::{Asker, PythonSide, answer};
use updraft_plugins::{Plugins, PluginsOptions, SecretsBackend};
use updraft_python::Zygote;
use updraft_runtime::{Clock, Ids, OnExit, Tasks};
use updraft_scheduler::{Asking, ListenerCaller};
use updraft_store::{Dialect, Store};

use super::options;

/// Several files are written in one go; so long after the last of them plugins are loaded anew.
const SETTLING_TIME: Duration = Duration::from_millis(300);

/// How often the file of settings is looked at, and for folders that were not there.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Characters that name a process among those that call listeners.
const NAME_CHARS: usize = 12;

/// Makes the helpers; none runs before the first question.
pub(super) fn plugins(
    settings: &Settings,
    store: &Store,
    zygote: &Zygote,
    tasks: &Tasks,
) -> Result<Plugins> {
    let backend = secrets_backend(settings)?;
    // Two handles on the same store: user code that answers the server finds the secrets of the
    // server, but for the secrets backend itself.
    let (with_store, side) = (store.clone(), Arc::new(OnceLock::new()));
    let later = Arc::clone(&side);
    let options = PluginsOptions {
        timeout: settings.updraft.plugin_timeout,
        masker: options::masker(settings),
        answer_child: Arc::new(move |asked| {
            let (store, side) = (with_store.clone(), later.get().cloned());
            Box::pin(async move {
                let side = side.map(|side: PythonSide| {
                    if asked.is_by_secrets_backend {
                        side.without_secrets()
                    } else {
                        side
                    }
                });
                answer(&store, &Asker::dag_file_with(side), asked.request).await
            })
        }),
        ..PluginsOptions::new()
    };
    let plugins = Plugins::new(zygote.clone(), tasks, options);
    // Set once, right here.
    let _ = side.set(PythonSide::new(plugins.clone(), backend));
    Ok(plugins)
}

/// What answers to children may need of Python.
pub(super) fn side(settings: &Settings, plugins: &Plugins) -> Result<PythonSide> {
    Ok(PythonSide::new(plugins.clone(), secrets_backend(settings)?))
}

/// The same for Dag files, which may remember.
pub(super) fn side_for_dag_files(settings: &Settings, plugins: &Plugins) -> Result<PythonSide> {
    let side = side(settings, plugins)?;
    if settings.secrets.use_cache {
        return Ok(side.remembering(settings.secrets.cache_ttl, Clock::machine()));
    }
    Ok(side)
}

/// `[secrets] backend` with its arguments.
pub(crate) fn secrets_backend(settings: &Settings) -> Result<Option<SecretsBackend>> {
    let Some(class_path) = &settings.secrets.backend else {
        return Ok(None);
    };
    let mut kwargs = match &settings.secrets.backend_kwargs {
        Some(kwargs) => serde_json::from_str(kwargs.expose_secret())
            .context("[secrets] backend_kwargs: expected a JSON object")?,
        None => serde_json::Map::new(),
    };
    for (name, value) in &settings.secrets.backend_kwarg {
        kwargs.insert(name.clone(), value.expose_secret().into());
    }
    Ok(Some(SecretsBackend {
        class_path: class_path.clone(),
        kwargs,
    }))
}

/// Starts what asks Python and tells it, beside the scheduler.
pub(super) async fn start_beside_scheduler(
    store: &Store,
    plugins: &Plugins,
    tasks: &Tasks,
) -> Result<()> {
    let asking = Asking::start(
        store.clone(),
        plugins.clone(),
        tasks.clone(),
        Clock::machine(),
    )
    .await?;
    tasks.spawn("scheduler.asking", OnExit::Log, asking.run());
    // Who is alone takes over at once from the process before it, which is dead.
    let name = match store.dialect() {
        Dialect::Sqlite => "the only one".to_owned(),
        Dialect::Postgres => Ids::random().alphanumeric(NAME_CHARS),
    };
    let caller = ListenerCaller::new(store.clone(), plugins.clone(), Clock::machine(), name);
    tasks.spawn(
        "scheduler.listeners",
        OnExit::Log,
        caller.run(tasks.shutdown()),
    );
    Ok(())
}

/// Loads plugins, settings of the cluster and `airflow.cfg` anew when they change.
pub(super) fn watch(settings: &Settings, zygote: &Zygote, tasks: &Tasks) {
    let (sender, touched) = mpsc::channel(1);
    let watch = Watch {
        folders: vec![
            settings.core.plugins_folder.clone(),
            settings.values.home.join("config"),
        ],
        file: settings.values.file.clone(),
        watchers: Vec::new(),
        sender,
    };
    let (zygote, shutdown) = (zygote.clone(), tasks.shutdown());
    tasks.spawn("plugins.watch", OnExit::Log, async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = watch.run(&zygote, touched) => {}
        }
        Ok::<(), Infallible>(())
    });
}

/// Watches what the zygote has loaded.
struct Watch {
    /// Folders that are not watched yet.
    folders: Vec<PathBuf>,
    file: PathBuf,
    watchers: Vec<RecommendedWatcher>,
    sender: mpsc::Sender<()>,
}

impl Watch {
    async fn run(mut self, zygote: &Zygote, mut touched: mpsc::Receiver<()>) {
        self.watch_folders();
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        let mut seen = fingerprint(&self.file);
        loop {
            let has_changed = tokio::select! {
                Some(()) = touched.recv() => true,
                _ = look.tick() => {
                    let now = fingerprint(&self.file);
                    let file_changed = now != std::mem::replace(&mut seen, now);
                    self.watch_folders() || file_changed
                }
            };
            if !has_changed {
                continue;
            }
            // Until nothing has changed for a while.
            while let Ok(Some(())) = tokio::time::timeout(SETTLING_TIME, touched.recv()).await {}
            info!("plugins or settings have changed; loading them anew");
            zygote.recycle();
        }
    }

    /// Watches the folders that are there. Returns whether one has come since the first look.
    fn watch_folders(&mut self) -> bool {
        let is_first = self.watchers.is_empty() && self.folders.len() > 1;
        let (there, missing): (Vec<_>, Vec<_>) = std::mem::take(&mut self.folders)
            .into_iter()
            .partition(|folder| folder.is_dir());
        self.folders = missing;
        for folder in &there {
            match watcher(folder, self.sender.clone()) {
                Ok(watcher) => self.watchers.push(watcher),
                Err(error) => {
                    let folder = folder.display();
                    warn!(%folder, %error, "failed to watch a folder; restart to load what changes in it");
                }
            }
        }
        !there.is_empty() && !is_first
    }
}

/// Tells a changed file from the one before.
fn fingerprint(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn watcher(folder: &Path, touched: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_change = event.is_ok_and(|event| {
            !matches!(event.kind, EventKind::Access(_))
                && event.paths.iter().any(|path| is_source(path))
        });
        if is_change {
            // Full: somebody is about to look already.
            let _ = touched.try_send(());
        }
    })?;
    watcher.watch(folder, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Python writes compiled files beside what it loads, which is no change.
fn is_source(path: &Path) -> bool {
    let is_cache = path
        .components()
        .any(|part| part.as_os_str() == "__pycache__");
    !is_cache && path.extension().is_none_or(|ending| ending != "pyc")
}
