//! Waiting for a condition.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// For timeouts that read as `10 * SECOND`.
pub const SECOND: Duration = Duration::from_secs(1);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` gives `Ok`, and returns what was found.
///
/// # Panics
/// When that takes longer than `timeout`; the message holds what the last look saw.
#[track_caller]
pub fn wait_until<T, S: Debug>(
    what: &str,
    timeout: Duration,
    mut look: impl FnMut() -> Result<T, S>,
) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if Instant::now() > deadline => {
                panic!("waited {timeout:?} until {what}; last seen: {seen:#?}")
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
