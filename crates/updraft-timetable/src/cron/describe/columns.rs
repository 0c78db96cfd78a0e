//! The fields of an expression in the forms that there are phrases for.

use super::{DAYS, MONTHS, SPECIAL};

/// The five fields, reduced to the forms that there are phrases for.
pub(super) struct Columns {
    pub(super) minute: String,
    pub(super) hour: String,
    pub(super) day: String,
    pub(super) month: String,
    pub(super) weekday: String,
}

impl Columns {
    pub(super) fn read(minute: &str, hour: &str, day: &str, month: &str, weekday: &str) -> Self {
        let minute = from_first(minute, "0/");
        let mut hour = from_first(hour, "0/");
        let day = from_first(&day.replace('?', "*"), "1/");
        let month = from_first(month, "1/");
        let weekday = from_first(&weekday.replace('?', "*"), "1/");
        if !hour.contains(SPECIAL) && minute.contains(['*', '/']) {
            hour = format!("{hour}-{hour}");
        }
        Self {
            minute: all_if_each(minute),
            hour: all_if_each(hour),
            day: all_if_each(day),
            month: bounded(all_if_each(number_names(&month, 1, &MONTHS)), "12"),
            weekday: bounded(
                all_if_each(number_names(&sunday_is_zero(&weekday), 0, &DAYS)),
                "6",
            ),
        }
    }
}

/// `0/15` is `*/15`.
fn from_first(field: &str, first: &str) -> String {
    if field.starts_with(first) {
        field.replace(first, "*/")
    } else {
        field.to_owned()
    }
}

fn all_if_each(field: String) -> String {
    if field == "*/1" {
        "*".to_owned()
    } else {
        field
    }
}

/// `3/2` becomes `3-12/2`, for which there is a phrase.
fn bounded(field: String, last: &str) -> String {
    match field.split_once('/') {
        Some((first, step)) if !field.contains(['*', '-', ',']) => {
            format!("{first}-{last}/{step}")
        }
        _ => field,
    }
}

fn number_names(field: &str, first: usize, names: &[(&str, &str)]) -> String {
    let mut field = field.to_uppercase();
    for (number, (short, _)) in (first..).zip(names) {
        field = field.replace(short, &number.to_string());
    }
    field
}

/// Turns a 7 that stands for a day, not for a step or for which of the month, into 0.
fn sunday_is_zero(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut before = None;
    for char in field.chars() {
        let is_day = match before {
            None => true,
            Some(before) => !matches!(before, '#' | '/' | '0'..='9'),
        };
        text.push(if char == '7' && is_day { '0' } else { char });
        before = Some(char);
    }
    text
}
