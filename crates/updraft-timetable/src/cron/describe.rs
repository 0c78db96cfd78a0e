//! An expression in English, as the UI shows it: "At 02:30, Monday through Friday".
//!
//! Airflow takes its texts from the package cron-descriptor, with a 24-hour clock and in American
//! English. The phrases here are its phrases, oddities included, so that a Dag reads the same in
//! both; `testdata/cron_descriptions.json` holds what it says.

mod columns;
mod phrases;

use super::Cron;
use columns::Columns;
use phrases::{Phrases, fill};

const SPECIAL: [char; 4] = ['/', '-', ',', '*'];
const DAYS: [(&str, &str); 7] = [
    ("SUN", "Sunday"),
    ("MON", "Monday"),
    ("TUE", "Tuesday"),
    ("WED", "Wednesday"),
    ("THU", "Thursday"),
    ("FRI", "Friday"),
    ("SAT", "Saturday"),
];
const MONTHS: [(&str, &str); 12] = [
    ("JAN", "January"),
    ("FEB", "February"),
    ("MAR", "March"),
    ("APR", "April"),
    ("MAY", "May"),
    ("JUN", "June"),
    ("JUL", "July"),
    ("AUG", "August"),
    ("SEP", "September"),
    ("OCT", "October"),
    ("NOV", "November"),
    ("DEC", "December"),
];

impl Cron {
    /// The expression in words; empty where Airflow has none.
    pub(crate) fn describe(&self) -> String {
        let fields: Vec<&str> = self.expression().split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            // Airflow keeps silent about seconds and years, and about `@midnight`.
            return String::new();
        };
        let sentence = |day, weekday| Columns::read(minute, hour, day, month, weekday).sentence();
        let description = if day != "*" && weekday != "*" {
            // Cron joins two restricted day fields with "or".
            sentence(day, "*")
                .zip(sentence("*", weekday))
                .map(|(by_day, by_weekday)| format!("{by_day} (or) {by_weekday}"))
        } else {
            sentence(day, weekday)
        };
        description.unwrap_or_default()
    }
}

impl Columns {
    fn sentence(&self) -> Option<String> {
        let mut text = [self.time()?, self.days()?, self.weekdays()?, self.months()?].concat();
        for needless in [", every minute", ", every hour", ", every day"] {
            text = text.replace(needless, "");
        }
        let text = text.strip_suffix(", ").unwrap_or(&text);
        let text = text.strip_suffix(',').unwrap_or(text);
        let mut chars = text.chars();
        let first = chars.next()?;
        Some(first.to_uppercase().chain(chars).collect())
    }

    fn time(&self) -> Option<String> {
        let (minute, hour) = (&self.minute, &self.hour);
        let is_one_hour = !hour.contains(SPECIAL);
        let is_one_minute = !minute.contains(SPECIAL);
        if is_one_hour && is_one_minute {
            return Some(format!("At {}", clock(hour, minute)?));
        }
        if is_one_hour && minute.contains('-') && !minute.contains(',') {
            let (from, to) = minute.split_once('-')?;
            let (from, to) = (clock(hour, from)?, clock(hour, to)?);
            return Some(format!("Every minute between {from} and {to}"));
        }
        if is_one_minute && hour.contains(',') && !hour.contains('-') {
            let hours: Option<Vec<String>> =
                hour.split(',').map(|hour| clock(hour, minute)).collect();
            let hours = hours?;
            let (last, others) = hours.split_last()?;
            return Some(format!("At {} and {last}", others.join(", ")));
        }
        let parts = [self.minutes()?, self.hours()?];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Some(parts.join(", "))
    }

    fn minutes(&self) -> Option<String> {
        let is_hour_range = self.hour.contains('-') && !self.hour.contains(['/', ',']);
        Phrases {
            all: "every minute",
            item: &|minute| Some(minute.to_owned()),
            step: &|_| "every {0} minutes",
            between: "minutes {0} through {1} past the hour",
            list: &|minutes| {
                let goes_without_saying = minutes == "0" && !is_hour_range;
                let phrase = if goes_without_saying {
                    ""
                } else {
                    "at {0} minutes past the hour"
                };
                phrase.to_owned()
            },
        }
        .describe(&self.minute)
    }

    fn hours(&self) -> Option<String> {
        Phrases {
            all: "every hour",
            item: &|hour| clock(hour, "0"),
            step: &|_| "every {0} hours",
            between: "between {0} and {1}",
            list: &|_| "at {0}".to_owned(),
        }
        .describe(&self.hour)
    }

    fn days(&self) -> Option<String> {
        if self.day == "L" {
            return Some(", on the last day of the month".to_owned());
        }
        if let Some(nearest) = nearest_weekday(&self.day) {
            return Some(match nearest {
                1 => ", on the first weekday of the month".to_owned(),
                day => format!(", on the weekday nearest day {day} of the month"),
            });
        }
        if self.day == "*" && self.weekday != "*" {
            return Some(String::new());
        }
        Phrases {
            all: ", every day",
            item: &|day| Some(day.to_owned()),
            step: &|step| match step {
                "1" => ", every day",
                _ => ", every {0} days",
            },
            between: ", between day {0} and {1} of the month",
            list: &|_| ", on day {0} of the month".to_owned(),
        }
        .describe(&self.day)
    }

    fn months(&self) -> Option<String> {
        Phrases {
            all: "",
            item: &|month| long_name(month, 1, &MONTHS),
            step: &|_| ", every {0} months",
            between: ", {0} through {1}",
            list: &|_| ", only in {0}".to_owned(),
        }
        .describe(&self.month)
    }

    fn weekdays(&self) -> Option<String> {
        if self.weekday == "*" {
            return Some(String::new());
        }
        let phrases = Phrases {
            all: ", every day",
            item: &weekday_name,
            step: &|_| ", every {0} days of the week",
            between: ", {0} through {1}",
            list: &weekday_list,
        };
        let by_weeks = match self.weekday.split_once('/') {
            Some((days, step)) if is_digits(step) => weekly(&phrases, days, step)?,
            _ => None,
        };
        by_weeks.map_or_else(|| phrases.describe(&self.weekday), Some)
    }
}

/// A step over single days is a rhythm of weeks: "every 2 weeks, only on Friday". The inner
/// `None` says that it is none.
fn weekly(phrases: &Phrases<'_>, days: &str, step: &str) -> Option<Option<String>> {
    let days = if days.contains(',') {
        Phrases {
            list: &|_| ", only on {0}".to_owned(),
            ..*phrases
        }
        .describe(days)?
    } else if let Some((from, to)) = days.split_once('-') {
        let (first, last): (i64, i64) = (from.parse().ok()?, to.parse().ok()?);
        let days_count = if last == 0 { 7 } else { last } - first + 1;
        if step.parse::<i64>().ok()? < days_count {
            return Some(None);
        }
        if last == 6 {
            fill(", only on {0}", &[&weekday_name(from)?])
        } else {
            phrases.between(phrases.between, days)?
        }
    } else {
        return Some(None);
    };
    Some(Some(format!(", every {step} weeks{days}")))
}

fn weekday_name(item: &str) -> Option<String> {
    let day = match item.split_once('#') {
        Some((day, _)) => day.to_owned(),
        None => item.replace('L', ""),
    };
    long_name(&day, 0, &DAYS)
}

fn weekday_list(items: &str) -> String {
    let Some((_, nth)) = items.split_once('#') else {
        return if items.contains('L') {
            ", on the last {0} of the month".to_owned()
        } else {
            ", only on {0}".to_owned()
        };
    };
    let nth = match nth.parse() {
        Ok(1) => "first",
        Ok(2) => "second",
        Ok(3) => "third",
        Ok(4) => "fourth",
        Ok(5) => "fifth",
        // In a list of several the number is lost.
        Ok(_) | Err(_) => "",
    };
    format!(", on the {nth} {{0}} of the month")
}

fn long_name(number: &str, first: usize, names: &[(&str, &str)]) -> Option<String> {
    let index = number.parse::<usize>().ok()?.checked_sub(first)?;
    names.get(index).map(|(_, name)| (*name).to_owned())
}

/// `15W` or `W15`.
fn nearest_weekday(field: &str) -> Option<u8> {
    let digits = field
        .strip_suffix('W')
        .or_else(|| field.strip_prefix('W'))?;
    digits.parse().ok()
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `06:05`; `None` unless both are numbers.
fn clock(hour: &str, minute: &str) -> Option<String> {
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    Some(format!("{hour:02}:{minute:02}"))
}
