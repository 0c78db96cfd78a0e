//! Cuts a channel's bytes into lines.

use bytes::{Bytes, BytesMut};

/// Longest line that is kept in one piece: a traceback with its locals fits, a program that
/// never ends its line does not fill our memory.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;

/// A line, or a piece of one that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Without the line break.
    pub bytes: Bytes,
    /// Whether this is part of a too long line.
    pub is_piece: bool,
    /// Whether the line ends here.
    pub is_last: bool,
}

impl Line {
    /// A line in one piece.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            is_piece: false,
            is_last: true,
        }
    }
}

/// Cuts a byte stream into [`Line`]s.
#[derive(Debug)]
pub struct LineSplitter {
    buffer: BytesMut,
    /// Bytes at the start of the buffer that are known to hold no line break.
    searched: usize,
    line_bytes_max: usize,
    in_long_line: bool,
}

impl Default for LineSplitter {
    fn default() -> Self {
        Self::with_limit(LINE_BYTES_MAX)
    }
}

impl LineSplitter {
    /// A splitter that cuts lines above `line_bytes_max`.
    pub fn with_limit(line_bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: 0,
            line_bytes_max,
            in_long_line: false,
        }
    }

    /// Adds bytes read from the channel. Call [`next_line`](Self::next_line) until it is empty.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next line, or the next piece of a too long one.
    pub fn next_line(&mut self) -> Option<Line> {
        let found = self.buffer[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        match found.map(|at| self.searched + at) {
            Some(end) if end <= self.line_bytes_max => {
                let mut bytes = self.take(end + 1);
                bytes.truncate(end);
                let is_piece = std::mem::take(&mut self.in_long_line);
                Some(Line {
                    bytes,
                    is_piece,
                    is_last: true,
                })
            }
            None if self.buffer.len() <= self.line_bytes_max => {
                self.searched = self.buffer.len();
                None
            }
            _ => {
                self.in_long_line = true;
                let end = character_border(&self.buffer, self.line_bytes_max);
                Some(Line {
                    bytes: self.take(end),
                    is_piece: true,
                    is_last: false,
                })
            }
        }
    }

    /// Takes what is left when the channel ends without a line break.
    pub fn finish(&mut self) -> Option<Line> {
        let is_piece = std::mem::take(&mut self.in_long_line);
        let bytes = self.take(self.buffer.len());
        (is_piece || !bytes.is_empty()).then_some(Line {
            bytes,
            is_piece,
            is_last: true,
        })
    }

    fn take(&mut self, length: usize) -> Bytes {
        self.searched = 0;
        self.buffer.split_to(length).freeze()
    }
}

/// The last place at or before `end` where a UTF-8 character may start.
fn character_border(bytes: &[u8], end: usize) -> usize {
    let is_border = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (end.saturating_sub(3)..=end)
        .rev()
        .find(is_border)
        .filter(|at| *at > 0)
        .unwrap_or(end)
}
