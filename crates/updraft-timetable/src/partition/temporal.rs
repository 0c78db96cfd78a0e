//! Keys that are dates: the start of the period that a date lies in.

use jiff::civil::{DateTime, Time};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

use super::MappingError;
use super::key_pattern::KeyPattern;
use crate::Error;
use crate::key_format::KeyFormat;
use crate::run_id::isoformat_at;
use crate::zone::Zone;

/// A `StartOf…Mapper`.
#[derive(Clone, Debug)]
pub(super) struct Temporal {
    period: Period,
    zone: Zone,
    input_format: KeyFormat,
    output_format: KeyFormat,
    /// How to read back what `strptime` cannot.
    pattern: Option<KeyPattern>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Period {
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// What a clock on the wall shows, and its place on the time line if the key said that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    pub(super) wall: DateTime,
    pub(super) offset: Option<Offset>,
}

/// Stands in an output format for the number of the quarter.
const QUARTER: &str = "quarter";

impl Moment {
    /// As Python prints it.
    pub(super) fn isoformat(self) -> String {
        let offset = self.offset.unwrap_or(Offset::UTC);
        let Ok(at) = offset.to_timestamp(self.wall) else {
            return self.wall.to_string();
        };
        let mut text = isoformat_at(at, offset);
        if self.offset.is_none() {
            text.truncate(text.len() - "+00:00".len());
        }
        text
    }

    /// The clock of `zone` at this moment; a time without an offset is one of the zone.
    fn in_zone(self, zone: &Zone) -> Result<DateTime, MappingError> {
        Ok(zone.wall_clock(self.instant(zone)?))
    }

    fn instant(self, zone: &Zone) -> Result<Timestamp, MappingError> {
        match self.offset {
            Some(offset) => offset.to_timestamp(self.wall).ok(),
            None => zone.instant(self.wall),
        }
        .ok_or_else(out_of_range)
    }
}

impl Period {
    /// The start of the period that `wall` lies in.
    fn start(self, wall: DateTime) -> Result<DateTime, MappingError> {
        let date = wall.date();
        let midnight = |date: jiff::civil::Date| date.to_datetime(Time::midnight());
        let first_of = |month: i8| {
            date.with()
                .month(month)
                .day(1)
                .build()
                .map_err(|_| out_of_range())
        };
        Ok(match self {
            Self::Hour => date.at(wall.hour(), 0, 0, 0),
            Self::Day => midnight(date),
            Self::Week => {
                let days = i64::from(date.weekday().to_monday_zero_offset());
                midnight(date.checked_sub(days.days()).map_err(|_| out_of_range())?)
            }
            Self::Month => midnight(first_of(date.month())?),
            Self::Quarter => midnight(first_of((quarter(wall) - 1) * 3 + 1)?),
            Self::Year => midnight(first_of(1)?),
        })
    }
}

impl Temporal {
    pub(super) fn new(
        period: Period,
        zone: Zone,
        input_format: &str,
        output_format: &str,
    ) -> Result<Self, Error> {
        let pattern = match period {
            Period::Week => Some(KeyPattern::new(output_format, &[])?),
            Period::Quarter => Some(KeyPattern::new(output_format, &[(QUARTER, '1'..='4')])?),
            Period::Hour | Period::Day | Period::Month | Period::Year => None,
        };
        Ok(Self {
            period,
            zone,
            input_format: KeyFormat::unchecked(input_format),
            output_format: KeyFormat::unchecked(output_format),
            pattern,
        })
    }

    pub(super) fn to_downstream(&self, key: &str) -> Result<String, MappingError> {
        let wall = read(&self.input_format, key)?.in_zone(&self.zone)?;
        self.format_in(self.period.start(wall)?, Some(&self.zone))
    }

    /// A member of a window, whose wall clock is of no zone.
    pub(super) fn format(&self, date: Moment) -> Result<String, MappingError> {
        let zone = date.offset.map(Zone::at_offset);
        self.format_in(date.wall, zone.as_ref())
    }

    fn format_in(&self, wall: DateTime, zone: Option<&Zone>) -> Result<String, MappingError> {
        let text = self
            .output_format
            .format_wall_clock(wall, zone)
            .map_err(|error| MappingError::Value(error.to_string()))?;
        match self.period {
            Period::Quarter => fill_in_quarter(&text, quarter(wall)),
            _ => Ok(text),
        }
    }

    pub(super) fn decode(&self, downstream_key: &str) -> Result<Moment, MappingError> {
        let Some(pattern) = &self.pattern else {
            return read(&self.output_format, downstream_key);
        };
        let groups = pattern.read(downstream_key);
        let number = |name: &str| groups.as_ref()?.get(name)?.parse::<i16>().ok();
        let small = |name: &str| i8::try_from(number(name)?).ok();
        let date = if self.period == Period::Quarter {
            number("Y")
                .zip(small(QUARTER))
                .map(|(year, quarter)| (year, quarter * 3 - 2, 1))
        } else {
            let (month, day) = (small("m"), small("d"));
            number("Y")
                .zip(month.zip(day))
                .map(|(year, (month, day))| (year, month, day))
        };
        let Some((year, month, day)) = date else {
            return Err(MappingError::Value(self.cannot_read(downstream_key)));
        };
        let date = jiff::civil::Date::new(year, month, day)
            .map_err(|error| MappingError::Value(error.to_string()))?;
        Ok(Moment {
            wall: date.to_datetime(Time::midnight()),
            offset: None,
        })
    }

    fn cannot_read(&self, downstream_key: &str) -> String {
        let needed = match self.period {
            Period::Quarter => "`%Y` and `{quarter}`",
            _ => "`%Y`, `%m` and `%d`",
        };
        format!(
            "'{downstream_key}' was not written in the output format '{}', or that lacks one of \
             {needed}",
            self.output_format.text()
        )
    }

    /// The inverse of [`Self::decode`], for the keys of the events.
    pub(super) fn encode(&self, date: Moment) -> Result<String, MappingError> {
        let wall = date.in_zone(&self.zone)?;
        self.input_format
            .format_wall_clock(wall, Some(&self.zone))
            .map_err(|error| MappingError::Value(error.to_string()))
    }

    pub(super) fn to_partition_date(&self, key: &str) -> Result<Timestamp, MappingError> {
        let decoded = self.decode(key)?;
        let start = self.period.start(decoded.wall)?;
        Moment {
            wall: start,
            ..decoded
        }
        .instant(&self.zone)
    }
}

fn read(format: &KeyFormat, key: &str) -> Result<Moment, MappingError> {
    let (wall, offset) = format
        .read(key)
        .map_err(|mismatch| MappingError::Value(mismatch.in_words(key, format.text())))?;
    Ok(Moment { wall, offset })
}

fn quarter(wall: DateTime) -> i8 {
    (wall.month() - 1) / 3 + 1
}

/// Python's `str.format` with a single name.
fn fill_in_quarter(text: &str, quarter: i8) -> Result<String, MappingError> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            filled.push_str(&rest[..1]);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("{quarter}") {
            filled.push_str(&quarter.to_string());
            rest = after;
        } else {
            return Err(MappingError::Value(format!(
                "the output format may hold `{{quarter}}` and no other braces, found '{rest}'"
            )));
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn out_of_range() -> MappingError {
    MappingError::Value("the date is out of range".to_owned())
}
