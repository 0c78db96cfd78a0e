//! When runs of a Dag are due: cron expressions, data intervals, time zones, and every timetable
//! that Airflow ships.
//!
//! Pure: `now` is an argument, the zone database is compiled in, and the random part of a run id
//! comes from the caller. The crate does not know what runs exist, and it does not evaluate
//! timetable classes of the user: those are [`Timetable::Custom`], know what they said of themselves
//! once, and answer [`Error::NeedsPython`] to everything else.
//!
//! Start with [`Timetable`]. Beneath it lie, from the bottom up: `cron` (expressions over
//! wall-clock times), `zone` (wall clocks on the time line, with their gaps and folds), `delta`
//! (Python's time differences) and `ticks` (stepping by either).

mod asset_condition;
mod cron;
mod delta;
mod error;
mod key_format;
mod next_dagrun;
mod partition;
mod run_id;
mod run_info;
mod ticks;
mod timetable;
mod zone;

#[cfg(test)]
mod tests;

pub use asset_condition::{AssetCondition, AssetMention, ResolvedAssets};
pub use error::Error;
pub use next_dagrun::next_dagrun;
pub use partition::{
    Ask, Judged, Mapped, MapperAnswer, MapperQuestion, MappingError, PartitionMapper,
    PartitionMappers, Requirement, WaitPolicy,
};
pub use run_id::{generate_run_id, infer_run_type, isoformat, isoformat_at};
pub use run_info::{DagRunInfo, DataInterval, TimeRestriction};
pub use timetable::{
    AssetOrTime, AssetSchedule, CronPartition, Custom, DagRunInfos, DataIntervals, Events,
    MultipleCronTrigger, PartitionedAsset, Timetable, Traits, Trigger, write_traits,
};
