//! Numbers that look random and can be had again.

use std::time::Duration;

/// A generator (SplitMix64) that gives the same numbers for the same seed. Never for secrets.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Dice of their own for one purpose: what else is drawn does not change what they give.
    #[must_use]
    pub fn of_purpose(seed: u64, purpose: &str) -> Self {
        let mixed = purpose.bytes().fold(seed, |state, byte| {
            Self::seeded(state ^ u64::from(byte)).next_number()
        });
        Self::seeded(mixed)
    }

    /// The next number, any of them.
    pub const fn next_number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a size fits 64 bits");
        usize::try_from(self.next_number() % bound).expect("it is below a size")
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        const PRECISE_BITS: u32 = 53;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let drawn = (self.next_number() >> (64 - PRECISE_BITS)) as f64;
        #[expect(clippy::cast_precision_loss, reason = "a power of two is exact")]
        let bound = probability * (1_u64 << PRECISE_BITS) as f64;
        drawn < bound
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// When there is nothing to choose from.
    pub fn choose<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// A time from `shortest` up to `longest`.
    pub fn duration(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let span = longest.saturating_sub(shortest).as_micros();
        let span = u64::try_from(span).unwrap_or(u64::MAX).max(1);
        shortest + Duration::from_micros(self.next_number() % span)
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn the_same_seed_and_purpose_give_the_same_numbers() {
        let draw = |seed, purpose| Dice::of_purpose(seed, purpose).next_number();
        assert_eq!(draw(1, "dags"), draw(1, "dags"));
        assert_ne!(draw(1, "dags"), draw(1, "faults"));
        assert_ne!(draw(1, "dags"), draw(2, "dags"));
    }

    #[test]
    fn chances_come_about_as_often_as_they_should() {
        let mut dice = Dice::seeded(1);
        let hits = (0..10_000).filter(|_| dice.chance(0.25)).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
        assert!(!dice.chance(0.0) && dice.chance(1.0));
    }
}
