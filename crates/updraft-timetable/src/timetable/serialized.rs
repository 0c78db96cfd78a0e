//! Reads timetables from the `{"__type": class path, "__var": data}` maps of a serialized Dag.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cron_partition::RUN_OFFSET_MAX;
use super::trigger::RunImmediately;
use super::{
    AssetOrTime, AssetSchedule, CronPartition, Custom, DataIntervals, MultipleCronTrigger,
    PartitionedAsset, Timetable, Trigger,
};
use crate::Error;
use crate::cron::Cron;
use crate::delta::Delta;
use crate::key_format::KeyFormat;
use crate::partition::PartitionMappers;
use crate::ticks::{CronSchedule, Ticks};
use crate::zone::Zone;

/// Where Airflow's own timetables live.
const BUILT_IN: &str = "airflow.timetables.";
/// How much of a value an error message repeats.
const FOUND_CHARS_MAX: usize = 120;

impl Timetable {
    /// Reads the `timetable` of a serialized Dag.
    ///
    /// A class that Airflow does not ship becomes [`Timetable::Custom`].
    ///
    /// # Errors
    /// The map has no type, or its data is not what the type writes.
    pub fn from_serialized(value: &Value) -> Result<Self, Error> {
        let type_name = value.get("__type").and_then(Value::as_str);
        let Some(type_name) = type_name else {
            return Err(Error::NotATimetable {
                found: value.to_string().chars().take(FOUND_CHARS_MAX).collect(),
            });
        };
        let empty = Value::Object(serde_json::Map::new());
        let data = Data {
            type_name,
            whole: value,
            value: value.get("__var").unwrap_or(&empty),
        };
        match type_name.strip_prefix(BUILT_IN) {
            Some(built_in) => data.built_in(built_in),
            None => data.custom(),
        }
    }
}

/// The `__var` of a timetable, with the type for error messages.
struct Data<'a> {
    type_name: &'a str,
    whole: &'a Value,
    value: &'a Value,
}

impl Data<'_> {
    fn built_in(&self, class: &str) -> Result<Timetable, Error> {
        Ok(match class {
            "simple.NullTimetable" => Timetable::Null,
            "simple.OnceTimetable" => Timetable::Once,
            "simple.ContinuousTimetable" => Timetable::Continuous,
            "simple.PartitionedAtRuntime" => Timetable::PartitionedAtRuntime,
            "trigger.CronTriggerTimetable" => Timetable::CronTrigger(self.cron_trigger()?),
            "trigger.DeltaTriggerTimetable" => Timetable::DeltaTrigger(self.delta_trigger()?),
            "trigger.MultipleCronTriggerTimetable" => {
                Timetable::MultipleCronTrigger(self.multiple_cron_trigger()?)
            }
            "trigger.CronPartitionTimetable" => Timetable::CronPartition(self.cron_partition()?),
            "interval.CronDataIntervalTimetable" => {
                let data: CronData = self.read()?;
                let ticks = Ticks::Cron(cron_schedule(&data.expression, data.timezone)?);
                Timetable::CronDataInterval(DataIntervals { ticks })
            }
            "interval.DeltaDataIntervalTimetable" => {
                let data: DeltaData = self.read()?;
                let ticks = Ticks::Delta(data.delta);
                Timetable::DeltaDataInterval(DataIntervals { ticks })
            }
            "events.EventsTimetable" => Timetable::Events(self.read()?),
            "simple.AssetTriggeredTimetable" => {
                let AssetData { asset_condition } = self.read()?;
                Timetable::AssetTriggered(AssetSchedule::from_serialized(asset_condition)?)
            }
            "simple.PartitionedAssetTimetable" => {
                Timetable::PartitionedAsset(Box::new(self.partitioned_asset()?))
            }
            "assets.AssetOrTimeSchedule" => Timetable::AssetOrTime(Box::new(self.asset_or_time()?)),
            _ => self.custom()?,
        })
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(self.value).map_err(|source| Error::InvalidData {
            type_name: self.type_name.to_owned(),
            source,
        })
    }

    fn custom(&self) -> Result<Timetable, Error> {
        let custom = Custom::read(self.type_name, self.whole, self.value)?;
        Ok(Timetable::Custom(custom))
    }

    fn cron_trigger(&self) -> Result<Trigger, Error> {
        let data: CronTriggerData = self.read()?;
        Ok(Trigger {
            ticks: Ticks::Cron(cron_schedule(&data.expression, data.timezone)?),
            interval: data.interval,
            run_immediately: data.run_immediately,
        })
    }

    fn delta_trigger(&self) -> Result<Trigger, Error> {
        let data: DeltaData = self.read()?;
        Ok(Trigger {
            ticks: Ticks::Delta(data.delta),
            interval: data.interval,
            run_immediately: RunImmediately::default(),
        })
    }

    fn multiple_cron_trigger(&self) -> Result<MultipleCronTrigger, Error> {
        let data: MultipleCronData = self.read()?;
        let mut triggers = Vec::with_capacity(data.expressions.len());
        for expression in &data.expressions {
            triggers.push(Trigger {
                ticks: Ticks::Cron(cron_schedule(expression, data.timezone.clone())?),
                interval: data.interval.clone(),
                run_immediately: data.run_immediately,
            });
        }
        let mut triggers = triggers.into_iter();
        let first = triggers
            .next()
            .ok_or_else(|| self.invalid("expected at least one cron expression, found none"))?;
        Ok(MultipleCronTrigger {
            first,
            rest: triggers.collect(),
        })
    }

    fn cron_partition(&self) -> Result<CronPartition, Error> {
        let data: CronPartitionData = self.read()?;
        let run_offset = data.run_offset.unwrap_or(0);
        if run_offset.unsigned_abs() > RUN_OFFSET_MAX {
            return Err(self.invalid("run_offset must lie within 40000 ticks of the run"));
        }
        let cron = cron_schedule(&data.expression, data.timezone)?;
        Ok(CronPartition {
            trigger: Trigger {
                ticks: Ticks::Cron(cron.clone()),
                interval: Delta::default(),
                run_immediately: data.run_immediately,
            },
            cron,
            run_offset,
            key_format: KeyFormat::new(&data.key_format)?,
        })
    }

    fn partitioned_asset(&self) -> Result<PartitionedAsset, Error> {
        let data: PartitionedAssetData = self.read()?;
        Ok(PartitionedAsset {
            schedule: AssetSchedule::from_serialized(data.asset_condition)?,
            mappers: PartitionMappers::from_serialized(
                &data.default_partition_mapper,
                &data.partition_mapper_config,
            )?,
        })
    }

    fn asset_or_time(&self) -> Result<AssetOrTime, Error> {
        let data: AssetOrTimeData = self.read()?;
        let time = Timetable::from_serialized(&data.timetable)?;
        if time.asset_schedule().is_some() {
            return Err(self.invalid("the inner timetable must not wait for assets itself"));
        }
        Ok(AssetOrTime {
            schedule: AssetSchedule::from_serialized(data.asset_condition)?,
            time,
        })
    }

    fn invalid(&self, reason: &'static str) -> Error {
        Error::InvalidComposition {
            type_name: self.type_name.to_owned(),
            reason,
        }
    }
}

/// Short forms that Airflow replaces before croniter sees them.
const PRESETS: &[(&str, &str)] = &[
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@quarterly", "0 0 1 */3 *"),
    ("@yearly", "0 0 1 1 *"),
];

fn cron_schedule(expression: &str, zone: Zone) -> Result<CronSchedule, Error> {
    let expression = PRESETS
        .iter()
        .find(|(preset, _)| *preset == expression)
        .map_or(expression, |(_, meaning)| meaning);
    Ok(CronSchedule {
        cron: Cron::parse(expression)?,
        zone,
    })
}

#[derive(Deserialize)]
struct CronData {
    expression: String,
    timezone: Zone,
}

#[derive(Deserialize)]
struct CronTriggerData {
    expression: String,
    timezone: Zone,
    #[serde(default)]
    interval: Delta,
    #[serde(default)]
    run_immediately: RunImmediately,
}

#[derive(Deserialize)]
struct MultipleCronData {
    expressions: Vec<String>,
    timezone: Zone,
    #[serde(default)]
    interval: Delta,
    #[serde(default)]
    run_immediately: RunImmediately,
}

#[derive(Deserialize)]
struct CronPartitionData {
    expression: String,
    timezone: Zone,
    #[serde(default)]
    run_immediately: RunImmediately,
    run_offset: Option<i32>,
    key_format: String,
}

#[derive(Deserialize)]
struct DeltaData {
    delta: Delta,
    #[serde(default)]
    interval: Delta,
}

#[derive(Deserialize)]
struct AssetData {
    asset_condition: Value,
}

#[derive(Deserialize)]
struct AssetOrTimeData {
    asset_condition: Value,
    timetable: Value,
}

#[derive(Deserialize)]
struct PartitionedAssetData {
    asset_condition: Value,
    default_partition_mapper: Value,
    #[serde(default)]
    partition_mapper_config: Vec<(Value, Value)>,
}
