//! Partition keys: a date written with Python's `strftime` and read back with `strptime`.

mod parse;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::fmt::strtime;

use crate::Error;
use crate::zone::Zone;

/// A checked `key_format`.
#[derive(Clone, Debug)]
pub(crate) struct KeyFormat {
    /// As written.
    text: String,
    /// With directives whose meaning depends on the locale spelt out as the C locale has them.
    spelt_out: String,
}

/// What Python leaves to the C library, in the C locale.
const LOCALE_DIRECTIVES: &[(char, &str)] = &[
    ('c', "%a %b %e %H:%M:%S %Y"),
    ('x', "%m/%d/%y"),
    ('X', "%H:%M:%S"),
    ('r', "%I:%M:%S %p"),
];
/// Stands for `%f` until the microseconds are known: other writers print fractions differently.
const MICROS_PLACEHOLDER: char = '\u{0}';

impl KeyFormat {
    pub(crate) fn new(text: &str) -> Result<Self, Error> {
        let format = Self {
            text: text.to_owned(),
            spelt_out: spell_out(text),
        };
        format.format(Timestamp::UNIX_EPOCH, &Zone::utc())?;
        Ok(format)
    }

    /// The key of a date: what the clock of the zone shows, in this format.
    pub(crate) fn format(&self, date: Timestamp, zone: &Zone) -> Result<String, Error> {
        let zoned = zone.zoned(date);
        let key =
            strtime::format(&self.spelt_out, &zoned).map_err(|error| Error::InvalidKeyFormat {
                key_format: self.text.clone(),
                reason: error.to_string(),
            })?;
        let micros = format!("{:06}", zoned.subsec_nanosecond() / 1000);
        Ok(key.replace(MICROS_PLACEHOLDER, &micros))
    }

    /// Why a key is not in this format.
    pub(crate) fn mismatch(&self, key: &str, reason: impl Into<String>) -> Error {
        Error::InvalidPartitionKey {
            key: key.to_owned(),
            key_format: self.text.clone(),
            reason: reason.into(),
        }
    }
}

fn spell_out(text: &str) -> String {
    let mut spelt_out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            spelt_out.push(char);
            continue;
        }
        let directive = chars.next();
        let locale = LOCALE_DIRECTIVES
            .iter()
            .find(|(name, _)| Some(*name) == directive);
        match (directive, locale) {
            (_, Some((_, meaning))) => spelt_out.push_str(meaning),
            (Some('f'), None) => spelt_out.push(MICROS_PLACEHOLDER),
            (directive, None) => {
                spelt_out.push('%');
                spelt_out.extend(directive);
            }
        }
    }
    spelt_out
}
