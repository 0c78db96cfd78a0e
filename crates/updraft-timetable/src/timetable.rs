//! Every timetable that Airflow ships, as one enum.
//!
//! The variants carry what is particular to each; this file joins them to the questions that a
//! scheduler asks. [`properties`] answers what the UI and the Dag row need to know,
//! [`serialized`] reads them from a serialized Dag.

mod asset;
mod cron_partition;
mod custom;
mod data_interval;
mod events;
mod multiple_cron;
mod properties;
mod range;
mod run_id;
mod serialized;
mod simple;
mod trigger;

use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::ticks::Ticks;
use crate::{DagRunInfo, DataInterval, Error, TimeRestriction};

pub use asset::{AssetOrTime, AssetSchedule, PartitionedAsset};
pub use cron_partition::CronPartition;
pub use custom::{Custom, Traits, write_traits};
pub use data_interval::DataIntervals;
pub use events::Events;
pub use multiple_cron::MultipleCronTrigger;
pub use range::DagRunInfos;
pub use trigger::Trigger;

/// When runs of a Dag are due.
#[derive(Clone, Debug)]
pub enum Timetable {
    /// `schedule=None`.
    Null,
    /// `@once`.
    Once,
    /// `@continuous`.
    Continuous,
    /// Never due; a run's partition key comes with its trigger.
    PartitionedAtRuntime,
    /// Runs at the ticks of a cron expression.
    CronTrigger(Trigger),
    /// Runs a fixed or calendar distance apart.
    DeltaTrigger(Trigger),
    /// One run for each interval between two cron ticks, due at its end.
    CronDataInterval(DataIntervals),
    /// One run for each interval of a given length, due at its end.
    DeltaDataInterval(DataIntervals),
    /// Runs at the ticks of any of several cron expressions.
    MultipleCronTrigger(MultipleCronTrigger),
    /// Runs at listed dates.
    Events(Events),
    /// Runs when assets were updated.
    AssetTriggered(AssetSchedule),
    /// Runs when partitions of assets were updated.
    PartitionedAsset(Box<PartitionedAsset>),
    /// Runs when assets were updated and by another timetable.
    AssetOrTime(Box<AssetOrTime>),
    /// Runs at the ticks of a cron expression, one partition each.
    CronPartition(CronPartition),
    /// A class of the user.
    Custom(Custom),
}

impl Timetable {
    /// When the next automated run is due, if ever.
    ///
    /// `last` is the run of type scheduled or backfill with the latest logical date (partitioned:
    /// partition date); `None` before the first.
    ///
    /// # Errors
    /// [`Error::NeedsPython`] for a class of the user; else the schedule cannot be stepped, and
    /// the Dag has no next run.
    pub fn next_dagrun_info(
        &self,
        last: Option<&DagRunInfo>,
        restriction: &TimeRestriction,
        now: Timestamp,
    ) -> Result<Option<DagRunInfo>, Error> {
        let last_interval = last.and_then(|last| last.data_interval);
        match self {
            Self::Null
            | Self::PartitionedAtRuntime
            | Self::AssetTriggered(_)
            | Self::PartitionedAsset(_) => Ok(None),
            Self::Once => Ok(simple::next_once(last_interval, restriction, now)),
            Self::Continuous => Ok(simple::next_continuous(last_interval, restriction, now)),
            Self::CronTrigger(trigger) | Self::DeltaTrigger(trigger) => {
                trigger.next(last_interval, restriction, now)
            }
            Self::CronDataInterval(intervals) | Self::DeltaDataInterval(intervals) => {
                intervals.next(last_interval, restriction, now)
            }
            Self::MultipleCronTrigger(triggers) => triggers.next(last_interval, restriction, now),
            Self::Events(events) => Ok(events.next(last_interval, restriction, now)),
            Self::AssetOrTime(both) => both.time.next_dagrun_info(last, restriction, now),
            Self::CronPartition(partitions) => partitions.next(last, restriction, now),
            Self::Custom(custom) => Err(custom.needs_python()),
        }
    }

    /// The data interval of a run that somebody triggers by hand.
    ///
    /// # Errors
    /// As [`Timetable::next_dagrun_info`].
    pub fn infer_manual_data_interval(&self, run_after: Timestamp) -> Result<DataInterval, Error> {
        match self {
            Self::Null
            | Self::Once
            | Self::Continuous
            | Self::PartitionedAtRuntime
            | Self::AssetTriggered(_)
            | Self::PartitionedAsset(_) => Ok(DataInterval::exact(run_after)),
            Self::CronTrigger(trigger) | Self::DeltaTrigger(trigger) => {
                trigger.manual_interval(run_after)
            }
            Self::CronDataInterval(intervals) | Self::DeltaDataInterval(intervals) => {
                intervals.manual_interval(run_after)
            }
            Self::MultipleCronTrigger(triggers) => triggers.manual_interval(run_after),
            Self::Events(events) => Ok(events.manual_interval(run_after)),
            Self::AssetOrTime(both) => both.time.infer_manual_data_interval(run_after),
            // The interval of a partitioned run has no length.
            Self::CronPartition(_) => Ok(DataInterval::exact(run_after)),
            Self::Custom(custom) => Err(custom.needs_python()),
        }
    }

    /// The facts of an existing run in the form that [`Timetable::next_dagrun_info`] takes.
    ///
    /// A run without a stored interval gets the one that a manual run would have had; a run of a
    /// partition has none.
    ///
    /// # Errors
    /// As [`Timetable::infer_manual_data_interval`].
    pub fn run_info(
        &self,
        run_after: Timestamp,
        data_interval: Option<DataInterval>,
        partition_key: Option<&str>,
        partition_date: Option<Timestamp>,
    ) -> Result<DagRunInfo, Error> {
        let data_interval = match (partition_key, data_interval) {
            (Some(_), _) => None,
            (None, Some(interval)) => Some(interval),
            (None, None) => Some(self.infer_manual_data_interval(run_after)?),
        };
        Ok(DagRunInfo {
            run_after,
            data_interval,
            partition_key: partition_key.map(str::to_owned),
            partition_date,
        })
    }

    /// The start of the period that a partition key names; `None` when the timetable gives its
    /// keys no meaning in time.
    ///
    /// # Errors
    /// [`Error::InvalidPartitionKey`] when the key is not in the timetable's format;
    /// [`Error::NeedsPython`] when Python must be asked.
    pub fn resolve_partition_date(&self, partition_key: &str) -> Result<Option<Timestamp>, Error> {
        match self {
            Self::CronPartition(partitions) => partitions.date_of_key(partition_key).map(Some),
            Self::PartitionedAsset(assets) => assets.date_of_key(partition_key),
            Self::Custom(custom)
                if custom.says(
                    |traits| !traits.partitioned || traits.partitioned_at_runtime,
                    false,
                ) =>
            {
                Ok(None)
            }
            Self::Custom(custom) => Err(custom.needs_python()),
            _ => Ok(None),
        }
    }

    /// The instant that somebody means who names a partition date by the clock on the wall: a
    /// schedule of cron ticks reads it in its own zone, every other one takes `instant`.
    ///
    /// # Errors
    /// When the instant cannot be represented.
    pub fn localize_partition_date(
        &self,
        wall_clock: DateTime,
        instant: Timestamp,
    ) -> Result<Timestamp, Error> {
        let ticks = match self {
            Self::CronPartition(partitions) => return partitions.at(wall_clock),
            Self::CronTrigger(trigger) => &trigger.ticks,
            Self::CronDataInterval(intervals) => &intervals.ticks,
            _ => return Ok(instant),
        };
        match ticks {
            Ticks::Cron(cron) => cron.at(wall_clock),
            Ticks::Delta(_) => Ok(instant),
        }
    }

    fn partitions_of_assets(&self) -> Error {
        Error::PartitionsOfAssets {
            type_name: self.type_name().to_owned(),
        }
    }
}
