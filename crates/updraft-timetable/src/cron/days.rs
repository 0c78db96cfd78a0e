//! Which days of a month an expression names.

use jiff::civil::Date;

/// The day-of-month and day-of-week fields, which are read together.
#[derive(Clone, Debug)]
pub(super) struct DayFields {
    /// Bit n stands for day n, counted from 1.
    pub(super) of_month: u64,
    pub(super) last_of_month: bool,
    /// `15W`: the weekday nearest to that day takes the place of `of_month`.
    pub(super) nearest_weekday: Option<u8>,
    pub(super) of_month_is_star: bool,
    /// Bit n stands for day n of the week, Sunday being 0.
    pub(super) of_week: u64,
    pub(super) of_week_is_star: bool,
    /// `fri#2`, `L5`: when there are any they take the place of `of_week`.
    pub(super) nth_weekdays: NthWeekdays,
}

/// The `#` and `L` items of the day-of-week field.
#[derive(Clone, Debug, Default)]
pub(super) struct NthWeekdays {
    /// By day of the week: bit n stands for the nth of the month.
    pub(super) nth: [u8; 7],
    /// Bit n: the last such day of the month.
    pub(super) last: u8,
}

impl NthWeekdays {
    pub(super) fn is_empty(&self) -> bool {
        self.days() == 0
    }

    /// The days of the week that some item names.
    pub(super) fn days(&self) -> u64 {
        (0..7)
            .filter(|&day| self.nth[day] != 0 || self.last & (1 << day) != 0)
            .fold(0, |days, day| days | 1 << day)
    }
}

/// How the two fields are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DayRule {
    /// A day must satisfy both; `*` is always satisfied.
    Both,
    /// Either is enough.
    Either,
    /// As if the day-of-week field were `*`.
    IgnoreWeekday,
    /// As if the day-of-month field were `*`.
    IgnoreMonthDay,
}

impl DayFields {
    /// Both fields place a limit, so that cron joins them with "or".
    pub(super) const fn are_both_restricted(&self) -> bool {
        !self.of_month_is_star && !self.of_week_is_star
    }

    /// `#` and `W` items are not part of croniter's "or": they always hold.
    pub(super) fn can_be_joined(&self) -> bool {
        self.nth_weekdays.is_empty() && self.nearest_weekday.is_none()
    }

    /// The days of one month, bit n standing for day n.
    pub(super) fn in_month(&self, first: Date, rule: DayRule) -> u64 {
        let len = u32::from(first.days_in_month().unsigned_abs());
        let whole_month = ((1_u64 << len) - 1) << 1;
        let ignores_month_day = self.of_month_is_star || rule == DayRule::IgnoreMonthDay;
        let ignores_weekday = self.of_week_is_star || rule == DayRule::IgnoreWeekday;

        let by_month_day = match self.nearest_weekday {
            Some(day) => 1 << nearest_weekday(first, day),
            None if ignores_month_day => whole_month,
            None if self.last_of_month => self.of_month | 1 << len,
            None => self.of_month,
        };
        let by_weekday = if !self.nth_weekdays.is_empty() {
            self.by_nth_weekday(first, len)
        } else if ignores_weekday {
            whole_month
        } else {
            self.by_weekday(first)
        };
        match rule {
            DayRule::Either => (by_month_day | by_weekday) & whole_month,
            DayRule::Both | DayRule::IgnoreWeekday | DayRule::IgnoreMonthDay => {
                by_month_day & by_weekday & whole_month
            }
        }
    }

    fn by_weekday(&self, first: Date) -> u64 {
        let offset = weekday(first);
        (1..=31)
            .filter(|day| self.of_week & (1 << ((offset + day - 1) % 7)) != 0)
            .fold(0, |days, day| days | 1 << day)
    }

    fn by_nth_weekday(&self, first: Date, len: u32) -> u64 {
        let offset = weekday(first);
        let mut days = 0;
        for (weekday, nth) in (0_u32..).zip(self.nth_weekdays.nth) {
            let earliest = (weekday + 7 - offset) % 7 + 1;
            days |= (1..=5)
                .filter(|n| nth & (1 << n) != 0)
                .fold(0, |days, n| days | 1_u64 << (earliest + 7 * (n - 1)));
            if self.nth_weekdays.last & (1 << weekday) != 0 {
                days |= 1 << (earliest + (len - earliest) / 7 * 7);
            }
        }
        days
    }
}

/// Day of the week of a date, Sunday being 0.
fn weekday(date: Date) -> u32 {
    u32::from(date.weekday().to_sunday_zero_offset().unsigned_abs())
}

/// The Monday-to-Friday day closest to `day` that lies in the same month.
fn nearest_weekday(first: Date, day: u8) -> u8 {
    const SATURDAY: u32 = 6;
    const SUNDAY: u32 = 0;
    let last = first.days_in_month().unsigned_abs();
    let day = day.min(last);
    match (weekday(first) + u32::from(day) - 1) % 7 {
        SATURDAY if day > 1 => day - 1,
        SATURDAY => day + 2,
        SUNDAY if day < last => day + 1,
        SUNDAY => day - 2,
        _ => day,
    }
}
