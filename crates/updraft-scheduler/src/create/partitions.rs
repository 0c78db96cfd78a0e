//! Creates the runs of partitions: maps the keys of events, and looks whether all has come that a
//! run waits for.
//!
//! Both may take Python, for mappers that are classes of the user, so neither happens within a
//! transaction: what was found out is written only if nothing happened meanwhile. Nor is Python
//! waited for: what it has yet to say stays as it is, and is looked at again when it has.
//!
//! Source: scheduling semantics §2.7.

mod looking;
mod mapping;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::{info, warn};
use updraft_model::{DagId, DagRunType, DagVersionId};
use updraft_store::{Reader, RunCreation, Tx, WhichDags};
use updraft_timetable::{MapperQuestion, PartitionedAsset, Timetable, generate_run_id};

use self::looking::Due;
use super::{NewRun, RANDOM_CHARS};
use crate::Error;
use crate::custom_mappers::Answers;
use crate::dags::CachedDag;
use crate::scheduler::Scheduler;

/// Runs that one transaction creates.
const RUNS_PER_TRANSACTION: usize = 50;

/// What is known of Dags while the same look lasts.
type Definitions = BTreeMap<DagId, Option<Arc<Definition>>>;

/// The newest version of a Dag, as partitions see it.
struct Definition {
    cached: Arc<CachedDag>,
    version: DagVersionId,
}

impl Definition {
    fn partitioned(&self) -> Option<&PartitionedAsset> {
        match self.cached.timetable() {
            Some(Timetable::PartitionedAsset(assets)) => Some(assets),
            _ => None,
        }
    }
}

impl Scheduler {
    /// Maps events and creates runs of partitions. `true`: there is more to do.
    pub(super) async fn create_partition_runs(
        &mut self,
        which: &WhichDags,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let has_more = self.map_events(which, now).await?;
        if !self.options.use_job_schedule {
            return Ok(has_more);
        }
        Ok(self.look_at_partitions(which, now).await? || has_more)
    }

    /// What Python says of mappers of the user; `None`: it has yet to say.
    fn ask_mappers(&self, dag_id: &DagId, questions: Vec<MapperQuestion>) -> Option<Answers> {
        match &self.options.custom_mappers {
            Some(mappers) => mappers.take(dag_id, questions, self.store.changes()),
            None => {
                let refuse = |question: MapperQuestion| {
                    Err(format!(
                        "there is no Python to ask `{}`",
                        question.class_path
                    ))
                };
                Some(questions.into_iter().map(refuse).collect())
            }
        }
    }

    async fn definition(
        &mut self,
        reader: &mut Reader,
        known: &mut Definitions,
        dag_id: &DagId,
    ) -> Result<Option<Arc<Definition>>, Error> {
        if let Some(known) = known.get(dag_id) {
            return Ok(known.clone());
        }
        let mut found = None;
        if let Some(version) = reader.find_latest_version(dag_id).await? {
            let cached = self
                .dags
                .load(reader, version.id, &version.dag_hash)
                .await?;
            found = cached.map(|cached| {
                Arc::new(Definition {
                    cached,
                    version: version.id,
                })
            });
        }
        known.insert(dag_id.clone(), found.clone());
        Ok(found)
    }

    async fn write_partition_runs(
        &self,
        definitions: &Definitions,
        due: &[Due],
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut tx = self.store.write().await?;
        for due in due {
            let definition = definitions.get(&due.partition.dag_id);
            if let Some(Some(definition)) = definition {
                self.write_partition_run(&mut tx, definition, due, now)
                    .await?;
            }
        }
        Ok(tx.commit().await?)
    }

    /// Quirk 17: neither a pause nor `max_active_runs` holds a partition back.
    async fn write_partition_run(
        &self,
        tx: &mut Tx,
        definition: &Definition,
        due: &Due,
        now: Timestamp,
    ) -> Result<(), Error> {
        let partition = &due.partition;
        let (dag_id, dag) = (&partition.dag_id, &definition.cached.dag);
        let Some(row) = tx.find_dag(dag_id).await? else {
            return Ok(());
        };
        if !tx.lock_partition(partition).await? {
            return Ok(());
        }
        let run_id = generate_run_id(
            DagRunType::AssetTriggered,
            now,
            jiff::tz::Offset::UTC,
            None,
            &self.ids.alphanumeric(RANDOM_CHARS),
        );
        let new = NewRun {
            partition_key: Some(partition.partition_key.clone()),
            partition_date: due.partition_date,
            ..NewRun::of_assets(run_id, now)
        };
        let run = self.new_run(&row, dag, definition.version, new);
        let RunCreation::Created(run) = tx.create_dag_run(&run, now).await? else {
            warn!(%dag_id, run_id = %run.run_id, "left a due partition alone whose new run has the id of another");
            return Ok(());
        };
        self.create_task_instances(tx, &run, dag, definition.version, now)
            .await?;
        let events = tx.finish_partition(partition, run.id, now).await?;
        info!(%dag_id, run_id = %run.run_id, partition_key = partition.partition_key, events, "created the Dag run of a partition");
        Ok(())
    }
}
