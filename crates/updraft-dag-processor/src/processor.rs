//! The loop: what happened, what to do next.
//!
//! It holds the queue of files and decides nothing else; listings, parses and callbacks run as
//! tasks beside it and report back.

mod bundles;
mod job;
mod refresh;
mod reports;
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tracing::info;
use updraft_bundles::Bundles;
use updraft_execution::ChildRunner;
use updraft_model::BundleName;
use updraft_model::callback::CallbackRequest;
use updraft_runtime::{CancellationToken, Clock, OnExit, every, sleep_until};
use updraft_store::{Change, Error};

use crate::bundle::Bundle;
use crate::child::Children;
use crate::files::{FileKey, Files, Intervals};
use crate::options::DagProcessorOptions;
use crate::parse::ParseEnd;
use crate::watch::Watch;

use bundles::ListingState;
use job::Job;
use refresh::RefreshState;
use reports::{Report, Reporter};

/// How often the store is asked for requests, should nobody have told us of them.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// How long a file waits whose parse could not be tried or not be stored.
const POSTPONED_FOR: Duration = Duration::from_secs(5);

/// Bundles to list that wait for the loop. More than one a bundle says nothing new.
const TOUCHED_MAX: usize = 64;

/// Keeps the Dags of some bundles up to date in the store.
pub struct DagProcessor {
    children: Children,
    bundles: Bundles,
    options: Arc<DagProcessorOptions>,
    job: Job,
    files: Files,
    listings: BTreeMap<BundleName, ListingState>,
    /// Of the bundles that are fetched.
    refreshes: BTreeMap<BundleName, RefreshState>,
    /// The versions that were fetched in this life.
    fetched: BTreeMap<BundleName, Option<String>>,
    callbacks: VecDeque<CallbackRequest>,
    running: usize,
    running_callbacks: usize,
    /// There may be rows to fetch.
    wanted: Wanted,
    watch: Option<Watch>,
    reporter: Reporter,
    reports: mpsc::Receiver<Report>,
}

/// What the store may hold for us.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    requests: bool,
    callbacks: bool,
}

impl Wanted {
    const EVERYTHING: Self = Self {
        requests: true,
        callbacks: true,
    };

    fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests || other.requests,
            callbacks: self.callbacks || other.callbacks,
        }
    }
}

impl DagProcessor {
    /// Registers the job and the bundles. Children come from `runner`.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn start(
        bundles: Bundles,
        runner: ChildRunner,
        options: DagProcessorOptions,
    ) -> Result<Self, Error> {
        let configs = bundles.configs();
        let names: Vec<BundleName> = configs.iter().map(|config| config.name.clone()).collect();
        let fetched = configs.iter().filter(|config| config.is_fetched());
        let refreshes: BTreeMap<BundleName, RefreshState> = fetched
            .map(|config| (config.name.clone(), RefreshState::default()))
            .collect();
        let store = &runner.store;
        store
            .retry(|| async {
                let mut tx = store.write().await?;
                tx.sync_bundles(&names).await?;
                tx.commit().await
            })
            .await?;
        let job = Job::start(store, &options).await?;
        let (reporter, reports) =
            reports::channel(options.parsing_processes.max(1) + names.len() + refreshes.len());
        let intervals = Intervals {
            outside: options.min_file_process_interval,
            plain: options.refresh_interval,
        };
        Ok(Self {
            children: Children {
                runner,
                timeout: options.file_timeout,
                python: options.python.clone(),
            },
            listings: names
                .into_iter()
                .map(|name| (name, ListingState::default()))
                .collect(),
            refreshes,
            fetched: BTreeMap::new(),
            bundles,
            options: Arc::new(options),
            job,
            files: Files::new(intervals),
            callbacks: VecDeque::new(),
            running: 0,
            running_callbacks: 0,
            wanted: Wanted::EVERYTHING,
            watch: None,
            reporter,
            reports,
        })
    }

    /// Works until `shutdown`.
    ///
    /// # Errors
    /// Never: what goes wrong is tried again.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Error> {
        self.children.runner.shutdown = shutdown.clone();
        let mut changes = self.children.runner.store.changes().subscribe();
        let (sender, mut touched) = mpsc::channel(TOUCHED_MAX);
        self.watch = Some(Watch::new(sender, self.children.runner.tasks.clone()));
        // Before the first listing, so that nothing falls between the two.
        self.watch_all();
        let mut heartbeat = every(self.options.heartbeat_interval);
        let mut relist = every(self.options.bundle_refresh_check_interval);
        let mut poll = every(POLL_INTERVAL);
        loop {
            self.fetch_wanted().await;
            self.start_refreshes();
            self.start_work();
            let has_room = self.running < self.children_max();
            let routine = has_room.then(|| self.next_routine()).flatten();
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(report) = self.reports.recv() => self.on_report(report).await,
                Some(bundle) = touched.recv() => self.list(&bundle),
                wanted = next_wanted(&mut changes) => self.wanted = self.wanted.and(wanted),
                () = sleep_until(routine) => {}
                _ = heartbeat.tick() => self.job.beat(&self.children.runner.store, &self.options).await,
                _ = relist.tick() => self.look_at_all(),
                _ = poll.tick() => self.wanted = Wanted::EVERYTHING,
            }
        }
        self.job.end(&self.children.runner.store).await;
        info!("stopped the Dag processor");
        Ok(())
    }

    async fn on_report(&mut self, report: Report) {
        match report {
            Report::Listed { bundle, listing } => self.on_listed(&bundle, listing).await,
            Report::Refreshed { bundle, outcome } => self.on_refreshed(&bundle, outcome),
            Report::Parsed { key, end } => self.on_parsed(&key, end).await,
            Report::CallbackEnded => {
                self.running -= 1;
                self.running_callbacks -= 1;
            }
        }
    }

    async fn on_parsed(&mut self, key: &FileKey, end: ParseEnd) {
        self.running -= 1;
        if let Some(refresh) = self.refreshes.get_mut(&key.bundle) {
            refresh.on_parse_ended();
        }
        let now = Clock::machine().monotonic();
        match end {
            ParseEnd::Stored(found) => {
                if !self.files.on_parsed(key, found, now) {
                    // It was deleted while it was parsed, and its Dags have just been revived.
                    self.forget_missing(&key.bundle).await;
                }
            }
            ParseEnd::Postponed => self.files.on_postponed(key, now + POSTPONED_FOR),
        }
    }

    /// The newest files of a bundle; `None` while there are none.
    fn bundle(&self, name: &BundleName) -> Option<Bundle> {
        let content = self.bundles.content(name)?;
        Some(Bundle {
            name: name.clone(),
            path: content.path,
            version: content.version,
        })
    }

    fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.children
            .runner
            .tasks
            .spawn(name, OnExit::Log, async move {
                work.await;
                Ok::<(), std::convert::Infallible>(())
            });
    }
}

/// The next hint that concerns us. Most of what changes in the store does not.
async fn next_wanted(changes: &mut broadcast::Receiver<Change>) -> Wanted {
    let nothing = Wanted {
        requests: false,
        callbacks: false,
    };
    loop {
        return match changes.recv().await {
            Ok(Change::ParseRequested) => Wanted {
                requests: true,
                ..nothing
            },
            Ok(Change::CallbackRequested) => Wanted {
                callbacks: true,
                ..nothing
            },
            Ok(Change::Everything) | Err(RecvError::Lagged(_)) => Wanted::EVERYTHING,
            Ok(_) => continue,
            // The store is closing, and so is everything.
            Err(RecvError::Closed) => std::future::pending().await,
        };
    }
}
