//! Several cron expressions; ticks that coincide give one run.

use jiff::Timestamp;

use super::Trigger;
use crate::{DagRunInfo, DataInterval, Error, TimeRestriction};

/// `MultipleCronTriggerTimetable`.
#[derive(Clone, Debug)]
pub struct MultipleCronTrigger {
    pub(super) first: Trigger,
    pub(super) rest: Vec<Trigger>,
}

impl MultipleCronTrigger {
    pub(super) fn triggers(&self) -> impl Iterator<Item = &Trigger> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// With catchup the earliest candidate; without, the latest one that is due, else the first
    /// one to come.
    pub(super) fn next(
        &self,
        last: Option<DataInterval>,
        restriction: &TimeRestriction,
        now: Timestamp,
    ) -> Result<Option<DagRunInfo>, Error> {
        let mut best: Option<(Rank, DagRunInfo)> = None;
        for trigger in self.triggers() {
            let Some(info) = trigger.next(last, restriction, now)? else {
                continue;
            };
            let logical_date = info.logical_date().unwrap_or(info.run_after);
            let rank = if restriction.catchup {
                Rank::at(logical_date)
            } else {
                Rank::relative_to(now, logical_date)
            };
            if best.as_ref().is_none_or(|(best_rank, _)| rank < *best_rank) {
                best = Some((rank, info));
            }
        }
        Ok(best.map(|(_, info)| info))
    }

    pub(super) fn manual_interval(&self, run_after: Timestamp) -> Result<DataInterval, Error> {
        let mut widest = self.first.manual_interval(run_after)?;
        for trigger in &self.rest {
            let interval = trigger.manual_interval(run_after)?;
            if interval.start < widest.start {
                widest = interval;
            }
        }
        Ok(widest)
    }
}

/// Which candidate comes first: the smallest wins, the earlier expression at a tie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(i64);

impl Rank {
    fn at(date: Timestamp) -> Self {
        Self(date.as_microsecond())
    }

    fn relative_to(now: Timestamp, date: Timestamp) -> Self {
        if date <= now {
            Self(-date.as_microsecond())
        } else {
            Self::at(date)
        }
    }
}
