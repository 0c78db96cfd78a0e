//! What a timetable is asked with and what it answers.

use jiff::Timestamp;

/// The span of data a Dag run works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataInterval {
    /// Inclusive start; also the logical date of the run.
    pub start: Timestamp,
    /// Exclusive end.
    pub end: Timestamp,
}

impl DataInterval {
    /// The interval that holds one instant only.
    #[must_use]
    pub const fn exact(at: Timestamp) -> Self {
        Self { start: at, end: at }
    }
}

/// A run that a timetable wants, or the facts of one that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DagRunInfo {
    /// The run is created, and its tasks start, no earlier than this.
    pub run_after: Timestamp,
    /// `None` for runs of partitioned timetables and for runs without a logical date.
    pub data_interval: Option<DataInterval>,
    /// Names the partition; only partitioned timetables set it.
    pub partition_key: Option<String>,
    /// Start of the period that the key names.
    pub partition_date: Option<Timestamp>,
}

impl DagRunInfo {
    /// A run at one instant, with an interval of no length.
    #[must_use]
    pub const fn exact(at: Timestamp) -> Self {
        Self::interval(at, at)
    }

    /// A run due when its data interval has ended.
    #[must_use]
    pub const fn interval(start: Timestamp, end: Timestamp) -> Self {
        Self {
            run_after: end,
            data_interval: Some(DataInterval { start, end }),
            partition_key: None,
            partition_date: None,
        }
    }

    /// Start of the data interval.
    #[must_use]
    pub fn logical_date(&self) -> Option<Timestamp> {
        self.data_interval.map(|interval| interval.start)
    }
}

/// Between which dates a Dag may be scheduled; both ends are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRestriction {
    /// Earliest `start_date` of the Dag and its tasks.
    pub earliest: Option<Timestamp>,
    /// `end_date` of the Dag, or the latest one if every task has one.
    pub latest: Option<Timestamp>,
    /// Whether missed runs are made up for.
    pub catchup: bool,
}
