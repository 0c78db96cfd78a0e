//! Lists of assets, their aliases and events, and of events that wait.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::asset::{
    Asset, AssetAlias, AssetDetails, AssetEvent, AssetTaskReference, AssetWatcherReference,
    ConsumingRun, QueuedAssetEvent,
};
use updraft_model::filter::{Page, Pattern, Range};
use updraft_model::{DagId, TriggerId};

use super::order::{Order, Orderable};
use super::select::{List, Parameter, Select};
use super::{ListError, Listed};
use crate::asset::{ASSET_COLUMNS, asset_event_columns, asset_event_from, take_asset};
use crate::dag_run::{DAG_RUN_COLUMNS, take_dag_run};
use crate::row::{Columns, aliased, assembled, int_array};
use crate::session::Statement;
use crate::{Error, Reader, Tx};

/// Which assets are listed.
#[derive(Clone, Debug, Default)]
pub struct AssetFilter {
    pub name: Pattern,
    pub uri: Pattern,
    /// The whole name.
    pub exact_name: Option<String>,
    /// The whole URI.
    pub exact_uri: Option<String>,
    /// Scheduled on, written or read by one of these; `None`: whoever does.
    pub dag_ids: Option<Vec<String>>,
    pub only_active: bool,
}

/// Which events are listed.
#[derive(Clone, Debug, Default)]
pub struct AssetEventFilter {
    pub asset_id: Option<i64>,
    pub source_dag_id: Option<String>,
    pub source_task_id: Option<String>,
    pub source_run_id: Option<String>,
    pub source_map_index: Option<i64>,
    /// Of the asset.
    pub name: Pattern,
    pub timestamp: Range<Timestamp>,
}

/// Which waiting events are meant; a missing part matches any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueuedEventFilter {
    pub asset_id: Option<i64>,
    pub dag_id: Option<DagId>,
    /// Only those that came before this moment.
    pub before: Option<Timestamp>,
}

impl Reader {
    /// A page of assets.
    pub async fn list_assets(
        &mut self,
        filter: &AssetFilter,
        page: &Page,
    ) -> Result<Listed<AssetDetails>, ListError> {
        const ORDER: &[Orderable] = &[
            ("id", "id"),
            ("name", "name"),
            ("uri", "uri"),
            ("created_at", "created_at"),
            ("updated_at", "updated_at"),
        ];
        let mut select = Select::new(self.dialect());
        if filter.only_active {
            select.require("is_active");
        }
        select.pattern("name", &filter.name);
        select.pattern("uri", &filter.uri);
        select.equals("name", filter.exact_name.as_deref());
        select.equals("uri", filter.exact_uri.as_deref());
        if let Some(dag_ids) = &filter.dag_ids {
            let set = select.set(dag_ids);
            let theirs = self.dialect().one_of_texts("r.dag_id", &set);
            let points =
                |table| format!("id IN (SELECT r.asset_id FROM {table} AS r WHERE {theirs})");
            let tables = [
                "dag_schedule_asset_reference",
                "task_outlet_asset_reference",
                "task_inlet_asset_reference",
            ];
            select.require(format!("({})", tables.map(points).join(" OR ")));
        }
        let columns = format!("{ASSET_COLUMNS}, created_at, updated_at");
        let list = List {
            doing: "list assets",
            columns: &columns,
            from: "asset",
            order: Order::parse(ORDER, "id", &["id"], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        let listed = self.page(&list, &select, details_from).await?;
        let mut rows = listed.rows;
        self.fill_in(&mut rows).await?;
        Ok(Listed {
            rows,
            total: listed.total,
        })
    }

    /// One asset with everything about it, active or not.
    pub async fn find_asset_details(&mut self, id: i64) -> Result<Option<AssetDetails>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {ASSET_COLUMNS}, created_at, updated_at FROM asset WHERE id = $1"
        )))
        .bind(id);
        let row = self.fetch_optional("load an asset", statement).await?;
        let mut found: Vec<AssetDetails> = row
            .as_ref()
            .map(details_from)
            .transpose()?
            .into_iter()
            .collect();
        self.fill_in(&mut found).await?;
        Ok(found.pop())
    }

    /// Loads what other tables say about these assets.
    async fn fill_in(&mut self, assets: &mut [AssetDetails]) -> Result<(), Error> {
        let ids: Vec<i64> = assets.iter().map(|details| details.asset.id).collect();
        let mut scheduled = self
            .load_about(
                "SELECT asset_id, dag_id, created_at FROM dag_schedule_asset_reference",
                "dag_id",
                &ids,
                |columns| Ok((columns.id()?, columns.instant()?)),
            )
            .await?;
        let mut producing = self.load_tasks("task_outlet_asset_reference", &ids).await?;
        let mut consuming = self.load_tasks("task_inlet_asset_reference", &ids).await?;
        let mut aliases = self
            .load_about(
                "SELECT asset_id, alias.id, alias.name, alias.asset_group
                   FROM asset_alias_asset
                   JOIN asset_alias AS alias ON alias.id = asset_alias_asset.alias_id",
                "alias.id",
                &ids,
                alias_from,
            )
            .await?;
        let mut watchers = self
            .load_about(
                "SELECT asset_id, asset_watcher.name, asset_watcher.trigger_id,
                        trigger.created_date
                   FROM asset_watcher
                   JOIN trigger ON trigger.id = asset_watcher.trigger_id",
                "asset_watcher.trigger_id",
                &ids,
                |columns| {
                    Ok(AssetWatcherReference {
                        name: columns.owned()?,
                        trigger_id: TriggerId(columns.big()?),
                        created_date: columns.instant()?,
                    })
                },
            )
            .await?;
        let mut events = self.load_last_events(&ids).await?;
        for details in assets {
            let id = details.asset.id;
            details.scheduled_dags = scheduled.remove(&id).unwrap_or_default();
            details.producing_tasks = producing.remove(&id).unwrap_or_default();
            details.consuming_tasks = consuming.remove(&id).unwrap_or_default();
            details.aliases = aliases.remove(&id).unwrap_or_default();
            details.watchers = watchers.remove(&id).unwrap_or_default();
            details.last_event = events.remove(&id);
        }
        Ok(())
    }

    /// Rows about assets, by asset. `select_from` gives `asset_id` first, and `take` what follows;
    /// it and `order` are literals of this file.
    async fn load_about<T>(
        &mut self,
        select_from: &str,
        order: &str,
        ids: &[i64],
        take: impl Fn(&mut Columns<'_>) -> Result<T, Error>,
    ) -> Result<BTreeMap<i64, Vec<T>>, Error> {
        let theirs = self.dialect().one_of_ints("asset_id", "$1");
        let statement = sqlx::query(assembled(format!(
            "{select_from} WHERE {theirs} ORDER BY asset_id, {order}"
        )))
        .bind(int_array(ids.iter().copied()));
        let mut found: BTreeMap<i64, Vec<T>> = BTreeMap::new();
        for row in &self
            .fetch_all("load what is about assets", statement)
            .await?
        {
            let mut columns = Columns::of("asset", row);
            let about = found.entry(columns.big()?).or_default();
            about.push(take(&mut columns)?);
        }
        Ok(found)
    }

    async fn load_tasks(
        &mut self,
        table: &'static str,
        ids: &[i64],
    ) -> Result<BTreeMap<i64, Vec<AssetTaskReference>>, Error> {
        let select_from = format!("SELECT asset_id, dag_id, task_id, created_at FROM {table}");
        self.load_about(&select_from, "dag_id, task_id", ids, |columns| {
            Ok(AssetTaskReference {
                dag_id: columns.id()?,
                task_id: columns.id()?,
                created_at: columns.instant()?,
            })
        })
        .await
    }

    async fn load_last_events(
        &mut self,
        ids: &[i64],
    ) -> Result<BTreeMap<i64, (i64, Timestamp)>, Error> {
        let theirs = self.dialect().one_of_ints("a.id", "$1");
        let statement = sqlx::query(assembled(format!(
            "SELECT e.asset_id, e.id, e.timestamp
               FROM asset AS a
               JOIN asset_event AS e
                 ON e.id = (SELECT last.id
                              FROM asset_event AS last
                             WHERE last.asset_id = a.id
                             ORDER BY last.timestamp DESC, last.id DESC
                             LIMIT 1)
              WHERE {theirs}"
        )))
        .bind(int_array(ids.iter().copied()));
        self.fetch_all("load the last events of assets", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("asset_event", row);
                Ok((columns.big()?, (columns.big()?, columns.instant()?)))
            })
            .collect()
    }

    /// A page of asset aliases.
    pub async fn list_asset_aliases(
        &mut self,
        name: &Pattern,
        page: &Page,
    ) -> Result<Listed<AssetAlias>, ListError> {
        const ORDER: &[Orderable] = &[("id", "id"), ("name", "name")];
        let mut select = Select::new(self.dialect());
        select.pattern("name", name);
        let list = List {
            doing: "list asset aliases",
            columns: ALIAS_COLUMNS,
            from: "asset_alias",
            order: Order::parse(ORDER, "id", &["id"], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        let read = |row: &AnyRow| alias_from(&mut Columns::of("asset_alias", row));
        Ok(self.page(&list, &select, read).await?)
    }

    /// One asset alias.
    pub async fn find_asset_alias(&mut self, id: i64) -> Result<Option<AssetAlias>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {ALIAS_COLUMNS} FROM asset_alias WHERE id = $1"
        )))
        .bind(id);
        self.alias_of(statement).await
    }

    /// The asset alias of this name.
    pub async fn find_asset_alias_by_name(
        &mut self,
        name: &str,
    ) -> Result<Option<AssetAlias>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {ALIAS_COLUMNS} FROM asset_alias WHERE name = $1"
        )))
        .bind(name.to_owned());
        self.alias_of(statement).await
    }

    async fn alias_of(&mut self, statement: Statement<'_>) -> Result<Option<AssetAlias>, Error> {
        self.fetch_optional("load an asset alias", statement)
            .await?
            .as_ref()
            .map(|row| alias_from(&mut Columns::of("asset_alias", row)))
            .transpose()
    }

    /// A page of events.
    pub async fn list_asset_events(
        &mut self,
        filter: &AssetEventFilter,
        page: &Page,
    ) -> Result<Listed<AssetEvent>, ListError> {
        const ORDER: &[Orderable] = &[
            ("source_task_id", "e.source_task_id"),
            ("source_dag_id", "e.source_dag_id"),
            ("source_run_id", "e.source_run_id"),
            ("source_map_index", "e.source_map_index"),
            ("timestamp", "e.timestamp"),
        ];
        let mut select = Select::new(self.dialect());
        select.equals_int("e.asset_id", filter.asset_id);
        select.equals("e.source_dag_id", filter.source_dag_id.as_deref());
        select.equals("e.source_task_id", filter.source_task_id.as_deref());
        select.equals("e.source_run_id", filter.source_run_id.as_deref());
        select.equals_int("e.source_map_index", filter.source_map_index);
        select.pattern("a.name", &filter.name);
        select.range("e.timestamp", &filter.timestamp);
        let columns = asset_event_columns(self.dialect());
        let list = List {
            doing: "list asset events",
            columns: &columns,
            from: "asset_event AS e JOIN asset AS a ON a.id = e.asset_id",
            order: Order::parse(ORDER, "timestamp", &["e.id"], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        Ok(self.page(&list, &select, asset_event_from).await?)
    }

    /// One event.
    pub async fn find_asset_event(&mut self, id: i64) -> Result<Option<AssetEvent>, Error> {
        let columns = asset_event_columns(self.dialect());
        let statement = sqlx::query(assembled(format!(
            "SELECT {columns}
               FROM asset_event AS e
               JOIN asset AS a ON a.id = e.asset_id
              WHERE e.id = $1"
        )))
        .bind(id);
        self.fetch_optional("load an asset event", statement)
            .await?
            .as_ref()
            .map(asset_event_from)
            .transpose()
    }

    /// The runs that consumed these events.
    pub async fn load_consuming_runs(
        &mut self,
        event_ids: &[i64],
    ) -> Result<Vec<ConsumingRun>, Error> {
        let theirs = self.dialect().one_of_ints("consumed.event_id", "$1");
        let statement = sqlx::query(assembled(format!(
            "SELECT {},
                    consumed.event_id,
                    consumed.event_id = (SELECT e.id
                                           FROM dagrun_asset_event AS other
                                           JOIN asset_event AS e ON e.id = other.event_id
                                          WHERE other.dag_run_id = r.id
                                          ORDER BY e.timestamp DESC, e.id DESC
                                          LIMIT 1)
               FROM dagrun_asset_event AS consumed
               JOIN dag_run AS r ON r.id = consumed.dag_run_id
              WHERE {theirs}
              ORDER BY consumed.event_id, r.id",
            aliased("r", DAG_RUN_COLUMNS),
        )))
        .bind(int_array(event_ids.iter().copied()));
        self.fetch_all("load the runs that consumed events", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag_run", row);
                Ok(ConsumingRun {
                    run: take_dag_run(&mut columns)?,
                    event_id: columns.big()?,
                    is_triggering: columns.flag()?,
                })
            })
            .collect()
    }

    /// Events that wait to be consumed.
    pub async fn list_queued_asset_events(
        &mut self,
        filter: &QueuedEventFilter,
    ) -> Result<Vec<QueuedAssetEvent>, Error> {
        let select = queued(self, filter);
        let sql = format!(
            "SELECT q.target_dag_id, d.dag_display_name, q.asset_id, q.created_at
               FROM asset_dag_run_queue AS q
               JOIN dag AS d ON d.dag_id = q.target_dag_id
               {}
              ORDER BY q.asset_id, q.target_dag_id",
            select.filter()
        );
        let statement: Statement<'_> = select.statement(sql);
        self.fetch_all("list queued asset events", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("asset_dag_run_queue", row);
                Ok(QueuedAssetEvent {
                    dag_id: columns.id()?,
                    dag_display_name: columns.owned_or_null()?,
                    asset_id: columns.big()?,
                    created_at: columns.instant()?,
                })
            })
            .collect()
    }

    /// The Dags with a task that writes an asset, at most `limit` of them.
    pub async fn load_producing_dags(
        &mut self,
        asset_id: i64,
        limit: i64,
    ) -> Result<Vec<DagId>, Error> {
        let statement = sqlx::query(
            "SELECT DISTINCT dag_id
               FROM task_outlet_asset_reference
              WHERE asset_id = $1
              ORDER BY dag_id
              LIMIT $2",
        )
        .bind(asset_id)
        .bind(limit);
        self.fetch_all("find who writes an asset", statement)
            .await?
            .iter()
            .map(|row| Columns::of("dag", row).id())
            .collect()
    }
}

impl Tx {
    /// Forgets that events wait. Returns how many rows went.
    pub async fn delete_queued_asset_events(
        &mut self,
        filter: &QueuedEventFilter,
    ) -> Result<u64, Error> {
        let select = queued(self, filter);
        let sql = format!("DELETE FROM asset_dag_run_queue AS q {}", select.filter());
        let statement = select.statement(sql);
        self.execute("forget queued asset events", statement).await
    }
}

fn queued(reader: &Reader, filter: &QueuedEventFilter) -> Select {
    let mut select = Select::new(reader.dialect());
    select.equals_int("q.asset_id", filter.asset_id);
    select.equals("q.target_dag_id", filter.dag_id.as_ref().map(DagId::as_str));
    if let Some(before) = filter.before {
        let bound = select.bind(Parameter::from(before));
        select.require(format!("q.created_at < {bound}"));
    }
    select
}

const ALIAS_COLUMNS: &str = "id, name, asset_group";

fn alias_from(columns: &mut Columns<'_>) -> Result<AssetAlias, Error> {
    Ok(AssetAlias {
        id: columns.big()?,
        name: columns.owned()?,
        group: columns.owned()?,
    })
}

/// An asset with nothing yet of what other tables say.
fn details_from(row: &AnyRow) -> Result<AssetDetails, Error> {
    let mut columns = Columns::of("asset", row);
    let asset: Asset = take_asset(&mut columns)?;
    Ok(AssetDetails {
        asset,
        created_at: columns.instant()?,
        updated_at: columns.instant()?,
        scheduled_dags: Vec::new(),
        producing_tasks: Vec::new(),
        consuming_tasks: Vec::new(),
        aliases: Vec::new(),
        watchers: Vec::new(),
        last_event: None,
    })
}
