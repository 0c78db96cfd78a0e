//! Fetching the bundles that are no plain folders.
//!
//! A class changes its files in place. So nothing of a bundle is parsed while it is fetched, and
//! it is fetched when nothing of it is parsed: what a version is said to hold, it holds.

use std::time::{Duration, Instant};

use tracing::{debug, error, info};
use updraft_bundles::Content;
use updraft_execution::chain;
use updraft_model::BundleName;
use updraft_runtime::Clock;

use super::DagProcessor;

/// Pause after a first failure; each further one doubles it.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Pause that no number of failures exceeds, unless the bundle is refreshed more seldom anyway.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(300);

/// When a bundle is fetched.
#[derive(Debug, Default)]
pub(super) struct RefreshState {
    is_running: bool,
    is_wanted: bool,
    /// Children that parse files of the bundle.
    parsing: usize,
    /// `None`: at once, because it was not tried yet.
    due: Option<Instant>,
    failures: u32,
    /// Why it failed, as long as it fails.
    failure: Option<String>,
}

impl RefreshState {
    /// Somebody wants the newest files, due or not.
    pub(super) fn want(&mut self) {
        self.is_wanted = true;
    }

    fn want_if_due(&mut self, now: Instant) {
        self.is_wanted |= self.due.is_none_or(|due| due <= now);
    }

    /// Whether files of the bundle may be parsed.
    pub(super) fn is_open(&self) -> bool {
        !self.is_running && !self.is_wanted
    }

    pub(super) fn on_parse_started(&mut self) {
        self.parsing += 1;
    }

    pub(super) fn on_parse_ended(&mut self) {
        self.parsing = self.parsing.saturating_sub(1);
    }

    /// Whether to fetch now, which counts as begun then.
    fn begin(&mut self) -> bool {
        if self.is_running || !self.is_wanted || self.parsing > 0 {
            return false;
        }
        self.is_wanted = false;
        self.is_running = true;
        true
    }

    /// Returns whether it had failed before.
    fn on_fetched(&mut self, now: Instant, interval: Duration) -> bool {
        self.is_running = false;
        self.due = Some(now + interval);
        self.failures = 0;
        self.failure.take().is_some()
    }

    /// Returns whether it fails for a reason that is new.
    fn on_failed(&mut self, reason: &str, now: Instant) -> bool {
        self.is_running = false;
        let pause = RETRY_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures));
        self.due = Some(now + pause.min(RETRY_PAUSE_MAX));
        self.failures = self.failures.saturating_add(1);
        let is_new = self.failure.as_deref() != Some(reason);
        self.failure = Some(reason.to_owned());
        is_new
    }
}

impl DagProcessor {
    pub(super) fn want_due_refreshes(&mut self) {
        let now = Clock::machine().monotonic();
        for refresh in self.refreshes.values_mut() {
            refresh.want_if_due(now);
        }
    }

    /// Fetches the bundles that somebody waits for, unless they are just being parsed.
    pub(super) fn start_refreshes(&mut self) {
        let startable: Vec<BundleName> = self
            .refreshes
            .iter_mut()
            .filter_map(|(name, refresh)| refresh.begin().then(|| name.clone()))
            .collect();
        for name in startable {
            let (bundles, report) = (self.bundles.clone(), self.reporter.refresh(name.clone()));
            self.spawn("dag_processor.refresh", async move {
                let outcome = bundles.refresh(&name).await;
                report.send(outcome.map_err(|error| chain(&error)));
            });
        }
    }

    pub(super) fn on_refreshed(&mut self, name: &BundleName, outcome: Result<Content, String>) {
        let now = Clock::machine().monotonic();
        let Some(refresh) = self.refreshes.get_mut(name) else {
            return;
        };
        match outcome {
            Ok(content) => {
                let interval = content.refresh_interval.unwrap_or_default();
                if refresh.on_fetched(now, interval) {
                    info!(bundle = %name, version = content.version, "fetched a bundle that could not be fetched before");
                }
                self.take_in(name, content);
            }
            Err(reason) if refresh.on_failed(&reason, now) => {
                error!(bundle = %name, error = reason, "failed to fetch a bundle; its Dags stay as they are");
                self.list_what_is_there(name);
            }
            Err(reason) => debug!(bundle = %name, error = reason, "failed again to fetch a bundle"),
        }
    }

    fn take_in(&mut self, name: &BundleName, content: Content) {
        let fetched = self.fetched.insert(name.clone(), content.version.clone());
        let was_seen = fetched.is_some();
        if was_seen && fetched.flatten() != content.version {
            info!(bundle = %name, version = content.version, "a bundle has a new version");
            self.files.on_new_version(name);
        }
        self.sweep_next_time(name);
        self.list(name);
    }

    /// What an earlier life has fetched is better than nothing, unless it may be half of something.
    fn list_what_is_there(&mut self, name: &BundleName) {
        if !self.fetched.contains_key(name) && !self.bundles.is_unfinished(name) {
            self.list(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{RETRY_PAUSE_MAX, RefreshState};

    #[test]
    fn nothing_is_parsed_while_a_bundle_is_fetched_and_the_other_way_round() {
        let (now, mut state) = (Instant::now(), RefreshState::default());
        assert!(state.is_open());
        state.on_parse_started();
        state.want_if_due(now);
        assert!(!state.is_open(), "or it would never be fetched");
        assert!(!state.begin());
        state.on_parse_ended();
        assert!(state.begin());
        assert!(!state.is_open());
        assert!(!state.begin(), "one at a time");
        assert!(!state.on_fetched(now, Duration::from_secs(60)));
        assert!(state.is_open());
        state.want_if_due(now + Duration::from_secs(59));
        assert!(state.is_open());
        state.want_if_due(now + Duration::from_secs(60));
        assert!(!state.is_open());
    }

    #[test]
    fn what_is_wanted_during_a_fetch_is_fetched_after_it() {
        let (now, mut state) = (Instant::now(), RefreshState::default());
        state.want();
        assert!(state.begin());
        state.want();
        state.on_fetched(now, Duration::from_secs(60));
        assert!(state.begin());
    }

    #[test]
    fn failures_are_told_once_and_tried_again_ever_more_seldom() {
        let (now, mut state) = (Instant::now(), RefreshState::default());
        assert!(state.on_failed("no network", now));
        state.want_if_due(now + Duration::from_secs(4));
        assert!(state.is_open());
        state.want_if_due(now + Duration::from_secs(5));
        assert!(state.begin());
        assert!(!state.on_failed("no network", now));
        state.want_if_due(now + Duration::from_secs(9));
        assert!(state.is_open());
        for _ in 0..100 {
            state.on_failed("no network", now);
        }
        state.want_if_due(now + RETRY_PAUSE_MAX);
        assert!(state.begin());
        assert!(state.on_failed("no disk", now));
        assert!(state.on_fetched(now, Duration::ZERO), "it had failed");
        assert!(!state.on_fetched(now, Duration::ZERO));
    }
}
