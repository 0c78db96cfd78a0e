//! Removing versions that nobody needs.
//!
//! A version goes when it was not used for long and is not among the last few. One that an
//! unfinished run is pinned to stays, as does one that a child uses, and the newest one.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::time::{Duration, SystemTime};

use tracing::{info, warn};
use updraft_model::BundleName;
use updraft_runtime::Clock;

use crate::layout::{Layout, entries, try_lock};
use crate::versions::{VersionNote, read_note, remove_at_once, remove_version};
use crate::{BundleConfig, Bundles};

/// A bundle and a version that some run needs.
pub type Pinned = (BundleName, String);

/// When a version may go.
#[derive(Clone, Copy, Debug)]
pub struct CleaningRules {
    /// `[dag_processor] stale_bundle_cleanup_age_threshold`.
    pub age: Duration,
    /// `[dag_processor] stale_bundle_cleanup_min_versions`: the last used ones that stay anyway.
    pub versions_min: usize,
}

/// A version on disk.
#[derive(Debug, PartialEq, Eq)]
struct Checkout {
    version: String,
    last_used: SystemTime,
}

impl Bundles {
    /// Removes them every so often, until everything stops.
    ///
    /// # Errors
    /// Never: what goes wrong is tried again.
    pub async fn keep_clean(
        self,
        interval: Duration,
        rules: CleaningRules,
    ) -> Result<(), Infallible> {
        if !self.configs().iter().any(BundleConfig::is_fetched) {
            return Ok(());
        }
        let (runner, clock) = (&self.shared.runner, Clock::machine());
        loop {
            tokio::select! {
                () = runner.shutdown.cancelled() => return Ok(()),
                () = clock.sleep(interval) => {}
            }
            match self.pinned().await {
                Ok(pinned) => self.clean(&pinned, rules).await,
                Err(error) => warn!(%error, "failed to learn which versions of bundles are needed"),
            }
        }
    }

    /// The versions that unfinished runs go on with.
    async fn pinned(&self) -> Result<BTreeSet<Pinned>, updraft_store::Error> {
        let mut reader = self.shared.runner.store.read().await?;
        reader.load_pinned_bundle_versions().await
    }

    /// Removes the versions of all bundles that may go.
    pub async fn clean(&self, pinned: &BTreeSet<Pinned>, rules: CleaningRules) {
        let now: SystemTime = Clock::machine().now().into();
        for config in self.configs().iter().filter(|it| it.is_fetched()) {
            let name = config.name.clone();
            let mut kept: BTreeSet<String> = pinned
                .iter()
                .filter(|(bundle, _)| *bundle == name)
                .map(|(_, version)| version.clone())
                .collect();
            kept.extend(self.content(&name).and_then(|content| content.version));
            let layout = self.shared.layout.clone();
            let cleaned = self
                .blocking(move || clean(&layout, &name, &kept, rules, now))
                .await;
            report(config, cleaned);
        }
    }
}

fn report(config: &BundleConfig, cleaned: io::Result<Vec<String>>) {
    match cleaned {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => {
            info!(bundle = %config.name, versions = ?removed, "removed stale versions of a bundle");
        }
        Err(error) => {
            warn!(bundle = %config.name, %error, "failed to remove stale versions of a bundle");
        }
    }
}

/// Returns what was removed.
fn clean(
    layout: &Layout,
    name: &BundleName,
    kept: &BTreeSet<String>,
    rules: CleaningRules,
    now: SystemTime,
) -> io::Result<Vec<String>> {
    let (notes, checkouts) = ready(layout, name)?;
    let mut removed = Vec::new();
    for stale in select(checkouts, kept, rules, now) {
        let note = notes.iter().find(|note| note.version == stale.version);
        if let Some(note) = note
            && remove_version(layout, name, note)?
        {
            removed.push(stale.version);
        }
    }
    removed.extend(remove_strays(layout, name, &notes, rules, now)?);
    Ok(removed)
}

/// The versions that may go.
fn select(
    mut checkouts: Vec<Checkout>,
    kept: &BTreeSet<String>,
    rules: CleaningRules,
    now: SystemTime,
) -> Vec<Checkout> {
    checkouts.sort_by_key(|checkout| Reverse(checkout.last_used));
    checkouts
        .into_iter()
        .skip(rules.versions_min)
        .filter(|checkout| is_old(checkout.last_used, rules, now))
        .filter(|checkout| !kept.contains(&checkout.version))
        .collect()
}

fn is_old(last_used: SystemTime, rules: CleaningRules, now: SystemTime) -> bool {
    let age = now.duration_since(last_used);
    age.is_ok_and(|age| age > rules.age)
}

/// The versions that are ready.
fn ready(layout: &Layout, name: &BundleName) -> io::Result<(Vec<VersionNote>, Vec<Checkout>)> {
    let (mut notes, mut checkouts) = (Vec::new(), Vec::new());
    for path in entries(&layout.version_notes(name))? {
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let (Some(note), Ok(metadata)) = (read_note(&path), fs::metadata(&path)) else {
            continue;
        };
        checkouts.push(Checkout {
            version: note.version.clone(),
            last_used: metadata.modified()?,
        });
        notes.push(note);
    }
    Ok((notes, checkouts))
}

/// Removes old folders of versions that were never made ready, or only half removed.
fn remove_strays(
    layout: &Layout,
    name: &BundleName,
    notes: &[VersionNote],
    rules: CleaningRules,
    now: SystemTime,
) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    for folder in entries(&layout.versions(name))? {
        let (Some(version), Ok(metadata)) = (
            folder.file_name().and_then(|name| name.to_str()),
            fs::symlink_metadata(&folder),
        ) else {
            continue;
        };
        let is_ready = notes.iter().any(|note| note.version == version);
        if is_ready || !is_old(metadata.modified()?, rules, now) {
            continue;
        }
        // Whoever makes it ready right now holds the lock, and afterwards it has a note.
        let lock = try_lock(&layout.version_lock(name, version))?;
        if lock.is_some() && !layout.version_note(name, version).exists() {
            remove_at_once(&folder)?;
            removed.push(version.to_owned());
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests;
