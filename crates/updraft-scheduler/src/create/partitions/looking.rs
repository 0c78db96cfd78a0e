//! Looks whether partitions have all that their runs wait for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tracing::{info, warn};
use updraft_model::DagId;
use updraft_model::asset::AssetKey;
use updraft_planning::partition_run::{PartitionRunPlan, PartitionRunView, plan_partition_run};
use updraft_store::{PendingPartition, Reader, WhichDags};
use updraft_timetable::{Ask, Judged, MapperAnswer, MappingError, PartitionedAsset};

use super::{Definition, Definitions, RUNS_PER_TRANSACTION};
use crate::Error;
use crate::create::assets::resolve;
use crate::scheduler::Scheduler;

/// Partitions that are looked at in one round, as in Airflow.
const PARTITIONS_PER_STEP: i64 = 500;

/// A partition that has all it waits for.
pub(super) struct Due {
    pub(super) partition: PendingPartition,
    pub(super) partition_date: Option<Timestamp>,
}

/// What a look at a partition found.
enum Look {
    Due(Option<Timestamp>),
    Waits,
    /// It was collected under other mappers.
    Outdated,
    /// Python has yet to say.
    Unknown,
}

/// What its mappers say of a partition, by asset.
type Verdicts = BTreeMap<AssetKey, Result<Judged, String>>;

impl Scheduler {
    /// Creates the runs that are due. `true`: there are more partitions to look at.
    ///
    /// Partitions about which Python has yet to say something do not hold up those of others.
    pub(super) async fn look_at_partitions(
        &mut self,
        which: &WhichDags,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut waiting: BTreeSet<DagId> = BTreeSet::new();
        loop {
            let waited = waiting.len();
            let is_full = self.look_at_some(which, &mut waiting, now).await?;
            if !is_full || waiting.len() == waited {
                return Ok(is_full);
            }
        }
    }

    /// `true`: it were as many as are looked at in one round.
    async fn look_at_some(
        &mut self,
        which: &WhichDags,
        waiting: &mut BTreeSet<DagId>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut reader = self.store.read().await?;
        let partitions = reader
            .load_unseen_partitions(which, waiting, PARTITIONS_PER_STEP)
            .await?;
        let is_full =
            i64::try_from(partitions.len()).is_ok_and(|found| found == PARTITIONS_PER_STEP);
        let mut definitions = Definitions::new();
        let (mut due, mut seen) = (Vec::new(), Vec::new());
        for partition in partitions {
            let definition = self
                .definition(&mut reader, &mut definitions, &partition.dag_id)
                .await?;
            let look = match &definition {
                Some(definition) => {
                    self.look_at_partition(&mut reader, definition, &partition)
                        .await?
                }
                None => Look::Waits,
            };
            match look {
                Look::Due(partition_date) => due.push(Due {
                    partition,
                    partition_date,
                }),
                Look::Unknown => _ = waiting.insert(partition.dag_id),
                Look::Waits => seen.push((partition, false)),
                Look::Outdated => seen.push((partition, true)),
            }
        }
        drop(reader);
        self.note_looks(&seen).await?;
        for some in due.chunks(RUNS_PER_TRANSACTION) {
            self.write_partition_runs(&definitions, some, now).await?;
        }
        self.agenda.starting |= !due.is_empty();
        Ok(is_full)
    }

    async fn look_at_partition(
        &self,
        reader: &mut Reader,
        definition: &Definition,
        partition: &PendingPartition,
    ) -> Result<Look, Error> {
        let (dag_id, key) = (&partition.dag_id, partition.partition_key.as_str());
        let Some(assets) = definition.partitioned() else {
            return Ok(Look::Outdated);
        };
        let condition = &assets.schedule.condition;
        if assets.mappers.fingerprint(condition) != partition.rollup_fingerprint {
            return Ok(Look::Outdated);
        }
        let Some(verdicts) = self.judge(assets, partition) else {
            return Ok(Look::Unknown);
        };
        let mut judged = BTreeMap::new();
        for (asset, verdict) in verdicts {
            match verdict {
                Ok(verdict) => {
                    if let Some(why) = &verdict.unreachable {
                        warn!(%dag_id, partition_key = key, asset = asset.name, why, "a partition waits in vain");
                    }
                    judged.insert(asset, verdict);
                }
                Err(error) => {
                    warn!(%dag_id, partition_key = key, asset = asset.name, %error, "a mapper cannot read the key of a partition; it waits");
                }
            }
        }
        let resolved = resolve(reader, condition).await?;
        let plan = plan_partition_run(&PartitionRunView {
            condition,
            resolved: &resolved,
            judged: &judged,
            carried_date: partition.partition_date,
        });
        Ok(match plan {
            PartitionRunPlan::Wait => Look::Waits,
            PartitionRunPlan::Create {
                partition_date,
                undated,
            } => {
                if let Some(why) = undated {
                    warn!(%dag_id, partition_key = key, why, "found no partition date");
                }
                Look::Due(partition_date)
            }
        })
    }

    /// What the mappers say of what came for a partition; `None`: Python has yet to say.
    fn judge(&self, assets: &PartitionedAsset, partition: &PendingPartition) -> Option<Verdicts> {
        let key = partition.partition_key.as_str();
        let mut verdicts = Verdicts::new();
        let (mut asked, mut questions) = (Vec::new(), Vec::new());
        for (asset, keys) in &partition.received {
            let mapper = assets.mappers.of_asset(&asset.name, &asset.uri);
            match mapper.judge(key, keys) {
                Err(MappingError::NeedsPython { class_path }) => {
                    let ask = Ask::Judge {
                        downstream_key: key.to_owned(),
                        source_keys: keys.clone(),
                    };
                    asked.push(asset);
                    questions.push(mapper.question(&class_path, ask));
                }
                verdict => {
                    let verdict = verdict.map_err(|error| error.to_string());
                    verdicts.insert(asset.clone(), verdict);
                }
            }
        }
        if !questions.is_empty() {
            let answers = self.ask_mappers(&partition.dag_id, questions)?;
            for (asset, answer) in asked.into_iter().zip(answers) {
                let verdict = answer.and_then(|answer| match answer {
                    MapperAnswer::Judged(judged) => Ok(judged),
                    MapperAnswer::Mapped(_) => Err("Python answered another question".to_owned()),
                });
                verdicts.insert(asset.clone(), verdict);
            }
        }
        Some(verdicts)
    }

    /// Notes which partitions wait on, and forgets those that are outdated.
    async fn note_looks(&self, seen: &[(PendingPartition, bool)]) -> Result<(), Error> {
        if seen.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.write().await?;
        for (partition, is_outdated) in seen {
            if !is_outdated {
                tx.note_partition_look(partition).await?;
            } else if tx.forget_partition(partition).await? {
                info!(dag_id = %partition.dag_id, partition_key = partition.partition_key, "forgot a partition that was collected under other mappers");
            }
        }
        Ok(tx.commit().await?)
    }
}
