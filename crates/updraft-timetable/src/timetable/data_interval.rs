//! One run for each interval between two ticks, due when the interval has ended.

use jiff::{SignedDuration, Timestamp};

use crate::delta::Delta;
use crate::ticks::{CronSchedule, Ticks};
use crate::{DagRunInfo, DataInterval, Error, TimeRestriction};

/// Periods that are stepped over to find the latest one. A schedule of months reaches back 8,000
/// years with this many; one that needs more hardly moves and would hold up every other Dag.
const STEPS_MAX: u32 = 100_000;

/// `CronDataIntervalTimetable` and `DeltaDataIntervalTimetable`.
#[derive(Clone, Debug)]
pub struct DataIntervals {
    pub(super) ticks: Ticks,
}

impl DataIntervals {
    pub(super) fn next(
        &self,
        last: Option<DataInterval>,
        restriction: &TimeRestriction,
        now: Timestamp,
    ) -> Result<Option<DagRunInfo>, Error> {
        let earliest = self.earliest_start(restriction, now)?;
        let start = match last {
            None => earliest,
            Some(last) => Some(self.start_after(last, earliest)?),
        };
        let Some(start) = start else {
            return Ok(None);
        };
        if restriction.latest.is_some_and(|latest| start > latest) {
            return Ok(None);
        }
        Ok(Some(DagRunInfo::interval(start, self.ticks.next(start)?)))
    }

    /// The last complete interval of a cron schedule; of a delta, the one that ends now.
    pub(super) fn manual_interval(&self, run_after: Timestamp) -> Result<DataInterval, Error> {
        let end = self.ticks.align_prev(run_after)?;
        let start = self.ticks.prev(end)?;
        Ok(DataInterval { start, end })
    }

    fn start_after(
        &self,
        last: DataInterval,
        earliest: Option<Timestamp>,
    ) -> Result<Timestamp, Error> {
        // The schedule may have changed since the last run, so its end need not be a tick.
        let aligned = self.ticks.align_prev(last.end)?;
        let start = earliest.map_or(aligned, |earliest| aligned.max(earliest));
        if start > last.start {
            return Ok(start);
        }
        // A coarser schedule leads back to a date that already has a run: one step passes it.
        let start = self.ticks.next(start)?;
        if start > last.start {
            return Ok(start);
        }
        // Where a clock changes by half an hour the ticks of "every hour" leave their grid, and
        // aligning leads back again. Airflow gives such a Dag no run ever after; we go on where
        // the last interval ended.
        if last.end > last.start {
            return Ok(last.end);
        }
        Err(self.not_advancing(last.start))
    }

    fn earliest_start(
        &self,
        restriction: &TimeRestriction,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        match (&self.ticks, restriction.earliest) {
            (ticks, Some(earliest)) if restriction.catchup => ticks.align_next(earliest).map(Some),
            (_, None) if restriction.catchup => Ok(None),
            (Ticks::Cron(cron), earliest) => {
                let latest_complete = self.latest_complete(cron, now)?;
                match earliest {
                    Some(earliest) => Ok(Some(latest_complete.max(cron.align_next(earliest)?))),
                    None => Ok(Some(latest_complete)),
                }
            }
            (Ticks::Delta(delta), earliest) => {
                let boundary = self.floor(delta, now, earliest.unwrap_or(now))?;
                let latest_complete = delta.before(boundary)?;
                Ok(Some(earliest.map_or(latest_complete, |earliest| {
                    latest_complete.max(earliest)
                })))
            }
        }
    }

    /// Start of the latest interval that has ended; the one that begins right now, at a tick.
    fn latest_complete(&self, cron: &CronSchedule, now: Timestamp) -> Result<Timestamp, Error> {
        let last_tick = cron.prev(now)?;
        let next_tick = cron.next(last_tick)?;
        if next_tick < now {
            return Err(self.not_advancing(last_tick));
        }
        if next_tick == now {
            Ok(last_tick)
        } else {
            cron.prev(last_tick)
        }
    }

    /// The latest boundary at or before `now`.
    ///
    /// Periods of one length lie on a grid that starts at the epoch. Months and years have no
    /// such grid: they are counted from `anchor`, one by one, because 31 January plus a month
    /// twice is 28 March and plus two months is 31 March.
    fn floor(&self, delta: &Delta, now: Timestamp, anchor: Timestamp) -> Result<Timestamp, Error> {
        let Some(length) = delta.fixed_length() else {
            return self.step_to(delta, now, anchor);
        };
        let length = length.as_micros();
        if length <= 0 {
            return Err(self.not_advancing(now));
        }
        let since_boundary = i128::from(now.as_microsecond()).rem_euclid(length);
        i64::try_from(since_boundary)
            .ok()
            .map(SignedDuration::from_micros)
            .and_then(|since_boundary| now.checked_sub(since_boundary).ok())
            .ok_or_else(|| self.not_advancing(now))
    }

    fn step_to(&self, delta: &Delta, now: Timestamp, from: Timestamp) -> Result<Timestamp, Error> {
        let mut boundary = from;
        for _ in 0..STEPS_MAX {
            let next = delta.after(boundary)?;
            if next > now {
                return Ok(boundary);
            }
            if next <= boundary {
                break;
            }
            boundary = next;
        }
        Err(self.not_advancing(boundary))
    }

    fn not_advancing(&self, at: Timestamp) -> Error {
        Error::NotAdvancing {
            schedule: self.ticks.summary(),
            at,
        }
    }
}
