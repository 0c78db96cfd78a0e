//! Timetables that wait for assets. Which events make a run due is decided where the events are;
//! here they only say that no clock does.

use serde_json::Value;

use super::Timetable;

/// `AssetTriggeredTimetable`.
#[derive(Clone, Debug)]
pub struct AssetTriggered {
    /// The asset expression as serialized.
    pub asset_condition: Value,
}

/// `PartitionedAssetTimetable`.
#[derive(Clone, Debug)]
pub struct PartitionedAsset {
    /// The asset expression as serialized.
    pub asset_condition: Value,
    /// Serialized mapper for assets that have none of their own.
    pub default_partition_mapper: Value,
    /// Pairs of a serialized asset and its serialized mapper.
    pub partition_mapper_config: Vec<(Value, Value)>,
}

/// `AssetOrTimeSchedule`.
#[derive(Clone, Debug)]
pub struct AssetOrTime {
    /// The asset expression as serialized.
    pub asset_condition: Value,
    /// Gives the runs that the clock makes due.
    pub time: Timetable,
}
