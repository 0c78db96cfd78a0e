//! Runs at cron ticks, each for the partition of a period.

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::trigger::Trigger;
use crate::key_format::KeyFormat;
use crate::ticks::CronSchedule;
use crate::{DagRunInfo, Error, TimeRestriction};

/// `CronPartitionTimetable`.
#[derive(Clone, Debug)]
pub struct CronPartition {
    pub(super) trigger: Trigger,
    /// The same ticks as the trigger's.
    pub(super) cron: CronSchedule,
    /// How many ticks the partition lies after the run; before it if negative.
    pub(super) run_offset: i32,
    pub(super) key_format: KeyFormat,
}

/// Ticks that an offset may span: a century of days, half a day of seconds. Without a bound a
/// typing error would keep the scheduler stepping for hours.
pub(super) const RUN_OFFSET_MAX: u32 = 40_000;

impl CronPartition {
    pub(super) fn next(
        &self,
        last: Option<&DagRunInfo>,
        restriction: &TimeRestriction,
        now: Timestamp,
    ) -> Result<Option<DagRunInfo>, Error> {
        let last_tick = last.map(|last| last.run_after);
        let Some(tick) = self.trigger.next_tick(last_tick, restriction, now)? else {
            return Ok(None);
        };
        self.run_of(tick, self.partition_date(tick)?).map(Some)
    }

    /// The first partition whose date is at or after `bound`.
    pub(super) fn first_from(&self, bound: Timestamp) -> Result<DagRunInfo, Error> {
        let date = self.cron.align_next(self.localized(bound)?)?;
        self.run_of(date, date)
    }

    /// The partition after this one.
    pub(super) fn following(&self, date: Timestamp) -> Result<DagRunInfo, Error> {
        let date = self.cron.next(date)?;
        self.run_of(date, date)
    }

    /// Reads the wall clock of UTC as one of the timetable's zone.
    ///
    /// Bounds come in as midnights of UTC and mean midnights of the zone.
    pub(super) fn localized(&self, bound: Timestamp) -> Result<Timestamp, Error> {
        self.at(jiff::tz::Offset::UTC.to_datetime(bound))
    }

    pub(super) fn at(&self, wall_clock: DateTime) -> Result<Timestamp, Error> {
        self.cron.at(wall_clock)
    }

    pub(super) fn date_of_key(&self, key: &str) -> Result<Timestamp, Error> {
        let wall_clock = self.key_format.parse(key)?;
        self.cron
            .zone
            .instant(wall_clock)
            .ok_or_else(|| self.key_format.mismatch(key, "the date is out of range"))
    }

    fn partition_date(&self, tick: Timestamp) -> Result<Timestamp, Error> {
        let mut date = tick;
        for _ in 0..self.run_offset.unsigned_abs() {
            date = if self.run_offset > 0 {
                self.cron.next(date)?
            } else {
                self.cron.prev(date)?
            };
        }
        Ok(date)
    }

    fn run_of(&self, run_after: Timestamp, date: Timestamp) -> Result<DagRunInfo, Error> {
        Ok(DagRunInfo {
            run_after,
            data_interval: None,
            partition_key: Some(self.key_format.format(date, &self.cron.zone)?),
            partition_date: Some(date),
        })
    }
}
