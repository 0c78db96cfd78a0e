//! The loop: what happened, what to do next.
//!
//! It holds the queue of files and decides nothing else; listings, parses and callbacks run as
//! tasks beside it and report back.

mod job;
mod reports;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{info, warn};
use updraft_model::BundleName;
use updraft_model::callback::CallbackRequest;
use updraft_python::Zygote;
use updraft_runtime::{CancellationToken, Clock, OnExit, Tasks};
use updraft_store::{Change, Error, Store};

use crate::bundle::Bundle;
use crate::callbacks;
use crate::child::Children;
use crate::content::{Parsing, chain};
use crate::discovery::{self, Listing};
use crate::files::{FileKey, Files, Intervals};
use crate::import_log;
use crate::options::DagProcessorOptions;
use crate::parse::{ParseEnd, parse};
use crate::watch::Watch;

use job::Job;
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
    bundles: BTreeMap<BundleName, Bundle>,
    options: Arc<DagProcessorOptions>,
    job: Job,
    files: Files,
    listings: BTreeMap<BundleName, ListingState>,
    callbacks: VecDeque<CallbackRequest>,
    running: usize,
    running_callbacks: usize,
    /// There may be rows to fetch.
    wanted: Wanted,
    reporter: Reporter,
    reports: mpsc::Receiver<Report>,
}

/// What the store may hold for us.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    requests: bool,
    callbacks: bool,
}

/// One listing of a bundle runs at a time.
#[derive(Clone, Copy, Debug, Default)]
struct ListingState {
    is_running: bool,
    is_wanted: bool,
    /// Whether the last listing failed, to warn once.
    has_failed: bool,
    was_swept: bool,
}

impl DagProcessor {
    /// Registers the job and the bundles.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn start(
        store: Store,
        zygote: Zygote,
        bundles: Vec<Bundle>,
        options: DagProcessorOptions,
        tasks: Tasks,
    ) -> Result<Self, Error> {
        let names: Vec<BundleName> = bundles.iter().map(|bundle| bundle.name.clone()).collect();
        store
            .retry(|| async {
                let mut tx = store.write().await?;
                tx.sync_bundles(&names).await?;
                tx.commit().await
            })
            .await?;
        let job = Job::start(&store, &options).await?;
        let (reporter, reports) =
            reports::channel(options.parsing_processes.max(1) + bundles.len());
        let intervals = Intervals {
            outside: options.min_file_process_interval,
            plain: options.refresh_interval,
        };
        Ok(Self {
            children: Children {
                store,
                zygote,
                shutdown: tasks.shutdown(),
                tasks,
                timeout: options.file_timeout,
                masker: options.masker.clone(),
            },
            listings: names
                .into_iter()
                .map(|name| (name, ListingState::default()))
                .collect(),
            bundles: bundles
                .into_iter()
                .map(|bundle| (bundle.name.clone(), bundle))
                .collect(),
            options: Arc::new(options),
            job,
            files: Files::new(intervals),
            callbacks: VecDeque::new(),
            running: 0,
            running_callbacks: 0,
            wanted: Wanted {
                requests: true,
                callbacks: true,
            },
            reporter,
            reports,
        })
    }

    /// Works until `shutdown`.
    ///
    /// # Errors
    /// Never: what goes wrong is tried again.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Error> {
        self.children.shutdown = shutdown.clone();
        let mut changes = self.children.store.changes().subscribe();
        let (sender, mut touched) = mpsc::channel(TOUCHED_MAX);
        // Before the first listing, so that nothing falls between the two.
        let bundles: Vec<Bundle> = self.bundles.values().cloned().collect();
        let _watch = Watch::start(&bundles, &sender, &self.children.tasks);
        let mut heartbeat = every(self.options.heartbeat_interval);
        let mut relist = every(self.options.bundle_refresh_check_interval);
        let mut poll = every(POLL_INTERVAL);
        loop {
            self.fetch_wanted().await;
            self.start_work();
            let has_room = self.running < self.options.parsing_processes.max(1);
            let routine = self
                .files
                .next_routine()
                .filter(|_| has_room)
                .map(Instant::from_std);
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(report) = self.reports.recv() => self.on_report(report).await,
                Some(bundle) = touched.recv() => self.list(&bundle),
                change = changes.recv() => self.on_change(change),
                () = sleep_until(routine) => {}
                _ = heartbeat.tick() => self.job.beat(&self.children.store, &self.options).await,
                _ = relist.tick() => self.list_all(),
                _ = poll.tick() => self.wanted = Wanted { requests: true, callbacks: true },
            }
        }
        self.job.end(&self.children.store).await;
        info!("stopped the Dag processor");
        Ok(())
    }

    fn on_change(&mut self, change: Result<Change, RecvError>) {
        match change {
            Ok(Change::ParseRequested) => self.wanted.requests = true,
            Ok(Change::CallbackRequested) => self.wanted.callbacks = true,
            Ok(Change::Everything) | Err(_) => {
                self.wanted = Wanted {
                    requests: true,
                    callbacks: true,
                };
            }
            Ok(_) => {}
        }
    }

    async fn on_report(&mut self, report: Report) {
        match report {
            Report::Listed { bundle, listing } => self.on_listed(&bundle, listing).await,
            Report::Parsed { key, end } => self.on_parsed(&key, end).await,
            Report::CallbackEnded => {
                self.running -= 1;
                self.running_callbacks -= 1;
            }
        }
    }

    async fn on_listed(&mut self, bundle: &BundleName, listing: Result<Listing, String>) {
        let Some(state) = self.listings.get_mut(bundle) else {
            return;
        };
        state.is_running = false;
        match listing {
            Ok(listing) => {
                state.has_failed = false;
                // The first listing also finds what vanished while nobody looked.
                let is_first = !std::mem::replace(&mut state.was_swept, true);
                if self.files.on_listing(bundle, listing, Clock.monotonic()) || is_first {
                    self.forget_missing(bundle).await;
                }
            }
            Err(error) if !state.has_failed => {
                state.has_failed = true;
                warn!(%bundle, error, "failed to list a bundle; its Dags stay as they are");
            }
            Err(_) => {}
        }
        if self
            .listings
            .get(bundle)
            .is_some_and(|state| state.is_wanted)
        {
            self.list(bundle);
        }
    }

    async fn on_parsed(&mut self, key: &FileKey, end: ParseEnd) {
        self.running -= 1;
        let now = Clock.monotonic();
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

    /// Marks the Dags of vanished files as stale.
    async fn forget_missing(&mut self, bundle: &BundleName) {
        let present: BTreeSet<String> = self.files.paths(bundle);
        let store = &self.children.store;
        let now = Clock.now();
        let version = self
            .bundles
            .get(bundle)
            .and_then(|bundle| bundle.version.clone());
        let forgotten = store
            .retry(|| async {
                let mut tx = store.write().await?;
                let gone = tx.forget_missing_files(bundle, &present).await?;
                tx.note_bundle_refresh(bundle, version.as_deref(), now)
                    .await?;
                tx.commit().await?;
                Ok(gone)
            })
            .await;
        match forgotten {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => info!(%bundle, dags = gone.len(), "marked Dags of vanished files as stale"),
            Err(error) => {
                warn!(%bundle, error = chain(&error), "failed to forget vanished files");
                // The next listing tries again.
                if let Some(state) = self.listings.get_mut(bundle) {
                    state.was_swept = false;
                }
            }
        }
    }

    fn list_all(&mut self) {
        import_log::link_latest(&self.options.log_folder, Clock.now());
        let names: Vec<BundleName> = self.bundles.keys().cloned().collect();
        for name in &names {
            self.list(name);
        }
    }

    /// Lists a bundle, after the listing that runs.
    fn list(&mut self, name: &BundleName) {
        let Some((bundle, state)) = self.bundles.get(name).zip(self.listings.get_mut(name)) else {
            return;
        };
        if state.is_running {
            state.is_wanted = true;
            return;
        }
        *state = ListingState {
            is_running: true,
            is_wanted: false,
            ..*state
        };
        let (path, rules) = (bundle.path.clone(), self.options.discovery);
        let known = self.files.listing(name);
        let tasks = self.children.tasks.clone();
        let report = self.reporter.listing(name.clone());
        self.spawn("dag_processor.list", async move {
            let listing = tasks
                .blocking(move || discovery::list(&path, rules, &known))
                .await;
            report.send(listing.map_err(|error| error.to_string()));
        });
    }

    /// Fetches requests and callbacks, if there may be any.
    async fn fetch_wanted(&mut self) {
        if std::mem::take(&mut self.wanted.requests)
            && let Err(error) = self.fetch_requests().await
        {
            warn!(
                error = chain(&error),
                "failed to look for files to parse soon"
            );
        }
        let room = self.callbacks_max().saturating_sub(self.running_callbacks);
        if room == 0 || !self.callbacks.is_empty() || !std::mem::take(&mut self.wanted.callbacks) {
            return;
        }
        let bundles: Vec<Bundle> = self.bundles.values().cloned().collect();
        match callbacks::claim(&self.children, &bundles, room).await {
            Ok(claimed) => {
                // There may be more than there was room for.
                self.wanted.callbacks = claimed.len() == room;
                self.callbacks.extend(claimed);
            }
            Err(error) => warn!(error = chain(&error), "failed to look for callbacks"),
        }
    }

    async fn fetch_requests(&mut self) -> Result<(), Error> {
        let names: Vec<BundleName> = self.bundles.keys().cloned().collect();
        let store = &self.children.store;
        let requests = store
            .retry(|| async {
                let mut tx = store.write().await?;
                let requests = tx.take_parse_requests(&names).await?;
                tx.commit().await?;
                Ok(requests)
            })
            .await?;
        for request in requests {
            let key = FileKey {
                bundle: request.bundle_name,
                path: request.relative_fileloc,
            };
            if !self.files.request(&key) {
                // It may be new: nobody has listed it yet.
                self.list(&key.bundle);
            }
        }
        Ok(())
    }

    /// Callbacks leave a child for the files, so that a slow one does not keep Dags from showing.
    fn callbacks_max(&self) -> usize {
        self.options.parsing_processes.saturating_sub(1).max(1)
    }

    /// Starts children while there is room and work.
    fn start_work(&mut self) {
        while self.running < self.options.parsing_processes.max(1) {
            if let Some(request) = self.callbacks.pop_front() {
                self.start_callback(request);
            } else if let Some(key) = self.files.take_next(Clock.monotonic()) {
                self.start_parse(key);
            } else {
                return;
            }
        }
    }

    fn start_parse(&mut self, key: FileKey) {
        let Some(bundle) = self.bundles.get(&key.bundle) else {
            return;
        };
        let parsing = Parsing {
            bundle: bundle.clone(),
            key: key.clone(),
            paused_at_creation: self.options.dags_are_paused_at_creation,
        };
        self.running += 1;
        let (children, options) = (self.children.clone(), Arc::clone(&self.options));
        let report = self.reporter.parse(key);
        self.spawn("dag_processor.parse", async move {
            let end = Box::pin(parse(&children, parsing, &options.log_folder)).await;
            report.send(end);
        });
    }

    fn start_callback(&mut self, request: CallbackRequest) {
        let Some(bundle) = self.bundles.get(&request.bundle_name).cloned() else {
            return;
        };
        self.running += 1;
        self.running_callbacks += 1;
        let (children, options) = (self.children.clone(), Arc::clone(&self.options));
        let report = self.reporter.callback();
        self.spawn("dag_processor.callback", async move {
            Box::pin(callbacks::run(
                &children,
                &bundle,
                request,
                &options.log_folder,
            ))
            .await;
            drop(report);
        });
    }

    fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.children.tasks.spawn(name, OnExit::Log, async move {
            work.await;
            Ok::<(), std::convert::Infallible>(())
        });
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    /// A period of zero would be a busy loop.
    const PERIOD_MIN: Duration = Duration::from_millis(100);
    let mut ticks = interval(period.max(PERIOD_MIN));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
