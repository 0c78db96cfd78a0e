//! The handle that everybody who needs the files of a bundle holds.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, warn};
use updraft_execution::{Asker, ChildRunner};
use updraft_model::{BundleName, ViewUrl};
use updraft_runtime::Clock;
use updraft_task_comms::message::BundleOpened;

use crate::ask::Class;
use crate::environment::{BUNDLES_VARIABLE, STORAGE_VARIABLE, bundle_list};
use crate::layout::{Layout, try_lock};
use crate::versions::Lease;
use crate::{BundleConfig, BundleSource, Error};

/// A lock is waited for as long as so many holders may need.
const LOCK_TIMEOUTS_MAX: u32 = 2;

/// Pause between two looks at a lock that another process holds.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// How bundles are kept.
#[derive(Clone, Debug)]
pub struct BundlesOptions {
    /// `[dag_processor] dag_bundle_storage_path`.
    pub storage: PathBuf,
    /// `[updraft] bundle_timeout`: time that a class may take to fetch something.
    pub timeout: Duration,
    /// In whose name classes ask for connections and variables.
    pub asker: Asker,
}

/// The newest files of a bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    pub path: PathBuf,
    /// `None` for bundles without versions, like a plain folder.
    pub version: Option<String>,
    /// Pause between two refreshes; `None` for a plain folder, which is always fresh.
    pub refresh_interval: Option<Duration>,
    /// Where people may look at the files.
    pub view_url: Option<ViewUrl>,
}

/// A bundle that is ready to be used, for as long as this is held.
#[derive(Debug)]
pub struct Opened {
    pub path: PathBuf,
    /// What a child of the zygote needs in its environment to find the files here.
    pub environment: Vec<(String, String)>,
    _lease: Option<Lease>,
}

/// All bundles of the settings. Cheap to clone.
#[derive(Clone)]
pub struct Bundles {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) configs: Vec<BundleConfig>,
    pub(crate) layout: Layout,
    pub(crate) options: BundlesOptions,
    pub(crate) runner: ChildRunner,
    contents: Mutex<BTreeMap<BundleName, Content>>,
    /// One at a time fetches the newest files of a bundle.
    gates: BTreeMap<BundleName, tokio::sync::Mutex<()>>,
    /// How opening versions failed last, for all who waited for it.
    pub(crate) failures: Mutex<BTreeMap<(BundleName, String), Failed>>,
}

/// How and when opening a version failed.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) at: Instant,
    pub(crate) how: String,
}

impl Bundles {
    /// What children of the zygote know of bundles unless they are told more: every bundle as a
    /// folder, those that have to be fetched as the folder that belongs to them.
    #[must_use]
    pub fn environment_of_zygote(
        configs: &[BundleConfig],
        storage: &Path,
    ) -> Vec<(String, String)> {
        let layout = Layout::new(storage.to_owned());
        let folders: Vec<(&BundleName, PathBuf)> = configs
            .iter()
            .map(|config| {
                let path = match &config.source {
                    BundleSource::Folder { path, .. } => path.clone(),
                    BundleSource::Class { .. } => layout.bundle(&config.name),
                };
                (&config.name, path)
            })
            .collect();
        let folders = folders.iter().map(|(name, path)| (*name, path.as_path()));
        vec![
            (BUNDLES_VARIABLE.to_owned(), bundle_list(folders)),
            (
                STORAGE_VARIABLE.to_owned(),
                storage.to_string_lossy().into_owned(),
            ),
        ]
    }

    /// Takes over what an earlier life has fetched.
    #[must_use]
    pub fn new(configs: Vec<BundleConfig>, runner: ChildRunner, options: BundlesOptions) -> Self {
        let layout = Layout::new(options.storage.clone());
        let contents = configs
            .iter()
            .filter_map(|config| Some((config.name.clone(), known_content(config, &layout)?)))
            .collect();
        let gates = configs
            .iter()
            .map(|config| (config.name.clone(), tokio::sync::Mutex::default()))
            .collect();
        Self {
            shared: Arc::new(Shared {
                configs,
                layout,
                options,
                runner,
                contents: Mutex::new(contents),
                gates,
                failures: Mutex::default(),
            }),
        }
    }

    /// How long [`Bundles::open`] may take at most.
    #[must_use]
    pub fn patience(&self) -> Duration {
        if self.shared.configs.iter().any(BundleConfig::is_fetched) {
            // Waiting for another process, and fetching after it.
            return self.shared.options.timeout * (LOCK_TIMEOUTS_MAX + 1);
        }
        Duration::ZERO
    }

    /// As the settings have them.
    #[must_use]
    pub fn configs(&self) -> &[BundleConfig] {
        &self.shared.configs
    }

    /// The newest files of a bundle, as far as they are known.
    #[must_use]
    pub fn content(&self, name: &BundleName) -> Option<Content> {
        self.contents().get(name).cloned()
    }

    /// Whether somebody died while the newest files were fetched, so that they may be a mixture.
    #[must_use]
    pub fn is_unfinished(&self, name: &BundleName) -> bool {
        self.shared.layout.unfinished(name).exists()
    }

    /// Makes the files of a version ready, or with `None` the newest ones.
    ///
    /// # Errors
    /// When they cannot be had.
    pub async fn open(&self, name: &BundleName, version: Option<&str>) -> Result<Opened, Error> {
        let config = self.require(name)?;
        let class = match &config.source {
            // Airflow's local class does not look at the version either.
            BundleSource::Folder { path, .. } => return Ok(self.opened(name, path.clone(), None)),
            BundleSource::Class { classpath, kwargs } => Class {
                name,
                classpath,
                kwargs,
            },
        };
        match version {
            Some(version) => {
                let (path, lease) = self.open_version(&class, version).await?;
                Ok(self.opened(name, path, Some(lease)))
            }
            None => {
                let content = self.any_content(name).await?;
                Ok(self.opened(name, content.path, None))
            }
        }
    }

    /// Fetches the newest files of a bundle. What was there before stays known when that fails.
    ///
    /// # Errors
    /// When they cannot be had.
    pub async fn refresh(&self, name: &BundleName) -> Result<Content, Error> {
        let _gate = self.gate(name)?.lock().await;
        self.refresh_alone(name).await
    }

    /// Waits for somebody who is fetching the newest files right now.
    async fn any_content(&self, name: &BundleName) -> Result<Content, Error> {
        if let Some(content) = self.content(name) {
            return Ok(content);
        }
        let _gate = self.gate(name)?.lock().await;
        match self.content(name) {
            Some(content) => Ok(content),
            None => self.refresh_alone(name).await,
        }
    }

    async fn refresh_alone(&self, name: &BundleName) -> Result<Content, Error> {
        let config = self.require(name)?;
        let BundleSource::Class { classpath, kwargs } = &config.source else {
            return self
                .content(name)
                .ok_or_else(|| Error::NotConfigured(name.clone()));
        };
        let class = Class {
            name,
            classpath,
            kwargs,
        };
        let content = content_of(self.fetch_newest(&class).await?);
        self.contents().insert(name.clone(), content.clone());
        Ok(content)
    }

    fn opened(&self, name: &BundleName, path: PathBuf, lease: Option<Lease>) -> Opened {
        let configs = &self.shared.configs;
        // Children know folders from the zygote.
        let environment = if configs.iter().any(BundleConfig::is_fetched) {
            let contents = self.contents();
            let folders = configs.iter().filter_map(|config| {
                let path = if config.name == *name {
                    path.as_path()
                } else {
                    contents.get(&config.name)?.path.as_path()
                };
                Some((&config.name, path))
            });
            vec![(BUNDLES_VARIABLE.to_owned(), bundle_list(folders))]
        } else {
            Vec::new()
        };
        Opened {
            path,
            environment,
            _lease: lease,
        }
    }

    /// Waits for a lock that other processes may hold, at most as long as two of them may need.
    pub(crate) async fn lock(
        &self,
        name: &BundleName,
        path: PathBuf,
        what: &str,
    ) -> Result<fs::File, Error> {
        let clock = Clock::machine();
        let waited_max = self.shared.options.timeout * LOCK_TIMEOUTS_MAX;
        let began = clock.monotonic();
        loop {
            let path = path.clone();
            let locked = self.blocking(move || try_lock(&path)).await;
            match locked.map_err(Error::storage("lock files", name))? {
                Some(lock) => return Ok(lock),
                None if began.elapsed() > waited_max => {
                    return Err(Error::Busy {
                        name: name.clone(),
                        what: what.to_owned(),
                        waited: waited_max,
                    });
                }
                None => tokio::select! {
                    () = self.shared.runner.shutdown.cancelled() => return Err(Error::Stopping),
                    () = clock.sleep(LOCK_PAUSE) => {}
                },
            }
        }
    }

    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.shared.runner.tasks.blocking(work).await
    }

    fn require(&self, name: &BundleName) -> Result<&BundleConfig, Error> {
        let mut configs = self.shared.configs.iter();
        configs
            .find(|config| config.name == *name)
            .ok_or_else(|| Error::NotConfigured(name.clone()))
    }

    fn gate(&self, name: &BundleName) -> Result<&tokio::sync::Mutex<()>, Error> {
        let gate = self.shared.gates.get(name);
        gate.ok_or_else(|| Error::NotConfigured(name.clone()))
    }

    fn contents(&self) -> std::sync::MutexGuard<'_, BTreeMap<BundleName, Content>> {
        let contents = &self.shared.contents;
        contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is there at the start, without asking anybody.
fn known_content(config: &BundleConfig, layout: &Layout) -> Option<Content> {
    if let BundleSource::Folder { path, view_url } = &config.source {
        return Some(Content {
            path: path.clone(),
            version: None,
            refresh_interval: None,
            view_url: view_url.clone().filter(ViewUrl::is_safe),
        });
    }
    let note = layout.content_note(&config.name);
    let text = match fs::read(&note) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            warn!(bundle = %config.name, path = %note.display(), %error, "failed to read what is known of a bundle; it is fetched anew");
            return None;
        }
    };
    let opened: BundleOpened = serde_json::from_slice(&text).ok()?;
    Some(content_of(opened)).filter(|content| content.path.is_dir())
}

fn content_of(opened: BundleOpened) -> Content {
    let view_url = opened.view_url.filter(|url| {
        let is_safe = url.is_safe();
        if !is_safe {
            debug!(
                template = url.template,
                "left out the address of a bundle: expected an http or https URL"
            );
        }
        is_safe
    });
    let interval = Duration::try_from_secs_f64(opened.refresh_interval);
    Content {
        path: opened.path.into(),
        version: opened.version,
        // A negative one means "all the time", as any other that has passed.
        refresh_interval: Some(interval.unwrap_or_default()),
        view_url,
    }
}
