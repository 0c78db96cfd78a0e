//! Instants as the API writes and reads them.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

/// An instant in an answer: UTC with `Z`, microseconds only when there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiTime(pub Timestamp);

impl Serialize for ApiTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for ApiTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_civil(f, self.0)?;
        f.write_str("Z")
    }
}

/// Shorthand for the many optional instants of an answer.
#[must_use]
pub fn api_time(instant: Option<Timestamp>) -> Option<ApiTime> {
    instant.map(ApiTime)
}

/// Python's `isoformat()` of an instant in UTC, as run ids and the health answer have it.
#[derive(Clone, Copy, Debug)]
pub struct PythonIso(pub Timestamp);

impl std::fmt::Display for PythonIso {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_civil(f, self.0)?;
        f.write_str("+00:00")
    }
}

fn write_civil(f: &mut std::fmt::Formatter<'_>, instant: Timestamp) -> std::fmt::Result {
    let civil = TimeZone::UTC.to_datetime(instant);
    write!(
        f,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        civil.year(),
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second()
    )?;
    let micros = civil.subsec_nanosecond() / 1_000;
    if micros == 0 {
        return Ok(());
    }
    write!(f, ".{micros:06}")
}

/// An instant and the clock on the wall where it was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub instant: Timestamp,
    pub wall_clock: DateTime,
}

impl Moment {
    fn at_offset(instant: Timestamp, offset_secs: i64) -> Option<Self> {
        let shifted = instant.checked_add(SignedDuration::from_secs(offset_secs));
        Some(Self {
            instant,
            wall_clock: TimeZone::UTC.to_datetime(shifted.ok()?),
        })
    }
}

/// Reads an instant: ISO 8601 with or without offset (UTC then), a date, or seconds since 1970.
///
/// The error finishes the sentence "Input should be a valid datetime or date, …".
///
/// # Errors
/// When the text is none of these.
pub fn parse_time(text: &str) -> Result<Timestamp, &'static str> {
    parse_moment(text).map(|moment| moment.instant)
}

/// Reads what [`parse_time`] reads.
///
/// # Errors
/// As [`parse_time`].
pub fn parse_moment(text: &str) -> Result<Moment, &'static str> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        let instant = time_of_epoch(seconds);
        return instant
            .and_then(|instant| Moment::at_offset(instant, 0))
            .ok_or("dates after 9999 are not supported as unix timestamps");
    }
    if let Some(moment) = parse_date_time(text) {
        return Ok(moment);
    }
    let date = parse_date(text)?;
    let instant = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0));
    instant
        .ok()
        .and_then(|instant| Moment::at_offset(instant, 0))
        .ok_or("year value is outside expected range")
}

/// Seconds since 1970; numbers too big for seconds are milliseconds.
#[must_use]
pub fn time_of_epoch(number: f64) -> Option<Timestamp> {
    /// Numbers beyond this are read as milliseconds.
    const SECONDS_MAX: f64 = 2e10;
    let seconds = if number.abs() > SECONDS_MAX {
        number / 1_000.0
    } else {
        number
    };
    let since = SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(since).ok()
}

/// The offset of an instant as written, in seconds east of UTC; 0 when there is none.
#[must_use]
pub fn offset_of(text: &str) -> i32 {
    let clock = text.trim().get(10..).unwrap_or_default();
    let zone = clock.find(['+', '-']).map_or("", |at| &clock[at..]);
    offset_secs(zone)
        .and_then(|secs| i32::try_from(secs).ok())
        .unwrap_or(0)
}

/// Whether an instant was written with an offset; seconds since 1970 count as in UTC.
#[must_use]
pub fn has_offset(text: &str) -> bool {
    let text = text.trim();
    let clock = text.get(10..).unwrap_or_default();
    text.parse::<f64>().is_ok() || clock.contains(['Z', 'z', '+', '-'])
}

/// Python's `isoformat()` of an instant at an offset, microseconds only when there are any.
#[must_use]
pub fn iso_at_offset(instant: Timestamp, offset_secs: i32) -> String {
    let local = instant
        .checked_add(SignedDuration::from_secs(offset_secs.into()))
        .unwrap_or(instant);
    let utc = PythonIso(local).to_string();
    let civil = utc.trim_end_matches("+00:00");
    let sign = if offset_secs < 0 { '-' } else { '+' };
    let minutes = offset_secs.unsigned_abs() / 60;
    format!("{civil}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

fn parse_date_time(text: &str) -> Option<Moment> {
    let (date, rest) = text.split_at_checked(10)?;
    let date = parse_date(date).ok()?;
    let rest = rest.strip_prefix(['T', 't', ' ', '_'])?;
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let offset_secs = offset_secs(zone.trim())?;
    let civil: DateTime = format!("{date}T{}", clock.trim()).parse().ok()?;
    let instant = TimeZone::UTC.to_timestamp(civil).ok()?;
    let shifted = instant
        .checked_sub(SignedDuration::from_secs(offset_secs))
        .ok()?;
    let instant = Timestamp::from_microsecond(shifted.as_microsecond()).ok()?;
    Moment::at_offset(instant, offset_secs)
}

fn offset_secs(zone: &str) -> Option<i64> {
    if zone.is_empty() || zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits: String = zone.chars().skip(1).filter(|c| *c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = digits.split_at(2);
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn parse_date(text: &str) -> Result<Date, &'static str> {
    let bytes = text.as_bytes();
    if bytes.len() < 10 {
        return Err("input is too short");
    }
    let year = digits(&bytes[0..4]).ok_or("invalid character in year")?;
    if bytes[4] != b'-' {
        return Err("invalid date separator, expected `-`");
    }
    let month = digits(&bytes[5..7]).ok_or("invalid character in month")?;
    if bytes[7] != b'-' {
        return Err("invalid date separator, expected `-`");
    }
    let day = digits(&bytes[8..10]).ok_or("invalid character in day")?;
    if !(1..=12).contains(&month) {
        return Err("month value is outside expected range of 1-12");
    }
    if bytes.len() > 10 {
        return Err("unexpected extra characters at the end of the input");
    }
    let small = |number: i16| i8::try_from(number).unwrap_or(i8::MAX);
    Date::new(year, small(month), small(day)).map_err(|_| "day value is outside expected range")
}

fn digits(bytes: &[u8]) -> Option<i16> {
    let text = std::str::from_utf8(bytes).ok()?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{ApiTime, parse_time};

    #[test]
    fn microseconds_are_printed_only_when_there_are_any() {
        for (read, written) in [
            ("2026-03-01T06:00:00Z", "2026-03-01T06:00:00Z"),
            ("2026-03-01T06:00:00.5Z", "2026-03-01T06:00:00.500000Z"),
            (
                "2026-03-01 06:00:00.000001+02:00",
                "2026-03-01T04:00:00.000001Z",
            ),
            ("2026-03-01T06:00-0330", "2026-03-01T09:30:00Z"),
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("2026-03-01T06:00:00", "2026-03-01T06:00:00Z"),
            ("1772344800", "2026-03-01T06:00:00Z"),
            ("1772344800000", "2026-03-01T06:00:00Z"),
        ] {
            let instant = parse_time(read).expect(read);
            assert_eq!(ApiTime(instant).to_string(), written, "{read}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused_with_the_reason() {
        for (read, reason) in [
            ("yesterday", "input is too short"),
            ("yesterdays!", "invalid character in year"),
            ("2026/03/01", "invalid date separator, expected `-`"),
            (
                "2026-13-01",
                "month value is outside expected range of 1-12",
            ),
            ("2026-02-30", "day value is outside expected range"),
            (
                "2026-02-20T99:00:00Z",
                "unexpected extra characters at the end of the input",
            ),
        ] {
            assert_eq!(parse_time(read), Err(reason), "{read}");
        }
    }
}
