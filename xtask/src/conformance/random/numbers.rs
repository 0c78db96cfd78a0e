//! Random numbers that are the same on every machine and in every year: the record names Dags by
//! their seed.

/// SplitMix64: small, fast, and good enough to pick shapes with.
pub(super) struct Numbers {
    state: u64,
}

impl Numbers {
    /// Numbers for one attempt at the Dag of `seed`; no two attempts share their sequence.
    pub(super) fn new(seed: u64, attempt: u64) -> Self {
        let mut numbers = Self {
            state: seed ^ attempt.wrapping_mul(0xD6E8_FEB8_6659_FD93),
        };
        numbers.next();
        numbers
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is at least 1.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("a usize fits 64 bits");
        usize::try_from(self.next() % end).expect("it is below a usize")
    }

    /// A number from `first` to `last`, both included.
    pub(super) fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    pub(super) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// One of the choices, which are not empty.
    pub(super) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// One of the choices, each as likely as its weight says.
    pub(super) fn weighted<T: Clone>(&mut self, choices: &[(usize, T)]) -> T {
        let total = choices.iter().map(|(weight, _)| weight).sum();
        let mut place = self.below(total);
        for (weight, choice) in choices {
            if place < *weight {
                return choice.clone();
            }
            place -= weight;
        }
        unreachable!("the place is below the sum of the weights")
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// Some of the items, in their order; at least `least`.
    pub(super) fn some<T: Clone>(&mut self, items: &[T], least: usize) -> Vec<T> {
        let mut places: Vec<usize> = (0..items.len()).collect();
        self.shuffle(&mut places);
        places.truncate(self.between(least.min(items.len()), items.len()));
        places.sort_unstable();
        places
            .into_iter()
            .map(|place| items[place].clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        let mut numbers = Numbers::new(1, 0);
        let drawn: Vec<usize> = (0..5).map(|_| numbers.below(1000)).collect();
        assert_eq!(drawn, [519, 590, 235, 761, 48]);
    }
}
