//! Numbers that look random and can be had again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A generator (SplitMix64) that gives the same numbers for the same seed.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Takes the seed from `UPDRAFT_TEST_SEED`, else from the clock, and prints it.
    ///
    /// # Panics
    /// When the variable holds no number.
    #[must_use]
    #[expect(
        clippy::print_stderr,
        reason = "a failed run can only be repeated with its seed"
    )]
    pub fn from_environment() -> Self {
        let seed = std::env::var_os("UPDRAFT_TEST_SEED").map_or_else(seed_of_clock, |given| {
            let number = given.to_str().and_then(|text| text.parse().ok());
            number
                .unwrap_or_else(|| panic!("UPDRAFT_TEST_SEED: expected a number, found {given:?}"))
        });
        eprintln!("seed: UPDRAFT_TEST_SEED={seed}");
        Self { state: seed }
    }

    /// The next number, any of them.
    pub fn next_number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// When there is nothing to choose from.
    pub fn choose<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let count = u64::try_from(choices.len()).expect("a length fits 64 bits");
        let index = self.next_number() % count;
        &choices[usize::try_from(index).expect("the index is below a length")]
    }

    /// A time from `shortest` up to `longest`.
    pub fn duration(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let span = longest.saturating_sub(shortest).as_micros();
        let span = u64::try_from(span).unwrap_or(u64::MAX).max(1);
        shortest + Duration::from_micros(self.next_number() % span)
    }
}

fn seed_of_clock() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos() % u128::from(u64::MAX)).unwrap_or_default()
}
