//! Notices that something in a bundle changed.
//!
//! File-system events say only *where to look*: the bundle is listed again. They may be lost or
//! missing altogether (network file systems send none, the kernel's watches may be used up), so
//! bundles are also listed every so often.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tracing::warn;
use updraft_model::BundleName;
use updraft_runtime::{OnExit, Tasks};

use crate::bundle::Bundle;

/// Editors and copies write in several steps; so long after the first of them we look.
const SETTLING_TIME: Duration = Duration::from_millis(30);

/// Watches bundles until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    touched: mpsc::Sender<BundleName>,
    tasks: Tasks,
    /// `None` for a bundle that cannot be watched.
    watchers: BTreeMap<BundleName, Option<RecommendedWatcher>>,
}

impl Watch {
    /// Will send the name of a bundle to `touched` soon after something in it changed.
    pub(crate) fn new(touched: mpsc::Sender<BundleName>, tasks: Tasks) -> Self {
        Self {
            touched,
            tasks,
            watchers: BTreeMap::new(),
        }
    }

    /// Watches a bundle, unless that was tried already.
    pub(crate) fn ensure(&mut self, bundle: &Bundle) {
        if self.watchers.contains_key(&bundle.name) {
            return;
        }
        // One event waiting is enough: the listing that follows sees everything.
        let (sender, events) = mpsc::channel(1);
        let watcher = watcher(&bundle.path, sender)
            .inspect_err(|error| {
                warn!(bundle = %bundle.name, path = %bundle.path.display(), %error,
                    "failed to watch a bundle; changes are found by listing it now and then");
            })
            .ok();
        if watcher.is_some() {
            let forward = forward(bundle.name.clone(), events, self.touched.clone());
            self.tasks
                .spawn("dag_processor.watch", OnExit::Log, forward);
        }
        self.watchers.insert(bundle.name.clone(), watcher);
    }

    /// Stops watching a bundle whose folder is gone.
    pub(crate) fn forget(&mut self, bundle: &BundleName) {
        self.watchers.remove(bundle);
    }
}

fn watcher(folder: &Path, sender: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error may mean that events were lost.
        if event.is_ok_and(|event| !changes_content(event.kind)) {
            return;
        }
        // Full: somebody is about to look already.
        let _ = sender.try_send(());
    })?;
    watcher.watch(folder, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Reading a file, as our own children do, is no change.
fn changes_content(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

async fn forward(
    bundle: BundleName,
    mut events: mpsc::Receiver<()>,
    touched: mpsc::Sender<BundleName>,
) -> Result<(), std::convert::Infallible> {
    while events.recv().await.is_some() {
        tokio::time::sleep(SETTLING_TIME).await;
        // What happened while we waited is part of the same look.
        let _ = events.try_recv();
        if touched.send(bundle.clone()).await.is_err() {
            break;
        }
    }
    Ok(())
}
