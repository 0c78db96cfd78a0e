//! Windows: the members of the period that a key stands for.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::DateTime;
use serde::Deserialize;

use super::temporal::Moment;
use super::{Decoded, MappingError};

/// Which members a period has.
#[derive(Clone, Debug)]
pub(super) enum Window {
    Dates { unit: Unit, direction: Direction },
    Segments(BTreeSet<String>),
    Custom { class_path: String },
}

/// The period, and by it the distance of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// Whether the period begins or ends at the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    Forward,
    Backward,
}

impl Window {
    /// The members of the period of `anchor`, in order.
    pub(super) fn members(&self, anchor: &Decoded) -> Result<Vec<Decoded>, MappingError> {
        match (self, anchor) {
            (Self::Segments(segments), _) => {
                Ok(segments.iter().cloned().map(Decoded::Text).collect())
            }
            (Self::Dates { unit, direction }, Decoded::Date(anchor)) => {
                let walls = unit.members(anchor.wall, *direction)?;
                let member = |wall| Decoded::Date(Moment { wall, ..*anchor });
                Ok(walls.into_iter().map(member).collect())
            }
            (Self::Dates { unit, .. }, Decoded::Text(text)) => Err(MappingError::Type(format!(
                "{} expects a date, and its mapper decodes to the text '{text}'",
                unit.class_name()
            ))),
            (Self::Custom { class_path }, _) => Err(MappingError::NeedsPython {
                class_path: class_path.clone(),
            }),
        }
    }
}

impl Unit {
    pub(super) fn class_name(self) -> &'static str {
        match self {
            Self::Hour => "HourWindow",
            Self::Day => "DayWindow",
            Self::Week => "WeekWindow",
            Self::Month => "MonthWindow",
            Self::Quarter => "QuarterWindow",
            Self::Year => "YearWindow",
        }
    }

    /// Steps over wall-clock times, which have no gaps: what a zone makes of them is decided when
    /// they are written as keys.
    fn members(
        self,
        anchor: DateTime,
        direction: Direction,
    ) -> Result<Vec<DateTime>, MappingError> {
        match self {
            Self::Hour => steps(anchor, 60, direction, |count| count.minutes()),
            Self::Day => steps(anchor, 24, direction, |count| count.hours()),
            Self::Week => steps(anchor, 7, direction, |count| count.days()),
            Self::Month => self.days_of_month(anchor, direction),
            Self::Quarter => self.months(anchor, 3, direction),
            Self::Year => self.months(anchor, 12, direction),
        }
    }

    fn months(
        self,
        anchor: DateTime,
        count: i64,
        direction: Direction,
    ) -> Result<Vec<DateTime>, MappingError> {
        self.require_day_one(anchor)?;
        steps(anchor, count, direction, |count| count.months())
    }

    /// Backward, the days after the first of the last month up to the first of this one.
    fn days_of_month(
        self,
        anchor: DateTime,
        direction: Direction,
    ) -> Result<Vec<DateTime>, MappingError> {
        self.require_day_one(anchor)?;
        let (start, end) = match direction {
            Direction::Forward => (anchor, shifted(anchor, 1.month())?),
            Direction::Backward => (shifted(anchor, (-1).months())?, anchor),
        };
        let offset = i64::from(direction == Direction::Backward);
        let days = i64::from(start.date().days_in_month());
        debug_assert_eq!(shifted(start, days.days()).ok(), Some(end));
        (0..days)
            .map(|day| shifted(start, (day + offset).days()))
            .collect()
    }

    fn require_day_one(self, anchor: DateTime) -> Result<(), MappingError> {
        if anchor.day() == 1 {
            return Ok(());
        }
        Err(MappingError::Value(format!(
            "{} expects a period start on day 1 of the month, got {anchor}. The paired upstream \
             mapper's decode_downstream must normalise to day 1.",
            self.class_name()
        )))
    }
}

/// `count` members from the anchor on, or up to it.
fn steps(
    anchor: DateTime,
    count: i64,
    direction: Direction,
    step: impl Fn(i64) -> jiff::Span,
) -> Result<Vec<DateTime>, MappingError> {
    let first = match direction {
        Direction::Forward => anchor,
        Direction::Backward => shifted(anchor, step(1 - count))?,
    };
    (0..count)
        .map(|index| shifted(first, step(index)))
        .collect()
}

fn shifted(from: DateTime, by: jiff::Span) -> Result<DateTime, MappingError> {
    from.checked_add(by)
        .map_err(|_| MappingError::Value("date value out of range".to_owned()))
}
