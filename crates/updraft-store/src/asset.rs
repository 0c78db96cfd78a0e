//! Rows of `asset` and `asset_event`, for reading.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::MapIndex;
use updraft_model::asset::{Asset, AssetEvent};

use crate::row::{Columns, assembled};
use crate::{Dialect, Error, Reader};

pub(crate) const ASSET_COLUMNS: &str = "id, name, uri, asset_group, extra, is_active";

/// Which events of an asset are meant.
#[derive(Clone, Debug, Default)]
pub struct AssetEventQuery {
    pub after: Option<Timestamp>,
    pub before: Option<Timestamp>,
    pub limit: Option<i64>,
    /// Oldest first, or newest first.
    pub newest_first: bool,
}

/// Which asset's events are meant; a missing part matches any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventsOf<'a> {
    Asset {
        name: Option<&'a str>,
        uri: Option<&'a str>,
    },
    Alias {
        name: &'a str,
    },
}

/// What [`asset_event_from`] takes, of `asset_event AS e` joined with `asset AS a`; the aliases
/// that carried the event come as one JSON array.
pub(crate) fn asset_event_columns(dialect: Dialect) -> String {
    let aliases = match dialect {
        Dialect::Sqlite => "json_group_array(alias.name ORDER BY alias.name)",
        Dialect::Postgres => "COALESCE(json_agg(alias.name ORDER BY alias.name), '[]')::TEXT",
    };
    format!(
        "e.id, e.asset_id, a.name, a.uri, a.asset_group, a.extra, e.extra, e.source_dag_id,
         e.source_run_id, e.source_task_id, e.source_map_index,
         (SELECT {aliases}
            FROM asset_alias_asset_event AS carried
            JOIN asset_alias AS alias ON alias.id = carried.alias_id
           WHERE carried.event_id = e.id),
         e.partition_key, e.timestamp"
    )
}

impl Reader {
    /// The active asset of this name.
    pub async fn find_asset_by_name(&mut self, name: &str) -> Result<Option<Asset>, Error> {
        self.find_active_asset("name = $1", name).await
    }

    /// The active asset of this URI.
    pub async fn find_asset_by_uri(&mut self, uri: &str) -> Result<Option<Asset>, Error> {
        self.find_active_asset("uri = $1", uri).await
    }

    /// `condition` is a literal of this file.
    async fn find_active_asset(
        &mut self,
        condition: &'static str,
        value: &str,
    ) -> Result<Option<Asset>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {ASSET_COLUMNS} FROM asset WHERE is_active AND {condition}"
        )))
        .bind(value);
        self.fetch_optional("load an asset", statement)
            .await?
            .as_ref()
            .map(asset_from)
            .transpose()
    }

    /// One asset, active or not.
    pub async fn find_asset(&mut self, id: i64) -> Result<Option<Asset>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {ASSET_COLUMNS} FROM asset WHERE id = $1"
        )))
        .bind(id);
        self.fetch_optional("load an asset", statement)
            .await?
            .as_ref()
            .map(asset_from)
            .transpose()
    }

    /// The active assets that an alias stands for.
    pub async fn load_assets_of_alias(&mut self, alias: &str) -> Result<Vec<Asset>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {ASSET_COLUMNS}
               FROM asset
              WHERE is_active
                AND id IN (SELECT attached.asset_id
                             FROM asset_alias_asset AS attached
                             JOIN asset_alias ON asset_alias.id = attached.alias_id
                            WHERE asset_alias.name = $1)
              ORDER BY name, uri"
        )))
        .bind(alias);
        self.fetch_all("load the assets of an alias", statement)
            .await?
            .iter()
            .map(asset_from)
            .collect()
    }

    /// Which of these assets, given by name and URI, are not active.
    pub async fn load_inactive_assets(
        &mut self,
        assets: &[(String, String)],
    ) -> Result<Vec<(String, String)>, Error> {
        let mut inactive = Vec::new();
        for (name, uri) in assets {
            let statement = sqlx::query(
                "SELECT COUNT(*) FROM asset WHERE is_active AND name = $1 AND uri = $2",
            )
            .bind(name.as_str())
            .bind(uri.as_str());
            let row = self.fetch_one("check an asset", statement).await?;
            if Columns::of("asset", &row).big()? == 0 {
                inactive.push((name.clone(), uri.clone()));
            }
        }
        Ok(inactive)
    }

    /// The events of an asset or an alias, in order of time. An asset that is named by one half only
    /// is an active one.
    pub async fn load_asset_events(
        &mut self,
        of: &EventsOf<'_>,
        query: &AssetEventQuery,
    ) -> Result<Vec<AssetEvent>, Error> {
        let direction = if query.newest_first { "DESC" } else { "ASC" };
        let (condition, first, second) = match of {
            EventsOf::Asset { name, uri } => (
                "($1 = '' OR a.name = $1) AND ($2 = '' OR a.uri = $2)
                 AND (a.is_active OR ($1 <> '' AND $2 <> ''))",
                name.unwrap_or_default(),
                uri.unwrap_or_default(),
            ),
            EventsOf::Alias { name } => (
                "e.id IN (SELECT carried.event_id
                            FROM asset_alias_asset_event AS carried
                            JOIN asset_alias AS alias ON alias.id = carried.alias_id
                           WHERE alias.name = $1 AND $2 = '')",
                *name,
                "",
            ),
        };
        let statement = sqlx::query(assembled(format!(
            "SELECT {}
               FROM asset_event AS e
               JOIN asset AS a ON a.id = e.asset_id
              WHERE {condition}
                AND ($3 IS NULL OR e.timestamp >= $3)
                AND ($4 IS NULL OR e.timestamp <= $4)
              ORDER BY e.timestamp {direction}, e.id {direction}
              LIMIT $5",
            asset_event_columns(self.dialect()),
        )))
        .bind(first)
        .bind(second)
        .bind(query.after.map(Timestamp::as_microsecond))
        .bind(query.before.map(Timestamp::as_microsecond))
        .bind(query.limit.unwrap_or(i64::MAX));
        self.fetch_all("load asset events", statement)
            .await?
            .iter()
            .map(asset_event_from)
            .collect()
    }

    /// The events that a run consumed, in order of time.
    pub async fn load_consumed_asset_events(
        &mut self,
        dag_run_id: i64,
    ) -> Result<Vec<AssetEvent>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {}
               FROM dagrun_asset_event AS consumed
               JOIN asset_event AS e ON e.id = consumed.event_id
               JOIN asset AS a ON a.id = e.asset_id
              WHERE consumed.dag_run_id = $1
              ORDER BY e.timestamp, e.id",
            asset_event_columns(self.dialect()),
        )))
        .bind(dag_run_id);
        self.fetch_all("load consumed asset events", statement)
            .await?
            .iter()
            .map(asset_event_from)
            .collect()
    }
}

pub(crate) fn asset_from(row: &AnyRow) -> Result<Asset, Error> {
    take_asset(&mut Columns::of("asset", row))
}

/// Takes [`ASSET_COLUMNS`] and leaves what follows them.
pub(crate) fn take_asset(columns: &mut Columns<'_>) -> Result<Asset, Error> {
    Ok(Asset {
        id: columns.big()?,
        name: columns.owned()?,
        uri: columns.owned()?,
        group: columns.owned()?,
        extra: columns.json()?,
        is_active: columns.flag()?,
    })
}

pub(crate) fn asset_event_from(row: &AnyRow) -> Result<AssetEvent, Error> {
    let mut columns = Columns::of("asset_event", row);
    Ok(AssetEvent {
        id: columns.big()?,
        asset_id: columns.big()?,
        name: columns.owned()?,
        uri: columns.owned()?,
        group: columns.owned()?,
        asset_extra: columns.json()?,
        extra: columns.json()?,
        source_dag_id: columns.id_or_null()?,
        source_run_id: columns.id_or_null()?,
        source_task_id: columns.id_or_null()?,
        source_map_index: MapIndex(columns.int()?),
        source_aliases: columns.decoded()?,
        partition_key: columns.owned_or_null()?,
        timestamp: columns.instant()?,
    })
}
