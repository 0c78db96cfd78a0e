//! The instants at which a schedule ticks, and how to step from one to the next.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::Error;
use crate::cron::Cron;
use crate::delta::Delta;
use crate::zone::Zone;

/// A cron expression on the wall clock of a zone.
#[derive(Clone, Debug)]
pub(crate) struct CronSchedule {
    pub(crate) cron: Cron,
    pub(crate) zone: Zone,
}

/// What a periodic timetable steps by.
#[derive(Clone, Debug)]
pub(crate) enum Ticks {
    Cron(CronSchedule),
    Delta(Delta),
}

impl CronSchedule {
    /// The first tick after `at`.
    pub(crate) fn next(&self, at: Timestamp) -> Result<Timestamp, Error> {
        let wall_clock = self.zone.wall_clock(at);
        let tick = self.cron.next_after(wall_clock)?;
        let instant = if self.cron.runs_every_hour() {
            at.checked_add(tick.duration_since(wall_clock)).ok()
        } else {
            self.zone.instant(tick)
        };
        instant.ok_or_else(|| self.out_of_range(at))
    }

    /// The last tick before `at`.
    ///
    /// Quirk Q2: where the clock is set back, the second showing of a time is meant, and the
    /// answer may lie after `at`.
    pub(crate) fn prev(&self, at: Timestamp) -> Result<Timestamp, Error> {
        let wall_clock = self.zone.wall_clock(at);
        let tick = self.cron.prev_before(wall_clock)?;
        let instant = if self.cron.runs_every_hour() {
            at.checked_sub(wall_clock.duration_since(tick)).ok()
        } else {
            self.zone.instant(tick)
        };
        instant.ok_or_else(|| self.out_of_range(at))
    }

    /// The instant at which the clock of the zone shows this.
    pub(crate) fn at(&self, wall_clock: DateTime) -> Result<Timestamp, Error> {
        let instant = self.zone.instant(wall_clock);
        instant.ok_or_else(|| {
            let near = Offset::UTC.to_timestamp(wall_clock);
            self.out_of_range(near.unwrap_or(Timestamp::MAX))
        })
    }

    /// `at` if it is a tick, else the first tick after it.
    pub(crate) fn align_next(&self, at: Timestamp) -> Result<Timestamp, Error> {
        let next = self.next(at)?;
        Ok(if self.prev(next)? == at { at } else { next })
    }

    /// `at` if it is a tick, else the last tick before it.
    pub(crate) fn align_prev(&self, at: Timestamp) -> Result<Timestamp, Error> {
        let prev = self.prev(at)?;
        Ok(if self.next(prev)? == at { at } else { prev })
    }

    fn out_of_range(&self, at: Timestamp) -> Error {
        Error::OutOfRange {
            schedule: self.cron.expression().to_owned(),
            at,
        }
    }
}

impl Ticks {
    pub(crate) fn next(&self, at: Timestamp) -> Result<Timestamp, Error> {
        match self {
            Self::Cron(cron) => cron.next(at),
            Self::Delta(delta) => delta.after(at),
        }
    }

    pub(crate) fn prev(&self, at: Timestamp) -> Result<Timestamp, Error> {
        match self {
            Self::Cron(cron) => cron.prev(at),
            Self::Delta(delta) => delta.before(at),
        }
    }

    /// A delta has no grid: every instant is aligned.
    pub(crate) fn align_next(&self, at: Timestamp) -> Result<Timestamp, Error> {
        match self {
            Self::Cron(cron) => cron.align_next(at),
            Self::Delta(_) => Ok(at),
        }
    }

    pub(crate) fn align_prev(&self, at: Timestamp) -> Result<Timestamp, Error> {
        match self {
            Self::Cron(cron) => cron.align_prev(at),
            Self::Delta(_) => Ok(at),
        }
    }

    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Cron(cron) => cron.cron.expression().to_owned(),
            Self::Delta(delta) => delta.to_string(),
        }
    }

    pub(crate) fn description(&self) -> String {
        match self {
            Self::Cron(cron) => cron.cron.describe(),
            Self::Delta(_) => String::new(),
        }
    }
}
