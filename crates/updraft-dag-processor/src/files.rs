//! Which file is parsed when. Pure: listings, requests and the time go in, the next file comes out.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use updraft_model::BundleName;

use crate::discovery::{Fingerprint, Listing};

/// What changes so soon after a parse may have been changed by it.
const AFTERMATH: Duration = Duration::from_secs(1);

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
pub struct FileKey {
    pub bundle: BundleName,
    /// Relative to the bundle.
    pub path: String,
}

impl FileKey {
    fn new(bundle: &BundleName, path: &str) -> Self {
        Self {
            bundle: bundle.clone(),
            path: path.to_owned(),
        }
    }
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

/// What a change means for the other Dag files of its bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// They are parsed now.
    Now,
    /// Those with import errors are parsed now, the others later.
    NowIfBroken,
    /// They are parsed as often as those that depend on the outside, once.
    Later,
}

/// What a parse says about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// It asked for variables or connections.
    pub(crate) depends_on_outside: bool,
    pub(crate) held: Held,
}

/// What a file held when it was parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Dags,
    /// Import errors, with or without Dags.
    Errors,
    /// It may be a module that others import.
    Nothing,
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
    /// Something beside it changed while it was parsed.
    is_wanted_sooner: bool,
    /// `None` before the first parse.
    held: Option<Held>,
    last_parsed: Option<Instant>,
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
    pub(crate) fn on_listing(
        &mut self,
        bundle: &BundleName,
        listing: Listing,
        now: Instant,
    ) -> bool {
        let before = self.bundles.get(bundle).cloned();
        let beside = before.as_ref().map_or(Beside::Nothing, |before| {
            self.what_changed(bundle, before, &listing, now)
        });
        let gone: Vec<FileKey> = before
            .iter()
            .flat_map(|before| before.dag_files.keys())
            .filter(|path| !listing.dag_files.contains_key(*path))
            .map(|path| FileKey::new(bundle, path))
            .collect();
        for key in &gone {
            self.files.remove(key);
        }
        for (path, fingerprint) in &listing.dag_files {
            self.see(FileKey::new(bundle, path), *fingerprint, beside);
        }
        self.bundles.insert(bundle.clone(), Arc::new(listing));
        !gone.is_empty()
    }

    /// What a new listing means for files that have not changed themselves.
    ///
    /// A Dag file that writes into its bundle while it is parsed must not have everything parsed
    /// for ever; hence what changes during a parse counts for less.
    fn what_changed(
        &self,
        bundle: &BundleName,
        before: &Listing,
        after: &Listing,
        now: Instant,
    ) -> Beside {
        let is_module = |path: &str| {
            let state = self.files.get(&FileKey::new(bundle, path));
            state.is_some_and(|state| state.held == Some(Held::Nothing))
        };
        let module_changed = before.others != after.others
            || before.dag_files.iter().any(|(path, fingerprint)| {
                after.dag_files.get(path) != Some(fingerprint) && is_module(path)
            });
        let is_busy = self.files.iter().any(|(key, state)| {
            let parsed = state.last_parsed;
            let was_just_parsed = parsed.is_some_and(|parsed| now < parsed + AFTERMATH);
            key.bundle == *bundle && (state.is_parsing || was_just_parsed)
        });
        match (module_changed, before.dag_files != after.dag_files) {
            (false, false) => Beside::Nothing,
            _ if is_busy => Beside::Later,
            (true, _) => Beside::Now,
            (false, true) => Beside::NowIfBroken,
        }
    }

    fn see(&mut self, key: FileKey, fingerprint: Fingerprint, beside: Beside) {
        let state = self.files.entry(key).or_insert(State {
            fingerprint,
            wanted: Some(Urgency::Changed),
            is_parsing: false,
            is_wanted_sooner: false,
            held: None,
            last_parsed: None,
            next_routine: None,
        });
        if state.fingerprint != fingerprint {
            state.fingerprint = fingerprint;
            state.want(Urgency::Changed);
            return;
        }
        match beside {
            Beside::Nothing => {}
            Beside::Now => state.want(Urgency::Beside),
            Beside::NowIfBroken if state.held == Some(Held::Errors) => {
                state.want(Urgency::Beside);
            }
            Beside::NowIfBroken | Beside::Later if state.is_parsing => {
                state.is_wanted_sooner = true
            }
            Beside::NowIfBroken | Beside::Later => {
                let soon = state
                    .last_parsed
                    .map(|parsed| parsed + self.intervals.outside);
                // Before its first parse it is wanted anyway.
                state.next_routine = state.next_routine.into_iter().chain(soon).min();
            }
        }
    }

    /// The files of a bundle are those of another version now, which its Dags are to be told.
    pub(crate) fn on_new_version(&mut self, bundle: &BundleName) {
        let theirs = self
            .files
            .iter_mut()
            .filter(|(key, _)| key.bundle == *bundle);
        theirs.for_each(|(_, state)| state.want(Urgency::Beside));
    }

    /// Somebody wants this file to be parsed. `false`: there is no such file.
    pub(crate) fn request(&mut self, key: &FileKey) -> bool {
        let Some(state) = self.files.get_mut(key) else {
            return false;
        };
        state.want(Urgency::Requested);
        true
    }

    /// The next file to parse, in one of the bundles that are `open`; it counts as being parsed
    /// until [`Files::on_parsed`].
    ///
    /// A file is not parsed twice at once: what happens to it meanwhile is kept for later.
    pub(crate) fn take_next(
        &mut self,
        now: Instant,
        open: impl Fn(&BundleName) -> bool,
    ) -> Option<FileKey> {
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
            .filter(|(key, state)| !state.is_parsing && open(&key.bundle))
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

    /// A parse has ended. `false`: the file has gone meanwhile.
    pub(crate) fn on_parsed(&mut self, key: &FileKey, found: Found, now: Instant) -> bool {
        let Some(state) = self.files.get_mut(key) else {
            return false;
        };
        let is_wanted_sooner = std::mem::take(&mut state.is_wanted_sooner);
        let interval = if found.depends_on_outside || is_wanted_sooner {
            self.intervals.outside
        } else {
            self.intervals.plain
        };
        state.is_parsing = false;
        state.held = Some(found.held);
        state.last_parsed = Some(now);
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

    /// When a file of the bundles that are `open` is due next by its interval.
    pub(crate) fn next_routine(&self, open: impl Fn(&BundleName) -> bool) -> Option<Instant> {
        let waiting = self.files.iter();
        waiting
            .filter(|(key, state)| !state.is_parsing && open(&key.bundle))
            .filter_map(|(_, state)| state.next_routine)
            .min()
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
