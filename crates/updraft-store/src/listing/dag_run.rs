//! Lists of Dag runs.

use jiff::Timestamp;
use updraft_model::dag_run::DagRun;
use updraft_model::filter::{Page, Pattern, Range};
use updraft_model::{DagId, DagRunState, DagRunType};

use super::order::{Order, Orderable};
use super::select::{List, Select};
use super::{Cursor, ListError, Listed, Walked};
use crate::dag_run::{DAG_RUN_COLUMNS, dag_run_from};
use crate::{Dialect, Reader};

/// Seconds a run took, where it has both ends.
const DURATION: &str = "CAST((end_date - start_date) / 1000000.0 AS DOUBLE PRECISION)";

const ORDER: &[Orderable] = &[
    ("id", "id"),
    ("state", "state"),
    ("dag_id", "dag_id"),
    ("run_id", "run_id"),
    ("dag_run_id", "run_id"),
    ("logical_date", "logical_date"),
    ("partition_date", "partition_date"),
    ("run_after", "run_after"),
    ("start_date", "start_date"),
    ("end_date", "end_date"),
    ("updated_at", "updated_at"),
    ("conf", "conf"),
    ("duration", DURATION),
];

/// Which runs are listed.
#[derive(Clone, Debug, Default)]
pub struct DagRunFilter {
    /// No ids mean every Dag.
    pub dag_ids: Vec<DagId>,
    pub dag_id: Pattern,
    pub run_id: Pattern,
    /// `None` stands for a run without a state, which no run is.
    pub states: Vec<Option<DagRunState>>,
    pub run_types: Vec<DagRunType>,
    pub run_after: Range<Timestamp>,
    pub logical_date: Range<Timestamp>,
    pub start_date: Range<Timestamp>,
    pub end_date: Range<Timestamp>,
    pub updated_at: Range<Timestamp>,
    pub partition_date: Range<Timestamp>,
    pub duration: Range<f64>,
    /// Text that occurs in the JSON of the run's conf.
    pub conf_contains: Option<String>,
    /// Numbers of Dag versions that tries of the run ran with.
    pub version_numbers: Vec<i64>,
    pub bundle_version: Option<String>,
    pub triggering_user_name: Pattern,
    pub partition_key: Pattern,
    /// Part of the name or URI of an asset that the Dag is scheduled on.
    pub consuming_asset: Option<String>,
}

impl Reader {
    /// A page of runs.
    pub async fn list_dag_runs(
        &mut self,
        filter: &DagRunFilter,
        page: &Page,
        now: Timestamp,
    ) -> Result<Listed<DagRun>, ListError> {
        let select = narrowed(self.dialect(), filter, now);
        let list = list_of(page)?;
        Ok(self.page(&list, &select, dag_run_from).await?)
    }

    /// A page of a walk over runs.
    pub async fn walk_dag_runs(
        &mut self,
        filter: &DagRunFilter,
        page: &Page,
        cursor: Option<&Cursor>,
        now: Timestamp,
    ) -> Result<Walked<DagRun>, ListError> {
        let select = narrowed(self.dialect(), filter, now);
        let list = list_of(page)?;
        self.walk(&list, &select, cursor, dag_run_from).await
    }
}

fn list_of(page: &Page) -> Result<List<'static>, ListError> {
    Ok(List {
        doing: "list Dag runs",
        columns: DAG_RUN_COLUMNS,
        from: "dag_run",
        order: Order::parse(ORDER, "id", &["id"], &page.order_by)?,
        limit: page.limit,
        offset: page.offset,
    })
}

fn narrowed(dialect: Dialect, filter: &DagRunFilter, now: Timestamp) -> Select {
    let mut select = Select::new(dialect);
    select.one_of("dag_id", &filter.dag_ids);
    select.pattern("dag_id", &filter.dag_id);
    select.pattern("run_id", &filter.run_id);
    select.one_of_or_null("state", &filter.states);
    select.one_of("run_type", &filter.run_types);
    select.range("run_after", &filter.run_after);
    select.range("logical_date", &filter.logical_date);
    select.range_or_now("start_date", &filter.start_date, now);
    select.range_or_now("end_date", &filter.end_date, now);
    select.range("updated_at", &filter.updated_at);
    select.range("partition_date", &filter.partition_date);
    select.range(DURATION, &filter.duration);
    if let Some(part) = &filter.conf_contains {
        let condition = select.containing("conf", part);
        select.require(condition);
    }
    select.equals("bundle_version", filter.bundle_version.as_deref());
    select.pattern("triggering_user_name", &filter.triggering_user_name);
    select.pattern_with_bars("partition_key", &filter.partition_key);
    select.exists(
        "SELECT 1 FROM task_instance t JOIN dag_version v ON v.id = t.dag_version_id \
          WHERE t.dag_id = dag_run.dag_id AND t.run_id = dag_run.run_id",
        |select| select.one_of_ints("v.version_number", &filter.version_numbers),
    );
    if let Some(asset) = &filter.consuming_asset {
        let named = select.containing("a.name", asset);
        let located = select.containing("a.uri", asset);
        select.require(format!(
            "EXISTS (SELECT 1 FROM dagrun_asset_event e \
               JOIN asset_event ev ON ev.id = e.event_id JOIN asset a ON a.id = ev.asset_id \
              WHERE e.dag_run_id = dag_run.id AND ({named} OR {located}))"
        ));
    }
    select
}
