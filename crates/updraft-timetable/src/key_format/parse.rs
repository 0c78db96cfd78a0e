//! Reading a key back, with the rules of Python's `strptime`.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, ISOWeekDate, Time, Weekday};
use jiff::tz::Offset;

use super::{KeyFormat, LOCALE_DIRECTIVES};
use crate::Error;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Python knows no offsets of a day or more.
const DAY_SECS: i32 = 86_400;
const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// Why a key does not fit a format.
#[derive(Debug)]
pub(crate) enum Mismatch {
    /// It is written differently.
    Shape(String),
    /// It goes on where the format ends.
    LeftOver(String),
    /// It is written like this and names no date.
    Date(String),
}

impl Mismatch {
    /// As an exception of `strptime` says it.
    pub(crate) fn in_words(&self, key: &str, format: &str) -> String {
        match self {
            Self::Shape(_) => format!("time data '{key}' does not match format '{format}'"),
            Self::LeftOver(rest) => format!("unconverted data remains: {rest}"),
            Self::Date(reason) => reason.clone(),
        }
    }
}

impl KeyFormat {
    /// What the clock showed when the key was written; what the format leaves out is as at
    /// midnight of 1 January 1900.
    pub(crate) fn parse(&self, key: &str) -> Result<DateTime, Error> {
        match self.read(key) {
            Ok((wall_clock, None)) => Ok(wall_clock),
            Ok((_, Some(_))) => Err(self.mismatch(key, "an offset from UTC has no place here")),
            Err(Mismatch::Shape(reason) | Mismatch::Date(reason)) => {
                Err(self.mismatch(key, reason))
            }
            Err(Mismatch::LeftOver(rest)) => {
                Err(self.mismatch(key, format!("`{rest}` is left over")))
            }
        }
    }

    /// As [`Self::parse`], with the offset from UTC if the key holds one.
    pub(crate) fn read(&self, key: &str) -> Result<(DateTime, Option<Offset>), Mismatch> {
        let lower = key.to_lowercase();
        let mut fields = Fields::default();
        match fields.read(&self.text, &lower).map_err(Mismatch::Shape)? {
            "" => {}
            rest => {
                // As it was given, unless lower case has another length.
                let at = key.len().checked_sub(rest.len());
                let given = at.and_then(|at| key.get(at..)).unwrap_or(rest);
                return Err(Mismatch::LeftOver(given.to_owned()));
            }
        }
        let date = fields.to_datetime().map_err(Mismatch::Date)?;
        Ok((date, fields.offset))
    }
}

/// What the directives of a format found in a key.
#[derive(Debug, Default)]
struct Fields {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    /// Monday being 0.
    weekday: Option<i8>,
    iso_year: Option<i16>,
    iso_week: Option<i8>,
    /// Week of the year, and the day of the week (Monday being 0) on which weeks begin.
    week: Option<(i64, i64)>,
    hour: i8,
    hour_of_half: Option<i8>,
    is_afternoon: bool,
    minute: i8,
    second: i8,
    micros: i32,
    offset: Option<Offset>,
}

impl Fields {
    /// Matches `text` against `format`; returns the rest of the text.
    fn read<'a>(&mut self, format: &str, mut text: &'a str) -> Result<&'a str, String> {
        let mut chars = format.chars().peekable();
        while let Some(char) = chars.next() {
            if char.is_whitespace() {
                while chars.next_if(|next| next.is_whitespace()).is_some() {}
                let rest = text.trim_start();
                if rest.len() == text.len() {
                    return Err(format!("expected a space, found `{text}`"));
                }
                text = rest;
            } else if char == '%' {
                let directive = chars.next().unwrap_or('%');
                let locale = LOCALE_DIRECTIVES
                    .iter()
                    .find(|(name, _)| *name == directive);
                text = match locale {
                    // Not `%c` and its like themselves: their meaning holds none of them.
                    Some((_, meaning)) => self.read(meaning, text)?,
                    None => self.read_directive(directive, text)?,
                };
            } else {
                text = literal(char, text)?;
            }
        }
        Ok(text)
    }

    fn read_directive<'a>(&mut self, directive: char, text: &'a str) -> Result<&'a str, String> {
        let (value, rest) = match directive {
            '%' => return literal('%', text),
            'a' => name(&WEEKDAYS, Some(3), text)?,
            'A' => name(&WEEKDAYS, None, text)?,
            'b' | 'h' => name(&MONTHS, Some(3), text)?,
            'B' => name(&MONTHS, None, text)?,
            'p' => name(&["am", "pm"], None, text)?,
            'd' | 'e' => number(text.strip_prefix(' ').unwrap_or(text), 2, 1, 31)?,
            'f' => return self.read_fraction(text),
            'z' => return self.read_offset(text),
            // The names of this machine's zone, which is as good as UTC; they give no offset.
            'Z' => name(&["utc", "gmt"], None, text)?,
            'G' | 'Y' => exact_digits(text, 4)?,
            'H' => number(text, 2, 0, 23)?,
            'I' => number(text, 2, 1, 12)?,
            'j' => number(text, 3, 1, 366)?,
            'm' => number(text, 2, 1, 12)?,
            'M' => number(text, 2, 0, 59)?,
            'S' => number(text, 2, 0, 61)?,
            'u' => number(text, 1, 1, 7)?,
            'U' | 'W' => number(text, 2, 0, 53)?,
            'V' => number(text, 2, 1, 53)?,
            'w' => number(text, 1, 0, 6)?,
            'y' => exact_digits(text, 2)?,
            other => return Err(format!("`%{other}` cannot be read back")),
        };
        self.set(directive, value);
        Ok(rest)
    }

    /// Stores a value that [`Fields::read_directive`] has checked.
    fn set(&mut self, directive: char, value: i16) {
        let small = i8::try_from(value).unwrap_or(i8::MAX);
        match directive {
            'a' | 'A' => self.weekday = Some(small),
            'b' | 'B' | 'h' => self.month = Some(small + 1),
            'p' => self.is_afternoon = small == 1,
            'Z' => {}
            'd' | 'e' => self.day = Some(small),
            'G' => self.iso_year = Some(value),
            'H' => self.hour = small,
            'I' => self.hour_of_half = Some(small),
            'j' => self.day_of_year = Some(value),
            'm' => self.month = Some(small),
            'M' => self.minute = small,
            'S' => self.second = small,
            'u' => self.weekday = Some(small - 1),
            'U' => self.week = Some((value.into(), 6)),
            'W' => self.week = Some((value.into(), 0)),
            'V' => self.iso_week = Some(small),
            'w' => self.weekday = Some((small + 6) % 7),
            'Y' => self.year = Some(value),
            // POSIX: 69 to 99 lie in the last century.
            _ => self.year = Some(if value < 69 { 2000 } else { 1900 } + value),
        }
    }

    /// `%f`: up to six digits, the missing ones being zeros on the right.
    fn read_fraction<'a>(&mut self, text: &'a str) -> Result<&'a str, String> {
        let len = text.bytes().take(6).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = text.split_at(len);
        self.micros = format!("{digits:0<6}")
            .parse()
            .ok()
            .filter(|_| len > 0)
            .ok_or_else(|| format!("expected digits, found `{text}`"))?;
        Ok(rest)
    }

    /// `%z`: `Z`, or hours and minutes, and perhaps seconds, with or without colons.
    fn read_offset<'a>(&mut self, text: &'a str) -> Result<&'a str, String> {
        if let Some(rest) = text.strip_prefix('z') {
            self.offset = Some(Offset::UTC);
            return Ok(rest);
        }
        let refuse = || format!("expected an offset such as `+0200`, found `{text}`");
        let (sign, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            _ => return Err(refuse()),
        };
        let (hours, rest) = number_of_two_digits(rest).ok_or_else(refuse)?;
        let (colon, rest) = match rest.strip_prefix(':') {
            Some(rest) => (":", rest),
            None => ("", rest),
        };
        let (minutes, rest) = number_of_two_digits(rest)
            .filter(|(minutes, _)| *minutes < 60)
            .ok_or_else(refuse)?;
        let after_colon = rest.strip_prefix(colon).and_then(number_of_two_digits);
        let (seconds, rest) = match after_colon {
            Some((seconds, rest)) if seconds < 60 => (seconds, rest),
            _ => (0, rest),
        };
        let seconds = sign * (hours * 3600 + minutes * 60 + seconds);
        if seconds.abs() >= DAY_SECS {
            return Err(refuse());
        }
        self.offset = Some(Offset::from_seconds(seconds).map_err(|error| error.to_string())?);
        Ok(rest)
    }

    fn to_datetime(&self) -> Result<DateTime, String> {
        let date = self.date()?;
        let hour = match (self.hour_of_half, self.is_afternoon) {
            (Some(hour), true) => hour % 12 + 12,
            (Some(hour), false) => hour % 12,
            (None, _) => self.hour,
        };
        let time = Time::new(hour, self.minute, self.second, self.micros * 1000)
            .map_err(|error| error.to_string())?;
        Ok(date.to_datetime(time))
    }

    fn date(&self) -> Result<Date, String> {
        match (self.iso_year, self.iso_week, self.weekday) {
            (Some(year), Some(week), Some(weekday)) if self.day_of_year.is_none() => {
                return iso_date(year, week, weekday);
            }
            (None, None, _) => {}
            _ => return Err("`%G`, `%V` and a weekday go together".to_owned()),
        }
        let year = self.year.unwrap_or(1900);
        if let Some(day) = self.day_of_year {
            return day_of_year(year, day.into());
        }
        if let (Some((week, first)), Some(weekday)) = (self.week, self.weekday) {
            return day_of_year(year, day_of_week(year, week, first, weekday)?);
        }
        Date::new(year, self.month.unwrap_or(1), self.day.unwrap_or(1))
            .map_err(|error| error.to_string())
    }
}

fn iso_date(year: i16, week: i8, weekday: i8) -> Result<Date, String> {
    Weekday::from_monday_zero_offset(weekday)
        .and_then(|weekday| ISOWeekDate::new(year, week, weekday))
        .map(ISOWeekDate::date)
        .map_err(|error| error.to_string())
}

/// Counts from 1 January; a day beyond the year's end falls into the next year, as in Python.
fn day_of_year(year: i16, day: i64) -> Result<Date, String> {
    Date::new(year, 1, 1)
        .and_then(|first| first.checked_add((day - 1).days()))
        .map_err(|error| error.to_string())
}

/// Day of the year of a weekday in week `week`, when weeks begin on weekday `first` and the days
/// before the first such day make up week 0.
fn day_of_week(year: i16, week: i64, first: i64, weekday: i8) -> Result<i64, String> {
    let new_year = Date::new(year, 1, 1).map_err(|error| error.to_string())?;
    let new_year_weekday = i64::from(new_year.weekday().to_monday_zero_offset());
    let into_week = (i64::from(weekday) - first).rem_euclid(7);
    let week_zero_len = (first - new_year_weekday).rem_euclid(7);
    Ok(week_zero_len + 7 * (week - 1) + into_week + 1)
}

fn literal(expected: char, text: &str) -> Result<&str, String> {
    let mut chars = text.chars();
    match chars.next() {
        Some(found) if found.to_lowercase().eq(expected.to_lowercase()) => Ok(chars.as_str()),
        _ => Err(format!("expected `{expected}`, found `{text}`")),
    }
}

/// The index of the name that the text starts with, `short` letters of it if given.
fn name<'a>(names: &[&str], short: Option<usize>, text: &'a str) -> Result<(i16, &'a str), String> {
    (0_i16..)
        .zip(names)
        .find_map(|(index, name)| {
            let name = short.map_or(*name, |len| &name[..len]);
            Some((index, text.strip_prefix(name)?))
        })
        .ok_or_else(|| format!("expected a name such as `{}`, found `{text}`", names[0]))
}

/// The longest run of up to `digits_max` digits whose value lies within the bounds.
fn number(text: &str, digits_max: usize, min: i16, max: i16) -> Result<(i16, &str), String> {
    let available = text.bytes().take_while(u8::is_ascii_digit).count();
    (1..=digits_max.min(available))
        .rev()
        .find_map(|len| {
            let (digits, rest) = text.split_at(len);
            let value = digits.parse().ok()?;
            (min..=max).contains(&value).then_some((value, rest))
        })
        .ok_or_else(|| format!("expected a number from {min} to {max}, found `{text}`"))
}

fn number_of_two_digits(text: &str) -> Option<(i32, &str)> {
    let (digits, rest) = text.split_at_checked(2)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok().map(|number| (number, rest)))?
}

fn exact_digits(text: &str, len: usize) -> Result<(i16, &str), String> {
    text.split_at_checked(len)
        .filter(|(digits, _)| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|(digits, rest)| Some((digits.parse().ok()?, rest)))
        .ok_or_else(|| format!("expected {len} digits, found `{text}`"))
}
