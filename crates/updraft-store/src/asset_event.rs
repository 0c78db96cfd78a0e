//! Registers asset events: who updated what, and which Dags wait for it.
//!
//! [`Tx::register_asset_event`] is the one place where events come into being, whoever reports
//! them: a task, a client, a watcher.
//!
//! Source: fact sheet "scheduling semantics" §2.5.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tracing::warn;
use updraft_model::asset::{Asset, AssetKey};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagId, MapIndex};

use crate::event_log::NewEventLog;
use crate::parse::references::{AssetAliasDefinition, AssetDefinition};
use crate::row::{Columns, assembled, micros, text_array};
use crate::{Error, Tx};

/// Something a task declares to update.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskOutlet {
    Asset { name: String, uri: String },
    NameRef { name: String },
    UriRef { uri: String },
    Alias { name: String },
}

/// What a task said about one update.
#[derive(Clone, Debug, PartialEq)]
pub struct OutletEvent {
    pub asset_name: String,
    pub asset_uri: String,
    /// Of an update through an alias.
    pub source_alias: Option<String>,
    /// Of an update through an alias: the extra of the asset, should it be new.
    pub asset_extra: Value,
    pub extra: Value,
    pub partition_key: Option<String>,
}

/// An event to register, its asset found.
#[derive(Clone, Debug)]
pub struct NewAssetEvent<'a> {
    pub asset_id: i64,
    pub extra: &'a Value,
    /// The try that caused it; `None` for an event from outside.
    pub source: Option<&'a TaskInstance>,
    /// The aliases that carry the event, by row number.
    pub alias_ids: &'a [i64],
    pub partition_key: Option<&'a str>,
    /// Of the partition, if the run that caused the event was about it.
    pub partition_date: Option<Timestamp>,
}

/// The updates of one try, on their way into the tables.
struct Registration<'a> {
    ti: &'a TaskInstance,
    events: &'a [OutletEvent],
    partition: RunPartition,
    /// When the next event takes place. Each has its own moment, as in Airflow: of two events of
    /// one asset a run consumes only the first, by quirk 1.
    next: Timestamp,
}

/// The partition that a run is about.
struct RunPartition {
    key: Option<String>,
    date: Option<Timestamp>,
}

impl RunPartition {
    /// The partition of an event about which the task may have said another key. The date belongs
    /// to the key of the run.
    fn of_event<'a>(&'a self, said: Option<&'a str>) -> (Option<&'a str>, Option<Timestamp>) {
        let own = self.key.as_deref();
        let key = said.or(own);
        (key, self.date.filter(|_| key == own))
    }
}

/// Updates through aliases that make one event.
#[derive(PartialEq)]
struct AliasUpdate<'a> {
    asset: AssetKey,
    asset_extra: &'a Value,
    extra: &'a Value,
}

impl Registration<'_> {
    fn take_moment(&mut self) -> Timestamp {
        let moment = self.next;
        self.next = moment
            .saturating_add(SignedDuration::from_micros(1))
            .unwrap_or(moment);
        moment
    }
}

impl Tx {
    /// Registers what a successful try updated. Outlets that are not active are left out with a
    /// warning: the try itself was told so at its start.
    pub(crate) async fn register_asset_changes(
        &mut self,
        ti: &TaskInstance,
        outlets: &[TaskOutlet],
        events: &[OutletEvent],
        now: Timestamp,
    ) -> Result<(), Error> {
        if outlets.is_empty() {
            return Ok(());
        }
        let mut registration = Registration {
            ti,
            events,
            partition: self.partition_of_run(ti).await?,
            next: now,
        };
        // What a task declares twice it updates once. Assets come before references to them, and
        // aliases last.
        let outlets: BTreeSet<&TaskOutlet> = outlets.iter().collect();
        for outlet in &outlets {
            let asset = match outlet {
                TaskOutlet::Asset { name, uri } => self
                    .find_asset_by_name(name)
                    .await?
                    .filter(|asset| asset.uri == *uri),
                TaskOutlet::NameRef { name } => self.find_asset_by_name(name).await?,
                TaskOutlet::UriRef { uri } => self.find_asset_by_uri(uri).await?,
                TaskOutlet::Alias { .. } => continue,
            };
            match asset {
                Some(asset) => self.register_outlet(&mut registration, &asset).await?,
                None => warn!(?outlet, ti_id = %ti.id, "left out an outlet that is not active"),
            }
        }
        let aliases: Vec<&str> = outlets
            .iter()
            .filter_map(|outlet| match outlet {
                TaskOutlet::Alias { name } => Some(name.as_str()),
                _ => None,
            })
            .collect();
        self.register_alias_updates(&mut registration, &aliases)
            .await
    }

    /// One event for each thing the task said about the asset, or one without words.
    async fn register_outlet(
        &mut self,
        registration: &mut Registration<'_>,
        asset: &Asset,
    ) -> Result<(), Error> {
        let nothing_said = json!({});
        let mut said: Vec<(&Value, Option<&str>)> = registration
            .events
            .iter()
            .filter(|event| {
                event.source_alias.is_none()
                    && event.asset_name == asset.name
                    && event.asset_uri == asset.uri
            })
            .map(|event| (&event.extra, event.partition_key.as_deref()))
            .collect();
        if said.is_empty() {
            said.push((&nothing_said, None));
        }
        for (extra, partition_key) in said {
            let moment = registration.take_moment();
            let (partition_key, partition_date) = registration.partition.of_event(partition_key);
            let event = NewAssetEvent {
                asset_id: asset.id,
                extra,
                source: Some(registration.ti),
                alias_ids: &[],
                partition_key,
                partition_date,
            };
            self.register_asset_event(&event, moment).await?;
        }
        Ok(())
    }

    /// Updates through aliases may make their asset exist, and attach it to the aliases. What
    /// several aliases say alike is one event. Its partition is the run's, whatever the task said.
    async fn register_alias_updates(
        &mut self,
        registration: &mut Registration<'_>,
        declared: &[&str],
    ) -> Result<(), Error> {
        let mut updates: Vec<(AliasUpdate<'_>, BTreeSet<&str>)> = Vec::new();
        for event in registration.events {
            let alias = match event.source_alias.as_deref() {
                Some(alias) if declared.contains(&alias) => alias,
                _ => continue,
            };
            let update = AliasUpdate {
                asset: AssetKey {
                    name: event.asset_name.clone(),
                    uri: event.asset_uri.clone(),
                },
                asset_extra: &event.asset_extra,
                extra: &event.extra,
            };
            match updates.iter_mut().find(|(known, _)| *known == update) {
                Some((_, aliases)) => _ = aliases.insert(alias),
                None => updates.push((update, BTreeSet::from([alias]))),
            }
        }
        for (update, aliases) in updates {
            let moment = registration.take_moment();
            let asset_id = self.require_asset(&update, moment).await?;
            let mut alias_ids = Vec::with_capacity(aliases.len());
            for alias in aliases {
                alias_ids.push(self.attach_to_alias(asset_id, alias, moment).await?);
            }
            let event = NewAssetEvent {
                asset_id,
                extra: update.extra,
                source: Some(registration.ti),
                alias_ids: &alias_ids,
                partition_key: registration.partition.key.as_deref(),
                partition_date: registration.partition.date,
            };
            self.register_asset_event(&event, moment).await?;
        }
        Ok(())
    }

    /// Lets an alias stand for an asset; gives the alias's row number.
    async fn attach_to_alias(
        &mut self,
        asset_id: i64,
        alias: &str,
        now: Timestamp,
    ) -> Result<i64, Error> {
        let alias_id = self
            .require_asset_alias(
                &AssetAliasDefinition {
                    name: alias.to_owned(),
                    group: String::new(),
                },
                now,
            )
            .await?;
        let statement = sqlx::query(
            "INSERT INTO asset_alias_asset (alias_id, asset_id)
             VALUES ($1, $2)
             ON CONFLICT DO NOTHING",
        )
        .bind(alias_id)
        .bind(asset_id);
        let attached = self
            .execute("attach an asset to an alias", statement)
            .await?
            == 1;
        if attached {
            self.refresh_active_assets(now).await?;
        }
        Ok(alias_id)
    }

    async fn require_asset(
        &mut self,
        update: &AliasUpdate<'_>,
        now: Timestamp,
    ) -> Result<i64, Error> {
        let AssetKey { name, uri } = &update.asset;
        let statement = sqlx::query("SELECT id FROM asset WHERE name = $1 AND uri = $2")
            .bind(name.as_str())
            .bind(uri.as_str());
        if let Some(row) = self.fetch_optional("find an asset", statement).await? {
            return Columns::of("asset", &row).big();
        }
        let new = AssetDefinition {
            name: name.clone(),
            uri: uri.clone(),
            group: "asset".to_owned(),
            extra: update.asset_extra.clone(),
        };
        self.upsert_asset(&new, now).await
    }

    async fn partition_of_run(&mut self, ti: &TaskInstance) -> Result<RunPartition, Error> {
        let statement = sqlx::query(
            "SELECT partition_key, partition_date FROM dag_run WHERE dag_id = $1 AND run_id = $2",
        )
        .bind(ti.dag_id.as_str())
        .bind(ti.run_id.as_str());
        let row = self.fetch_one("load a partition", statement).await?;
        let mut columns = Columns::of("dag_run", &row);
        Ok(RunPartition {
            key: columns.owned_or_null()?,
            date: columns.instant_or_null()?,
        })
    }

    /// Stores an event and queues the Dags that wait for it; gives the event's row number. Schedulers
    /// hear of it with the commit.
    pub async fn register_asset_event(
        &mut self,
        event: &NewAssetEvent<'_>,
        now: Timestamp,
    ) -> Result<i64, Error> {
        let source = event.source;
        let statement = sqlx::query(
            "INSERT INTO asset_event (asset_id, extra, source_dag_id, source_run_id,
                 source_task_id, source_map_index, partition_key, timestamp)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             RETURNING id",
        )
        .bind(event.asset_id)
        .bind(event.extra.to_string())
        .bind(source.map(|ti| ti.dag_id.as_str()))
        .bind(source.map(|ti| ti.run_id.as_str()))
        .bind(source.map(|ti| ti.task_id.as_str()))
        .bind(source.map_or(MapIndex::UNMAPPED, |ti| ti.map_index).0)
        .bind(event.partition_key)
        .bind(micros(now));
        let row = self.fetch_one("register an asset event", statement).await?;
        let event_id = Columns::of("asset_event", &row).big()?;
        for alias_id in event.alias_ids {
            let statement = sqlx::query(
                "INSERT INTO asset_alias_asset_event (alias_id, event_id) VALUES ($1, $2)",
            )
            .bind(*alias_id)
            .bind(event_id);
            self.execute("register an asset event", statement).await?;
        }
        self.queue_consumers(event, event_id, now).await?;
        self.tell_of_asset_event(event, now).await?;
        Ok(event_id)
    }

    async fn tell_of_asset_event(
        &mut self,
        event: &NewAssetEvent<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let wanted = self.has_listeners("on_asset_changed").await?
            || self.has_listeners("on_asset_event_emitted").await?;
        if !wanted {
            return Ok(());
        }
        let Some(asset) = self.find_asset(event.asset_id).await? else {
            return Ok(());
        };
        let facts = json!({
            "name": asset.name, "uri": asset.uri, "group": asset.group, "extra": asset.extra,
        });
        let changed = json!({ "asset": &facts });
        self.tell_listeners("on_asset_changed", || changed, now)
            .await?;
        let aliases = self.load_alias_facts(event.alias_ids).await?;
        let source = event.source;
        let emitted = json!({
            "asset": facts,
            "extra": event.extra,
            "source_dag_id": source.map(|ti| &ti.dag_id),
            "source_task_id": source.map(|ti| &ti.task_id),
            "source_run_id": source.map(|ti| &ti.run_id),
            "source_map_index": source.map_or(MapIndex::UNMAPPED.0, |ti| ti.map_index.0),
            "source_aliases": aliases,
            "partition_key": event.partition_key,
            "partition_date": null,
        });
        self.tell_listeners(
            "on_asset_event_emitted",
            || json!({ "asset_event": emitted }),
            now,
        )
        .await
    }

    async fn load_alias_facts(&mut self, ids: &[i64]) -> Result<Vec<Value>, Error> {
        let mut aliases = Vec::with_capacity(ids.len());
        for id in ids {
            let statement =
                sqlx::query("SELECT name, asset_group FROM asset_alias WHERE id = $1").bind(*id);
            if let Some(row) = self
                .fetch_optional("load an asset alias", statement)
                .await?
            {
                let mut columns = Columns::of("asset_alias", &row);
                aliases.push(json!({"name": columns.text()?, "group": columns.text()?}));
            }
        }
        Ok(aliases)
    }

    /// Queues the unpaused Dags that are scheduled on the asset. An event of a partition queues
    /// partitioned Dags, any other event ordinary ones.
    async fn queue_consumers(
        &mut self,
        event: &NewAssetEvent<'_>,
        event_id: i64,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (partitioned, ordinary): (Vec<_>, Vec<_>) = self
            .load_consumers(event.asset_id, event_id)
            .await?
            .into_iter()
            .partition(|consumer| consumer.is_partitioned);
        let ids = |consumers: Vec<Consumer>| -> Vec<DagId> {
            consumers
                .into_iter()
                .map(|consumer| consumer.dag_id)
                .collect()
        };
        let (partitioned, ordinary) = (ids(partitioned), ids(ordinary));
        let partition_key = event.partition_key.filter(|key| !key.is_empty());
        if partition_key.is_some() {
            self.queue_for_partitions(event_id, &partitioned, event.partition_date)
                .await?;
        } else if !partitioned.is_empty() {
            let row = missing_key(event, &partitioned, now);
            self.write_event_log(&row).await?;
        }
        if event.partition_key.is_none() {
            self.queue_dags(event.asset_id, &ordinary, now).await?;
        }
        Ok(())
    }

    async fn load_consumers(
        &mut self,
        asset_id: i64,
        event_id: i64,
    ) -> Result<Vec<Consumer>, Error> {
        let statement = sqlx::query(
            "SELECT d.dag_id, d.timetable_partitioned
               FROM dag AS d
              WHERE NOT d.is_paused
                AND (d.dag_id IN (SELECT dag_id
                                    FROM dag_schedule_asset_reference
                                   WHERE asset_id = $1)
                     OR d.dag_id IN (SELECT reference.dag_id
                                       FROM dag_schedule_asset_alias_reference AS reference
                                       JOIN asset_alias_asset_event AS carried
                                         ON carried.alias_id = reference.alias_id
                                      WHERE carried.event_id = $2)
                     OR d.dag_id IN (SELECT reference.dag_id
                                       FROM dag_schedule_asset_name_reference AS reference
                                       JOIN asset AS a ON a.name = reference.name
                                      WHERE a.id = $1)
                     OR d.dag_id IN (SELECT reference.dag_id
                                       FROM dag_schedule_asset_uri_reference AS reference
                                       JOIN asset AS a ON a.uri = reference.uri
                                      WHERE a.id = $1))
              ORDER BY d.dag_id",
        )
        .bind(asset_id)
        .bind(event_id);
        self.fetch_all("find the consumers of an asset", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag", row);
                Ok(Consumer {
                    dag_id: columns.id()?,
                    is_partitioned: columns.flag()?,
                })
            })
            .collect()
    }

    /// Queues an asset for Dags. A row that is there already keeps its time (quirk 1).
    async fn queue_dags(
        &mut self,
        asset_id: i64,
        dags: &[DagId],
        now: Timestamp,
    ) -> Result<(), Error> {
        if dags.is_empty() {
            return Ok(());
        }
        let theirs = self.dialect().one_of_texts("dag_id", "$2");
        let statement = sqlx::query(assembled(format!(
            "INSERT INTO asset_dag_run_queue (asset_id, target_dag_id, created_at)
             SELECT $1, dag_id, $3
               FROM dag
              WHERE {theirs}
              ORDER BY dag_id
             ON CONFLICT DO NOTHING
             RETURNING target_dag_id"
        )))
        .bind(asset_id)
        .bind(text_array(dags))
        .bind(micros(now));
        for row in self
            .fetch_all("queue consumers of an asset", statement)
            .await?
        {
            let dag_id: DagId = Columns::of("asset_dag_run_queue", &row).id()?;
            self.may_create_runs(&dag_id);
        }
        Ok(())
    }
}

/// A Dag that is scheduled on an asset.
struct Consumer {
    dag_id: DagId,
    is_partitioned: bool,
}

/// What the audit log says of an event that names no partition although Dags wait for partitions.
fn missing_key(event: &NewAssetEvent<'_>, dags: &[DagId], now: Timestamp) -> NewEventLog {
    let dags: Vec<String> = dags.iter().map(|dag_id| format!("'{dag_id}'")).collect();
    let or_none = |text: Option<&str>| text.unwrap_or("None").to_owned();
    let source = event.source;
    let extra = format!(
        "Listening Dags are partition-aware but the run has no partition key \
         (listening_dags=[{}], asset_id={}, run_id={}, dag_id={}, task_id={})",
        dags.join(", "),
        event.asset_id,
        or_none(source.map(|ti| ti.run_id.as_str())),
        or_none(source.map(|ti| ti.dag_id.as_str())),
        or_none(source.map(|ti| ti.task_id.as_str())),
    );
    let row = match source {
        Some(ti) => NewEventLog::about(ti, "missing partition key", now),
        None => NewEventLog {
            dttm: now,
            event: "missing partition key".to_owned(),
            ..NewEventLog::default()
        },
    };
    NewEventLog {
        extra: Some(extra),
        ..row
    }
}
