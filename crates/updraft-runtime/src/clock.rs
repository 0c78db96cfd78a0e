//! The time of day, truncated to what the store can hold, and pauses.

mod simulated;

use std::time::{Duration, Instant};

use jiff::{Timestamp, TimestampRound, Unit};

pub use simulated::SimulatedTime;

/// Tells the time. Passed down, never a global; clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Machine,
    Simulated(SimulatedTime),
}

impl Clock {
    /// The clock of this machine.
    #[must_use]
    pub const fn machine() -> Self {
        Self(Source::Machine)
    }

    /// A clock that moves only when `time` is moved.
    #[must_use]
    pub const fn simulated(time: SimulatedTime) -> Self {
        Self(Source::Simulated(time))
    }

    /// The present instant, cut to microseconds: what is written is what will be read.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the clock's home")]
    pub fn now(&self) -> Timestamp {
        let now = match &self.0 {
            Source::Machine => Timestamp::now(),
            Source::Simulated(time) => time.now(),
        };
        now.round(
            TimestampRound::new()
                .smallest(Unit::Microsecond)
                .mode(jiff::RoundMode::Trunc),
        )
        .unwrap_or(now)
    }

    /// A reading of the monotonic clock, for leases and timeouts.
    #[must_use]
    pub fn monotonic(&self) -> Instant {
        match &self.0 {
            Source::Machine => Instant::now(),
            Source::Simulated(time) => time.monotonic(),
        }
    }

    /// Waits for `pause`, by the monotonic clock.
    pub async fn sleep(&self, pause: Duration) {
        match &self.0 {
            Source::Machine => tokio::time::sleep(pause).await,
            Source::Simulated(time) => time.sleep(pause).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn now_has_no_more_than_microseconds() {
        assert_eq!(Clock::machine().now().subsec_nanosecond() % 1_000, 0);
    }
}
