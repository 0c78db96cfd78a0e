//! Starting children while there is room and work.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::warn;
use updraft_execution::chain;
use updraft_model::BundleName;
use updraft_model::callback::CallbackRequest;
use updraft_runtime::Clock;
use updraft_store::Error;

use super::DagProcessor;
use super::refresh::RefreshState;
use crate::callbacks;
use crate::content::Parsing;
use crate::files::FileKey;
use crate::parse::parse;

impl DagProcessor {
    /// Fetches requests and callbacks, if there may be any.
    pub(super) async fn fetch_wanted(&mut self) {
        if std::mem::take(&mut self.wanted.requests)
            && let Err(error) = self.fetch_requests().await
        {
            warn!(
                error = chain(&error),
                "failed to look for files to parse soon"
            );
        }
        // A claim runs out, so nothing is claimed that would wait here.
        let free = self.children_max().saturating_sub(self.running);
        let room = self
            .callbacks_max()
            .saturating_sub(self.running_callbacks)
            .min(free)
            .min(self.options.callbacks_max);
        if room == 0 || !std::mem::take(&mut self.wanted.callbacks) {
            return;
        }
        let job_id = self.job.id();
        match callbacks::claim(&self.children, &self.bundles, job_id, room).await {
            Ok(claimed) => {
                // There may be more than there was room for.
                self.wanted.callbacks = claimed.len() == room;
                self.callbacks.extend(claimed);
            }
            Err(error) => warn!(error = chain(&error), "failed to look for callbacks"),
        }
    }

    async fn fetch_requests(&mut self) -> Result<(), Error> {
        let names: Vec<BundleName> = self.listings.keys().cloned().collect();
        let store = &self.children.runner.store;
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
            if let Some(refresh) = self.refreshes.get_mut(&key.bundle) {
                // The source may have changed: the file is parsed and the bundle listed after that.
                refresh.want();
                self.files.request(&key);
            } else if !self.files.request(&key) {
                // It may be new: nobody has listed it yet.
                self.list(&key.bundle);
            }
        }
        Ok(())
    }

    /// At least one, whatever the setting says.
    pub(super) fn children_max(&self) -> usize {
        self.options.parsing_processes.max(1)
    }

    /// Callbacks leave a child for the files, so that a slow one does not keep Dags from showing.
    fn callbacks_max(&self) -> usize {
        (self.children_max() - 1).max(1)
    }

    /// Starts children while there is room and work.
    pub(super) fn start_work(&mut self) {
        while self.running < self.children_max() {
            if let Some(request) = self.callbacks.pop_front() {
                self.start_callback(request);
            } else if let Some(key) = self.take_next_file() {
                self.start_parse(key);
            } else {
                return;
            }
        }
    }

    /// No file of a bundle whose files are about to change.
    fn take_next_file(&mut self) -> Option<FileKey> {
        let refreshes = &self.refreshes;
        let now = Clock::machine().monotonic();
        self.files
            .take_next(now, |bundle| is_open(refreshes, bundle))
    }

    pub(super) fn next_routine(&self) -> Option<std::time::Instant> {
        let refreshes = &self.refreshes;
        self.files.next_routine(|bundle| is_open(refreshes, bundle))
    }

    fn start_parse(&mut self, key: FileKey) {
        let Some(bundle) = self.bundle(&key.bundle) else {
            return;
        };
        if let Some(refresh) = self.refreshes.get_mut(&key.bundle) {
            refresh.on_parse_started();
        }
        let parsing = Parsing {
            bundle,
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
        self.running += 1;
        self.running_callbacks += 1;
        let (children, bundles) = (self.children.clone(), self.bundles.clone());
        let options = Arc::clone(&self.options);
        let report = self.reporter.callback();
        self.spawn("dag_processor.callback", async move {
            Box::pin(callbacks::run(
                &children,
                &bundles,
                request,
                &options.log_folder,
            ))
            .await;
            drop(report);
        });
    }
}

/// Whether the files of a bundle stay as they are while they are parsed.
fn is_open(refreshes: &BTreeMap<BundleName, RefreshState>, bundle: &BundleName) -> bool {
    refreshes.get(bundle).is_none_or(RefreshState::is_open)
}
