//! Finds the partitions that events belong to.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tracing::{debug, warn};
use updraft_model::DagId;
use updraft_store::{NewEventLog, Tx, UnmappedEvent, WhichDags};
use updraft_timetable::{Ask, Mapped, MapperAnswer, MappingError, PartitionMapper};

use super::{Definition, Definitions};
use crate::Error;
use crate::scheduler::Scheduler;

/// Events that are mapped at a time. Each may feed a thousand partitions.
const EVENTS_PER_STEP: i64 = 50;

/// What is to be written of an event.
enum Mapping {
    /// The runs it feeds.
    Feeds(Mapped),
    Refused(Refusal),
    /// The Dag waits for no partitions any more.
    Moot,
}

/// Why an event feeds no run.
enum Refusal {
    Mapping(String),
    TooMany { count: usize, source: String },
}

impl Scheduler {
    /// Maps the events that wait for it. `true`: there are more.
    ///
    /// Events about which Python has yet to say something stay, and do not hold up those of others.
    pub(super) async fn map_events(
        &mut self,
        which: &WhichDags,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut waiting: BTreeSet<DagId> = BTreeSet::new();
        loop {
            let mut reader = self.store.read().await?;
            let events = reader
                .load_unmapped_events(which, &waiting, EVENTS_PER_STEP)
                .await?;
            let is_full = i64::try_from(events.len()).is_ok_and(|count| count == EVENTS_PER_STEP);
            let mut definitions = Definitions::new();
            let mut mapped = Vec::with_capacity(events.len());
            let waited = waiting.len();
            for event in events {
                let definition = self
                    .definition(&mut reader, &mut definitions, &event.dag_id)
                    .await?;
                let Some(definition) = definition else {
                    debug!(dag_id = %event.dag_id, "left an asset event alone whose Dag was never serialized");
                    waiting.insert(event.dag_id);
                    continue;
                };
                match self.map_event(&definition, &event) {
                    Some(mapping) => mapped.push((event, definition, mapping)),
                    None => _ = waiting.insert(event.dag_id),
                }
            }
            drop(reader);
            let mut is_outdated = false;
            if !mapped.is_empty() {
                let mut tx = self.store.write().await?;
                for (event, definition, mapping) in &mapped {
                    is_outdated |= !write(&mut tx, event, definition, mapping, now).await?;
                }
                tx.commit().await?;
            }
            if is_outdated || !is_full {
                return Ok(is_outdated);
            }
            if waiting.len() == waited {
                return Ok(true);
            }
        }
    }

    /// What becomes of an event; `None`: Python has yet to say.
    fn map_event(&self, definition: &Definition, event: &UnmappedEvent) -> Option<Mapping> {
        let Some(assets) = definition.partitioned() else {
            return Some(Mapping::Moot);
        };
        let mapper = assets.mappers.of_asset(&event.asset.name, &event.asset.uri);
        let mapped = match mapper.map(&event.partition_key, event.partition_date) {
            Err(MappingError::NeedsPython { class_path }) => {
                self.ask_to_map(mapper, &class_path, event)?
            }
            Err(error) => Err(error.to_string()),
            Ok(mapped) => Ok(mapped),
        };
        Some(match mapped {
            Ok(mapped) => self.bounded(mapped),
            Err(why) => Mapping::Refused(Refusal::Mapping(why)),
        })
    }

    fn ask_to_map(
        &self,
        mapper: &PartitionMapper,
        class_path: &str,
        event: &UnmappedEvent,
    ) -> Option<Result<Mapped, String>> {
        let ask = Ask::Map {
            key: event.partition_key.clone(),
            partition_date: event.partition_date,
        };
        let questions = vec![mapper.question(class_path, ask)];
        let answers = self.ask_mappers(&event.dag_id, questions)?;
        Some(match answers.into_iter().next() {
            Some(Ok(MapperAnswer::Mapped(mapped))) => Ok(mapped),
            Some(Err(why)) => Err(why),
            Some(Ok(MapperAnswer::Judged(_))) | None => {
                Err(format!("`{class_path}` answered another question"))
            }
        })
    }

    /// Refuses more keys than the mapper allows, or the configuration.
    fn bounded(&self, mapped: Mapped) -> Mapping {
        let global_max = self.options.partition_keys_max;
        let max = mapped.keys_max.unwrap_or(global_max);
        if u32::try_from(mapped.keys.len()).is_ok_and(|count| count <= max) {
            return Mapping::Feeds(mapped);
        }
        Mapping::Refused(Refusal::TooMany {
            count: mapped.keys.len(),
            source: match mapped.keys_max {
                Some(own) => format!("max_downstream_keys={own}"),
                None => format!("[scheduler] partition_mapper_max_downstream_keys={global_max}"),
            },
        })
    }
}

/// Writes what becomes of an event. `false`: the Dag has changed since, so it must be mapped anew.
async fn write(
    tx: &mut Tx,
    event: &UnmappedEvent,
    definition: &Definition,
    mapping: &Mapping,
    now: Timestamp,
) -> Result<bool, Error> {
    let latest = tx.find_latest_version(&event.dag_id).await?;
    if latest.is_some_and(|latest| latest.id != definition.version) {
        return Ok(false);
    }
    if !tx.take_unmapped_event(event).await? {
        return Ok(true);
    }
    match (mapping, definition.partitioned()) {
        (Mapping::Feeds(mapped), Some(assets)) => {
            let keys = mapped.keys.iter().cloned().collect();
            let fingerprint = assets.mappers.fingerprint(&assets.schedule.condition);
            let date = mapped.partition_date;
            tx.touch_partitions(event, &keys, date, &fingerprint, now)
                .await?;
        }
        (Mapping::Refused(refusal), _) => refusal.write(tx, event, now).await?,
        (Mapping::Moot | Mapping::Feeds(_), _) => {
            debug!(dag_id = %event.dag_id, "left out an asset event: the Dag waits for no partitions any more");
        }
    }
    Ok(true)
}

impl Refusal {
    /// Leaves the trace that people look for.
    async fn write(&self, tx: &mut Tx, event: &UnmappedEvent, now: Timestamp) -> Result<(), Error> {
        let (dag_id, key) = (&event.dag_id, event.partition_key.as_str());
        let asset = format!("(name='{}', uri='{}')", event.asset.name, event.asset.uri);
        let (name, extra) = match self {
            Self::Mapping(why) => (
                "failed to map partition_key",
                format!(
                    "Could not map partition_key '{key}' for asset {asset} in target Dag \
                     '{dag_id}'. Either its partition mapper is not meant for such keys, or it is \
                     misconfigured.\n{why}"
                ),
            ),
            Self::TooMany { count, source } => (
                "partition fan-out exceeded",
                format!(
                    "The partition mapper for asset {asset} in target Dag '{dag_id}' produced \
                     {count} downstream keys from partition_key='{key}', more than {source}. No Dag \
                     runs were queued for this event."
                ),
            ),
        };
        warn!(%dag_id, partition_key = key, asset = event.asset.name, reason = extra, "an asset event feeds no partition");
        let mut row = NewEventLog {
            dttm: now,
            event: name.to_owned(),
            extra: Some(extra),
            ..NewEventLog::default()
        };
        if let Some(source) = &event.source {
            row.dag_id = Some(source.dag_id.clone());
            row.run_id = Some(source.run_id.clone());
            row.task_id = Some(source.task_id.clone());
            row.map_index = Some(source.map_index.0);
        }
        Ok(tx.write_event_log(&row).await?)
    }
}
