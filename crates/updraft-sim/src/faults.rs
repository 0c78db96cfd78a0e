//! What may go wrong, and how often.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use updraft_runtime::Dice;

/// One kind of trouble. A world has some of them; the fewer it needs to fail, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Store calls take up to many seconds.
    SlowStore,
    /// Store calls fail before they do anything, in the middle of a transaction, or after the
    /// commit, so that the caller does not know what it did.
    BrokenStore,
    /// A process dies at a store call.
    CrashAtCall,
    /// A process is killed at any moment and started again later.
    Kill,
    /// A whole machine stands still for a while, then goes on as if nothing had been.
    Freeze,
    /// A child is killed from outside, or ends without a word.
    ChildDeath,
    /// A child hangs and ignores what it is told, or sends garbage.
    ChildMischief,
    /// Hints are lost, late, doubled and out of order.
    Hints,
    /// Executor events are late, doubled and out of order.
    ExecutorEvents,
    /// A workload is delivered to a second worker, and outcomes are reported again later.
    Duplicates,
    /// The time of day jumps and drifts.
    Clocks,
    /// Clients pause, clear, mark, delete and move limits.
    Clients,
    /// A Dag gets a new version while it runs.
    NewVersions,
}

impl FaultKind {
    pub const ALL: [Self; 13] = [
        Self::SlowStore,
        Self::BrokenStore,
        Self::CrashAtCall,
        Self::Kill,
        Self::Freeze,
        Self::ChildDeath,
        Self::ChildMischief,
        Self::Hints,
        Self::ExecutorEvents,
        Self::Duplicates,
        Self::Clocks,
        Self::Clients,
        Self::NewVersions,
    ];

    /// Whether it changes what a run should come to, so that no other world can be its measure.
    #[must_use]
    pub const fn changes_the_aim(self) -> bool {
        matches!(self, Self::Clients | Self::NewVersions | Self::Clocks)
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SlowStore => "slow-store",
            Self::BrokenStore => "broken-store",
            Self::CrashAtCall => "crash-at-call",
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::ChildDeath => "child-death",
            Self::ChildMischief => "child-mischief",
            Self::Hints => "hints",
            Self::ExecutorEvents => "executor-events",
            Self::Duplicates => "duplicates",
            Self::Clocks => "clocks",
            Self::Clients => "clients",
            Self::NewVersions => "new-versions",
        }
    }
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("expected one of {}, found `{text}`", names.join(", "))
        })
    }
}

/// How often store calls go wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallRates {
    pub(crate) slow: f64,
    pub(crate) pause: (Duration, Duration),
    pub(crate) breaks: f64,
    pub(crate) statement_breaks: f64,
    pub(crate) crashes: f64,
}

/// How often everything goes wrong in one world.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    pub(crate) calls: CallRates,
    /// Mean time between two of each, for the whole world.
    pub(crate) kill: Option<Duration>,
    pub(crate) freeze: Option<Duration>,
    pub(crate) clock_step: Option<Duration>,
    pub(crate) client: Option<Duration>,
    pub(crate) new_version: Option<Duration>,
    /// Probabilities for each child, hint, event, workload.
    pub(crate) child_dies: f64,
    pub(crate) child_misbehaves: f64,
    pub(crate) hint_lost: f64,
    pub(crate) hint_late: f64,
    pub(crate) event_late: f64,
    pub(crate) doubled: f64,
    /// Parts in a million by which a clock is too fast or too slow.
    pub(crate) drift_max: usize,
}

impl Rates {
    /// Draws how bad it is in a world with these kinds of trouble.
    pub(crate) fn draw(kinds: &BTreeSet<FaultKind>, dice: &mut Dice) -> Self {
        use FaultKind as K;
        let minutes = |count: u64| Duration::from_secs(60 * count);
        // Every number is drawn, wanted or not, so that leaving a kind out changes no other.
        let mut rate = |kind, choices: &[f64]| {
            let drawn = *dice.choose(choices);
            if kinds.contains(&kind) { drawn } else { 0.0 }
        };
        let calls = CallRates {
            slow: rate(K::SlowStore, &[0.002, 0.02, 0.1]),
            pause: (Duration::from_millis(5), Duration::from_secs(20)),
            breaks: rate(K::BrokenStore, &[0.0005, 0.005, 0.03]),
            statement_breaks: rate(K::BrokenStore, &[0.000_05, 0.000_5, 0.005]),
            crashes: rate(K::CrashAtCall, &[0.000_05, 0.000_2, 0.001]),
        };
        let child_dies = rate(K::ChildDeath, &[0.01, 0.05, 0.2]);
        let child_misbehaves = rate(K::ChildMischief, &[0.01, 0.05, 0.2]);
        let hint_lost = rate(K::Hints, &[0.0, 0.05, 0.5]);
        let hint_late = rate(K::Hints, &[0.05, 0.3]);
        let event_late = rate(K::ExecutorEvents, &[0.05, 0.3]);
        let doubled = rate(K::Duplicates, &[0.02, 0.1]);
        let mut every = |kind, choices: &[u64]| {
            let drawn = minutes(*dice.choose(choices));
            kinds.contains(&kind).then_some(drawn)
        };
        Self {
            calls,
            kill: every(K::Kill, &[3, 10, 30]),
            freeze: every(K::Freeze, &[10, 30]),
            clock_step: every(K::Clocks, &[10, 30]),
            client: every(K::Clients, &[1, 3, 10]),
            new_version: every(K::NewVersions, &[10, 30]),
            child_dies,
            child_misbehaves,
            hint_lost,
            hint_late,
            event_late,
            doubled,
            drift_max: if kinds.contains(&K::Clocks) { 2_000 } else { 0 },
        }
    }

    /// Nothing goes wrong.
    pub(crate) fn none() -> Self {
        Self::draw(&BTreeSet::new(), &mut Dice::seeded(0))
    }
}
