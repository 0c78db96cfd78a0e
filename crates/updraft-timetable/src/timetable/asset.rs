//! Timetables that wait for assets. Which events make a run due is decided where the events are;
//! here they only say that no clock does.

use jiff::Timestamp;
use serde_json::Value;

use super::Timetable;
use crate::Error;
use crate::asset_condition::AssetCondition;
use crate::partition::{MappingError, PartitionMappers};

/// An asset expression: as it stands in the serialized Dag, and read.
#[derive(Clone, Debug)]
pub struct AssetSchedule {
    /// As serialized, with the groups, extras and watchers of its assets.
    pub serialized: Value,
    /// What must have been updated.
    pub condition: AssetCondition,
}

/// `PartitionedAssetTimetable`.
#[derive(Clone, Debug)]
pub struct PartitionedAsset {
    /// What must have been updated.
    pub schedule: AssetSchedule,
    /// From the keys of events to those of runs.
    pub mappers: PartitionMappers,
}

/// `AssetOrTimeSchedule`.
#[derive(Clone, Debug)]
pub struct AssetOrTime {
    /// What must have been updated.
    pub schedule: AssetSchedule,
    /// Gives the runs that the clock makes due.
    pub time: Timetable,
}

impl PartitionedAsset {
    pub(super) fn date_of_key(&self, key: &str) -> Result<Option<Timestamp>, Error> {
        self.mappers
            .partition_date(&self.schedule.condition, key)
            .map_err(|error| match error {
                MappingError::NeedsPython { class_path } => Error::NeedsPython { class_path },
                MappingError::Value(reason) | MappingError::Type(reason) => {
                    Error::InvalidMappedKey {
                        key: key.to_owned(),
                        reason,
                    }
                }
            })
    }
}

impl AssetSchedule {
    /// Reads a serialized asset expression.
    ///
    /// # Errors
    /// As [`AssetCondition::from_serialized`].
    pub fn from_serialized(serialized: Value) -> Result<Self, Error> {
        Ok(Self {
            condition: AssetCondition::from_serialized(&serialized)?,
            serialized,
        })
    }
}
