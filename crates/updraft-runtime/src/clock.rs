//! The time of day, truncated to what the store can hold.

use jiff::{Timestamp, TimestampRound, Unit};

/// Asks the machine for the time. Passed down by value; never a global.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The present instant, cut to microseconds: what is written is what will be read.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the clock's home")]
    pub fn now(self) -> Timestamp {
        let now = Timestamp::now();
        now.round(
            TimestampRound::new()
                .smallest(Unit::Microsecond)
                .mode(jiff::RoundMode::Trunc),
        )
        .unwrap_or(now)
    }

    /// A reading of the monotonic clock, for leases and timeouts.
    #[must_use]
    pub fn monotonic(self) -> std::time::Instant {
        std::time::Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn now_has_no_more_than_microseconds() {
        assert_eq!(Clock.now().subsec_nanosecond() % 1_000, 0);
    }
}
