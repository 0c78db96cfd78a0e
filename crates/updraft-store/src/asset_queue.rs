//! Rows of `asset_dag_run_queue`: assets with events that no run of a Dag has consumed.
//!
//! Source: fact sheet "scheduling semantics" §2.1, §2.5.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::DagId;
use updraft_model::asset::AssetKey;
use updraft_model::dag::Dag;

use crate::change::Change;
use crate::dag::{dag_columns, dag_from};
use crate::row::{Columns, assembled, int_array, micros, micros_or_null, text_array};
use crate::{Error, Reader, Tx};

/// An asset with events that wait for a Dag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedConsumer {
    pub dag_id: DagId,
    pub asset_id: i64,
    pub asset: AssetKey,
    /// When the first of the waiting events came.
    pub created_at: Timestamp,
}

/// Dags to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhichDags {
    All,
    These(BTreeSet<DagId>),
}

/// What aliases and references stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedKeys {
    pub of_aliases: BTreeMap<String, Vec<AssetKey>>,
    pub by_name: BTreeMap<String, AssetKey>,
    pub by_uri: BTreeMap<String, AssetKey>,
}

/// What tells which events a run consumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventWindow {
    /// The latest `run_after` of earlier asset-triggered runs.
    pub previous: Option<Timestamp>,
    /// When the Dag was first seen to be scheduled on one of its assets.
    pub scheduled_since: Option<Timestamp>,
}

/// Dags of which an automatic run may be created, `d` being the row.
const MAY_CREATE_RUNS: &str = "NOT d.is_paused AND NOT d.is_stale AND NOT d.has_import_errors \
     AND NOT d.exceeds_max_non_backfill";

impl Reader {
    /// What waits for Dags that may have runs, by Dag, newest first.
    pub async fn load_queued_consumers(
        &mut self,
        which: &WhichDags,
    ) -> Result<Vec<QueuedConsumer>, Error> {
        let (condition, dags) = self.among("q.target_dag_id", which);
        let statement = sqlx::query(assembled(format!(
            "SELECT q.target_dag_id, q.asset_id, a.name, a.uri, q.created_at
               FROM asset_dag_run_queue AS q
               JOIN asset AS a ON a.id = q.asset_id
               JOIN dag AS d ON d.dag_id = q.target_dag_id
              WHERE {condition} AND {MAY_CREATE_RUNS}
              ORDER BY q.target_dag_id, q.created_at DESC, q.asset_id"
        )))
        .bind(dags);
        self.fetch_all("load queued consumers of assets", statement)
            .await?
            .iter()
            .map(queued_consumer_from)
            .collect()
    }

    /// What these aliases, and references by name and by URI, stand for.
    pub async fn load_resolved_assets(
        &mut self,
        aliases: &[&str],
        names: &[&str],
        uris: &[&str],
    ) -> Result<ResolvedKeys, Error> {
        let mut resolved = ResolvedKeys::default();
        let of_alias = self.dialect().one_of_texts("alias.name", "$1");
        let attached = format!(
            "SELECT alias.name, a.name, a.uri
               FROM asset_alias AS alias
               JOIN asset_alias_asset AS attached ON attached.alias_id = alias.id
               JOIN asset AS a ON a.id = attached.asset_id
              WHERE {of_alias}
              ORDER BY alias.name, a.name, a.uri"
        );
        for (alias, key) in self.load_named_keys(attached, aliases).await? {
            resolved.of_aliases.entry(alias).or_default().push(key);
        }
        let active = |column: &str, given: String| {
            format!("SELECT {column}, name, uri FROM asset WHERE is_active AND {given}")
        };
        let named = active("name", self.dialect().one_of_texts("name", "$1"));
        resolved.by_name = self
            .load_named_keys(named, names)
            .await?
            .into_iter()
            .collect();
        let placed = active("uri", self.dialect().one_of_texts("uri", "$1"));
        resolved.by_uri = self
            .load_named_keys(placed, uris)
            .await?
            .into_iter()
            .collect();
        Ok(resolved)
    }

    async fn load_named_keys(
        &mut self,
        sql: String,
        names: &[&str],
    ) -> Result<Vec<(String, AssetKey)>, Error> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let statement = sqlx::query(assembled(sql)).bind(text_array(names));
        self.fetch_all("find the assets of a condition", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("asset", row);
                Ok((columns.owned()?, asset_key_from(&mut columns)?))
            })
            .collect()
    }

    /// How many runs of a Dag are queued or running, of every type.
    pub async fn count_unfinished_runs(&mut self, dag_id: &DagId) -> Result<i64, Error> {
        let statement = sqlx::query(
            "SELECT COUNT(*) FROM dag_run WHERE dag_id = $1 AND state IN ('queued', 'running')",
        )
        .bind(dag_id.as_str());
        let row = self.fetch_one("count unfinished runs", statement).await?;
        Columns::of("dag_run", &row).big()
    }

    /// What bounds the events of a run that is due at `triggered_date`.
    pub async fn load_event_window(
        &mut self,
        dag_id: &DagId,
        triggered_date: Timestamp,
    ) -> Result<EventWindow, Error> {
        let statement = sqlx::query(
            "SELECT (SELECT MAX(run_after)
                       FROM dag_run
                      WHERE dag_id = $1 AND run_type = 'asset_triggered' AND run_after < $2),
                    (SELECT MIN(created_at)
                       FROM dag_schedule_asset_reference
                      WHERE dag_id = $1)",
        )
        .bind(dag_id.as_str())
        .bind(micros(triggered_date));
        let row = self
            .fetch_one("find which events to consume", statement)
            .await?;
        let mut columns = Columns::of("dag_run", &row);
        Ok(EventWindow {
            previous: columns.instant_or_null()?,
            scheduled_since: columns.instant_or_null()?,
        })
    }
}

impl Tx {
    /// Takes a Dag to create a run of it. `None`: it may have none, or another scheduler is at it.
    pub async fn lock_dag_for_run(&mut self, dag_id: &DagId) -> Result<Option<Dag>, Error> {
        let columns = dag_columns(self.dialect(), "d");
        let statement = sqlx::query(assembled(format!(
            "SELECT {columns}
               FROM dag AS d
              WHERE d.dag_id = $1 AND {MAY_CREATE_RUNS}
              {}",
            self.dialect().for_update_skip_locked("d"),
        )))
        .bind(dag_id.as_str());
        self.fetch_optional("lock a Dag", statement)
            .await?
            .as_ref()
            .map(dag_from)
            .transpose()
    }

    /// Takes what waits for a Dag, newest first. What another scheduler holds is left to it.
    pub async fn lock_queued_consumers(
        &mut self,
        dag_id: &DagId,
    ) -> Result<Vec<QueuedConsumer>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT q.target_dag_id, q.asset_id, a.name, a.uri, q.created_at
               FROM asset_dag_run_queue AS q
               JOIN asset AS a ON a.id = q.asset_id
              WHERE q.target_dag_id = $1
              ORDER BY q.created_at DESC, q.asset_id
              {}",
            self.dialect().for_update_skip_locked("q"),
        )))
        .bind(dag_id.as_str());
        self.fetch_all("lock queued consumers of assets", statement)
            .await?
            .iter()
            .map(queued_consumer_from)
            .collect()
    }

    /// Takes assets off the queue of a Dag.
    pub async fn dequeue_consumers(
        &mut self,
        dag_id: &DagId,
        asset_ids: impl IntoIterator<Item = i64>,
    ) -> Result<u64, Error> {
        let given = self.dialect().one_of_ints("asset_id", "$2");
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM asset_dag_run_queue WHERE target_dag_id = $1 AND {given}"
        )))
        .bind(dag_id.as_str())
        .bind(int_array(asset_ids));
        self.execute("dequeue consumers of assets", statement).await
    }

    /// Lets a run consume the events of the assets and aliases of its Dag that came after `floor`,
    /// up to and including `until`. Returns how many.
    ///
    /// Quirk: an event of an asset that the Dag only refers to, by name or by URI, makes a run but
    /// is not consumed by it.
    pub async fn consume_asset_events(
        &mut self,
        dag_run_id: i64,
        dag_id: &DagId,
        floor: Option<Timestamp>,
        until: Timestamp,
    ) -> Result<u64, Error> {
        let statement = sqlx::query(
            "INSERT INTO dagrun_asset_event (dag_run_id, event_id)
             SELECT $1, e.id
               FROM asset_event AS e
              WHERE e.timestamp <= $4 AND e.timestamp > COALESCE($3, -9223372036854775807)
                AND (e.asset_id IN (SELECT asset_id
                                      FROM dag_schedule_asset_reference
                                     WHERE dag_id = $2)
                     OR e.id IN (SELECT carried.event_id
                                   FROM dag_schedule_asset_alias_reference AS reference
                                   JOIN asset_alias_asset_event AS carried
                                     ON carried.alias_id = reference.alias_id
                                  WHERE reference.dag_id = $2))",
        )
        .bind(dag_run_id)
        .bind(dag_id.as_str())
        .bind(micros_or_null(floor))
        .bind(micros(until));
        self.execute("consume asset events", statement).await
    }

    /// Tells schedulers that what waits for a Dag may become a run.
    pub(crate) fn may_create_runs(&mut self, dag_id: &DagId) {
        self.changed(Change::Waiting {
            dag_id: dag_id.clone(),
        });
    }
}

fn queued_consumer_from(row: &AnyRow) -> Result<QueuedConsumer, Error> {
    let mut columns = Columns::of("asset_dag_run_queue", row);
    Ok(QueuedConsumer {
        dag_id: columns.id()?,
        asset_id: columns.big()?,
        asset: asset_key_from(&mut columns)?,
        created_at: columns.instant()?,
    })
}

fn asset_key_from(columns: &mut Columns<'_>) -> Result<AssetKey, Error> {
    Ok(AssetKey {
        name: columns.owned()?,
        uri: columns.owned()?,
    })
}
