//! When a rollup has enough of its keys.

use std::collections::BTreeSet;

/// How many of the expected keys it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitPolicy {
    /// Every one.
    All,
    /// At least so many; if negative, at most so many may be missing.
    MinimumCount(i64),
    /// A class of the user.
    Custom {
        /// Where Python finds the class.
        class_path: String,
    },
}

impl WaitPolicy {
    /// Whether the keys that came are enough. Keys that nobody expects count for nothing.
    #[must_use]
    pub fn is_satisfied(&self, matched: &BTreeSet<String>, expected: &BTreeSet<String>) -> bool {
        let count = matched.intersection(expected).count();
        self.is_satisfied_by(count, expected.len())
    }

    /// As [`Self::is_satisfied`], with `matched` of the `expected` keys there.
    #[must_use]
    pub fn is_satisfied_by(&self, matched: usize, expected: usize) -> bool {
        let [matched, expected] = [matched, expected].map(as_count);
        match self {
            Self::All => matched == expected,
            Self::MinimumCount(n) if *n > 0 => matched >= *n,
            Self::MinimumCount(n) => matched >= expected.saturating_add(*n).max(0),
            Self::Custom { .. } => false,
        }
    }

    /// Whether no event could ever satisfy it.
    #[must_use]
    pub fn is_unreachable(&self, expected: usize) -> bool {
        match self {
            Self::MinimumCount(n) => *n > as_count(expected),
            Self::All | Self::Custom { .. } => false,
        }
    }
}

fn as_count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
