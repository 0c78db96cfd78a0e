//! The formats that are checked: those that an installation of Airflow checks.

use jiff::civil::Date;

use crate::python_regex::PythonRegex;

/// Whether a text has a format; a format that nobody checks fits any text.
pub(super) fn has_format(name: &str, text: &str) -> bool {
    match name {
        "date" => is_date(text),
        "time" => is_time(text),
        "duration" => is_duration(text),
        "email" | "idn-email" => text.contains('@'),
        "idn-hostname" => is_host_name(text),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "uuid" => is_uuid(text),
        "regex" => PythonRegex::new(text).is_ok(),
        _ => true,
    }
}

fn is_date(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range)
            .is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    text.len() == 10
        && digits(0..4)
        && digits(5..7)
        && digits(8..10)
        && text.parse::<Date>().is_ok()
}

/// `strptime` with `%H:%M:%S`: one or two digits each, and a leap second or two.
fn is_time(text: &str) -> bool {
    let mut parts = text.split(':');
    let mut part = |most: u8| {
        parts.next().is_some_and(|part| {
            matches!(part.len(), 1 | 2)
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && part.parse::<u8>().is_ok_and(|number| number <= most)
        })
    };
    let fits = part(23) && part(59) && part(61);
    fits && parts.next().is_none()
}

/// ISO 8601: `P1DT2H`, weeks alone, an optional sign in front and before each number.
fn is_duration(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let Some(rest) = unsigned.strip_prefix('P') else {
        return false;
    };
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (rest, None),
    };
    let has_time = time.is_none_or(|time| !time.is_empty() && are_units(time, "HMS"));
    if date.is_empty() {
        return time.is_some() && has_time;
    }
    let has_date = are_units(date, "YMD") || time.is_none() && are_units(date, "W");
    has_date && has_time
}

/// Numbers, each followed by one of the units, which come in this order and once each.
fn are_units(text: &str, units: &str) -> bool {
    let mut units = units.chars();
    let mut number = String::new();
    for character in text.chars() {
        if character.is_ascii_digit() || matches!(character, '.' | ',' | '+' | '-') {
            number.push(character);
            continue;
        }
        let digits = number
            .strip_prefix(['+', '-'])
            .unwrap_or(&number)
            .replace(',', ".");
        if digits.parse::<f64>().is_err() || !units.by_ref().any(|unit| unit == character) {
            return false;
        }
        number.clear();
    }
    number.is_empty()
}

/// A name of at most 253 characters in labels of at most 63 letters, digits and hyphens, which are
/// not at the edges; letters of any script.
fn is_host_name(text: &str) -> bool {
    const NAME_CHARS_MAX: usize = 253;
    const LABEL_CHARS_MAX: usize = 63;
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().count() <= LABEL_CHARS_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|character| character == '-' || character.is_alphanumeric())
    };
    text.chars().count() <= NAME_CHARS_MAX && text.split(['.', '。', '．', '｡']).all(is_label)
}

/// With or without braces and a prefix, as Python reads it, but with hyphens in their places.
fn is_uuid(text: &str) -> bool {
    let hyphens = [8, 13, 18, 23];
    let digits: String = text
        .replace("urn:", "")
        .replace("uuid:", "")
        .trim_matches(['{', '}'])
        .replace('-', "");
    digits.len() == 32
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && hyphens
            .iter()
            .all(|place| text.chars().nth(*place) == Some('-'))
}
