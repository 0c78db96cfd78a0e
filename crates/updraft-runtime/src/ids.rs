//! Fresh identifiers and random text.

use uuid::Uuid;

/// The characters of the random part of a run id.
const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Draws ids and random text. Passed down by value; never a global.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ids;

impl Ids {
    /// A time-ordered UUID.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        Uuid::now_v7()
    }

    /// `length` random letters and digits, fit for passwords and for the tail of a run id.
    #[must_use]
    pub fn alphanumeric(self, length: usize) -> String {
        let mut text = String::with_capacity(length);
        while text.len() < length {
            // Bytes from 248 up would make the first characters of the alphabet likelier.
            let fair =
                Uuid::new_v4()
                    .into_bytes()
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
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn random_text_has_the_length_asked_for_and_only_letters_and_digits() {
        for length in [0, 1, 8, 16, 100] {
            let text = Ids.alphanumeric(length);
            assert_eq!(text.len(), length);
            assert!(
                text.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{text}"
            );
        }
        assert_ne!(Ids.alphanumeric(16), Ids.alphanumeric(16));
    }
}
