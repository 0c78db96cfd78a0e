//! How tasks report back to the loop: always, even when they panic.

use tokio::sync::mpsc;
use updraft_bundles::Content;
use updraft_model::BundleName;

use crate::discovery::Listing;
use crate::files::FileKey;
use crate::parse::ParseEnd;

/// What a task tells the loop.
pub(super) enum Report {
    Listed {
        bundle: BundleName,
        listing: Result<Listing, String>,
    },
    Refreshed {
        bundle: BundleName,
        outcome: Result<Content, String>,
    },
    Parsed {
        key: FileKey,
        end: ParseEnd,
    },
    CallbackEnded,
}

/// Hands out promises to report.
#[derive(Clone)]
pub(super) struct Reporter(mpsc::Sender<Report>);

/// A report that is due: sent with what is known when it is dropped.
pub(super) struct Promise {
    sender: mpsc::Sender<Report>,
    report: Option<Report>,
}

/// Promises a [`Report::Listed`].
pub(super) struct ListingPromise(Promise);

/// Promises a [`Report::Refreshed`].
pub(super) struct RefreshPromise(Promise);

/// Promises a [`Report::Parsed`].
pub(super) struct ParsePromise(Promise);

/// A channel for at most `promises_max` promises at a time.
pub(super) fn channel(promises_max: usize) -> (Reporter, mpsc::Receiver<Report>) {
    let (sender, receiver) = mpsc::channel(promises_max);
    (Reporter(sender), receiver)
}

impl Reporter {
    pub(super) fn listing(&self, bundle: BundleName) -> ListingPromise {
        let listing = Err("the listing panicked".to_owned());
        ListingPromise(self.promise(Report::Listed { bundle, listing }))
    }

    pub(super) fn refresh(&self, bundle: BundleName) -> RefreshPromise {
        let outcome = Err("the refresh panicked".to_owned());
        RefreshPromise(self.promise(Report::Refreshed { bundle, outcome }))
    }

    pub(super) fn parse(&self, key: FileKey) -> ParsePromise {
        let end = ParseEnd::Postponed;
        ParsePromise(self.promise(Report::Parsed { key, end }))
    }

    pub(super) fn callback(&self) -> Promise {
        self.promise(Report::CallbackEnded)
    }

    fn promise(&self, report: Report) -> Promise {
        Promise {
            sender: self.0.clone(),
            report: Some(report),
        }
    }
}

impl ListingPromise {
    pub(super) fn send(mut self, found: Result<Listing, String>) {
        if let Some(Report::Listed { listing, .. }) = &mut self.0.report {
            *listing = found;
        }
    }
}

impl RefreshPromise {
    pub(super) fn send(mut self, found: Result<Content, String>) {
        if let Some(Report::Refreshed { outcome, .. }) = &mut self.0.report {
            *outcome = found;
        }
    }
}

impl ParsePromise {
    pub(super) fn send(mut self, found: ParseEnd) {
        if let Some(Report::Parsed { end, .. }) = &mut self.0.report {
            *end = found;
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(report) = self.report.take() {
            // There is a place for every promise; it is refused only when the loop has ended.
            let _ = self.sender.try_send(report);
        }
    }
}
