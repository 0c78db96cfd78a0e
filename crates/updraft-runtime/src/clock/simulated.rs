//! A time that stands still until it is moved.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// The hands of simulated clocks, moved by whoever simulates. Clones share them.
///
/// The time of day may be set to anything; the monotonic reading only grows.
#[derive(Clone, Debug)]
pub struct SimulatedTime(Arc<Mutex<Hands>>);

#[derive(Debug)]
struct Hands {
    wall: Timestamp,
    elapsed: Duration,
    /// What the monotonic reading counts from; it has no other meaning.
    origin: Instant,
    sleepers: BTreeMap<(Duration, u64), Waker>,
    /// How many fell asleep so far, and when the last of them wants to wake.
    fell_asleep: (u64, Duration),
}

impl SimulatedTime {
    /// A clock that shows `wall`.
    #[must_use]
    pub fn starting(wall: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Hands {
            wall,
            elapsed: Duration::ZERO,
            origin: Instant::now(),
            sleepers: BTreeMap::new(),
            fell_asleep: (0, Duration::ZERO),
        })))
    }

    /// The time of day.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.hands().wall
    }

    /// The monotonic reading.
    #[must_use]
    pub fn monotonic(&self) -> Instant {
        let hands = self.hands();
        hands.origin + hands.elapsed
    }

    /// How far the monotonic reading has come since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.hands().elapsed
    }

    /// The monotonic reading `at` as a time since the start.
    #[must_use]
    pub fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.hands().origin)
    }

    /// Lets `duration` pass on both clocks and wakes the sleepers whose time has come.
    pub fn advance(&self, duration: Duration) {
        let mut hands = self.hands();
        hands.elapsed += duration;
        let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        hands.wall = hands
            .wall
            .saturating_add(duration)
            .unwrap_or(Timestamp::MAX);
        let elapsed = hands.elapsed;
        while let Some(first) = hands.sleepers.first_entry()
            && first.key().0 <= elapsed
        {
            first.remove().wake();
        }
    }

    /// Sets the time of day, as an administrator or NTP does.
    pub fn set_wall(&self, wall: Timestamp) {
        self.hands().wall = wall;
    }

    /// When the first sleeper wants to wake, as a time since the start.
    #[must_use]
    pub fn next_sleeper(&self) -> Option<Duration> {
        self.hands().sleepers.keys().next().map(|(at, _)| *at)
    }

    /// How many sleepers there have been, and when the latest wants to wake, as a time since the
    /// start.
    #[must_use]
    pub fn fell_asleep(&self) -> (u64, Duration) {
        self.hands().fell_asleep
    }

    pub(super) async fn sleep(&self, pause: Duration) {
        let key = {
            let mut hands = self.hands();
            let until = hands.elapsed + pause;
            hands.fell_asleep = (hands.fell_asleep.0 + 1, until);
            (until, hands.fell_asleep.0)
        };
        let _registration = Registration { time: self, key };
        poll_fn(|context| {
            let mut hands = self.hands();
            if hands.elapsed >= key.0 {
                return Poll::Ready(());
            }
            hands.sleepers.insert(key, context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sleeper that is given up is not waited for.
struct Registration<'a> {
    time: &'a SimulatedTime,
    key: (Duration, u64),
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.time.hands().sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::SimulatedTime;
    use crate::Clock;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn time_stands_still_until_it_is_moved() {
        let time = SimulatedTime::starting(Timestamp::UNIX_EPOCH);
        let clock = Clock::simulated(time.clone());
        let began = clock.monotonic();
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        time.advance(SECOND);
        assert_eq!(clock.now().as_second(), 1);
        assert_eq!(clock.monotonic() - began, SECOND);
    }

    #[test]
    fn setting_the_time_of_day_leaves_the_monotonic_reading_alone() {
        let time = SimulatedTime::starting(Timestamp::UNIX_EPOCH);
        let began = time.monotonic();
        time.set_wall(Timestamp::MIN);
        assert_eq!(time.monotonic(), began);
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_its_time_has_come() {
        let time = SimulatedTime::starting(Timestamp::UNIX_EPOCH);
        let clock = Clock::simulated(time.clone());
        let sleeping = clock.sleep(2 * SECOND);
        let moving = async {
            assert_eq!(time.next_sleeper(), Some(2 * SECOND));
            time.advance(SECOND);
            tokio::task::yield_now().await;
            assert_eq!(time.next_sleeper(), Some(2 * SECOND));
            time.advance(SECOND);
        };
        tokio::join!(sleeping, moving);
        assert_eq!(time.next_sleeper(), None);
        assert_eq!(time.elapsed(), 2 * SECOND);
    }

    #[tokio::test]
    async fn a_sleeper_that_gave_up_is_forgotten() {
        let time = SimulatedTime::starting(Timestamp::UNIX_EPOCH);
        let clock = Clock::simulated(time.clone());
        tokio::select! {
            biased;
            () = clock.sleep(SECOND) => panic!("nobody moved the time"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(time.next_sleeper(), None);
    }
}
