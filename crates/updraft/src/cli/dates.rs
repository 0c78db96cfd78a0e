//! Dates as people type them, and as lists show them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Reads a date or an instant; without an offset it is in `zone`, as `[core] default_timezone` says.
pub(super) fn parse(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    if let Ok(zoned) = text.parse::<Zoned>() {
        return Ok(zoned.timestamp());
    }
    let wall_clock: DateTime = text.parse().map_err(|_| {
        format!("expected a date such as 2024-01-31 or 2024-01-31T10:00:00+00:00, found `{text}`")
    })?;
    let zoned = zone
        .to_ambiguous_zoned(wall_clock)
        .compatible()
        .map_err(|error| format!("`{text}`: {error}"))?;
    Ok(zoned.timestamp())
}

/// Reads what [`parse`] reads, with what the clock shows there; a date alone is its midnight.
pub(super) fn wall_clock(text: &str, zone: &TimeZone) -> Result<(DateTime, Timestamp), String> {
    let instant = parse(text, zone)?;
    let in_utc = || TimeZone::UTC.to_datetime(instant);
    Ok((text.trim().parse().unwrap_or_else(|_| in_utc()), instant))
}

/// As Python's `isoformat`.
pub(super) fn iso(instant: Timestamp) -> String {
    updraft_timetable::isoformat(instant)
}

/// As Python's `isoformat`; nothing for what did not happen.
pub(super) fn iso_or_empty(instant: Option<Timestamp>) -> String {
    instant.map(iso).unwrap_or_default()
}

/// As Python's `str`: a space between date and time.
pub(super) fn spaced(instant: Timestamp) -> String {
    iso(instant).replacen('T', " ", 1)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::{parse, spaced, wall_clock};

    #[test]
    fn the_wall_clock_is_as_it_was_written() {
        let zurich = TimeZone::get("Europe/Zurich").unwrap();
        for (text, clock, instant) in [
            (
                "2024-07-01",
                "2024-07-01T00:00:00",
                "2024-06-30 22:00:00+00:00",
            ),
            (
                "2024-07-01T10:00:00Z",
                "2024-07-01T10:00:00",
                "2024-07-01 10:00:00+00:00",
            ),
            (
                "2024-07-01T10:00:00+05:00",
                "2024-07-01T10:00:00",
                "2024-07-01 05:00:00+00:00",
            ),
        ] {
            let (shown, at) = wall_clock(text, &zurich).unwrap();
            assert_eq!(
                (shown.to_string().as_str(), spaced(at).as_str()),
                (clock, instant)
            );
        }
    }

    #[test]
    fn a_date_without_an_offset_is_in_the_default_time_zone() {
        let zurich = TimeZone::get("Europe/Zurich").unwrap();
        let shown = |text: &str| spaced(parse(text, &zurich).unwrap());
        assert_eq!(shown("2024-07-01"), "2024-06-30 22:00:00+00:00");
        assert_eq!(shown("2024-07-01T10:00:00"), "2024-07-01 08:00:00+00:00");
        assert_eq!(shown("2024-07-01 10:00:00"), "2024-07-01 08:00:00+00:00");
        assert_eq!(shown("2024-07-01T10:00:00Z"), "2024-07-01 10:00:00+00:00");
        assert_eq!(
            shown("2024-07-01T10:00:00.5+02:00"),
            "2024-07-01 08:00:00.500000+00:00"
        );
        let error = parse("yesterday", &zurich).unwrap_err();
        assert!(error.contains("`yesterday`"), "{error}");
    }
}
