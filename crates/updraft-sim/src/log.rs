//! What happened, as text: the same for the same seed.

use std::time::Duration;

/// Entries kept; the hash covers all.
const ENTRIES_MAX: usize = 400_000;

/// The log of one world.
#[derive(Clone, Debug, Default)]
pub struct Log {
    entries: Vec<(Duration, String)>,
    hash: u64,
    /// Who was in which state from when on: for the grid.
    moves: Vec<(Duration, String, char)>,
}

impl Log {
    pub(crate) fn note(&mut self, at: Duration, text: String) {
        let bytes = text.bytes().chain(at.as_nanos().to_le_bytes());
        self.hash = bytes.fold(self.hash, |hash, byte| {
            // FNV-1a.
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        if self.entries.len() < ENTRIES_MAX {
            self.entries.push((at, text));
        }
    }

    pub(crate) fn moved(&mut self, at: Duration, who: String, sign: char) {
        if self.moves.len() < ENTRIES_MAX {
            self.moves.push((at, who, sign));
        }
    }

    /// Two logs with the same hash tell the same story.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &(Duration, String)> {
        self.entries.iter()
    }

    pub(crate) fn moves(&self) -> &[(Duration, String, char)] {
        &self.moves
    }
}
