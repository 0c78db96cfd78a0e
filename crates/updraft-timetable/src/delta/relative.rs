//! dateutil's `relativedelta`: a shift by calendar units, with some units set outright.

use std::fmt;

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// A shift whose small units have been carried over into the bigger ones.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Fields")]
pub(crate) struct RelativeDelta(Fields);

/// The fields as Airflow serializes them: those that are zero or unset are left out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    years: i32,
    months: i32,
    days: f64,
    leapdays: i32,
    hours: f64,
    minutes: f64,
    seconds: f64,
    microseconds: f64,
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    weekday: Option<WeekdayRule>,
    hour: Option<i8>,
    minute: Option<i8>,
    second: Option<i8>,
    microsecond: Option<i32>,
}

/// `[weekday]` or `[weekday, n]`, Monday being 0: the nth such day from the shifted date on,
/// backwards if n is negative, the date itself counting.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Vec<i8>")]
struct WeekdayRule {
    weekday: i8,
    nth: Option<i8>,
}

impl TryFrom<Vec<i8>> for WeekdayRule {
    type Error = String;

    fn try_from(parts: Vec<i8>) -> Result<Self, String> {
        match parts[..] {
            [weekday @ 0..=6] => Ok(Self { weekday, nth: None }),
            [weekday @ 0..=6, nth] => Ok(Self {
                weekday,
                nth: (nth != 0).then_some(nth),
            }),
            _ => Err(format!(
                "weekday: expected `[0…6]` or `[0…6, n]`, found `{parts:?}`"
            )),
        }
    }
}

impl From<Fields> for RelativeDelta {
    /// Carries units over as dateutil's constructor does: 36 hours are 1 day and 12 hours.
    fn from(mut fields: Fields) -> Self {
        carry(&mut fields.microseconds, &mut fields.seconds, 1e6);
        carry(&mut fields.seconds, &mut fields.minutes, 60.0);
        carry(&mut fields.minutes, &mut fields.hours, 60.0);
        carry(&mut fields.hours, &mut fields.days, 24.0);
        fields.years = fields.years.saturating_add(fields.months / 12);
        fields.months %= 12;
        Self(fields)
    }
}

fn carry(small: &mut f64, big: &mut f64, ratio: f64) {
    *big += (*small / ratio).trunc();
    *small %= ratio;
}

impl RelativeDelta {
    /// The opposite shift; units set outright, and the weekday, stay as they are.
    pub(super) fn negated(&self) -> Self {
        let fields = self.0.clone();
        Self(Fields {
            years: fields.years.saturating_neg(),
            months: -fields.months,
            days: -fields.days,
            hours: -fields.hours,
            minutes: -fields.minutes,
            seconds: -fields.seconds,
            microseconds: -fields.microseconds,
            ..fields
        })
    }

    /// Applies the shift on the calendar of UTC; `None` outside of the years 1 to 9999.
    pub(super) fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let from = Offset::UTC.to_datetime(at);
        let date = self.shifted_date(from.date())?;
        let moved = self
            .set_time(from, date)?
            .checked_add(self.days_and_time(date)?)
            .ok()?;
        let landed = match &self.0.weekday {
            Some(rule) => rule.apply(moved)?,
            None => moved,
        };
        Offset::UTC.to_timestamp(landed).ok()
    }

    /// As [`super::Delta::fixed_length`]; units set outright are not looked at.
    pub(super) fn fixed_length(&self) -> Option<SignedDuration> {
        let fields = &self.0;
        if fields.years != 0 || fields.months != 0 {
            return None;
        }
        super::seconds(
            fields.days * 86_400.0 + fields.hours * 3600.0 + fields.minutes * 60.0 + fields.seconds,
        )
    }

    fn shifted_date(&self, from: Date) -> Option<Date> {
        let fields = &self.0;
        let is_set = |unit: &i8| *unit != 0;
        let year = fields.year.filter(|year| *year != 0).unwrap_or(from.year());
        let month = fields.month.filter(is_set).unwrap_or(from.month());
        let day = fields.day.filter(is_set).unwrap_or(from.day());

        let months = i32::from(month) - 1 + fields.months;
        let year = i32::from(year)
            .checked_add(fields.years)?
            .checked_add(months.div_euclid(12))?;
        let year = i16::try_from(year)
            .ok()
            .filter(|year| (1..=9999).contains(year))?;
        let month = i8::try_from(months.rem_euclid(12) + 1).ok()?;
        let first = Date::new(year, month, 1).ok()?;
        Date::new(year, month, day.min(first.days_in_month())).ok()
    }

    fn set_time(&self, from: DateTime, date: Date) -> Option<DateTime> {
        let fields = &self.0;
        DateTime::new(
            date.year(),
            date.month(),
            date.day(),
            fields.hour.unwrap_or(from.hour()),
            fields.minute.unwrap_or(from.minute()),
            fields.second.unwrap_or(from.second()),
            match fields.microsecond {
                Some(micros) => micros.checked_mul(1000)?,
                None => from.subsec_nanosecond(),
            },
        )
        .ok()
    }

    fn days_and_time(&self, date: Date) -> Option<SignedDuration> {
        let fields = &self.0;
        let mut days = fields.days;
        if date.month() > 2 && date.in_leap_year() {
            days += f64::from(fields.leapdays);
        }
        [
            days * 86_400.0,
            fields.hours * 3600.0,
            fields.minutes * 60.0,
            fields.seconds,
            fields.microseconds / 1e6,
        ]
        .into_iter()
        .try_fold(SignedDuration::ZERO, |sum, part| {
            sum.checked_add(super::seconds(part)?)
        })
    }
}

impl WeekdayRule {
    fn apply(&self, from: DateTime) -> Option<DateTime> {
        let nth = i64::from(self.nth.unwrap_or(1));
        let here = i64::from(from.date().weekday().to_monday_zero_offset());
        let there = i64::from(self.weekday);
        let whole_weeks = (nth.abs() - 1) * 7;
        let days = if nth > 0 {
            whole_weeks + (there - here).rem_euclid(7)
        } else {
            -(whole_weeks + (here - there).rem_euclid(7))
        };
        from.checked_add(SignedDuration::from_hours(days * 24)).ok()
    }
}

/// `relativedelta(months=+1, day=31, weekday=FR(-1))`.
impl fmt::Display for RelativeDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = &self.0;
        let shifts = [
            ("years", f64::from(fields.years)),
            ("months", f64::from(fields.months)),
            ("days", fields.days),
            ("leapdays", f64::from(fields.leapdays)),
            ("hours", fields.hours),
            ("minutes", fields.minutes),
            ("seconds", fields.seconds),
            ("microseconds", fields.microseconds),
        ];
        let set_outright = [
            ("year", fields.year.map(i32::from)),
            ("month", fields.month.map(i32::from)),
            ("day", fields.day.map(i32::from)),
        ];
        let set_time = [
            ("hour", fields.hour.map(i32::from)),
            ("minute", fields.minute.map(i32::from)),
            ("second", fields.second.map(i32::from)),
            ("microsecond", fields.microsecond),
        ];
        let named = |(name, value): (&str, Option<i32>)| Some(format!("{name}={}", value?));
        let parts: Vec<String> = shifts
            .into_iter()
            .filter(|(_, value)| *value != 0.0)
            .map(|(name, value)| format!("{name}={value:+}"))
            .chain(set_outright.into_iter().filter_map(named))
            .chain(fields.weekday.iter().map(|rule| format!("weekday={rule}")))
            .chain(set_time.into_iter().filter_map(named))
            .collect();
        write!(f, "relativedelta({})", parts.join(", "))
    }
}

impl fmt::Display for WeekdayRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match Weekday::from_monday_zero_offset(self.weekday) {
            Ok(Weekday::Monday) => "MO",
            Ok(Weekday::Tuesday) => "TU",
            Ok(Weekday::Wednesday) => "WE",
            Ok(Weekday::Thursday) => "TH",
            Ok(Weekday::Friday) => "FR",
            Ok(Weekday::Saturday) => "SA",
            Ok(Weekday::Sunday) | Err(_) => "SU",
        })?;
        match self.nth {
            Some(nth) => write!(f, "({nth:+})"),
            None => Ok(()),
        }
    }
}
