//! Notices that something in a bundle changed.
//!
//! File-system events say only *where to look*: the bundle is listed again. They may be lost or
//! missing altogether (network file systems send none, the kernel's watches may be used up), so
//! bundles are also listed every so often.

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
#[derive(Debug, Default)]
pub(crate) struct Watch {
    _watchers: Vec<RecommendedWatcher>,
}

impl Watch {
    /// Sends the name of a bundle to `touched` soon after something in it changed.
    pub(crate) fn start(
        bundles: &[Bundle],
        touched: &mpsc::Sender<BundleName>,
        tasks: &Tasks,
    ) -> Self {
        let mut watchers = Vec::new();
        for bundle in bundles {
            // One event waiting is enough: the listing that follows sees everything.
            let (sender, events) = mpsc::channel(1);
            match watcher(&bundle.path, sender) {
                Ok(watcher) => {
                    let forward = forward(bundle.name.clone(), events, touched.clone());
                    tasks.spawn("dag_processor.watch", OnExit::Log, forward);
                    watchers.push(watcher);
                }
                Err(error) => {
                    warn!(bundle = %bundle.name, path = %bundle.path.display(), %error,
                        "failed to watch a bundle; changes are found by listing it now and then");
                }
            }
        }
        Self {
            _watchers: watchers,
        }
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
