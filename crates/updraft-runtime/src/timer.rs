//! Waiting for moments that may not come.

use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior, interval};

/// A period of zero would be a busy loop.
const PERIOD_MIN: Duration = Duration::from_millis(100);

/// Ticks at once and then every `period`; missed ticks are not made up for.
#[must_use]
pub fn every(period: Duration) -> Interval {
    let mut ticks = interval(period.max(PERIOD_MIN));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits until that moment; for ever without one.
pub async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
