//! Text to number, truth value and list, with the tolerance of Airflow's getters.

use std::time::Duration;

/// `conf.getboolean`: a few words in any case; a trailing `# comment` is cut off.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    let text = text.to_lowercase();
    let word = text.split('#').next().unwrap_or_default().trim();
    match word {
        "t" | "true" | "1" => Some(true),
        "f" | "false" | "0" => Some(false),
        _ => None,
    }
}

/// `conf.getint`: digits with Python's underscores, or a decimal number without a fraction.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let digits = without_underscores(text.trim())?;
    if let Ok(number) = digits.parse() {
        return Some(number);
    }
    /// Up to here every whole decimal number is exact.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let number = float(text).filter(|it| it.fract() == 0.0 && it.abs() <= EXACT_MAX)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole, and within the exact range"
    )]
    Some(number as i64)
}

/// `conf.getfloat`.
pub(crate) fn float(text: &str) -> Option<f64> {
    without_underscores(text.trim())?.parse().ok()
}

/// A duration; negative and endless ones are refused.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(float(text)?).ok()
}

/// `conf.getlist`: commas separate, white space around an item is dropped.
pub(crate) fn list(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| item.trim().to_owned()).collect()
}

/// Python's `0o664`; a bare number is octal, too, as in `int(text, 8)`.
pub(crate) fn octal(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = text
        .strip_prefix("0o")
        .or_else(|| text.strip_prefix("0O"))
        .unwrap_or(text);
    u32::from_str_radix(digits, 8).ok()
}

/// Python allows one underscore between two digits.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let misplaced = bytes.iter().enumerate().any(|(at, byte)| {
        let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        *byte == b'_' && !(at > 0 && is_digit(at - 1) && is_digit(at + 1))
    });
    (!misplaced).then(|| text.replace('_', ""))
}

#[cfg(test)]
mod tests;
