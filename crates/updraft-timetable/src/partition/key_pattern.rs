//! Reads keys back whose format `strptime` does not know: `%V` without a weekday, placeholders.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::Error;

/// A format, cut into pieces.
#[derive(Clone, Debug)]
pub(super) struct KeyPattern {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Literal(char),
    /// So many digits.
    Digits {
        name: String,
        count: usize,
    },
    /// One character of a range.
    OneOf {
        name: String,
        range: RangeInclusive<char>,
    },
    /// A word, as long as may be.
    Word {
        name: String,
    },
}

/// The directives that are read back, and how many digits they write.
const DIRECTIVES: &[(char, usize)] = &[
    ('Y', 4),
    ('m', 2),
    ('d', 2),
    ('H', 2),
    ('M', 2),
    ('S', 2),
    ('V', 2),
    ('U', 2),
    ('W', 2),
];

impl KeyPattern {
    /// `narrow` says which placeholders are one character of a range instead of any word.
    pub(super) fn new(
        format: &str,
        narrow: &[(&str, RangeInclusive<char>)],
    ) -> Result<Self, Error> {
        let refuse = |reason: String| Error::InvalidKeyFormat {
            key_format: format.to_owned(),
            reason,
        };
        let mut pieces: Vec<Piece> = Vec::new();
        let mut rest = format;
        while let Some(char) = rest.chars().next() {
            let (piece, after) = match piece_of(rest, narrow) {
                Some((piece, after)) => (piece, after),
                None => (Piece::Literal(char), &rest[char.len_utf8()..]),
            };
            if let Some(name) = piece.name() {
                if !is_identifier(name) {
                    return Err(refuse(format!(
                        "`{{{name}}}` is not the name of a placeholder"
                    )));
                }
                if pieces.iter().any(|other| other.name() == Some(name)) {
                    return Err(refuse(format!("`{name}` stands there twice")));
                }
            }
            let follows_a_word = matches!(pieces.last(), Some(Piece::Word { .. }));
            if follows_a_word && let Piece::Word { name } = &piece {
                return Err(refuse(format!(
                    "nothing separates `{{{name}}}` from the word before"
                )));
            }
            pieces.push(piece);
            rest = after;
        }
        Ok(Self { pieces })
    }

    /// The named parts of a key; `None` if it is not written like this.
    pub(super) fn read<'a>(&'a self, key: &'a str) -> Option<BTreeMap<&'a str, &'a str>> {
        // Python's `$` matches before a last line break, too.
        let key = key.strip_suffix('\n').unwrap_or(key);
        let mut groups = BTreeMap::new();
        fits(&self.pieces, key, &mut groups).then_some(groups)
    }
}

impl Piece {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Digits { name, .. } | Self::OneOf { name, .. } | Self::Word { name } => {
                Some(name)
            }
        }
    }
}

/// The piece that `text` begins with unless that is a character that stands for itself.
fn piece_of<'a>(
    text: &'a str,
    narrow: &[(&str, RangeInclusive<char>)],
) -> Option<(Piece, &'a str)> {
    if let Some(after) = text.strip_prefix('%') {
        let (letter, count) = *DIRECTIVES
            .iter()
            .find(|(name, _)| after.starts_with(*name))?;
        let name = letter.to_string();
        return Some((Piece::Digits { name, count }, &after[1..]));
    }
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    let range = narrow.iter().find(|(narrowed, _)| *narrowed == name);
    let name = name.to_owned();
    let piece = match range {
        Some((_, range)) => Piece::OneOf {
            name,
            range: range.clone(),
        },
        None => Piece::Word { name },
    };
    Some((piece, after))
}

fn fits<'a>(pieces: &'a [Piece], text: &'a str, groups: &mut BTreeMap<&'a str, &'a str>) -> bool {
    let Some((piece, pieces)) = pieces.split_first() else {
        return text.is_empty();
    };
    let lengths: Vec<usize> = match piece {
        Piece::Literal(char) => text
            .starts_with(*char)
            .then_some(char.len_utf8())
            .into_iter()
            .collect(),
        Piece::Digits { count, .. } => {
            let digits = text
                .bytes()
                .take(*count)
                .take_while(u8::is_ascii_digit)
                .count();
            (digits == *count).then_some(digits).into_iter().collect()
        }
        Piece::OneOf { range, .. } => {
            let first = text.chars().next().filter(|char| range.contains(char));
            first.map(char::len_utf8).into_iter().collect()
        }
        Piece::Word { .. } => word_lengths(text),
    };
    lengths.into_iter().any(|length| {
        let (taken, rest) = text.split_at(length);
        let fits = fits(pieces, rest, groups);
        if let (true, Some(name)) = (fits, piece.name()) {
            groups.insert(name, taken);
        }
        fits
    })
}

/// How long a word at the start may be, the longest first.
fn word_lengths(text: &str) -> Vec<usize> {
    let mut lengths: Vec<usize> = text
        .char_indices()
        .take_while(|(_, char)| char.is_alphanumeric() || *char == '_')
        .map(|(at, char)| at + char.len_utf8())
        .collect();
    lengths.reverse();
    lengths
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
        && chars.all(|char| char.is_alphanumeric() || char == '_')
}
