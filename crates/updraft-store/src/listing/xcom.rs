//! Lists of XCom entries.

use jiff::Timestamp;
use updraft_model::filter::{Page, Pattern, Range};
use updraft_model::xcom::XCom;
use updraft_model::{DagId, MapIndex, RunId, TaskId};

use sqlx::any::AnyRow;

use super::order::{Order, Orderable};
use super::select::{List, Select};
use super::{ListError, Listed};
use crate::row::Columns;
use crate::{Error, Reader};

/// The primary key, which orders a list that asks for nothing else.
const KEY: &[&str] = &["dag_id", "task_id", "run_id", "map_index", "key"];

const ORDER: &[Orderable] = &[
    ("dag_id", "dag_id"),
    ("task_id", "task_id"),
    ("run_id", "run_id"),
    ("map_index", "map_index"),
    ("key", "key"),
    ("timestamp", "timestamp"),
    (
        "run_after",
        "(SELECT r.run_after FROM dag_run r WHERE r.dag_id = xcom.dag_id AND r.run_id = xcom.run_id)",
    ),
];

/// Which entries are listed.
#[derive(Clone, Debug, Default)]
pub struct XComFilter {
    pub dag_id: Option<DagId>,
    pub run_id: Option<RunId>,
    pub task_id: Option<TaskId>,
    pub map_index: Option<i64>,
    pub key: Option<String>,
    pub key_pattern: Pattern,
    pub dag_display_name: Pattern,
    pub run_id_pattern: Pattern,
    pub task_id_pattern: Pattern,
    pub logical_date: Range<Timestamp>,
    pub run_after: Range<Timestamp>,
}

impl Reader {
    /// A page of entries, without their values: those may be large.
    pub async fn list_xcoms(
        &mut self,
        filter: &XComFilter,
        page: &Page,
    ) -> Result<Listed<XCom>, ListError> {
        let mut select = Select::new(self.dialect());
        narrow(&mut select, filter);
        let list = List {
            doing: "list XComs",
            columns: "dag_id, run_id, task_id, map_index, key, dag_result, timestamp",
            from: "xcom",
            order: Order::parse(ORDER, "dag_id", KEY, &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        Ok(self.page(&list, &select, xcom_from).await?)
    }
}

fn narrow(select: &mut Select, filter: &XComFilter) {
    select.equals("dag_id", filter.dag_id.as_ref().map(DagId::as_str));
    select.equals("run_id", filter.run_id.as_ref().map(RunId::as_str));
    select.equals("task_id", filter.task_id.as_ref().map(TaskId::as_str));
    select.equals_int("map_index", filter.map_index);
    select.equals("key", filter.key.as_deref());
    select.pattern("key", &filter.key_pattern);
    select.pattern("run_id", &filter.run_id_pattern);
    select.pattern("task_id", &filter.task_id_pattern);
    select.exists("SELECT 1 FROM dag d WHERE d.dag_id = xcom.dag_id", |dag| {
        dag.pattern(
            "COALESCE(d.dag_display_name, d.dag_id)",
            &filter.dag_display_name,
        )
    });
    select.exists(
        "SELECT 1 FROM dag_run r WHERE r.dag_id = xcom.dag_id AND r.run_id = xcom.run_id",
        |run| {
            run.range("r.logical_date", &filter.logical_date);
            run.range("r.run_after", &filter.run_after);
        },
    );
}

fn xcom_from(row: &AnyRow) -> Result<XCom, Error> {
    let mut columns = Columns::of("xcom", row);
    Ok(XCom {
        dag_id: columns.id()?,
        run_id: columns.id()?,
        task_id: columns.id()?,
        map_index: MapIndex(columns.int()?),
        key: columns.owned()?,
        value: String::new(),
        dag_result: columns.flag()?,
        timestamp: columns.instant()?,
    })
}
