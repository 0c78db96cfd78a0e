//! The nearest matching wall-clock time after or before another.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time};

use super::days::DayRule;
use super::{Cron, SEARCH_YEARS_MAX};
use crate::Error;

/// A search in one direction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Towards {
    Later,
    Earlier,
}

impl Cron {
    /// The first match strictly after `from`.
    pub(crate) fn next_after(&self, from: DateTime) -> Result<DateTime, Error> {
        let floor = self.floor_to_unit(from);
        let start = floor.checked_add(self.unit());
        self.nearest(start.ok(), Towards::Later)
    }

    /// The last match strictly before `from`.
    pub(crate) fn prev_before(&self, from: DateTime) -> Result<DateTime, Error> {
        let floor = self.floor_to_unit(from);
        let start = if floor < from {
            Some(floor)
        } else {
            floor.checked_sub(self.unit()).ok()
        };
        self.nearest(start, Towards::Earlier)
    }

    /// The smallest distance of two matches: a second if the expression has a field for them.
    fn unit(&self) -> jiff::Span {
        if self.field_count > 5 {
            1.second()
        } else {
            1.minute()
        }
    }

    fn floor_to_unit(&self, at: DateTime) -> DateTime {
        let second = if self.field_count > 5 { at.second() } else { 0 };
        at.date().at(at.hour(), at.minute(), second, 0)
    }

    /// The match nearest to `start`, which itself counts.
    fn nearest(&self, start: Option<DateTime>, towards: Towards) -> Result<DateTime, Error> {
        let found = start.and_then(|start| self.search(start, towards));
        found.ok_or_else(|| Error::NoMatchingDate {
            expression: self.expression.clone(),
            years: SEARCH_YEARS_MAX,
        })
    }

    fn search(&self, start: DateTime, towards: Towards) -> Option<DateTime> {
        if !self.days.are_both_restricted() {
            return self.search_by(DayRule::Both, start, towards);
        }
        if self.days.can_be_joined() {
            return self.search_by(DayRule::Either, start, towards);
        }
        // croniter looks for each side of the "or" on its own and gives up when one side never
        // comes, `#` and `W` holding for both.
        let by_month_day = self.search_by(DayRule::IgnoreWeekday, start, towards)?;
        let by_weekday = self.search_by(DayRule::IgnoreMonthDay, start, towards)?;
        Some(match towards {
            Towards::Later => by_month_day.min(by_weekday),
            Towards::Earlier => by_month_day.max(by_weekday),
        })
    }

    fn search_by(&self, rule: DayRule, start: DateTime, towards: Towards) -> Option<DateTime> {
        let first = start.date().first_of_month();
        let day = start.day().unsigned_abs();
        if self.allows_month(first) {
            let days = self.days.in_month(first, rule);
            if days & (1 << day) != 0
                && let Some(time) = self.time_within_day(start.time(), towards)
            {
                return Some(start.date().to_datetime(time));
            }
            let others = match towards {
                Towards::Later => days & !((2 << day) - 1),
                Towards::Earlier => days & ((1 << day) - 1),
            };
            if others != 0 {
                return self.at_edge(first, others, towards);
            }
        }
        let mut month = first;
        loop {
            month = self.step_month(month, towards)?;
            if (month.year() - start.year()).abs() > SEARCH_YEARS_MAX {
                return None;
            }
            if self.allows_month(month) {
                let days = self.days.in_month(month, rule);
                if days != 0 {
                    return self.at_edge(month, days, towards);
                }
            }
        }
    }

    /// The next month to look at; leaps over years that the expression excludes.
    fn step_month(&self, month: Date, towards: Towards) -> Option<Date> {
        let (year, next) = match (month.month(), towards) {
            (12, Towards::Later) => (month.year() + 1, 1),
            (1, Towards::Earlier) => (month.year() - 1, 12),
            (month_number, Towards::Later) => (month.year(), month_number + 1),
            (month_number, Towards::Earlier) => (month.year(), month_number - 1),
        };
        let allowed_year = match (&self.years, towards) {
            (None, _) => year,
            (Some(years), Towards::Later) => *years.iter().find(|allowed| **allowed >= year)?,
            (Some(years), Towards::Earlier) => *years.iter().rfind(|allowed| **allowed <= year)?,
        };
        let next = match towards {
            _ if allowed_year == year => next,
            Towards::Later => 1,
            Towards::Earlier => 12,
        };
        Date::new(allowed_year, next, 1).ok()
    }

    fn allows_month(&self, month: Date) -> bool {
        self.months & (1 << month.month()) != 0
            && self
                .years
                .as_ref()
                .is_none_or(|years| years.binary_search(&month.year()).is_ok())
    }

    /// The first or last match of the month, given its matching days.
    fn at_edge(&self, month: Date, days: u64, towards: Towards) -> Option<DateTime> {
        let day = edge_bit(days, towards)?;
        let hour = edge_bit(self.hours, towards)?;
        let minute = edge_bit(self.minutes, towards)?;
        let second = edge_bit(self.seconds, towards)?;
        let date = Date::new(month.year(), month.month(), day).ok()?;
        Some(date.at(hour, minute, second, 0))
    }

    /// The match of a matching day that is nearest to `from`, which itself counts.
    fn time_within_day(&self, from: Time, towards: Towards) -> Option<Time> {
        let find = |bits: u64, at: i8| nearest_bit(bits, at, towards);
        let edge = |bits: u64| edge_bit(bits, towards);
        let beyond = match towards {
            Towards::Later => 1,
            Towards::Earlier => -1,
        };
        let (hour, minute) = (from.hour(), from.minute());
        let is_same_hour = self.hours & (1 << hour) != 0;
        let is_same_minute = is_same_hour && self.minutes & (1 << minute) != 0;

        if is_same_minute && let Some(second) = find(self.seconds, from.second()) {
            return Time::new(hour, minute, second, 0).ok();
        }
        if is_same_hour && let Some(minute) = find(self.minutes, minute + beyond) {
            return Time::new(hour, minute, edge(self.seconds)?, 0).ok();
        }
        let hour = find(self.hours, hour + beyond)?;
        Time::new(hour, edge(self.minutes)?, edge(self.seconds)?, 0).ok()
    }
}

/// The lowest bit when searching for later times, else the highest.
fn edge_bit(bits: u64, towards: Towards) -> Option<i8> {
    match towards {
        Towards::Later => nearest_bit(bits, 0, towards),
        Towards::Earlier => nearest_bit(bits, 63, towards),
    }
}

/// The nearest set bit at or beyond position `at`.
fn nearest_bit(bits: u64, at: i8, towards: Towards) -> Option<i8> {
    let at = u32::try_from(at).ok().filter(|at| *at < u64::BITS)?;
    let position = match towards {
        Towards::Later => {
            let rest = bits >> at << at;
            (rest != 0).then(|| rest.trailing_zeros())
        }
        Towards::Earlier => (bits & (u64::MAX >> (u64::BITS - 1 - at))).checked_ilog2(),
    };
    position.and_then(|position| i8::try_from(position).ok())
}
