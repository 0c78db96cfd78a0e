//! Runs at the ticks of a schedule: the data interval is a length before the tick, mostly none.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::delta::{Delta, seconds};
use crate::ticks::Ticks;
use crate::{DagRunInfo, DataInterval, Error, TimeRestriction};

/// `CronTriggerTimetable` and `DeltaTriggerTimetable`.
#[derive(Clone, Debug)]
pub struct Trigger {
    pub(super) ticks: Ticks,
    pub(super) interval: Delta,
    pub(super) run_immediately: RunImmediately,
}

/// What to do with the tick just past when a Dag without a start date is first seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RunImmediately {
    /// `True`: run it.
    Always,
    /// `False` or `None`: run it if it is recent.
    ///
    /// Quirk Q3: `False` is meant to wait for the next tick, and does not always.
    #[default]
    WhenRecent,
    /// Run it if it is at most so old.
    Within(SignedDuration),
}

/// Ticks younger than this always count as recent.
const RECENT_MIN: SignedDuration = SignedDuration::from_mins(5);
/// Ticks count as recent for this part of the time to the next one.
const RECENT_PART: i32 = 10;

impl RunImmediately {
    fn recent(self, between_ticks: SignedDuration) -> SignedDuration {
        match self {
            Self::Always => SignedDuration::MAX,
            Self::WhenRecent => (between_ticks / RECENT_PART).max(RECENT_MIN),
            Self::Within(duration) => duration,
        }
    }
}

impl Trigger {
    #[cfg(test)]
    pub(crate) const fn ticks(&self) -> &Ticks {
        &self.ticks
    }

    pub(super) fn next(
        &self,
        last: Option<DataInterval>,
        restriction: &TimeRestriction,
        now: Timestamp,
    ) -> Result<Option<DagRunInfo>, Error> {
        let last_tick = last.map(|last| last.end);
        let Some(tick) = self.next_tick(last_tick, restriction, now)? else {
            return Ok(None);
        };
        let start = self.interval.before(tick)?;
        Ok(Some(DagRunInfo::interval(start, tick)))
    }

    pub(super) fn manual_interval(&self, run_after: Timestamp) -> Result<DataInterval, Error> {
        Ok(DataInterval {
            start: self.interval.before(run_after)?,
            end: run_after,
        })
    }

    /// The tick that the next run belongs to, `last` being that of the last run.
    pub(super) fn next_tick(
        &self,
        last: Option<Timestamp>,
        restriction: &TimeRestriction,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let after_last = match last {
            Some(last) => Some(self.ticks.next(last)?),
            None if restriction.earliest.is_none() => Some(self.first_run(now)?),
            None => None,
        };
        // With catchup the start date counts only for the first run.
        let from_earliest = match restriction.earliest {
            Some(earliest) if !restriction.catchup || last.is_none() => {
                Some(self.ticks.align_next(earliest)?)
            }
            _ => None,
        };
        let missed = if restriction.catchup {
            None
        } else {
            Some(self.ticks.align_prev(now)?)
        };
        let tick = [after_last, from_earliest, missed]
            .into_iter()
            .flatten()
            .max();
        Ok(tick.filter(|tick| restriction.latest.is_none_or(|latest| *tick <= latest)))
    }

    /// The first tick of a Dag that has no start date.
    fn first_run(&self, now: Timestamp) -> Result<Timestamp, Error> {
        let Ticks::Cron(cron) = &self.ticks else {
            return Ok(now);
        };
        let past = cron.align_prev(now)?;
        let next = cron.align_next(now)?;
        let recent = self.run_immediately.recent(past.duration_until(next));
        Ok(if past.duration_until(now) <= recent {
            past
        } else {
            next
        })
    }
}

/// Airflow writes `true`, `false`, `null` or a number of seconds.
impl<'de> Deserialize<'de> for RunImmediately {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match &value {
            Value::Bool(true) => Some(Self::Always),
            Value::Bool(false) | Value::Null => Some(Self::WhenRecent),
            Value::Number(number) => number.as_f64().and_then(seconds).map(Self::Within),
            Value::String(_) | Value::Array(_) | Value::Object(_) => None,
        }
        .ok_or_else(|| {
            serde::de::Error::custom(format!(
                "run_immediately: expected a bool or seconds, found `{value}`"
            ))
        })
    }
}
