//! A row of `slot_pool`, and what it holds at the moment.

use crate::PoolName;

/// The pool every task uses that names no other.
pub const DEFAULT_POOL: &str = "default_pool";

/// A named number of slots that limits how many tasks run at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    pub name: PoolName,
    /// -1 means no limit.
    pub slots: i32,
    pub description: Option<String>,
    /// Whether deferred tasks hold their slots.
    pub include_deferred: bool,
}

/// How the slots of a pool are used, counted from the task instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUsage {
    pub running: i64,
    pub queued: i64,
    pub scheduled: i64,
    pub deferred: i64,
}

impl Pool {
    /// Slots left, possibly negative after the pool was made smaller; `None` means no limit.
    #[must_use]
    pub fn open_slots(&self, usage: &PoolUsage) -> Option<i64> {
        if self.slots < 0 {
            return None;
        }
        let deferred = if self.include_deferred {
            usage.deferred
        } else {
            0
        };
        Some(i64::from(self.slots) - usage.running - usage.queued - deferred)
    }
}
