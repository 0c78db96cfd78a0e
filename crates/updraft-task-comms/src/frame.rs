//! Frames: a four-byte big-endian length, then one msgpack array.
//!
//! | frame | array |
//! |---|---|
//! | request, child to parent | `[id, body, trace carrier]` |
//! | response, parent to child | `[id, body, error]` |
//!
//! Trailing elements may be missing and surplus ones are ignored, as in Airflow. A frame
//! that cannot be used yields a [`BadFrame`] and the decoder carries on with the next one:
//! a child that waits for an answer must get one, or it hangs for good.

pub(crate) mod msgpack;

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;

pub use msgpack::Malformed;

/// Largest frame that is read into memory.
///
/// XComs of 100 MB occur in the field; anything beyond this bound is skipped as it
/// arrives and answered with an error.
pub const FRAME_BYTES_MAX: usize = 128 * 1024 * 1024;

/// The length prefix of a frame.
const PREFIX_BYTES: usize = 4;

/// Longest possible array header plus id: enough to answer a frame that is skipped.
const ID_BYTES_MAX: usize = 5 + 9;

/// One frame, cut into its elements but not decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Echoed in the answer. Ids may skip and may restart at 0; nothing follows from them.
    pub id: u64,
    /// The msgpack value of the message; `nil` when the frame has none.
    pub body: Bytes,
    /// The trace carrier of a request, the error of a response; `None` when `nil` or missing.
    pub third: Option<Bytes>,
}

/// A frame that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unusable frame: {problem}")]
pub struct BadFrame {
    /// The id to answer, if it could be read.
    pub id: Option<u64>,
    pub problem: FrameProblem,
}

/// What is wrong with a [`BadFrame`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameProblem {
    #[error("it has {length} bytes, the limit is {max}; pass large values by reference")]
    TooLarge { length: usize, max: usize },
    #[error("expected an array of id and body, found an empty array")]
    Empty,
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Why a message could not be made into a frame.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("the message has no msgpack form: {0}")]
    Unencodable(#[from] rmp_serde::encode::Error),
    #[error("the message has {length} bytes, a frame holds at most {max}")]
    TooLarge { length: usize, max: usize },
}

/// Cuts a byte stream into frames.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    frame_bytes_max: usize,
    /// Bytes of a too large frame that are still to be thrown away.
    to_skip: usize,
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::with_limit(FRAME_BYTES_MAX)
    }
}

impl FrameDecoder {
    /// A decoder that refuses frames above `frame_bytes_max`.
    pub fn with_limit(frame_bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            frame_bytes_max,
            to_skip: 0,
        }
    }

    /// Adds bytes read from the socket. Call [`next_frame`](Self::next_frame) until it is empty.
    pub fn feed(&mut self, bytes: &[u8]) {
        let skipped = self.to_skip.min(bytes.len());
        self.to_skip -= skipped;
        self.buffer.extend_from_slice(&bytes[skipped..]);
    }

    /// Takes the next whole frame out of the buffer.
    pub fn next_frame(&mut self) -> Option<Result<Frame, BadFrame>> {
        let prefix = self.buffer.first_chunk::<PREFIX_BYTES>()?;
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > self.frame_bytes_max {
            return self.refuse_too_large(length).map(Err);
        }
        if self.buffer.len() < PREFIX_BYTES + length {
            return None;
        }
        self.buffer.advance(PREFIX_BYTES);
        Some(cut(self.buffer.split_to(length).freeze()))
    }

    /// Whether the stream stopped in the middle of a frame.
    pub fn has_partial_frame(&self) -> bool {
        self.to_skip > 0 || !self.buffer.is_empty()
    }

    fn refuse_too_large(&mut self, length: usize) -> Option<BadFrame> {
        let announced = PREFIX_BYTES + length;
        if self.buffer.len() < announced.min(PREFIX_BYTES + ID_BYTES_MAX) {
            return None;
        }
        let id = read_id(&self.buffer[PREFIX_BYTES..])
            .ok()
            .map(|(id, _, _)| id);
        let buffered = announced.min(self.buffer.len());
        self.buffer.advance(buffered);
        self.to_skip = announced - buffered;
        let problem = FrameProblem::TooLarge {
            length,
            max: self.frame_bytes_max,
        };
        Some(BadFrame { id, problem })
    }
}

/// Encodes the frame `[id, body, error]`; an absent body or error becomes `nil`.
pub fn encode_frame(
    id: u64,
    body: Option<&impl Serialize>,
    error: Option<&impl Serialize>,
) -> Result<Bytes, EncodeError> {
    let mut bytes = vec![0; PREFIX_BYTES];
    let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    (id, body, error).serialize(&mut serializer)?;
    let length = bytes.len() - PREFIX_BYTES;
    let prefix = u32::try_from(length).map_err(|_| EncodeError::TooLarge {
        length,
        max: u32::MAX as usize,
    })?;
    bytes[..PREFIX_BYTES].copy_from_slice(&prefix.to_be_bytes());
    Ok(bytes.into())
}

/// Reads the array header and the id: (id, items after it, where they start).
fn read_id(array: &[u8]) -> Result<(u64, u64, usize), FrameProblem> {
    let (items, at) = msgpack::array_header(array, 0)?;
    if items == 0 {
        return Err(FrameProblem::Empty);
    }
    let (id, at) = msgpack::unsigned(array, at)?;
    Ok((id, items - 1, at))
}

fn cut(array: Bytes) -> Result<Frame, BadFrame> {
    let (id, items, at) = read_id(&array).map_err(|problem| BadFrame { id: None, problem })?;
    let element = |index: u64, at: usize| {
        if index >= items {
            return Ok((None, at));
        }
        let range = msgpack::value_at(&array, at).map_err(|problem| BadFrame {
            id: Some(id),
            problem: problem.into(),
        })?;
        let end = range.end;
        Ok((Some(array.slice(range)), end))
    };
    let (body, at) = element(0, at)?;
    let (third, _) = element(1, at)?;
    Ok(Frame {
        id,
        body: body.unwrap_or_else(|| Bytes::from_static(NIL)),
        third: third.filter(|value| value.as_ref() != NIL),
    })
}

/// msgpack `nil`.
const NIL: &[u8] = &[0xc0];
