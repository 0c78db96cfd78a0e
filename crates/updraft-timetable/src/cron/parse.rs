//! From text to [`Cron`], accepting and refusing what croniter accepts and refuses.

use super::Cron;
use super::days::{DayFields, NthWeekdays};
use super::item::{Nth, Range, is_number, number, split_nearest_weekday, split_nth_weekday};
use crate::Error;

/// One column of an expression.
pub(super) struct Field {
    name: &'static str,
    pub(super) min: u64,
    pub(super) max: u64,
    names: &'static [(&'static str, u64)],
}

const MONTHS: &[(&str, u64)] = &[
    ("jan", 1),
    ("feb", 2),
    ("mar", 3),
    ("apr", 4),
    ("may", 5),
    ("jun", 6),
    ("jul", 7),
    ("aug", 8),
    ("sep", 9),
    ("oct", 10),
    ("nov", 11),
    ("dec", 12),
];
const WEEKDAYS: &[(&str, u64)] = &[
    ("sun", 0),
    ("mon", 1),
    ("tue", 2),
    ("wed", 3),
    ("thu", 4),
    ("fri", 5),
    ("sat", 6),
];

const fn field(
    name: &'static str,
    min: u64,
    max: u64,
    names: &'static [(&'static str, u64)],
) -> Field {
    Field {
        name,
        min,
        max,
        names,
    }
}

/// In the order of the columns: seconds and years come after the five classic ones.
const FIELDS: [Field; 7] = [
    field("minute", 0, 59, &[]),
    field("hour", 0, 23, &[]),
    field("day-of-month", 1, 31, &[]),
    field("month", 1, 12, MONTHS),
    field("day-of-week", 0, 6, WEEKDAYS),
    field("second", 0, 59, &[]),
    field("year", 1970, 2099, &[]),
];
const DAY: usize = 2;
const DAY_OF_WEEK: usize = 4;
const SECOND: usize = 5;
const YEAR: usize = 6;

/// Short forms that croniter itself knows.
const ALIASES: &[(&str, &str)] = &[
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// What one column allows.
#[derive(Default)]
struct Column {
    /// Some item is a bare `*` (or `?`), or the values cover the whole field.
    star: bool,
    /// The column is nothing but `*`.
    only_star: bool,
    values: Vec<u64>,
    last_day: bool,
    nearest_weekday: Option<u8>,
    nth_weekdays: NthWeekdays,
}

impl Cron {
    /// Reads an expression of 5, 6 (… seconds) or 7 (… seconds, years) columns.
    pub(crate) fn parse(expression: &str) -> Result<Self, Error> {
        parse(expression).map_err(|reason| Error::InvalidCron {
            expression: expression.to_owned(),
            reason,
        })
    }
}

fn parse(expression: &str) -> Result<Cron, String> {
    let lower = expression.to_lowercase();
    let text = ALIASES
        .iter()
        .find(|(alias, _)| *alias == lower)
        .map_or(lower.as_str(), |(_, meaning)| meaning);
    let texts: Vec<&str> = text
        .split([' ', '\t', '\n', '\r', '\u{b}', '\u{c}'])
        .filter(|column| !column.is_empty())
        .collect();
    if !(5..=7).contains(&texts.len()) {
        return Err(format!("expected 5, 6 or 7 fields, found {}", texts.len()));
    }
    let mut columns = Vec::with_capacity(texts.len());
    for (index, column) in texts.iter().enumerate() {
        columns.push(
            parse_column(index, column)
                .map_err(|reason| format!("{} field: {reason}", FIELDS[index].name))?,
        );
    }
    for (index, column) in columns.iter_mut().enumerate() {
        column.fold_full_range(index, &texts);
    }
    refuse_mixed_weekdays(&columns[DAY_OF_WEEK])?;
    Ok(assemble(expression, &columns))
}

fn parse_column(index: usize, text: &str) -> Result<Column, String> {
    refuse_hashed(text)?;
    let text = match (text, index) {
        ("?", DAY | DAY_OF_WEEK) => "*",
        ("?", _) => return Err("`?` may stand only in a day field".to_owned()),
        (text, _) if text.contains('?') => {
            return Err(format!("`?` must stand alone, found `{text}`"));
        }
        (text, _) => text,
    };
    let mut column = Column::default();
    let items: Vec<&str> = text.split(',').collect();
    for item in &items {
        match index {
            DAY if split_nearest_weekday(item).is_some() => {
                if items.len() > 1 {
                    return Err(format!("`{item}` cannot be part of a list"));
                }
                column.add_nearest_weekday(item)?;
            }
            DAY_OF_WEEK => match split_nth_weekday(item) {
                Some((day, nth)) => column.add_nth_weekday(day, nth)?,
                None => column.add_item(index, item)?,
            },
            _ => column.add_item(index, item)?,
        }
    }
    column.values.sort_unstable();
    column.values.dedup();
    column.only_star = column.star && column.values.is_empty() && !column.last_day;
    Ok(column)
}

/// `h` needs an id to hash, `r` draws a new number at each reading: neither gives a schedule.
fn refuse_hashed(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix(['h', 'r']);
    match rest {
        Some(rest) if rest.is_empty() || rest.starts_with(['(', '/']) => Err(format!(
            "`{text}` is drawn at random; write the value that you want"
        )),
        _ => Ok(()),
    }
}

impl Column {
    fn add_item(&mut self, index: usize, item: &str) -> Result<(), String> {
        let values = self.item_values(index, item)?;
        self.values.extend(values);
        Ok(())
    }

    /// The numbers that a value, a name or a range names; takes note of `*` and `l` itself.
    fn item_values(&mut self, index: usize, item: &str) -> Result<Vec<u64>, String> {
        let field = &FIELDS[index];
        let values = if let Some(range) = Range::split(item, field) {
            if range.step == 0 {
                return Err(format!("step of `{item}` must be at least 1"));
            }
            let low = field.value(&range.low)?;
            let high = match (index, range.high.as_str()) {
                (DAY, "l") => 31,
                (_, high) => field.value(high)?,
            };
            if low.max(high) > field.max {
                return Err(field.out_of_range(item));
            }
            range.values(low, high, field)
        } else if item == "*" {
            self.star = true;
            vec![]
        } else if index == DAY && item == "l" {
            self.last_day = true;
            vec![]
        } else {
            vec![field.value(item)?]
        };
        if values
            .iter()
            .any(|value| !(field.min..=field.max).contains(value))
        {
            return Err(field.out_of_range(item));
        }
        Ok(values)
    }

    fn add_nearest_weekday(&mut self, item: &str) -> Result<(), String> {
        let day = split_nearest_weekday(item).map_or(0, number);
        match u8::try_from(day) {
            Ok(day @ 1..=31) => {
                self.nearest_weekday = Some(day);
                self.values.push(day.into());
                Ok(())
            }
            _ => Err(FIELDS[DAY].out_of_range(item)),
        }
    }

    fn add_nth_weekday(&mut self, day: &str, nth: Nth<'_>) -> Result<(), String> {
        let bit = match nth {
            Nth::Last => None,
            Nth::Number(nth) => match number(nth) {
                nth @ 1..=5 => Some(1_u8 << nth),
                _ => return Err(format!("expected `#1` to `#5`, found `#{nth}`")),
            },
        };
        for day in self.item_values(DAY_OF_WEEK, day)? {
            self.values.push(day);
            let weekday = usize::try_from(day).unwrap_or_default();
            match bit {
                Some(bit) => self.nth_weekdays.nth[weekday] |= bit,
                None => self.nth_weekdays.last |= 1 << weekday,
            }
        }
        Ok(())
    }

    /// A column that lists every value of its field becomes `*`.
    ///
    /// Not so a day column while the other day column is restricted: cron joins two restricted
    /// day columns with "or", and `1-31` is meant as a restriction.
    fn fold_full_range(&mut self, index: usize, texts: &[&str]) {
        let entries = self.values.len() + usize::from(self.star) + usize::from(self.last_day);
        let field = &FIELDS[index];
        if u64::try_from(entries).ok() != Some(field.max - field.min + 1) {
            return;
        }
        let other_day = match index {
            DAY => Some(texts[DAY_OF_WEEK]),
            DAY_OF_WEEK => Some(texts[DAY]),
            _ => None,
        };
        if other_day.is_none_or(|text| text.contains('*')) {
            self.star = true;
            self.only_star = true;
            self.values.clear();
        }
    }
}

impl Field {
    /// A number or a name; in the day-of-week field 7 is Sunday.
    fn value(&self, text: &str) -> Result<u64, String> {
        if is_number(text) {
            let value = number(text);
            let is_second_sunday = self.max == 6 && value == 7;
            return Ok(if is_second_sunday { 0 } else { value });
        }
        self.names
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                format!(
                    "expected a number from {} to {}, found `{text}`",
                    self.min, self.max
                )
            })
    }

    fn out_of_range(&self, item: &str) -> String {
        format!("`{item}` is not within {} to {}", self.min, self.max)
    }
}

/// croniter cannot say "every Monday and the second Friday", and so refuses it.
fn refuse_mixed_weekdays(column: &Column) -> Result<(), String> {
    let nth_days = column.nth_weekdays.days();
    let plain = column.values.iter().any(|day| nth_days & (1 << day) == 0);
    if nth_days != 0 && plain && column.values.len() + usize::from(column.star) != 7 {
        return Err("day-of-week field: plain days cannot be mixed with `#` or `L`".to_owned());
    }
    Ok(())
}

fn assemble(expression: &str, columns: &[Column]) -> Cron {
    let bits = |index: usize| -> u64 {
        let column = &columns[index];
        let field = &FIELDS[index];
        if column.star {
            return (field.min..=field.max).fold(0, |bits, value| bits | 1 << value);
        }
        column
            .values
            .iter()
            .fold(0, |bits, value| bits | 1 << value)
    };
    let (day, weekday) = (&columns[DAY], &columns[DAY_OF_WEEK]);
    Cron {
        expression: expression.to_owned(),
        seconds: if columns.len() > SECOND {
            bits(SECOND)
        } else {
            1
        },
        minutes: bits(0),
        hours: bits(1),
        days: DayFields {
            of_month: bits(DAY),
            last_of_month: day.last_day,
            nearest_weekday: day.nearest_weekday,
            of_month_is_star: day.star,
            of_week: bits(DAY_OF_WEEK),
            of_week_is_star: weekday.star,
            nth_weekdays: weekday.nth_weekdays.clone(),
        },
        months: bits(3),
        years: columns.get(YEAR).filter(|years| !years.star).map(|years| {
            let values = years.values.iter();
            values
                .filter_map(|year| i16::try_from(*year).ok())
                .collect()
        }),
        field_count: columns.len(),
        hour_is_star: columns[1].only_star,
    }
}
