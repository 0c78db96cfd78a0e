//! Reads single JSON values the way pydantic's lax mode does.
//!
//! Each function takes a value and gives it typed, or says what is wrong. Places are relative:
//! whoever holds the field name adds it.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::Offset;
use serde_json::{Map, Value, json};

use crate::issue::{Checked, Issue, alternatives, under};
use crate::time::{Moment, has_offset, parse_moment, parse_time, time_of_epoch};

/// Any text.
///
/// # Errors
/// When the value is no text.
pub fn text(value: &Value) -> Checked<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        _ => refuse("string_type", "Input should be a valid string", value),
    }
}

/// Text of at most `max` characters.
pub fn text_up_to(max: usize) -> impl Fn(&Value) -> Checked<String> {
    move |value| {
        let text = text(value)?;
        if text.chars().count() > max {
            let msg = format!("String should have at most {max} characters");
            return Err(vec![
                Issue::new("string_too_long", msg, value).with(json!({"max_length": max})),
            ]);
        }
        Ok(text)
    }
}

/// A truth value, also in words.
///
/// # Errors
/// When the value is neither a truth value nor one of the accepted words.
pub fn boolean(value: &Value) -> Checked<bool> {
    let unclear = || {
        refuse(
            "bool_parsing",
            "Input should be a valid boolean, unable to interpret input",
            value,
        )
    };
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(word) => boolean_word(word).map_or_else(unclear, Ok),
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => Ok(false),
            Some(1.0) => Ok(true),
            _ => unclear(),
        },
        _ => refuse("bool_type", "Input should be a valid boolean", value),
    }
}

/// The words that stand for a truth value.
#[must_use]
pub fn boolean_word(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number, also as text.
///
/// # Errors
/// When the value is no whole number.
pub fn integer(value: &Value) -> Checked<i64> {
    match value {
        Value::Bool(flag) => Ok(i64::from(*flag)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Ok(whole),
            (None, Some(float)) if float.fract() == 0.0 && float.abs() < 9e18 =>
            {
                #[expect(clippy::cast_possible_truncation, reason = "checked to fit")]
                Ok(float as i64)
            }
            _ => refuse(
                "int_from_float",
                "Input should be a valid integer, got a number with a fractional part",
                value,
            ),
        },
        Value::String(text) => match text.trim().parse() {
            Ok(whole) => Ok(whole),
            Err(_) => refuse(
                "int_parsing",
                "Input should be a valid integer, unable to parse string as an integer",
                value,
            ),
        },
        _ => refuse("int_type", "Input should be a valid integer", value),
    }
}

/// A whole number of at least `min`.
pub fn integer_from(min: i64) -> impl Fn(&Value) -> Checked<i64> {
    move |value| {
        let number = integer(value)?;
        if number < min {
            let msg = format!("Input should be greater than or equal to {min}");
            return Err(vec![
                Issue::new("greater_than_equal", msg, value).with(json!({"ge": min})),
            ]);
        }
        Ok(number)
    }
}

/// A whole number for a column of 32 bits; one beyond them is the largest or smallest there is.
///
/// # Errors
/// When the value is no whole number.
pub fn small_integer(value: &Value) -> Checked<i32> {
    let number = integer(value)?;
    let clamped = number.clamp(i32::MIN.into(), i32::MAX.into());
    Ok(i32::try_from(clamped).unwrap_or_default())
}

/// A number that must be larger than `bound`.
pub fn number_above(bound: f64) -> impl Fn(&Value) -> Checked<f64> {
    move |value| {
        let number = number(value)?;
        if number > bound {
            return Ok(number);
        }
        let msg = format!("Input should be greater than {bound}");
        Err(vec![
            Issue::new("greater_than", msg, value).with(json!({"gt": bound})),
        ])
    }
}

/// A number, also as text.
///
/// # Errors
/// When the value is no number.
pub fn number(value: &Value) -> Checked<f64> {
    let parsed = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.trim().parse() {
            Ok(number) => Some(number),
            Err(_) => {
                return refuse(
                    "float_parsing",
                    "Input should be a valid number, unable to parse string as a number",
                    value,
                );
            }
        },
        _ => None,
    };
    parsed.map_or_else(
        || refuse("float_type", "Input should be a valid number", value),
        Ok,
    )
}

/// An instant as text or as seconds since 1970.
///
/// # Errors
/// When the value is no instant.
pub fn instant(value: &Value) -> Checked<Timestamp> {
    match value {
        Value::String(text) => parse_time(text).map_err(|reason| {
            let msg = format!("Input should be a valid datetime or date, {reason}");
            vec![
                Issue::new("datetime_from_date_parsing", msg, value).with(json!({"error": reason})),
            ]
        }),
        Value::Number(number) => number.as_f64().and_then(time_of_epoch).map_or_else(
            || refuse("datetime_type", "Input should be a valid datetime", value),
            Ok,
        ),
        _ => refuse("datetime_type", "Input should be a valid datetime", value),
    }
}

/// An instant with the wall clock it was written by.
///
/// # Errors
/// When the value is no instant.
pub fn moment(value: &Value) -> Checked<Moment> {
    let instant = instant(value)?;
    let utc = Moment {
        instant,
        wall_clock: Offset::UTC.to_datetime(instant),
    };
    Ok(match value {
        Value::String(text) => parse_moment(text).unwrap_or(utc),
        _ => utc,
    })
}

/// A day as text, also as an instant at its midnight.
///
/// # Errors
/// When the value is no text, or none of a day.
pub fn day(value: &Value) -> Checked<Date> {
    let text = text(value)?;
    let moment = parse_moment(&text).map_err(|reason| {
        let msg = format!("Input should be a valid date or datetime, {reason}");
        vec![Issue::new("date_from_datetime_parsing", msg, value).with(json!({"error": reason}))]
    })?;
    if moment.wall_clock.time() != Time::midnight() {
        let msg = "Datetimes provided to dates should have zero time - e.g. be exact dates";
        return refuse("date_from_datetime_inexact", msg, value);
    }
    Ok(moment.wall_clock.date())
}

/// An instant that says in which zone it is.
///
/// # Errors
/// When the value is no instant, or one without an offset.
pub fn aware_instant(value: &Value) -> Checked<Timestamp> {
    let instant = instant(value)?;
    match value {
        Value::String(text) if !has_offset(text) => {
            refuse("timezone_aware", "Input should have timezone info", value)
        }
        _ => Ok(instant),
    }
}

/// A JSON object.
///
/// # Errors
/// When the value is no object.
pub fn object(value: &Value) -> Checked<Map<String, Value>> {
    match value {
        Value::Object(object) => Ok(object.clone()),
        _ => refuse("dict_type", "Input should be a valid dictionary", value),
    }
}

/// A list whose items are read by `item`; all bad items are reported.
pub fn list_of<T>(item: impl Fn(&Value) -> Checked<T>) -> impl Fn(&Value) -> Checked<Vec<T>> {
    move |value| {
        let Value::Array(items) = value else {
            return refuse("list_type", "Input should be a valid list", value);
        };
        let (mut read, mut issues) = (Vec::with_capacity(items.len()), Vec::new());
        for (index, value) in items.iter().enumerate() {
            match under(item(value), index) {
                Ok(value) => read.push(value),
                Err(found) => issues.extend(found),
            }
        }
        if issues.is_empty() {
            Ok(read)
        } else {
            Err(issues)
        }
    }
}

/// One of a fixed set of names.
pub fn one_of<T: Copy>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl Fn(&Value) -> Checked<T> {
    move |value| {
        let found = all
            .iter()
            .copied()
            .find(|candidate| value.as_str() == Some(name(*candidate)));
        found.ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|each| name(*each)).collect();
            let expected = alternatives(&names);
            vec![
                Issue::new("enum", format!("Input should be {expected}"), value)
                    .with(json!({"expected": expected})),
            ]
        })
    }
}

/// A literal out of a few.
pub fn literal(all: &'static [&'static str]) -> impl Fn(&Value) -> Checked<&'static str> {
    move |value| {
        let found = all.iter().find(|each| value.as_str() == Some(**each));
        found.copied().ok_or_else(|| {
            let expected = alternatives(all);
            vec![
                Issue::new(
                    "literal_error",
                    format!("Input should be {expected}"),
                    value,
                )
                .with(json!({"expected": expected})),
            ]
        })
    }
}

/// Anything, `null` included.
///
/// # Errors
/// Never.
pub fn anything(value: &Value) -> Checked<Value> {
    Ok(value.clone())
}

/// `null` or what `inner` reads.
pub fn nullable<T>(inner: impl Fn(&Value) -> Checked<T>) -> impl Fn(&Value) -> Checked<Option<T>> {
    move |value| match value {
        Value::Null => Ok(None),
        value => inner(value).map(Some),
    }
}

fn refuse<T>(kind: &'static str, msg: &str, value: &Value) -> Checked<T> {
    Err(vec![Issue::new(kind, msg, value)])
}
