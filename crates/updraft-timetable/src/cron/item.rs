//! One comma-separated item of a cron field.

use super::parse::Field;

/// A run of values: `9-17`, `*/5`, `10/15`, `fri-mon/2`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) low: String,
    pub(super) high: String,
    pub(super) step: u64,
    /// Written `start/step`: the end of the field was filled in, not meant as a bound.
    pub(super) open_ended: bool,
}

impl Range {
    /// Splits an item that is a range or has a step; `None` when it is neither.
    pub(super) fn split(item: &str, field: &Field) -> Option<Self> {
        if let Some(step) = item.strip_prefix("*/") {
            let full = format!("{}-{}/{step}", field.min, field.max);
            return split_bounds(&full, false);
        }
        split_bounds(item, false).or_else(|| {
            let (start, step) = item.rsplit_once('/')?;
            split_bounds(&format!("{start}-{}/{step}", field.max), true)
        })
    }

    /// Counts from `low` to `high`; a range that ends before it starts runs over the end.
    pub(super) fn values(&self, low: u64, high: u64, field: &Field) -> Vec<u64> {
        let step = usize::try_from(self.step).unwrap_or(usize::MAX);
        let (low, high) = match (low == high, self.open_ended) {
            // `59/15` is minute 59 and nothing else, …
            (true, true) => return vec![low],
            // … but `jan-jan` is the whole year.
            (true, false) => (field.min, field.max),
            (false, _) => (low, high),
        };
        if low < high {
            return (low..=high).step_by(step).collect();
        }
        let mut values: Vec<u64> = (low..=field.max).step_by(step).collect();
        let skip = values
            .last()
            .map_or(0, |last| self.skip_after_wrap(*last, field));
        values.extend((field.min.saturating_add(skip)..=high).step_by(step));
        values
    }

    /// How many values the step still has to pass over at the start of the next cycle.
    ///
    /// croniter counts this only when the step leaves the field by more than one value; otherwise
    /// the second part of a wrapped range begins at the field's first value.
    fn skip_after_wrap(&self, last: u64, field: &Field) -> u64 {
        let field_len = field.max - field.min + 1;
        let already_skipped = field.max.saturating_sub(last);
        let position = last.saturating_sub(field.min);
        if position.saturating_add(self.step) > field_len && already_skipped < self.step {
            self.step - already_skipped
        } else {
            0
        }
    }
}

fn split_bounds(text: &str, open_ended: bool) -> Option<Range> {
    let (low, rest) = text.split_once('-')?;
    let (high, step) = rest.split_once('/').unwrap_or((rest, "1"));
    if low.is_empty() || high.is_empty() || high.contains('-') || !is_number(step) {
        return None;
    }
    Some(Range {
        low: low.to_owned(),
        high: high.to_owned(),
        step: number(step),
        open_ended,
    })
}

pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads digits; more than fit are as far out of every field's range as the largest number.
pub(super) fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or(u64::MAX)
}

/// Splits `fri#2`, `mon-wed#1` or `l5` into its day and which one of the month it is.
pub(super) fn split_nth_weekday(item: &str) -> Option<(&str, Nth<'_>)> {
    if let Some(day) = item.strip_prefix('l')
        && is_number(day)
    {
        return Some((day, Nth::Last));
    }
    let (day, nth) = item.rsplit_once('#')?;
    let is_word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let is_range_of_names = day.split_once('-').is_some_and(|(from, to)| {
        let is_name = |text: &str| text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic());
        is_name(from) && is_name(to)
    });
    (is_number(nth) && (is_word(day) || is_range_of_names)).then_some((day, Nth::Number(nth)))
}

/// Which of the month's Fridays, say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nth<'a> {
    /// Digits, not yet checked.
    Number(&'a str),
    Last,
}

/// Reads `15w` or `w15`: the weekday nearest to that day.
pub(super) fn split_nearest_weekday(item: &str) -> Option<&str> {
    let day = item.strip_suffix('w').or_else(|| item.strip_prefix('w'))?;
    is_number(day).then_some(day)
}
