//! Cron expressions in croniter's dialect, stepped over wall-clock times.
//!
//! Nothing here knows of time zones: [`crate::ticks`] puts wall-clock times on the time line.
//! [`parse`] reads the text, [`search`] walks the calendar, [`describe`] says it in English.

mod days;
mod describe;
mod item;
mod parse;
mod search;

#[cfg(test)]
mod tests;

use days::DayFields;

/// How far the search for a date goes before the expression counts as impossible.
///
/// croniter's number; it is longer than the longest real wait (29 February on a given weekday
/// across a century without a leap day: 40 years).
pub(crate) const SEARCH_YEARS_MAX: i16 = 50;

/// A parsed expression.
#[derive(Clone, Debug)]
pub(crate) struct Cron {
    expression: String,
    /// Bit n stands for second n; only bit 0 in expressions of five fields.
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: DayFields,
    /// Bit n stands for month n, counted from 1.
    months: u64,
    /// Ascending; `None` when every year will do.
    years: Option<Vec<i16>>,
    field_count: usize,
    hour_is_star: bool,
}

impl Cron {
    /// The expression as written.
    pub(crate) fn expression(&self) -> &str {
        &self.expression
    }

    /// Whether the hour field places no limit at all.
    ///
    /// Quirk Q2: such schedules keep an absolute rhythm through a change of the clock; all others
    /// follow the wall clock. croniter turns `*/1` and `0-23` into `*`, so they count too.
    pub(crate) const fn runs_every_hour(&self) -> bool {
        self.hour_is_star
    }
}
