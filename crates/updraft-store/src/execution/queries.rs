//! Questions a try asks about other runs and task instances.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::dag_run::DagRun;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{
    DagId, DagRunState, MapIndex, RunId, TaskId, TaskInstanceId, TaskInstanceState,
};

use crate::dag_run::{DAG_RUN_COLUMNS, dag_run_from};
use crate::row::{Columns, aliased, assembled, int_array, micros, text_array};
use crate::session::Statement;
use crate::task_instance::{TASK_INSTANCE_COLUMNS, take_state, task_instance_from};
use crate::{Error, Reader};

/// Which task instances of a Dag are meant. An empty list of runs, dates or tasks means all.
#[derive(Clone, Debug, Default)]
pub struct TaskInstanceQuery {
    pub map_index: Option<MapIndex>,
    pub task_ids: Vec<TaskId>,
    pub logical_dates: Vec<Timestamp>,
    pub run_ids: Vec<RunId>,
    /// Empty: any state.
    pub states: Vec<TaskInstanceState>,
}

/// Which runs of a Dag are meant. An empty list means all.
#[derive(Clone, Debug, Default)]
pub struct DagRunQuery {
    pub logical_dates: Vec<Timestamp>,
    pub run_ids: Vec<RunId>,
    pub states: Vec<DagRunState>,
}

/// The state of one task instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskState {
    pub run_id: RunId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub state: TaskInstanceState,
}

/// A finished task instance of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Breadcrumb {
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub state: TaskInstanceState,
    pub operator: String,
    pub duration_secs: Option<f64>,
}

impl Reader {
    /// How many task instances of a Dag match.
    pub async fn count_task_instances(
        &mut self,
        dag_id: &DagId,
        query: &TaskInstanceQuery,
    ) -> Result<i64, Error> {
        let statement = self.task_instance_query("COUNT(*)", "", dag_id, query);
        let row = self.fetch_one("count task instances", statement).await?;
        Columns::of("task_instance", &row).big()
    }

    /// The states of the task instances of a Dag that match.
    pub async fn load_task_states(
        &mut self,
        dag_id: &DagId,
        query: &TaskInstanceQuery,
    ) -> Result<Vec<TaskState>, Error> {
        let statement = self.task_instance_query(
            "ti.run_id, ti.task_id, ti.map_index, ti.state",
            "ORDER BY ti.run_id, ti.task_id, ti.map_index",
            dag_id,
            query,
        );
        self.fetch_all("load task states", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("task_instance", row);
                Ok(TaskState {
                    run_id: columns.id()?,
                    task_id: columns.id()?,
                    map_index: MapIndex(columns.int()?),
                    state: take_state(&mut columns)?,
                })
            })
            .collect()
    }

    /// `columns` and `order` are literals of this file.
    fn task_instance_query<'q>(
        &self,
        columns: &str,
        order: &str,
        dag_id: &DagId,
        query: &TaskInstanceQuery,
    ) -> Statement<'q> {
        let dialect = self.dialect();
        let tasks = dialect.one_of_texts("ti.task_id", "$3");
        let dates = dialect.one_of_ints("r.logical_date", "$4");
        let runs = dialect.one_of_texts("ti.run_id", "$5");
        let states = dialect.one_of_texts("COALESCE(ti.state, 'no_status')", "$6");
        sqlx::query(assembled(format!(
            "SELECT {columns}
               FROM task_instance AS ti
               JOIN dag_run AS r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
              WHERE ti.dag_id = $1
                AND ($2 IS NULL OR ti.map_index = $2)
                AND ($3 = '[]' OR {tasks})
                AND ($4 = '[]' OR {dates})
                AND ($5 = '[]' OR {runs})
                AND ($6 = '[]' OR {states})
              {order}"
        )))
        .bind(dag_id.to_string())
        .bind(query.map_index.map(|index| index.0))
        .bind(text_array(&query.task_ids))
        .bind(int_array(
            query.logical_dates.iter().map(|date| micros(*date)),
        ))
        .bind(text_array(&query.run_ids))
        .bind(text_array(&query.states))
    }

    /// How many runs of a Dag match.
    pub async fn count_dag_runs(
        &mut self,
        dag_id: &DagId,
        query: &DagRunQuery,
    ) -> Result<i64, Error> {
        let dialect = self.dialect();
        let dates = dialect.one_of_ints("logical_date", "$2");
        let runs = dialect.one_of_texts("run_id", "$3");
        let states = dialect.one_of_texts("state", "$4");
        let statement = sqlx::query(assembled(format!(
            "SELECT COUNT(*)
               FROM dag_run
              WHERE dag_id = $1
                AND ($2 = '[]' OR {dates})
                AND ($3 = '[]' OR {runs})
                AND ($4 = '[]' OR {states})"
        )))
        .bind(dag_id.as_str())
        .bind(int_array(
            query.logical_dates.iter().map(|date| micros(*date)),
        ))
        .bind(text_array(&query.run_ids))
        .bind(text_array(&query.states));
        let row = self.fetch_one("count Dag runs", statement).await?;
        Columns::of("dag_run", &row).big()
    }

    /// The latest run before a date, in the given state if one is given.
    pub async fn find_previous_run_in_state(
        &mut self,
        dag_id: &DagId,
        before: Timestamp,
        state: Option<DagRunState>,
    ) -> Result<Option<DagRun>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {DAG_RUN_COLUMNS}
               FROM dag_run
              WHERE dag_id = $1 AND logical_date < $2 AND ($3 = '' OR state = $3)
              ORDER BY logical_date DESC
              LIMIT 1"
        )))
        .bind(dag_id.as_str())
        .bind(micros(before))
        .bind(state.map_or("", DagRunState::as_str));
        self.fetch_optional("find the previous run", statement)
            .await?
            .as_ref()
            .map(dag_run_from)
            .transpose()
    }

    /// The last run before this try's that succeeded. `None` also for a run without a logical date.
    pub async fn find_previous_successful_run(
        &mut self,
        id: TaskInstanceId,
    ) -> Result<Option<DagRun>, Error> {
        let columns = aliased("before", DAG_RUN_COLUMNS);
        let statement = sqlx::query(assembled(format!(
            "SELECT {columns}
               FROM task_instance AS ti
               JOIN dag_run AS r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
               JOIN dag_run AS before
                 ON before.dag_id = r.dag_id AND before.logical_date < r.logical_date
              WHERE ti.id = $1 AND before.state = 'success'
              ORDER BY before.logical_date DESC
              LIMIT 1"
        )))
        .bind(id.to_string());
        self.fetch_optional("find the last successful run", statement)
            .await?
            .as_ref()
            .map(dag_run_from)
            .transpose()
    }

    /// The newest instance of a task in a run before `before` (any run, if `None`), in the given
    /// state if one is given.
    pub async fn find_previous_task_instance(
        &mut self,
        dag_id: &DagId,
        task_id: &TaskId,
        map_index: MapIndex,
        before: Option<Timestamp>,
        state: Option<TaskInstanceState>,
    ) -> Result<Option<TaskInstance>, Error> {
        let columns = aliased("ti", TASK_INSTANCE_COLUMNS);
        let statement = sqlx::query(assembled(format!(
            "SELECT {columns}
               FROM dag_run AS r
               JOIN task_instance AS ti ON ti.dag_id = r.dag_id AND ti.run_id = r.run_id
              WHERE r.dag_id = $1 AND ti.task_id = $2 AND ti.map_index = $3
                AND ($4 IS NULL OR r.logical_date < $4)
                AND ($5 = '' OR COALESCE(ti.state, 'no_status') = $5)
              ORDER BY r.logical_date IS NULL, r.logical_date DESC
              LIMIT 1"
        )))
        .bind(dag_id.as_str())
        .bind(task_id.as_str())
        .bind(map_index.0)
        .bind(before.map(micros))
        .bind(state.map_or("", TaskInstanceState::as_str));
        self.fetch_optional("find the previous task instance", statement)
            .await?
            .as_ref()
            .map(task_instance_from)
            .transpose()
    }

    /// The finished task instances of a run, by task and map index.
    pub async fn load_breadcrumbs(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
    ) -> Result<Vec<Breadcrumb>, Error> {
        let statement = sqlx::query(
            "SELECT task_id, map_index, state, operator, duration
               FROM task_instance
              WHERE dag_id = $1 AND run_id = $2
                AND state IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed')
              ORDER BY task_id, map_index",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str());
        self.fetch_all("load breadcrumbs", statement)
            .await?
            .iter()
            .map(breadcrumb_from)
            .collect()
    }

    /// When the first reschedule of this try was reported: a sensor's timeout counts from there.
    pub async fn find_first_reschedule(
        &mut self,
        id: TaskInstanceId,
    ) -> Result<Option<Timestamp>, Error> {
        let statement = sqlx::query(
            "SELECT start_date FROM task_reschedule WHERE ti_id = $1 ORDER BY id LIMIT 1",
        )
        .bind(id.to_string());
        self.fetch_optional("find the first reschedule", statement)
            .await?
            .map(|row| Columns::of("task_reschedule", &row).instant())
            .transpose()
    }
}

fn breadcrumb_from(row: &AnyRow) -> Result<Breadcrumb, Error> {
    let mut columns = Columns::of("task_instance", row);
    Ok(Breadcrumb {
        task_id: columns.id()?,
        map_index: MapIndex(columns.int()?),
        state: take_state(&mut columns)?,
        operator: columns.owned()?,
        duration_secs: columns.real_or_null()?,
    })
}
