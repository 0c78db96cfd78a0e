//! What the Dag row and the UI show of a timetable.

use super::{AssetSchedule, Timetable, Trigger};

impl Timetable {
    /// The class name; of a class of the user, its import path.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::Null => "NullTimetable",
            Self::Once => "OnceTimetable",
            Self::Continuous => "ContinuousTimetable",
            Self::PartitionedAtRuntime => "PartitionedAtRuntime",
            Self::CronTrigger(_) => "CronTriggerTimetable",
            Self::DeltaTrigger(_) => "DeltaTriggerTimetable",
            Self::CronDataInterval(_) => "CronDataIntervalTimetable",
            Self::DeltaDataInterval(_) => "DeltaDataIntervalTimetable",
            Self::MultipleCronTrigger(_) => "MultipleCronTriggerTimetable",
            Self::Events(_) => "EventsTimetable",
            Self::AssetTriggered(_) => "AssetTriggeredTimetable",
            Self::PartitionedAsset(_) => "PartitionedAssetTimetable",
            Self::AssetOrTime(_) => "AssetOrTimeSchedule",
            Self::CronPartition(_) => "CronPartitionTimetable",
            Self::Custom(custom) => &custom.class_path,
        }
    }

    /// The schedule in a few characters: `timetable_summary`.
    ///
    /// A class of the user may say something else than its name; only Python knows.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Null => "None".to_owned(),
            Self::Once => "@once".to_owned(),
            Self::Continuous => "@continuous".to_owned(),
            Self::PartitionedAtRuntime => "PartitionedAtRuntime".to_owned(),
            Self::CronTrigger(trigger) | Self::DeltaTrigger(trigger) => trigger.ticks.summary(),
            Self::CronDataInterval(intervals) | Self::DeltaDataInterval(intervals) => {
                intervals.ticks.summary()
            }
            Self::MultipleCronTrigger(triggers) => {
                join(triggers.triggers(), |trigger| trigger.ticks.summary())
            }
            Self::Events(events) => events.summary.clone(),
            Self::AssetTriggered(_) => "Asset".to_owned(),
            Self::PartitionedAsset(_) => "Partitioned Asset".to_owned(),
            Self::AssetOrTime(both) => format!("Asset or {}", both.time.summary()),
            Self::CronPartition(partitions) => partitions.trigger.ticks.summary(),
            Self::Custom(custom) => custom.says(
                |traits| traits.summary.clone(),
                custom.class_name().to_owned(),
            ),
        }
    }

    /// The schedule in words: `timetable_description`. Empty where Airflow has none.
    #[must_use]
    pub fn description(&self) -> String {
        match self {
            Self::Null => "Never, external triggers only".to_owned(),
            Self::Once => "Once, as soon as possible".to_owned(),
            Self::Continuous => "As frequently as possible, but only one run at a time.".to_owned(),
            Self::PartitionedAtRuntime => "Never, partition key(s) set at runtime".to_owned(),
            Self::CronTrigger(trigger) | Self::DeltaTrigger(trigger) => trigger.ticks.description(),
            Self::CronDataInterval(intervals) | Self::DeltaDataInterval(intervals) => {
                intervals.ticks.description()
            }
            Self::MultipleCronTrigger(triggers) => {
                join(triggers.triggers(), |trigger| trigger.ticks.description())
            }
            Self::Events(events) => events.description.clone(),
            Self::AssetTriggered(_) | Self::PartitionedAsset(_) => "Triggered by assets".to_owned(),
            Self::AssetOrTime(both) => {
                format!("Triggered by assets or {}", both.time.description())
            }
            Self::CronPartition(partitions) => partitions.trigger.ticks.description(),
            Self::Custom(custom) => custom.says(|traits| traits.description.clone(), String::new()),
        }
    }

    /// Whether runs come again and again; only then can it be backfilled.
    #[must_use]
    pub fn periodic(&self) -> bool {
        match self {
            Self::Null
            | Self::Once
            | Self::Continuous
            | Self::PartitionedAtRuntime
            | Self::AssetTriggered(_)
            | Self::PartitionedAsset(_) => false,
            Self::AssetOrTime(both) => both.time.periodic(),
            Self::CronTrigger(_)
            | Self::DeltaTrigger(_)
            | Self::CronDataInterval(_)
            | Self::DeltaDataInterval(_)
            | Self::MultipleCronTrigger(_)
            | Self::Events(_)
            | Self::CronPartition(_) => true,
            Self::Custom(custom) => custom.says(|traits| traits.periodic, true),
        }
    }

    /// Whether runs can come about by themselves, be it by the clock or by assets.
    #[must_use]
    pub fn can_be_scheduled(&self) -> bool {
        match self {
            Self::Null | Self::PartitionedAtRuntime => false,
            Self::AssetOrTime(both) => both.time.can_be_scheduled(),
            Self::Custom(custom) => custom.says(|traits| traits.can_be_scheduled, true),
            _ => true,
        }
    }

    /// Whether runs stand for partitions instead of data intervals.
    #[must_use]
    pub fn partitioned(&self) -> bool {
        match self {
            Self::CronPartition(_) | Self::PartitionedAsset(_) => true,
            Self::Custom(custom) => custom.says(|traits| traits.partitioned, false),
            _ => false,
        }
    }

    /// Whether partition keys are chosen when a run is triggered.
    #[must_use]
    pub fn partitioned_at_runtime(&self) -> bool {
        match self {
            Self::PartitionedAtRuntime => true,
            Self::Custom(custom) => custom.says(|traits| traits.partitioned_at_runtime, false),
            _ => false,
        }
    }

    /// The most `max_active_runs` that a Dag with this timetable may have.
    #[must_use]
    pub fn active_runs_limit(&self) -> Option<u32> {
        match self {
            Self::Continuous => Some(1),
            Self::AssetOrTime(both) => both.time.active_runs_limit(),
            Self::Custom(custom) => custom.says(|traits| traits.active_runs_limit, None),
            _ => None,
        }
    }

    /// Fields of a run by which the UI sorts the runs of a Dag, most important first.
    #[must_use]
    pub fn run_ordering(&self) -> Vec<&str> {
        const BY_INTERVAL: [&str; 2] = ["data_interval_end", "logical_date"];
        match self {
            Self::Null
            | Self::Once
            | Self::Continuous
            | Self::PartitionedAtRuntime
            | Self::AssetTriggered(_)
            | Self::PartitionedAsset(_)
            | Self::AssetOrTime(_) => vec!["logical_date"],
            Self::CronTrigger(_)
            | Self::DeltaTrigger(_)
            | Self::CronDataInterval(_)
            | Self::DeltaDataInterval(_)
            | Self::MultipleCronTrigger(_)
            | Self::Events(_)
            | Self::CronPartition(_) => BY_INTERVAL.to_vec(),
            Self::Custom(custom) => custom.traits.as_deref().map_or_else(
                || BY_INTERVAL.to_vec(),
                |traits| traits.run_ordering.iter().map(String::as_str).collect(),
            ),
        }
    }

    /// What timetables wait for that wait for assets.
    #[must_use]
    pub fn asset_schedule(&self) -> Option<&AssetSchedule> {
        match self {
            Self::AssetTriggered(schedule) => Some(schedule),
            Self::PartitionedAsset(assets) => Some(&assets.schedule),
            Self::AssetOrTime(both) => Some(&both.schedule),
            Self::Custom(custom) => custom.schedule.as_ref(),
            _ => None,
        }
    }
}

fn join<'a>(
    triggers: impl Iterator<Item = &'a Trigger>,
    text: impl Fn(&Trigger) -> String,
) -> String {
    triggers.map(text).collect::<Vec<_>>().join(", ")
}
