//! Lists of task instances, and what their answers need from other tables.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use updraft_model::filter::{Page, Pattern, Range};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagId, RunId, TaskId, TaskInstanceState};

use super::order::{Order, Orderable};
use super::select::{List, Select};
use super::{Cursor, ListError, Listed, Walked};
use crate::row::Columns;
use crate::task_instance::{TASK_INSTANCE_COLUMNS, task_instance_from};
use crate::{Dialect, Error, Reader, RunKey};

/// The run of a task instance; every condition on it is a subquery over this.
const RUN: &str = "SELECT 1 FROM dag_run r \
    WHERE r.dag_id = task_instance.dag_id AND r.run_id = task_instance.run_id";

/// The name of the operator as people see it.
const OPERATOR_NAME: &str = "COALESCE(custom_operator_name, operator)";

const ORDER: &[Orderable] = &[
    ("id", "id"),
    ("state", "state"),
    ("duration", "duration"),
    ("start_date", "start_date"),
    ("end_date", "end_date"),
    ("map_index", "map_index"),
    ("try_number", "try_number"),
    (
        "logical_date",
        "(SELECT r.logical_date FROM dag_run r \
           WHERE r.dag_id = task_instance.dag_id AND r.run_id = task_instance.run_id)",
    ),
    (
        "run_after",
        "(SELECT r.run_after FROM dag_run r \
           WHERE r.dag_id = task_instance.dag_id AND r.run_id = task_instance.run_id)",
    ),
    (
        "data_interval_start",
        "(SELECT r.data_interval_start FROM dag_run r \
           WHERE r.dag_id = task_instance.dag_id AND r.run_id = task_instance.run_id)",
    ),
    (
        "data_interval_end",
        "(SELECT r.data_interval_end FROM dag_run r \
           WHERE r.dag_id = task_instance.dag_id AND r.run_id = task_instance.run_id)",
    ),
    ("rendered_map_index", "rendered_map_index"),
    ("operator", "operator"),
];

/// Which task instances are listed.
#[derive(Clone, Debug, Default)]
pub struct TaskInstanceFilter {
    pub dag_ids: Vec<DagId>,
    pub run_ids: Vec<RunId>,
    /// `None` lists instances of every task, an empty list those of none.
    pub task_ids: Option<Vec<TaskId>>,
    pub dag_id: Pattern,
    pub run_id: Pattern,
    /// Only expanded instances of mapped tasks.
    pub mapped_only: bool,
    /// `NoStatus` stands for instances without a state.
    pub states: Vec<TaskInstanceState>,
    pub run_after: Range<Timestamp>,
    pub logical_date: Range<Timestamp>,
    pub start_date: Range<Timestamp>,
    pub end_date: Range<Timestamp>,
    pub updated_at: Range<Timestamp>,
    pub duration: Range<f64>,
    pub pools: Vec<String>,
    pub pool_name: Pattern,
    pub queues: Vec<String>,
    pub queue_name: Pattern,
    pub executors: Vec<String>,
    pub version_numbers: Vec<i64>,
    pub try_numbers: Vec<i64>,
    pub operators: Vec<String>,
    pub operator_name: Pattern,
    pub map_indexes: Vec<i64>,
    pub rendered_map_index: Pattern,
}

/// What a run says about its task instances.
#[derive(Clone, Debug, PartialEq)]
pub struct RunDates {
    pub logical_date: Option<Timestamp>,
    pub run_after: Timestamp,
}

/// A trigger, without its arguments: they are nobody's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerSummary {
    pub id: i64,
    pub classpath: String,
    pub created_date: Timestamp,
    pub queue: Option<String>,
    pub triggerer_id: Option<i64>,
}

impl Reader {
    /// A page of task instances.
    pub async fn list_task_instances(
        &mut self,
        filter: &TaskInstanceFilter,
        page: &Page,
        now: Timestamp,
    ) -> Result<Listed<TaskInstance>, ListError> {
        let select = narrowed(self.dialect(), filter, now);
        let list = list_of(page)?;
        Ok(self.page(&list, &select, task_instance_from).await?)
    }

    /// A page of a walk over task instances.
    pub async fn walk_task_instances(
        &mut self,
        filter: &TaskInstanceFilter,
        page: &Page,
        cursor: Option<&Cursor>,
        now: Timestamp,
    ) -> Result<Walked<TaskInstance>, ListError> {
        let select = narrowed(self.dialect(), filter, now);
        let list = list_of(page)?;
        self.walk(&list, &select, cursor, task_instance_from).await
    }

    /// The dates of runs.
    pub async fn load_run_dates(
        &mut self,
        runs: &[RunKey],
    ) -> Result<BTreeMap<RunKey, RunDates>, Error> {
        if runs.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut select = Select::new(self.dialect());
        let wanted = select.run_keys(runs);
        let sql = format!(
            "SELECT r.dag_id, r.run_id, r.logical_date, r.run_after \
               FROM dag_run r JOIN {wanted} ON r.dag_id = k.dag_id AND r.run_id = k.run_id"
        );
        self.fetch_all("load dates of runs", select.statement(sql))
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag_run", row);
                let key = RunKey {
                    dag_id: columns.id()?,
                    run_id: columns.id()?,
                };
                let dates = RunDates {
                    logical_date: columns.instant_or_null()?,
                    run_after: columns.instant()?,
                };
                Ok((key, dates))
            })
            .collect()
    }

    /// The rendered fields of all task instances of some runs, by run, task and map index.
    pub async fn load_rendered_fields(
        &mut self,
        task_instances: &[TaskInstance],
    ) -> Result<BTreeMap<(RunKey, TaskId, i32), Value>, Error> {
        if task_instances.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut select = Select::new(self.dialect());
        let wanted = select.task_instance_keys(task_instances);
        let sql = format!(
            "SELECT f.dag_id, f.run_id, f.task_id, f.map_index, f.rendered_fields \
               FROM rendered_task_instance_fields f JOIN {wanted} \
                 ON f.dag_id = k.dag_id AND f.run_id = k.run_id \
                AND f.task_id = k.task_id AND f.map_index = k.map_index"
        );
        self.fetch_all("load rendered fields", select.statement(sql))
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("rendered_task_instance_fields", row);
                let run = RunKey {
                    dag_id: columns.id()?,
                    run_id: columns.id()?,
                };
                Ok(((run, columns.id()?, columns.int()?), columns.json()?))
            })
            .collect()
    }

    /// The triggers with these ids.
    pub async fn load_trigger_summaries(
        &mut self,
        ids: &[i64],
    ) -> Result<BTreeMap<i64, TriggerSummary>, Error> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut select = Select::new(self.dialect());
        select.one_of_ints("id", ids);
        let sql = format!(
            "SELECT id, classpath, created_date, queue, triggerer_id FROM trigger {}",
            select.filter()
        );
        self.fetch_all("load triggers", select.statement(sql))
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("trigger", row);
                let trigger = TriggerSummary {
                    id: columns.big()?,
                    classpath: columns.owned()?,
                    created_date: columns.instant()?,
                    queue: columns.owned_or_null()?,
                    triggerer_id: columns.big_or_null()?,
                };
                Ok((trigger.id, trigger))
            })
            .collect()
    }
}

fn list_of(page: &Page) -> Result<List<'static>, ListError> {
    Ok(List {
        doing: "list task instances",
        columns: TASK_INSTANCE_COLUMNS,
        from: "task_instance",
        order: Order::parse(ORDER, "map_index", &["id"], &page.order_by)?,
        limit: page.limit,
        offset: page.offset,
    })
}

fn narrowed(dialect: Dialect, filter: &TaskInstanceFilter, now: Timestamp) -> Select {
    let mut select = Select::new(dialect);
    select.one_of("dag_id", &filter.dag_ids);
    select.one_of("run_id", &filter.run_ids);
    match &filter.task_ids {
        Some(none) if none.is_empty() => select.require("1 = 0"),
        Some(task_ids) => select.one_of("task_id", task_ids),
        None => {}
    }
    select.pattern("dag_id", &filter.dag_id);
    select.pattern("run_id", &filter.run_id);
    if filter.mapped_only {
        select.require("map_index >= 0");
    }
    let states: Vec<Option<TaskInstanceState>> = filter
        .states
        .iter()
        .map(|state| (*state != TaskInstanceState::NoStatus).then_some(*state))
        .collect();
    select.one_of_or_null("state", &states);
    select.range_or_now("start_date", &filter.start_date, now);
    select.range_or_now("end_date", &filter.end_date, now);
    select.range("updated_at", &filter.updated_at);
    select.range("duration", &filter.duration);
    narrow_by_place(&mut select, filter);
    select.exists(RUN, |run| {
        run.range("r.run_after", &filter.run_after);
        run.range("r.logical_date", &filter.logical_date);
    });
    select.exists(
        "SELECT 1 FROM dag_version v WHERE v.id = task_instance.dag_version_id",
        |version| version.one_of_ints("v.version_number", &filter.version_numbers),
    );
    select
}

fn narrow_by_place(select: &mut Select, filter: &TaskInstanceFilter) {
    select.one_of("pool", &filter.pools);
    select.pattern("pool", &filter.pool_name);
    select.one_of("queue", &filter.queues);
    select.pattern("queue", &filter.queue_name);
    select.one_of("executor", &filter.executors);
    select.one_of_ints("try_number", &filter.try_numbers);
    select.one_of("operator", &filter.operators);
    select.pattern(OPERATOR_NAME, &filter.operator_name);
    select.one_of_ints("map_index", &filter.map_indexes);
    select.pattern("rendered_map_index", &filter.rendered_map_index);
}
