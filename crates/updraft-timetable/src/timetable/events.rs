//! Runs at dates from a list.

use jiff::Timestamp;

use crate::{DagRunInfo, DataInterval, TimeRestriction};

/// `EventsTimetable`.
#[derive(Clone, Debug)]
pub struct Events {
    /// Ascending, each once.
    pub(super) dates: Vec<Timestamp>,
    /// Whether manual runs take the date of an event, too.
    pub(super) restrict_to_events: bool,
    pub(super) description: String,
    pub(super) summary: String,
}

impl Events {
    pub(super) fn next(
        &self,
        last: Option<DataInterval>,
        restriction: &TimeRestriction,
        now: Timestamp,
    ) -> Option<DagRunInfo> {
        let earliest = match restriction.earliest {
            earliest if restriction.catchup => earliest,
            Some(earliest) => Some(earliest.max(now)),
            None => Some(now),
        };
        let is_new = |event: Timestamp| {
            earliest.is_none_or(|earliest| event >= earliest)
                && last.is_none_or(|last| event > last.end)
        };
        self.dates
            .iter()
            .copied()
            .find(|event| is_new(*event))
            .filter(|event| restriction.latest.is_none_or(|latest| *event <= latest))
            .map(DagRunInfo::exact)
    }

    /// The date asked for, or else the latest event up to it; the first one when all are to come.
    pub(super) fn manual_interval(&self, run_after: Timestamp) -> DataInterval {
        let past = self.dates.partition_point(|event| *event <= run_after);
        let event = match self.dates.get(past.saturating_sub(1)) {
            Some(event) if self.restrict_to_events => *event,
            _ => run_after,
        };
        DataInterval::exact(event)
    }
}
