//! Rows of `dag` and of its versions.

use sqlx::any::AnyRow;
use updraft_model::dag::{Dag, DagVersion, NextDagRun};
use updraft_model::{DagId, DagVersionId, ViewUrl};

use crate::row::{Columns, aliased, assembled};
use crate::{Dialect, Error, Reader, Tx};

const BEFORE_TAGS: &str = "dag_id, dag_display_name, description, is_paused, is_stale, \
    has_import_errors, exceeds_max_non_backfill, bundle_name, bundle_version, relative_fileloc, \
    fileloc, owners";

const AFTER_TAGS: &str = "timetable_summary, timetable_description, timetable_type, \
    timetable_partitioned, asset_expression, max_active_tasks, max_active_runs, \
    max_consecutive_failed_dag_runs, has_task_concurrency_limits, fail_fast, allowed_run_types, \
    next_dagrun, next_dagrun_data_interval_start, next_dagrun_data_interval_end, \
    next_dagrun_create_after, next_dagrun_partition_key, next_dagrun_partition_date, \
    next_dagrun_run_id,     last_parsed_time, last_parse_duration, last_expired";

/// In the order in which [`dag_version_from`] takes them.
pub(crate) const DAG_VERSION_COLUMNS: &str = "id, dag_id, version_number, bundle_name, \
    bundle_version, dag_hash, created_at, last_updated, \
    (SELECT url_template FROM dag_bundle WHERE name = bundle_name), \
    (SELECT template_params FROM dag_bundle WHERE name = bundle_name)";

/// What [`take_dag`] takes, of the table under this alias; the tags come as one JSON array.
pub(crate) fn dag_columns(dialect: Dialect, alias: &str) -> String {
    let before = aliased(alias, BEFORE_TAGS);
    let after = aliased(alias, AFTER_TAGS);
    let tags = match dialect {
        Dialect::Sqlite => "json_group_array(name ORDER BY name)",
        Dialect::Postgres => "COALESCE(json_agg(name ORDER BY name), '[]')::TEXT",
    };
    format!("{before}, (SELECT {tags} FROM dag_tag WHERE dag_tag.dag_id = {alias}.dag_id), {after}")
}

impl Reader {
    /// One Dag, stale or not.
    pub async fn find_dag(&mut self, dag_id: &DagId) -> Result<Option<Dag>, Error> {
        let columns = dag_columns(self.dialect(), "d");
        let statement = sqlx::query(assembled(format!(
            "SELECT {columns} FROM dag AS d WHERE d.dag_id = $1"
        )))
        .bind(dag_id.as_str());
        self.fetch_optional("load a Dag", statement)
            .await?
            .as_ref()
            .map(dag_from)
            .transpose()
    }

    /// The Dags that a file gave when it was last parsed, stale ones among them.
    pub async fn load_dags_of_file(
        &mut self,
        bundle_name: &str,
        relative_fileloc: &str,
    ) -> Result<Vec<Dag>, Error> {
        let columns = dag_columns(self.dialect(), "d");
        let statement = sqlx::query(assembled(format!(
            "SELECT {columns}
               FROM dag AS d
              WHERE d.bundle_name = $1 AND d.relative_fileloc = $2
              ORDER BY d.dag_id"
        )))
        .bind(bundle_name)
        .bind(relative_fileloc);
        self.fetch_all("load the Dags of a file", statement)
            .await?
            .iter()
            .map(dag_from)
            .collect()
    }

    /// The newest version of a Dag.
    pub async fn find_latest_version(
        &mut self,
        dag_id: &DagId,
    ) -> Result<Option<DagVersion>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {DAG_VERSION_COLUMNS}
               FROM dag_version
              WHERE dag_id = $1
              ORDER BY version_number DESC
              LIMIT 1"
        )))
        .bind(dag_id.as_str());
        self.fetch_optional("load the newest version of a Dag", statement)
            .await?
            .as_ref()
            .map(dag_version_from)
            .transpose()
    }

    /// One version.
    pub async fn find_version(&mut self, id: DagVersionId) -> Result<Option<DagVersion>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {DAG_VERSION_COLUMNS} FROM dag_version WHERE id = $1"
        )))
        .bind(id.to_string());
        self.fetch_optional("load a Dag version", statement)
            .await?
            .as_ref()
            .map(dag_version_from)
            .transpose()
    }

    /// The serialized Dag of a version, as JSON text, with the hash of that text's content: an
    /// overwritten version keeps its id.
    pub async fn find_serialized_dag(
        &mut self,
        id: DagVersionId,
    ) -> Result<Option<SerializedText>, Error> {
        let statement = sqlx::query(
            "SELECT v.dag_id, v.dag_hash, s.data
               FROM serialized_dag AS s
               JOIN dag_version AS v ON v.id = s.dag_version_id
              WHERE s.dag_version_id = $1",
        )
        .bind(id.to_string());
        self.fetch_optional("load a serialized Dag", statement)
            .await?
            .map(|row| {
                let mut columns = Columns::of("serialized_dag", &row);
                Ok(SerializedText {
                    dag_id: columns.id()?,
                    dag_hash: columns.owned()?,
                    data: columns.owned()?,
                })
            })
            .transpose()
    }

    /// The source code of a version.
    pub async fn find_source_code(&mut self, id: DagVersionId) -> Result<Option<String>, Error> {
        let statement = sqlx::query("SELECT source_code FROM dag_code WHERE dag_version_id = $1")
            .bind(id.to_string());
        self.fetch_optional("load source code", statement)
            .await?
            .map(|row| Columns::of("dag_code", &row).owned())
            .transpose()
    }
}

/// A serialized Dag as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerializedText {
    pub dag_id: DagId,
    pub dag_hash: String,
    pub data: String,
}

impl Tx {
    /// Deletes a Dag with its runs, versions and everything else but the audit log. `false`: there
    /// is no such Dag. Whether that is allowed now is the caller's rule.
    pub async fn delete_dag(&mut self, dag_id: &DagId) -> Result<bool, Error> {
        // Runs first: their rows point at the versions.
        for sql in [
            "DELETE FROM callback_request WHERE dag_id = $1",
            "DELETE FROM dag_run WHERE dag_id = $1",
        ] {
            let statement = sqlx::query(sql).bind(dag_id.as_str());
            self.execute("delete the runs of a Dag", statement).await?;
        }
        let statement = sqlx::query("DELETE FROM dag WHERE dag_id = $1").bind(dag_id.as_str());
        let deleted = self.execute("delete a Dag", statement).await? == 1;
        self.dag_changed(dag_id);
        Ok(deleted)
    }

    pub(crate) fn dag_changed(&mut self, dag_id: &DagId) {
        self.changed(crate::Change::Dag {
            dag_id: dag_id.clone(),
        });
    }
}

pub(crate) fn dag_from(row: &AnyRow) -> Result<Dag, Error> {
    let mut columns = Columns::of("dag", row);
    Ok(Dag {
        dag_id: columns.id()?,
        dag_display_name: columns.owned_or_null()?,
        description: columns.owned_or_null()?,
        is_paused: columns.flag()?,
        is_stale: columns.flag()?,
        has_import_errors: columns.flag()?,
        exceeds_max_non_backfill: columns.flag()?,
        bundle_name: columns.id()?,
        bundle_version: columns.owned_or_null()?,
        relative_fileloc: columns.owned()?,
        fileloc: columns.owned()?,
        owners: columns.owned()?,
        tags: columns.decoded()?,
        timetable_summary: columns.owned_or_null()?,
        timetable_description: columns.owned_or_null()?,
        timetable_type: columns.owned()?,
        timetable_partitioned: columns.flag()?,
        asset_expression: columns.json_or_null()?,
        max_active_tasks: columns.int()?,
        max_active_runs: columns.int()?,
        max_consecutive_failed_dag_runs: columns.int()?,
        has_task_concurrency_limits: columns.flag()?,
        fail_fast: columns.flag()?,
        allowed_run_types: columns.decoded_or_null()?,
        next_dagrun: NextDagRun {
            logical_date: columns.instant_or_null()?,
            data_interval_start: columns.instant_or_null()?,
            data_interval_end: columns.instant_or_null()?,
            run_after: columns.instant_or_null()?,
            partition_key: columns.owned_or_null()?,
            partition_date: columns.instant_or_null()?,
            run_id: columns.owned_or_null()?,
        },
        last_parsed_time: columns.instant_or_null()?,
        last_parse_duration_secs: columns.real_or_null()?,
        last_expired: columns.instant_or_null()?,
    })
}

pub(crate) fn dag_version_from(row: &AnyRow) -> Result<DagVersion, Error> {
    let mut columns = Columns::of("dag_version", row);
    Ok(DagVersion {
        id: DagVersionId(columns.uuid()?),
        dag_id: columns.id()?,
        version_number: columns.int()?,
        bundle_name: columns.id_or_null()?,
        bundle_version: columns.owned_or_null()?,
        dag_hash: columns.owned()?,
        created_at: columns.instant()?,
        last_updated: columns.instant()?,
        view_url: match (columns.owned_or_null()?, columns.decoded_or_null()?) {
            (Some(template), params) => Some(ViewUrl {
                template,
                params: params.unwrap_or_default(),
            }),
            (None, _) => None,
        },
    })
}
