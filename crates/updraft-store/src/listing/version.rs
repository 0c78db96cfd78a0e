//! Lists of Dag versions, and the versions that runs and task instances ran with.

use std::collections::BTreeMap;

use updraft_model::dag::DagVersion;
use updraft_model::filter::Page;
use updraft_model::{DagId, DagVersionId, RunId};

use super::order::{Order, Orderable};
use super::select::{List, Select};
use super::{ListError, Listed};
use crate::dag::{DAG_VERSION_COLUMNS, dag_version_from};
use crate::row::Columns;
use crate::{Error, Reader, RunKey};

/// Which versions are listed.
#[derive(Clone, Debug, Default)]
pub struct DagVersionFilter {
    pub dag_id: Option<DagId>,
    pub version_number: Option<i64>,
    pub bundle_name: Option<String>,
    pub bundle_version: Option<String>,
}

impl Reader {
    /// A page of versions.
    pub async fn list_dag_versions(
        &mut self,
        filter: &DagVersionFilter,
        page: &Page,
    ) -> Result<Listed<DagVersion>, ListError> {
        const ORDER: &[Orderable] = &[
            ("id", "id"),
            ("version_number", "version_number"),
            ("bundle_name", "bundle_name"),
            ("bundle_version", "bundle_version"),
        ];
        let mut select = Select::new(self.dialect());
        select.equals("dag_id", filter.dag_id.as_ref().map(DagId::as_str));
        select.equals_int("version_number", filter.version_number);
        select.equals("bundle_name", filter.bundle_name.as_deref());
        select.equals("bundle_version", filter.bundle_version.as_deref());
        let list = List {
            doing: "list Dag versions",
            columns: DAG_VERSION_COLUMNS,
            from: "dag_version",
            order: Order::parse(ORDER, "id", &["id"], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        Ok(self.page(&list, &select, dag_version_from).await?)
    }

    /// The versions with these ids.
    pub async fn load_dag_versions(
        &mut self,
        ids: &[DagVersionId],
    ) -> Result<BTreeMap<DagVersionId, DagVersion>, Error> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut select = Select::new(self.dialect());
        select.one_of("id", ids);
        let sql = format!(
            "SELECT {DAG_VERSION_COLUMNS} FROM dag_version {}",
            select.filter()
        );
        self.fetch_all("load Dag versions", select.statement(sql))
            .await?
            .iter()
            .map(|row| dag_version_from(row).map(|version| (version.id, version)))
            .collect()
    }

    /// The versions that the tries of each run ran with, oldest first.
    pub async fn load_versions_of_runs(
        &mut self,
        runs: &[RunKey],
    ) -> Result<BTreeMap<RunKey, Vec<DagVersionId>>, Error> {
        let mut versions: BTreeMap<RunKey, Vec<DagVersionId>> = BTreeMap::new();
        if runs.is_empty() {
            return Ok(versions);
        }
        let mut select = Select::new(self.dialect());
        let wanted = select.run_keys(runs);
        let from = |table: &str| {
            format!(
                "SELECT x.dag_id, x.run_id, x.dag_version_id \
                   FROM {table} x JOIN {wanted} ON x.dag_id = k.dag_id AND x.run_id = k.run_id \
                  WHERE x.dag_version_id IS NOT NULL"
            )
        };
        let sql = format!(
            "{} UNION {} ORDER BY 3",
            from("task_instance"),
            from("task_instance_history")
        );
        let rows = self
            .fetch_all("load versions of runs", select.statement(sql))
            .await?;
        for row in &rows {
            let mut columns = Columns::of("task_instance", row);
            let dag_id: DagId = columns.id()?;
            let run_id: RunId = columns.id()?;
            let version = DagVersionId(columns.uuid()?);
            versions
                .entry(RunKey { dag_id, run_id })
                .or_default()
                .push(version);
        }
        Ok(versions)
    }
}
