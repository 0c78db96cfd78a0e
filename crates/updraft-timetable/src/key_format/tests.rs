//! Keys as Python's `strftime` writes and `strptime` reads them.

use jiff::Timestamp;

use super::KeyFormat;
use crate::Error;
use crate::zone::Zone;

const MOMENT: &str = "2026-01-05T03:04:05.000678Z";

fn written(format: &str, zone: &str) -> String {
    let at: Timestamp = MOMENT.parse().unwrap();
    let format = KeyFormat::new(format).unwrap();
    format.format(at, &Zone::named(zone).unwrap()).unwrap()
}

fn read(format: &str, key: &str) -> Result<String, Error> {
    let date = KeyFormat::new(format).unwrap().parse(key)?;
    Ok(date.to_string())
}

#[test]
fn directives_are_written_as_in_the_c_locale() {
    for (format, key) in [
        ("%Y-%m-%dT%H:%M:%S", "2026-01-05T03:04:05"),
        (
            "%y%j %a %A %b %B %p %I",
            "26005 Mon Monday Jan January AM 03",
        ),
        ("%f", "000678"),
        ("%c|%x|%X", "Mon Jan  5 03:04:05 2026|01/05/26|03:04:05"),
        ("%G-W%V-%u %U %W %w", "2026-W02-1 01 01 1"),
        ("100%% %z", "100% +0000"),
    ] {
        assert_eq!(written(format, "UTC"), key, "{format}");
    }
    assert_eq!(written("%H:%M %Z%z", "America/New_York"), "22:04 EST-0500");
}

#[test]
fn keys_are_read_back() {
    for (format, key, date) in [
        ("%Y-%m-%d", "2026-06-12", "2026-06-12T00:00:00"),
        ("%Y-%m-%d", "2026-6-2", "2026-06-02T00:00:00"),
        ("%Y%m%d%H", "2026061209", "2026-06-12T09:00:00"),
        ("%H:%M", "9:5", "1900-01-01T09:05:00"),
        ("%y", "69", "1969-01-01T00:00:00"),
        ("%y", "68", "2068-01-01T00:00:00"),
        ("%d %b %Y %I %p", "01 jAn 2026 12 am", "2026-01-01T00:00:00"),
        ("%B %d %Y %I%p", "June 1 2026 12PM", "2026-06-01T12:00:00"),
        ("%S.%f", "07.25", "1900-01-01T00:00:07.25"),
        ("%Y-%j", "2026-032", "2026-02-01T00:00:00"),
        ("%G-W%V-%u", "2026-W01-1", "2025-12-29T00:00:00"),
        ("%Y %W %w", "2026 01 1", "2026-01-05T00:00:00"),
        ("%Y %U %a", "2026 01 Sun", "2026-01-04T00:00:00"),
        ("%Y %U", "2026 30", "2026-01-01T00:00:00"),
        ("%Y  %m", "2026 \t 03", "2026-03-01T00:00:00"),
        ("%x", "06/12/26", "2026-06-12T00:00:00"),
        ("day %% %d", "DAY % 3", "1900-01-03T00:00:00"),
    ] {
        assert_eq!(read(format, key).unwrap(), date, "{format}");
    }
}

#[test]
fn a_key_of_another_shape_is_refused_with_the_place() {
    for (format, key, reason) in [
        ("%Y-%m-%d", "garbage", "expected 4 digits, found `garbage`"),
        ("%Y-%m-%d", "2026-06-12T00", "`T00` is left over"),
        ("%Y-%m-%d", "2026/06/12", "expected `-`, found `/06/12`"),
        ("%m", "13", "`3` is left over"),
        ("%m", "0", "expected a number from 1 to 12, found `0`"),
        (
            "%b",
            "Foo",
            "expected a name such as `january`, found `foo`",
        ),
        ("%G %V", "2026 01", "`%G`, `%V` and a weekday go together"),
        ("%H%z", "03+0000", "an offset from UTC has no place here"),
        ("%Y %m", "202603", "expected a space, found `03`"),
        ("%f", "x", "expected digits, found `x`"),
    ] {
        let error = read(format, key).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "Partition key '{key}' does not match the timetable's key_format '{format}': \
                 {reason}"
            )
        );
    }
    for (format, key) in [
        ("%Y-%m-%d", "2026-02-30"),
        ("%S", "60"),
        ("%G %V %u", "2026 53 8"),
    ] {
        assert!(read(format, key).is_err(), "{key}");
    }
}

#[test]
fn a_directive_that_python_does_not_know_is_refused() {
    let error = KeyFormat::new("%Y-%!").unwrap_err().to_string();
    assert!(error.starts_with("key format `%Y-%!`: "), "{error}");
}
