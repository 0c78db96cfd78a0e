//! Partitions of Dags that are scheduled on assets: events whose keys have yet to be mapped, runs to
//! come, and what came for them.
//!
//! Mapping keys is nobody's business here. An event waits in `asset_partition_queue`; who maps it
//! takes it off the queue and writes the runs to come in the same transaction, so that each event
//! counts once. Source: fact sheet "scheduling semantics" §2.7.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::any::AnyRow;
use updraft_model::asset::AssetKey;
use updraft_model::{DagId, MapIndex, RunId, TaskId};

use crate::asset_queue::WhichDags;
use crate::dialect::Kind;
use crate::row::{Columns, assembled, int_array, micros, micros_or_null, text_array};
use crate::{Error, Reader, Tx};

/// An event whose keys for a Dag have yet to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmappedEvent {
    pub dag_id: DagId,
    pub event_id: i64,
    pub asset_id: i64,
    pub asset: AssetKey,
    pub partition_key: String,
    /// That a run with the same key takes over.
    pub partition_date: Option<Timestamp>,
    /// The try that caused it, for the audit log.
    pub source: Option<EventSource>,
}

/// The task instance that caused an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSource {
    pub dag_id: DagId,
    pub run_id: RunId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
}

/// A partition that has no run yet.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingPartition {
    pub id: i64,
    pub dag_id: DagId,
    pub partition_key: String,
    pub partition_date: Option<Timestamp>,
    pub rollup_fingerprint: Value,
    /// Tells whether something happened to it since it was loaded.
    pub touched: i64,
    /// The keys of the events that came, by active asset.
    pub received: BTreeMap<AssetKey, BTreeSet<String>>,
}

impl Reader {
    /// Events that wait to be mapped, oldest first, at most `limit`; none for the Dags of `except`.
    pub async fn load_unmapped_events(
        &mut self,
        which: &WhichDags,
        except: &BTreeSet<DagId>,
        limit: i64,
    ) -> Result<Vec<UnmappedEvent>, Error> {
        let (condition, dags) = self.among("q.target_dag_id", which);
        let excepted = self.dialect().one_of_texts("q.target_dag_id", "$3");
        let statement = sqlx::query(assembled(format!(
            "SELECT q.target_dag_id, q.event_id, e.asset_id, a.name, a.uri, e.partition_key,
                    q.partition_date, e.source_dag_id, e.source_run_id, e.source_task_id,
                    e.source_map_index
               FROM asset_partition_queue AS q
               JOIN asset_event AS e ON e.id = q.event_id
               JOIN asset AS a ON a.id = e.asset_id
              WHERE {condition} AND NOT {excepted}
              ORDER BY q.event_id, q.target_dag_id
              LIMIT $2"
        )))
        .bind(dags)
        .bind(limit)
        .bind(text_array(except));
        self.fetch_all("load unmapped asset events", statement)
            .await?
            .iter()
            .map(unmapped_event_from)
            .collect()
    }

    /// Partitions without a run that something happened to since they were looked at, oldest first,
    /// at most `limit`; none of the Dags of `except`.
    pub async fn load_unseen_partitions(
        &mut self,
        which: &WhichDags,
        except: &BTreeSet<DagId>,
        limit: i64,
    ) -> Result<Vec<PendingPartition>, Error> {
        let (condition, dags) = self.among("p.target_dag_id", which);
        let excepted = self.dialect().one_of_texts("p.target_dag_id", "$3");
        let statement = sqlx::query(assembled(format!(
            "SELECT p.id, p.target_dag_id, p.partition_key, p.partition_date,
                    p.rollup_fingerprint, p.touched
               FROM asset_partition_dag_run AS p
               JOIN dag AS d ON d.dag_id = p.target_dag_id
              WHERE p.created_dag_run_id IS NULL AND p.touched <> p.looked_at
                AND NOT d.is_stale AND {condition} AND NOT {excepted}
              ORDER BY p.id
              LIMIT $2"
        )))
        .bind(dags)
        .bind(limit)
        .bind(text_array(except));
        let mut partitions: Vec<PendingPartition> = self
            .fetch_all("load pending partitions", statement)
            .await?
            .iter()
            .map(pending_partition_from)
            .collect::<Result<_, _>>()?;
        let mut received = self
            .load_received_keys(partitions.iter().map(|partition| partition.id))
            .await?;
        for partition in &mut partitions {
            partition.received = received.remove(&partition.id).unwrap_or_default();
        }
        Ok(partitions)
    }

    /// What came for partitions, of assets that are active: what came before an asset lost its
    /// place counts again when it has it back.
    async fn load_received_keys(
        &mut self,
        ids: impl IntoIterator<Item = i64>,
    ) -> Result<BTreeMap<i64, BTreeMap<AssetKey, BTreeSet<String>>>, Error> {
        let theirs = self
            .dialect()
            .one_of_ints("log.asset_partition_dag_run_id", "$1");
        let statement = sqlx::query(assembled(format!(
            "SELECT log.asset_partition_dag_run_id, a.name, a.uri, log.source_partition_key
               FROM partitioned_asset_key_log AS log
               JOIN asset AS a ON a.id = log.asset_id
              WHERE {theirs} AND a.is_active"
        )))
        .bind(int_array(ids));
        let mut received: BTreeMap<i64, BTreeMap<AssetKey, BTreeSet<String>>> = BTreeMap::new();
        for row in &self
            .fetch_all("load what came for partitions", statement)
            .await?
        {
            let mut columns = Columns::of("partitioned_asset_key_log", row);
            let of_partition = received.entry(columns.big()?).or_default();
            let asset = AssetKey {
                name: columns.owned()?,
                uri: columns.owned()?,
            };
            of_partition
                .entry(asset)
                .or_default()
                .insert(columns.owned()?);
        }
        Ok(received)
    }

    /// A condition on a Dag's id, and the value of its parameter `$1`.
    pub(crate) fn among(&self, column: &str, which: &WhichDags) -> (String, String) {
        match which {
            WhichDags::All => ("$1 IS NOT NULL".to_owned(), String::new()),
            WhichDags::These(dags) => (self.dialect().one_of_texts(column, "$1"), text_array(dags)),
        }
    }
}

impl Tx {
    /// Lets an event wait to be mapped for partitioned Dags.
    pub(crate) async fn queue_for_partitions(
        &mut self,
        event_id: i64,
        dags: &[DagId],
        partition_date: Option<Timestamp>,
    ) -> Result<(), Error> {
        for dag_id in dags {
            let statement = sqlx::query(
                "INSERT INTO asset_partition_queue (target_dag_id, event_id, partition_date)
                 VALUES ($1, $2, $3)",
            )
            .bind(dag_id.as_str())
            .bind(event_id)
            .bind(micros_or_null(partition_date));
            self.execute("queue an asset event", statement).await?;
            self.may_create_runs(dag_id);
        }
        Ok(())
    }

    /// Takes an event off the queue of a Dag. `false`: another scheduler did.
    pub async fn take_unmapped_event(&mut self, event: &UnmappedEvent) -> Result<bool, Error> {
        let statement = sqlx::query(
            "DELETE FROM asset_partition_queue WHERE target_dag_id = $1 AND event_id = $2",
        )
        .bind(event.dag_id.as_str())
        .bind(event.event_id);
        Ok(self.execute("take an asset event", statement).await? == 1)
    }

    /// Notes that an event came for these partitions of its Dag. A partition that has a run already
    /// begins anew, and so does one that was collected under other mappers.
    ///
    /// A date that is carried over stays as long as all that carry one agree.
    pub async fn touch_partitions(
        &mut self,
        event: &UnmappedEvent,
        partition_keys: &BTreeSet<String>,
        partition_date: Option<Timestamp>,
        rollup_fingerprint: &Value,
        now: Timestamp,
    ) -> Result<(), Error> {
        let theirs = self.dialect().one_of_texts("partition_key", "$2");
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM asset_partition_dag_run
              WHERE target_dag_id = $1 AND {theirs} AND created_dag_run_id IS NULL
                AND rollup_fingerprint <> $3"
        )))
        .bind(event.dag_id.as_str())
        .bind(text_array(partition_keys))
        .bind(rollup_fingerprint.to_string());
        self.execute("forget outdated partitions", statement)
            .await?;
        let given = self.dialect().rows("$2", "given", &[("key", Kind::Text)]);
        let keys = Value::from_iter(partition_keys.iter().map(|key| json!({"key": key})));
        let statement = sqlx::query(assembled(format!(
            "INSERT INTO asset_partition_dag_run AS pending
                 (target_dag_id, partition_key, partition_date, rollup_fingerprint, touched,
                  looked_at, created_at, updated_at)
             SELECT $1, key, $3, $4, 1, 0, $5, $5 FROM {given} WHERE TRUE
              ORDER BY key
             ON CONFLICT (target_dag_id, partition_key) WHERE created_dag_run_id IS NULL
             DO UPDATE
                SET touched = pending.touched + 1, updated_at = excluded.updated_at,
                    partition_date = CASE
                        WHEN pending.partition_date IS NULL THEN excluded.partition_date
                        WHEN excluded.partition_date IS NULL
                             OR excluded.partition_date = pending.partition_date
                        THEN pending.partition_date END
             RETURNING id"
        )))
        .bind(event.dag_id.as_str())
        .bind(keys.to_string())
        .bind(micros_or_null(partition_date))
        .bind(rollup_fingerprint.to_string())
        .bind(micros(now));
        let ids = self
            .fetch_all("note what came for partitions", statement)
            .await?
            .iter()
            .map(|row| Columns::of("asset_partition_dag_run", row).big())
            .collect::<Result<Vec<_>, _>>()?;
        let given = self.dialect().rows("$1", "given", &[("id", Kind::Int)]);
        let statement = sqlx::query(assembled(format!(
            "INSERT INTO partitioned_asset_key_log
                 (asset_partition_dag_run_id, asset_event_id, asset_id, source_partition_key)
             SELECT id, $2, $3, $4 FROM {given} WHERE TRUE
             ON CONFLICT DO NOTHING"
        )))
        .bind(Value::from_iter(ids.iter().map(|id| json!({"id": id}))).to_string())
        .bind(event.event_id)
        .bind(event.asset_id)
        .bind(event.partition_key.as_str());
        self.execute("note what came for partitions", statement)
            .await?;
        self.may_create_runs(&event.dag_id);
        Ok(())
    }

    /// Takes a partition to create its run. `false`: something happened to it since it was loaded,
    /// or another scheduler is at it.
    pub async fn lock_partition(&mut self, partition: &PendingPartition) -> Result<bool, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT p.id
               FROM asset_partition_dag_run AS p
              WHERE p.id = $1 AND p.touched = $2 AND p.created_dag_run_id IS NULL
              {}",
            self.dialect().for_update_skip_locked("p"),
        )))
        .bind(partition.id)
        .bind(partition.touched);
        let row = self.fetch_optional("lock a partition", statement).await?;
        Ok(row.is_some())
    }

    /// Gives a locked partition its run, which consumes all that came for it. Returns how many
    /// events that were.
    pub async fn finish_partition(
        &mut self,
        partition: &PendingPartition,
        dag_run_id: i64,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let statement = sqlx::query(
            "UPDATE asset_partition_dag_run
                SET created_dag_run_id = $2, looked_at = touched, updated_at = $3
              WHERE id = $1 AND created_dag_run_id IS NULL",
        )
        .bind(partition.id)
        .bind(dag_run_id)
        .bind(micros(now));
        let finished = self.execute("finish a partition", statement).await?;
        debug_assert_eq!(finished, 1, "a locked partition has no run");
        let statement = sqlx::query(
            "INSERT INTO dagrun_asset_event (dag_run_id, event_id)
             SELECT $2, asset_event_id
               FROM partitioned_asset_key_log
              WHERE asset_partition_dag_run_id = $1",
        )
        .bind(partition.id)
        .bind(dag_run_id);
        self.execute("consume asset events", statement).await
    }

    /// Notes that a partition was looked at and waits. What happens to it afterwards counts.
    pub async fn note_partition_look(&mut self, partition: &PendingPartition) -> Result<(), Error> {
        let statement =
            sqlx::query("UPDATE asset_partition_dag_run SET looked_at = $2 WHERE id = $1")
                .bind(partition.id)
                .bind(partition.touched);
        self.execute("note a look at a partition", statement)
            .await?;
        Ok(())
    }

    /// Forgets a partition that was collected under other mappers, with what came for it.
    pub async fn forget_partition(&mut self, partition: &PendingPartition) -> Result<bool, Error> {
        let statement = sqlx::query(
            "DELETE FROM asset_partition_dag_run
              WHERE id = $1 AND touched = $2 AND created_dag_run_id IS NULL",
        )
        .bind(partition.id)
        .bind(partition.touched);
        Ok(self.execute("forget a partition", statement).await? == 1)
    }

    /// Lets the partitions of a Dag be looked at again: its definition may have changed.
    pub(crate) async fn touch_partitions_of_dag(&mut self, dag_id: &DagId) -> Result<(), Error> {
        let statement = sqlx::query(
            "UPDATE asset_partition_dag_run
                SET touched = touched + 1
              WHERE target_dag_id = $1 AND created_dag_run_id IS NULL",
        )
        .bind(dag_id.as_str());
        self.execute("touch the partitions of a Dag", statement)
            .await?;
        Ok(())
    }

    /// Lets partitions be looked at again that something of an asset came for.
    pub(crate) async fn touch_partitions_of_asset(&mut self, asset_id: i64) -> Result<(), Error> {
        let statement = sqlx::query(
            "UPDATE asset_partition_dag_run
                SET touched = touched + 1
              WHERE created_dag_run_id IS NULL
                AND id IN (SELECT asset_partition_dag_run_id
                             FROM partitioned_asset_key_log
                            WHERE asset_id = $1)
             RETURNING target_dag_id",
        )
        .bind(asset_id);
        let rows = self
            .fetch_all("touch the partitions of an asset", statement)
            .await?;
        for row in &rows {
            let dag_id = Columns::of("asset_partition_dag_run", row).id()?;
            self.may_create_runs(&dag_id);
        }
        Ok(())
    }
}

fn unmapped_event_from(row: &AnyRow) -> Result<UnmappedEvent, Error> {
    let mut columns = Columns::of("asset_partition_queue", row);
    let event = UnmappedEvent {
        dag_id: columns.id()?,
        event_id: columns.big()?,
        asset_id: columns.big()?,
        asset: AssetKey {
            name: columns.owned()?,
            uri: columns.owned()?,
        },
        partition_key: columns.owned()?,
        partition_date: columns.instant_or_null()?,
        source: None,
    };
    let (dag_id, run_id, task_id) = (
        columns.id_or_null()?,
        columns.id_or_null()?,
        columns.id_or_null()?,
    );
    let map_index = MapIndex(columns.int()?);
    let source = match (dag_id, run_id, task_id) {
        (Some(dag_id), Some(run_id), Some(task_id)) => Some(EventSource {
            dag_id,
            run_id,
            task_id,
            map_index,
        }),
        _ => None,
    };
    Ok(UnmappedEvent { source, ..event })
}

fn pending_partition_from(row: &AnyRow) -> Result<PendingPartition, Error> {
    let mut columns = Columns::of("asset_partition_dag_run", row);
    Ok(PendingPartition {
        id: columns.big()?,
        dag_id: columns.id()?,
        partition_key: columns.owned()?,
        partition_date: columns.instant_or_null()?,
        rollup_fingerprint: columns.json()?,
        touched: columns.big()?,
        received: BTreeMap::new(),
    })
}
