//! Partition keys: a date written with Python's `strftime` and read back with `strptime`.

mod parse;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::{BrokenDownTime, Config};

use crate::Error;
use crate::zone::Zone;

/// A checked `key_format`.
#[derive(Clone, Debug)]
pub(crate) struct KeyFormat {
    /// As written.
    text: String,
    /// With directives whose meaning depends on the locale spelt out as the C locale has them.
    spelt_out: String,
    /// Whether a directive that nobody knows stands for itself, as in the C library.
    is_lenient: bool,
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
    /// A format that must be understood in full.
    pub(crate) fn new(text: &str) -> Result<Self, Error> {
        let format = Self {
            is_lenient: false,
            ..Self::unchecked(text)
        };
        format.format(Timestamp::UNIX_EPOCH, &Zone::utc())?;
        Ok(format)
    }

    /// A format whose mistakes show when it is used.
    pub(crate) fn unchecked(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            spelt_out: spell_out(text),
            is_lenient: true,
        }
    }

    /// As written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The key of a date: what the clock of the zone shows, in this format.
    pub(crate) fn format(&self, date: Timestamp, zone: &Zone) -> Result<String, Error> {
        self.write(&self.spelt_out, &BrokenDownTime::from(&zone.zoned(date)))
    }

    /// The key of a time that a clock of `zone` shows or, in a gap, would show. Without a zone
    /// there is no offset to write.
    pub(crate) fn format_wall_clock(
        &self,
        wall: DateTime,
        zone: Option<&Zone>,
    ) -> Result<String, Error> {
        let Some(zone) = zone else {
            return self.write(
                &without_offsets(&self.spelt_out),
                &BrokenDownTime::from(wall),
            );
        };
        let at = zone
            .instant(wall)
            .ok_or_else(|| self.invalid("the date is out of range"))?;
        let mut written = BrokenDownTime::from(&zone.zoned(at));
        // In a gap the instant lies later than the clock.
        let hands = [
            written.set_hour(Some(wall.hour())),
            written.set_minute(Some(wall.minute())),
            written.set_day(Some(wall.day())),
            written.set_month(Some(wall.month())),
            written.set_year(Some(wall.year())),
        ];
        debug_assert!(hands.iter().all(Result::is_ok), "a date is in range");
        self.write(&self.spelt_out, &written)
    }

    fn write(&self, spelt_out: &str, date: &BrokenDownTime) -> Result<String, Error> {
        let config = Config::new().lenient(self.is_lenient);
        let key = date
            .to_string_with_config(&config, spelt_out)
            .map_err(|error| self.invalid(&error.to_string()))?;
        let micros = format!("{:06}", date.subsec_nanosecond().unwrap_or(0) / 1000);
        Ok(key.replace(MICROS_PLACEHOLDER, &micros))
    }

    fn invalid(&self, reason: &str) -> Error {
        Error::InvalidKeyFormat {
            key_format: self.text.clone(),
            reason: reason.to_owned(),
        }
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

/// The format of a time of which no offset is known: Python writes nothing for it.
fn without_offsets(spelt_out: &str) -> String {
    let mut kept = String::with_capacity(spelt_out.len());
    let mut rest = spelt_out;
    while let Some(at) = rest.find('%') {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = ["%z", "%Z", "%:z"]
            .iter()
            .find_map(|directive| rest.strip_prefix(directive))
        {
            rest = after;
            continue;
        }
        let width = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
        kept.push_str(&rest[..width]);
        rest = &rest[width..];
    }
    kept.push_str(rest);
    kept
}
