//! Python's two kinds of time difference, as a Dag's serialized schedule holds them.

mod relative;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;

pub(crate) use relative::RelativeDelta;

use crate::Error;

const MICROS_PER_SEC: i64 = 1_000_000;
const SECS_PER_DAY: i64 = 86_400;

/// A `timedelta` (serialized as seconds) or a dateutil `relativedelta` (serialized as a map).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Delta {
    Fixed(SignedDuration),
    /// Boxed: it is ten times the size of the other.
    Relative(Box<RelativeDelta>),
}

impl Default for Delta {
    fn default() -> Self {
        Self::Fixed(SignedDuration::ZERO)
    }
}

impl Delta {
    /// `at` plus the difference. Months and weekdays are counted on the calendar of UTC.
    pub(crate) fn after(&self, at: Timestamp) -> Result<Timestamp, Error> {
        match self {
            Self::Fixed(duration) => at.checked_add(*duration).ok(),
            Self::Relative(delta) => delta.after(at),
        }
        .ok_or_else(|| self.out_of_range(at))
    }

    /// `at` minus the difference.
    pub(crate) fn before(&self, at: Timestamp) -> Result<Timestamp, Error> {
        match self {
            Self::Fixed(duration) => at.checked_sub(*duration).ok(),
            Self::Relative(delta) => delta.negated().after(at),
        }
        .ok_or_else(|| self.out_of_range(at))
    }

    /// The length, if it is the same at every date: months are not.
    pub(crate) fn fixed_length(&self) -> Option<SignedDuration> {
        match self {
            Self::Fixed(duration) => Some(*duration),
            Self::Relative(delta) => delta.fixed_length(),
        }
    }

    fn out_of_range(&self, at: Timestamp) -> Error {
        Error::OutOfRange {
            schedule: self.to_string(),
            at,
        }
    }
}

/// Reads a number of seconds as Python does: to the microsecond, half to even.
pub(crate) fn seconds(value: f64) -> Option<SignedDuration> {
    const SECS_MAX: f64 = 86_400.0 * 999_999_999.0;
    if value.is_nan() || value.abs() > SECS_MAX {
        return None;
    }
    Some(
        SignedDuration::from_secs_f64(value.trunc())
            + SignedDuration::from_micros(fraction_micros(value)),
    )
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a fraction of a second is less than a million microseconds"
)]
fn fraction_micros(seconds: f64) -> i64 {
    (seconds.fract() * 1e6).round_ties_even() as i64
}

/// Prints as Python's `str()` does: the UI shows it as the schedule.
impl fmt::Display for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(duration) => write_timedelta(*duration, f),
            Self::Relative(delta) => delta.fmt(f),
        }
    }
}

/// `-1 day, 23:00:00` is minus one hour: only the days carry a sign.
fn write_timedelta(duration: SignedDuration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let micros = duration.as_micros();
    let micros_per_day = i128::from(SECS_PER_DAY * MICROS_PER_SEC);
    let days = micros.div_euclid(micros_per_day);
    let rest = micros.rem_euclid(micros_per_day);
    if days != 0 {
        let plural = if days.abs() == 1 { "" } else { "s" };
        write!(f, "{days} day{plural}, ")?;
    }
    let (secs, micros) = (rest / 1_000_000, rest % 1_000_000);
    write!(f, "{}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)?;
    if micros != 0 {
        write!(f, ".{micros:06}")?;
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Delta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => number
                .as_f64()
                .and_then(seconds)
                .map(Self::Fixed)
                .ok_or_else(|| D::Error::custom(format!("`{number}` seconds are too many"))),
            Value::Object(fields) => RelativeDelta::deserialize(Value::Object(fields))
                .map(|delta| Self::Relative(Box::new(delta)))
                .map_err(D::Error::custom),
            other => Err(D::Error::custom(format!(
                "expected seconds or a relativedelta map, found `{other}`"
            ))),
        }
    }
}
