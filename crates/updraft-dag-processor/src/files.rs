//! Which file is parsed when. Pure: listings, requests and the time go in, the next file comes out.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use updraft_model::BundleName;

use crate::discovery::{Fingerprint, Listing};

/// How often files are parsed although nothing about them changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervals {
    /// `[dag_processor] min_file_process_interval`: for files that asked for variables or
    /// connections while they were parsed.
    pub(crate) outside: Duration,
    /// `[dag_processor] refresh_interval`: for all others, which may depend on what nobody sees,
    /// such as the date.
    pub(crate) plain: Duration,
}

/// Names a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileKey {
    pub(crate) bundle: BundleName,
    /// Relative to the bundle.
    pub(crate) path: String,
}

/// Why a file is to be parsed; the first is the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    Requested,
    Changed,
    /// A file beside it changed that it may import.
    Beside,
    /// Its time has come.
    Routine,
}

/// All files of all bundles.
#[derive(Debug)]
pub(crate) struct Files {
    intervals: Intervals,
    bundles: BTreeMap<BundleName, Arc<Listing>>,
    files: BTreeMap<FileKey, State>,
}

#[derive(Debug)]
struct State {
    fingerprint: Fingerprint,
    wanted: Option<Urgency>,
    is_parsing: bool,
    /// When it is parsed although nothing happened; `None` before the first parse.
    next_routine: Option<Instant>,
}

impl Files {
    pub(crate) fn new(intervals: Intervals) -> Self {
        Self {
            intervals,
            bundles: BTreeMap::new(),
            files: BTreeMap::new(),
        }
    }

    /// The listing of a bundle as it was last seen.
    pub(crate) fn listing(&self, bundle: &BundleName) -> Arc<Listing> {
        self.bundles.get(bundle).cloned().unwrap_or_default()
    }

    /// Takes in a new listing. Returns whether a Dag file has gone.
    pub(crate) fn on_listing(&mut self, bundle: &BundleName, listing: Listing) -> bool {
        let empty = Listing::default();
        let before = self.bundles.get(bundle);
        let others_changed = before.is_some_and(|before| before.others != listing.others);
        let gone: Vec<FileKey> = before
            .map_or(&empty, |before| before)
            .dag_files
            .keys()
            .filter(|path| !listing.dag_files.contains_key(*path))
            .map(|path| FileKey {
                bundle: bundle.clone(),
                path: path.clone(),
            })
            .collect();
        for key in &gone {
            self.files.remove(key);
        }
        for (path, fingerprint) in &listing.dag_files {
            let key = FileKey {
                bundle: bundle.clone(),
                path: path.clone(),
            };
            self.see(key, *fingerprint, others_changed);
        }
        self.bundles.insert(bundle.clone(), Arc::new(listing));
        !gone.is_empty()
    }

    fn see(&mut self, key: FileKey, fingerprint: Fingerprint, others_changed: bool) {
        let state = self.files.entry(key).or_insert(State {
            fingerprint,
            wanted: Some(Urgency::Changed),
            is_parsing: false,
            next_routine: None,
        });
        if state.fingerprint != fingerprint {
            state.fingerprint = fingerprint;
            state.want(Urgency::Changed);
        } else if others_changed {
            state.want(Urgency::Beside);
        }
    }

    /// Somebody wants this file to be parsed. `false`: there is no such file.
    pub(crate) fn request(&mut self, key: &FileKey) -> bool {
        let Some(state) = self.files.get_mut(key) else {
            return false;
        };
        state.want(Urgency::Requested);
        true
    }

    /// The next file to parse; it counts as being parsed until [`Files::on_parsed`].
    ///
    /// A file is not parsed twice at once: what happens to it meanwhile is kept for later.
    pub(crate) fn take_next(&mut self, now: Instant) -> Option<FileKey> {
        let urgency = |state: &State| {
            let routine = state
                .next_routine
                .filter(|at| *at <= now)
                .map(|_| Urgency::Routine);
            state.wanted.into_iter().chain(routine).min()
        };
        let (key, _) = self
            .files
            .iter()
            .filter(|(_, state)| !state.is_parsing)
            .filter_map(|(key, state)| {
                // As `file_parsing_sort_mode = modified_time`: the latest change first.
                Some((
                    key,
                    (urgency(state)?, Reverse(state.fingerprint.modified_secs())),
                ))
            })
            .min_by(|(left_key, left), (right_key, right)| {
                left.cmp(right).then_with(|| left_key.cmp(right_key))
            })?;
        let key = key.clone();
        if let Some(state) = self.files.get_mut(&key) {
            state.wanted = None;
            state.is_parsing = true;
        }
        Some(key)
    }

    /// A parse has ended. `depends_on_outside`: it asked for variables or connections. `false`: the
    /// file has gone meanwhile.
    pub(crate) fn on_parsed(
        &mut self,
        key: &FileKey,
        depends_on_outside: bool,
        now: Instant,
    ) -> bool {
        let Some(state) = self.files.get_mut(key) else {
            return false;
        };
        state.is_parsing = false;
        let interval = if depends_on_outside {
            self.intervals.outside
        } else {
            self.intervals.plain
        };
        state.next_routine = Some(now + interval);
        true
    }

    /// A parse could not even be tried; it is wanted again at `at`.
    pub(crate) fn on_postponed(&mut self, key: &FileKey, at: Instant) {
        if let Some(state) = self.files.get_mut(key) {
            state.is_parsing = false;
            state.next_routine = Some(at);
        }
    }

    /// When a file is due next by its interval.
    pub(crate) fn next_routine(&self) -> Option<Instant> {
        let waiting = self.files.values().filter(|state| !state.is_parsing);
        waiting.filter_map(|state| state.next_routine).min()
    }

    /// The Dag files of a bundle.
    pub(crate) fn paths(&self, bundle: &BundleName) -> BTreeSet<String> {
        let listing = self.bundles.get(bundle);
        listing
            .map(|listing| listing.dag_files.keys().cloned().collect())
            .unwrap_or_default()
    }
}

impl State {
    fn want(&mut self, urgency: Urgency) {
        self.wanted = Some(self.wanted.map_or(urgency, |wanted| wanted.min(urgency)));
    }
}
