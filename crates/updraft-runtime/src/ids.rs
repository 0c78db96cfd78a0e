//! Fresh identifiers and random text.

use std::sync::{Arc, Mutex, PoisonError};

use uuid::{Builder, Uuid};

use crate::Dice;

/// The characters of the random part of a run id.
const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Draws ids and random text. Passed down, never a global; clones draw from the same source.
#[derive(Clone, Debug)]
pub struct Ids(Source);

#[derive(Clone, Debug)]
enum Source {
    Random,
    Seeded(Arc<Mutex<Seeded>>),
}

#[derive(Debug)]
struct Seeded {
    dice: Dice,
    drawn: u64,
}

impl Ids {
    /// Ids that nobody can guess.
    #[must_use]
    pub const fn random() -> Self {
        Self(Source::Random)
    }

    /// The same ids for the same seed: for simulations, where every run must be repeatable.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(Seeded {
            dice: Dice::seeded(seed),
            drawn: 0,
        }))))
    }

    /// A time-ordered UUID.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        match &self.0 {
            Source::Random => Uuid::now_v7(),
            Source::Seeded(seeded) => {
                let mut seeded = seeded.lock().unwrap_or_else(PoisonError::into_inner);
                let bytes = seeded.bytes();
                let tail = bytes.first_chunk().expect("sixteen bytes hold ten");
                Builder::from_unix_timestamp_millis(seeded.drawn, tail).into_uuid()
            }
        }
    }

    /// `length` random letters and digits, fit for passwords and for the tail of a run id.
    #[must_use]
    pub fn alphanumeric(&self, length: usize) -> String {
        let mut text = String::with_capacity(length);
        while text.len() < length {
            // Bytes from 248 up would make the first characters of the alphabet likelier.
            let fair = self
                .random_bytes()
                .into_iter()
                .enumerate()
                .filter(|(position, byte)| {
                    // Bytes 6 and 8 of a version 4 UUID are partly fixed.
                    !matches!(position, 6 | 8) && *byte < 248
                });
            for (_, byte) in fair.take(length - text.len()) {
                text.push(char::from(
                    ALPHANUMERIC[usize::from(byte) % ALPHANUMERIC.len()],
                ));
            }
        }
        text
    }

    fn random_bytes(&self) -> [u8; 16] {
        match &self.0 {
            Source::Random => Uuid::new_v4().into_bytes(),
            Source::Seeded(seeded) => seeded
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .bytes(),
        }
    }
}

impl Seeded {
    fn bytes(&mut self) -> [u8; 16] {
        self.drawn += 1;
        let (high, low) = (self.dice.next_number(), self.dice.next_number());
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn random_text_has_the_length_asked_for_and_only_letters_and_digits() {
        let ids = Ids::random();
        for length in [0, 1, 8, 16, 100] {
            let text = ids.alphanumeric(length);
            assert_eq!(text.len(), length);
            assert!(
                text.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{text}"
            );
        }
        assert_ne!(ids.alphanumeric(16), ids.alphanumeric(16));
    }

    #[test]
    fn seeded_ids_are_the_same_for_the_same_seed_and_differ_from_each_other() {
        let (one, same, other) = (Ids::seeded(7), Ids::seeded(7), Ids::seeded(8));
        let (first, second) = (one.uuid(), one.uuid());
        assert_eq!([first, second], [same.uuid(), same.uuid()]);
        assert_eq!(one.alphanumeric(8), same.alphanumeric(8));
        assert!(
            first < second,
            "ids are ordered by the time they were drawn"
        );
        assert_ne!(first, other.uuid());
    }
}
