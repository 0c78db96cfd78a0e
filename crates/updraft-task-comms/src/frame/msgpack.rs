//! Finds the borders of msgpack values without decoding them.
//!
//! A frame is cut into id, body and third element first, so that a body which cannot be
//! understood still has an id to answer. The walk keeps a counter instead of recursing:
//! a hostile nesting depth costs nothing.

use std::ops::Range;

/// Why bytes are not one whole msgpack value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the value that starts at byte {at} runs past the end of the frame")]
    Truncated { at: usize },
    #[error("byte {at} is 0xc1, which msgpack never uses")]
    ReservedMarker { at: usize },
    #[error("expected {expected} at byte {at}, found marker {marker:#04x}")]
    Unexpected {
        expected: &'static str,
        at: usize,
        marker: u8,
    },
}

/// Returns the length of the array that starts at `at`, and where its first item starts.
pub(crate) fn array_header(bytes: &[u8], at: usize) -> Result<(u64, usize), Malformed> {
    let header = header(bytes, at)?;
    match header.kind {
        Kind::Array => Ok((header.children, header.end)),
        Kind::Map | Kind::Other => Err(unexpected("an array", bytes, at)),
    }
}

/// Returns the number of pairs of the map that starts at `at`, and where its first key starts.
fn map_header(bytes: &[u8], at: usize) -> Result<(u64, usize), Malformed> {
    let header = header(bytes, at)?;
    match header.kind {
        Kind::Map => Ok((header.children / 2, header.end)),
        Kind::Array | Kind::Other => Err(unexpected("a map", bytes, at)),
    }
}

/// Returns the unsigned integer that starts at `at`, and where the next value starts.
pub(super) fn unsigned(bytes: &[u8], at: usize) -> Result<(u64, usize), Malformed> {
    let marker = *bytes.get(at).ok_or(Malformed::Truncated { at })?;
    let width = match marker {
        0x00..=0x7f => return Ok((u64::from(marker), at + 1)),
        0xcc => 1,
        0xcd => 2,
        0xce => 4,
        0xcf => 8,
        _ => return Err(unexpected("an unsigned integer", bytes, at)),
    };
    Ok((big_endian(bytes, at, at + 1, width)?, at + 1 + width))
}

/// Returns the range of the value that starts at `at`.
pub(crate) fn value_at(bytes: &[u8], at: usize) -> Result<Range<usize>, Malformed> {
    let mut end = at;
    let mut pending: u64 = 1;
    while pending > 0 {
        let header = header(bytes, end)?;
        pending = (pending - 1).saturating_add(header.children);
        end = header.end;
    }
    Ok(at..end)
}

/// Where a key and its value are.
pub(crate) type Pair = (Range<usize>, Range<usize>);

/// Returns the pairs of the map that starts at `at`.
pub(crate) fn pairs(bytes: &[u8], at: usize) -> Result<Vec<Pair>, Malformed> {
    let (count, mut at) = map_header(bytes, at)?;
    let mut pairs = Vec::new();
    for _ in 0..count {
        let key = value_at(bytes, at)?;
        let value = value_at(bytes, key.end)?;
        at = value.end;
        pairs.push((key, value));
    }
    Ok(pairs)
}

enum Kind {
    Array,
    Map,
    Other,
}

/// One marker with its length bytes and, for scalars, its payload.
struct Header {
    kind: Kind,
    /// Values that follow and belong to this one.
    children: u64,
    /// Where the next value starts.
    end: usize,
}

fn header(bytes: &[u8], at: usize) -> Result<Header, Malformed> {
    let marker = *bytes.get(at).ok_or(Malformed::Truncated { at })?;
    let scalar = |payload: usize| Ok((Kind::Other, 0, at + 1 + payload));
    // Text, bytes and extensions: `width` length bytes, then payload and `extra` bytes.
    let sized = |width: usize, extra: usize| {
        let length = big_endian(bytes, at, at + 1, width)?;
        let length = usize::try_from(length).map_err(|_| Malformed::Truncated { at })?;
        Ok((
            Kind::Other,
            0,
            (at + 1 + width + extra).saturating_add(length),
        ))
    };
    let (kind, children, end) = match marker {
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => scalar(0),
        0x80..=0x8f => Ok((Kind::Map, u64::from(marker & 0x0f) * 2, at + 1)),
        0x90..=0x9f => Ok((Kind::Array, u64::from(marker & 0x0f), at + 1)),
        0xa0..=0xbf => scalar(usize::from(marker & 0x1f)),
        0xc1 => Err(Malformed::ReservedMarker { at }),
        0xc4 | 0xd9 => sized(1, 0),
        0xc5 | 0xda => sized(2, 0),
        0xc6 | 0xdb => sized(4, 0),
        0xc7 => sized(1, 1),
        0xc8 => sized(2, 1),
        0xc9 => sized(4, 1),
        0xcc | 0xd0 => scalar(1),
        0xcd | 0xd1 => scalar(2),
        0xca | 0xce | 0xd2 => scalar(4),
        0xcb | 0xcf | 0xd3 => scalar(8),
        // Fixed extensions of 1, 2, 4, 8 and 16 bytes: the type byte comes on top.
        0xd4..=0xd8 => scalar((1 << (marker - 0xd4)) + 1),
        0xdc => Ok((Kind::Array, big_endian(bytes, at, at + 1, 2)?, at + 3)),
        0xdd => Ok((Kind::Array, big_endian(bytes, at, at + 1, 4)?, at + 5)),
        0xde => Ok((Kind::Map, big_endian(bytes, at, at + 1, 2)? * 2, at + 3)),
        0xdf => Ok((Kind::Map, big_endian(bytes, at, at + 1, 4)? * 2, at + 5)),
    }?;
    if end > bytes.len() {
        return Err(Malformed::Truncated { at });
    }
    Ok(Header {
        kind,
        children,
        end,
    })
}

fn big_endian(bytes: &[u8], at: usize, from: usize, width: usize) -> Result<u64, Malformed> {
    let digits = bytes
        .get(from..from + width)
        .ok_or(Malformed::Truncated { at })?;
    Ok(digits
        .iter()
        .fold(0, |number, digit| (number << 8) | u64::from(*digit)))
}

fn unexpected(expected: &'static str, bytes: &[u8], at: usize) -> Malformed {
    Malformed::Unexpected {
        expected,
        at,
        marker: bytes.get(at).copied().unwrap_or_default(),
    }
}
