//! Listing and watching bundles, and forgetting what vanished from them.

use std::collections::BTreeSet;

use tracing::{info, warn};
use updraft_execution::chain;
use updraft_model::BundleName;
use updraft_runtime::Clock;

use super::DagProcessor;
use crate::bundle::Bundle;
use crate::discovery::{self, Listing};
use crate::import_log;

/// One listing of a bundle runs at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ListingState {
    is_running: bool,
    is_wanted: bool,
    /// Whether the last listing failed, to warn once.
    has_failed: bool,
    was_swept: bool,
}

impl DagProcessor {
    pub(super) async fn on_listed(
        &mut self,
        bundle: &BundleName,
        listing: Result<Listing, String>,
    ) {
        let Some(state) = self.listings.get_mut(bundle) else {
            return;
        };
        state.is_running = false;
        match listing {
            Ok(listing) => {
                // The first listing also finds what vanished while nobody looked.
                let is_first = !std::mem::replace(&mut state.was_swept, true);
                if std::mem::take(&mut state.has_failed) {
                    // It was given up, and is another folder now.
                    self.watch_all();
                }
                if self
                    .files
                    .on_listing(bundle, listing, Clock::machine().monotonic())
                    || is_first
                {
                    self.forget_missing(bundle).await;
                }
            }
            Err(error) if !state.has_failed => {
                state.has_failed = true;
                warn!(%bundle, error, "failed to list a bundle; its Dags stay as they are");
                if let Some(watch) = &mut self.watch {
                    watch.forget(bundle);
                }
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

    /// Marks the Dags of vanished files as stale.
    pub(super) async fn forget_missing(&mut self, bundle: &BundleName) {
        let present: BTreeSet<String> = self.files.paths(bundle);
        let store = &self.children.runner.store;
        let now = Clock::machine().now();
        let content = self.bundles.content(bundle);
        let version = content
            .as_ref()
            .and_then(|content| content.version.as_deref());
        let view_url = content
            .as_ref()
            .and_then(|content| content.view_url.as_ref());
        let forgotten = store
            .retry(|| async {
                let mut tx = store.write().await?;
                let gone = tx.forget_missing_files(bundle, &present, now).await?;
                tx.note_bundle_refresh(bundle, version, now).await?;
                tx.set_bundle_url(bundle, view_url).await?;
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
                self.sweep_next_time(bundle);
            }
        }
    }

    /// Lists the bundles that are folders, and has those fetched that are due.
    pub(super) fn look_at_all(&mut self) {
        import_log::link_latest(&self.options.log_folder, Clock::machine().now());
        self.want_due_refreshes();
        let names: Vec<BundleName> = self.folders().collect();
        for name in &names {
            self.list(name);
        }
    }

    /// The bundles that are always as fresh as can be.
    fn folders(&self) -> impl Iterator<Item = BundleName> {
        let names = self.listings.keys();
        names
            .filter(|name| !self.refreshes.contains_key(*name))
            .cloned()
    }

    /// Lists a bundle, after the listing that runs.
    pub(super) fn list(&mut self, name: &BundleName) {
        let Some((bundle, state)) = self.bundle(name).zip(self.listings.get_mut(name)) else {
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
        let (path, rules) = (bundle.path, self.options.discovery);
        let known = self.files.listing(name);
        let tasks = self.children.runner.tasks.clone();
        let report = self.reporter.listing(name.clone());
        self.spawn("dag_processor.list", async move {
            let listing = tasks
                .blocking(move || discovery::list(&path, rules, &known))
                .await;
            report.send(listing.map_err(|error| error.to_string()));
        });
    }

    /// Watches all folders that are not watched yet.
    pub(super) fn watch_all(&mut self) {
        let folders: Vec<Bundle> = self
            .folders()
            .filter_map(|name| self.bundle(&name))
            .collect();
        if let Some(watch) = &mut self.watch {
            folders.iter().for_each(|bundle| watch.ensure(bundle));
        }
    }

    /// The next listing of a bundle also notes its version, and finds what vanished.
    pub(super) fn sweep_next_time(&mut self, bundle: &BundleName) {
        if let Some(state) = self.listings.get_mut(bundle) {
            state.was_swept = false;
        }
    }
}
