//! What a pass over one run reads.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::dag_run::DagRun;
use updraft_model::xcom::XCOM_RETURN_KEY;
use updraft_model::{
    DagId, DagRunType, DagVersionId, MapIndex, RunId, TaskId, TaskInstanceId, TaskInstanceState,
};

use crate::dag_run::{DAG_RUN_COLUMNS, RunKey, take_dag_run};
use crate::row::{Columns, aliased, assembled, micros, text_array};
use crate::task_instance::take_state;
use crate::{Dialect, Error, Reader, Tx};

/// The key under which branches and short circuits leave their decision.
const SKIP_KEY: &str = "skipmixin_key";

/// A run that this transaction holds, with what its Dag says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct LockedRun {
    pub run: DagRun,
    pub is_paused: bool,
    pub is_stale: bool,
    /// `backfill_dag_run.sort_ordinal`, when the run belongs to a backfill.
    pub backfill_sort_ordinal: Option<i32>,
    /// The newest version of the Dag; `None` for a Dag that was never serialized.
    pub latest_version: Option<VersionStamp>,
}

/// Names the content of a version: an overwritten version keeps its id and gets another hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionStamp {
    pub id: DagVersionId,
    pub dag_hash: String,
}

/// One task instance, as slim as deciding allows.
#[derive(Clone, Debug, PartialEq)]
pub struct SlimTaskInstance {
    pub id: TaskInstanceId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub state: TaskInstanceState,
    pub try_number: i32,
    pub max_tries: i32,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub retry_delay_override_secs: Option<f64>,
    /// The newest `task_reschedule.reschedule_date` of this try.
    pub reschedule_date: Option<Timestamp>,
    pub dag_version_id: Option<DagVersionId>,
}

/// The content of one `skipmixin_key`, as the child wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkipXCom {
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub value: String,
}

impl Reader {
    /// The running runs that a pass may look at: due, of Dags that are neither paused nor stale,
    /// each with whether it belongs to a backfill. Those that do come last; else the one that
    /// waited longest comes first.
    pub async fn load_runs_to_examine(
        &mut self,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<(RunKey, bool)>, Error> {
        let statement = sqlx::query(
            "SELECT r.dag_id, r.run_id,
                    CASE WHEN r.backfill_id IS NULL THEN 0 ELSE 1 END AS is_of_backfill
               FROM dag_run AS r
               JOIN dag AS d ON d.dag_id = r.dag_id
              WHERE r.state IN ('queued', 'running')
                AND r.state = 'running' AND r.run_after <= $1
                AND NOT d.is_paused AND NOT d.is_stale
              ORDER BY is_of_backfill, COALESCE(r.last_scheduling_decision, 0), r.run_after, r.id
              LIMIT $2",
        )
        .bind(micros(now))
        .bind(limit);
        self.fetch_all("find running runs", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag_run", row);
                Ok((take_run_key(&mut columns)?, columns.flag()?))
            })
            .collect()
    }

    /// Running runs of paused Dags in which something happened since the last pass: they may be
    /// finished, but nothing more of them is scheduled.
    pub async fn load_runs_of_paused_dags(&mut self, limit: i64) -> Result<Vec<RunKey>, Error> {
        let statement = sqlx::query(
            "SELECT r.dag_id, r.run_id
               FROM dag_run AS r
               JOIN dag AS d ON d.dag_id = r.dag_id
              WHERE r.state IN ('queued', 'running')
                AND r.state = 'running' AND d.is_paused
                AND (SELECT MAX(updated_at)
                       FROM task_instance
                      WHERE dag_id = r.dag_id AND run_id = r.run_id)
                    >= COALESCE(r.last_scheduling_decision, 0)
              ORDER BY r.id
              LIMIT $1",
        )
        .bind(limit);
        self.fetch_all("find runs of paused Dags", statement)
            .await?
            .iter()
            .map(run_key_from)
            .collect()
    }

    /// The task instances of a run, by task and map index.
    pub async fn load_slim_task_instances(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
    ) -> Result<Vec<SlimTaskInstance>, Error> {
        let statement = sqlx::query(SLIM_SQL)
            .bind(dag_id.as_str())
            .bind(run_id.as_str());
        self.fetch_all("load the task instances of a run", statement)
            .await?
            .iter()
            .map(slim_from)
            .collect()
    }

    /// The lengths that these unmapped tasks pushed for their mapped successors.
    pub async fn load_mapped_lengths(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        task_ids: &[TaskId],
    ) -> Result<BTreeMap<TaskId, u32>, Error> {
        let theirs = self.dialect().one_of_texts("task_id", "$3");
        let sql = format!(
            "SELECT task_id, length
               FROM task_map
              WHERE dag_id = $1 AND run_id = $2 AND map_index = -1 AND {theirs}"
        );
        self.counts_of_tasks("load mapped lengths", sql, dag_id, run_id, task_ids)
            .await
    }

    /// How many mapped instances of each of these tasks left a return value.
    pub async fn load_return_value_counts(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        task_ids: &[TaskId],
    ) -> Result<BTreeMap<TaskId, u32>, Error> {
        let theirs = self.dialect().one_of_texts("task_id", "$3");
        let sql = format!(
            "SELECT task_id, COUNT(*)
               FROM xcom
              WHERE dag_id = $1 AND run_id = $2 AND key = '{XCOM_RETURN_KEY}'
                AND map_index >= 0 AND {theirs}
              GROUP BY task_id"
        );
        self.counts_of_tasks("count return values", sql, dag_id, run_id, task_ids)
            .await
    }

    async fn counts_of_tasks(
        &mut self,
        doing: &'static str,
        sql: String,
        dag_id: &DagId,
        run_id: &RunId,
        task_ids: &[TaskId],
    ) -> Result<BTreeMap<TaskId, u32>, Error> {
        if task_ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let statement = sqlx::query(assembled(sql))
            .bind(dag_id.as_str())
            .bind(run_id.as_str())
            .bind(text_array(task_ids));
        self.fetch_all(doing, statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("task_map", row);
                let task_id = columns.id()?;
                Ok((task_id, u32::try_from(columns.big()?).unwrap_or(0)))
            })
            .collect()
    }

    /// What branches and short circuits among these tasks decided.
    pub async fn load_skip_xcoms(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        task_ids: &[TaskId],
    ) -> Result<Vec<SkipXCom>, Error> {
        if task_ids.is_empty() {
            return Ok(Vec::new());
        }
        let theirs = self.dialect().one_of_texts("task_id", "$3");
        let statement = sqlx::query(assembled(format!(
            "SELECT task_id, map_index, value
               FROM xcom
              WHERE dag_id = $1 AND run_id = $2 AND key = '{SKIP_KEY}' AND {theirs}"
        )))
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(text_array(task_ids));
        self.fetch_all("load skip decisions", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("xcom", row);
                Ok(SkipXCom {
                    task_id: columns.id()?,
                    map_index: MapIndex(columns.int()?),
                    value: columns.owned()?,
                })
            })
            .collect()
    }

    /// The latest run before `logical_date`, of any type but the given one.
    pub async fn find_previous_run(
        &mut self,
        dag_id: &DagId,
        logical_date: Timestamp,
        except: Option<DagRunType>,
    ) -> Result<Option<DagRun>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {DAG_RUN_COLUMNS}
               FROM dag_run
              WHERE dag_id = $1 AND logical_date < $2 AND run_type <> $3
              ORDER BY logical_date DESC
              LIMIT 1"
        )))
        .bind(dag_id.as_str())
        .bind(micros(logical_date))
        .bind(except.map_or("", DagRunType::as_str));
        self.fetch_optional("find the previous run", statement)
            .await?
            .map(|row| take_dag_run(&mut Columns::of("dag_run", &row)))
            .transpose()
    }

    /// The running runs after `logical_date`, the nearest first.
    pub async fn load_running_runs_after(
        &mut self,
        dag_id: &DagId,
        logical_date: Timestamp,
        limit: i64,
    ) -> Result<Vec<(RunKey, DagRunType)>, Error> {
        let statement = sqlx::query(
            "SELECT dag_id, run_id, run_type
               FROM dag_run
              WHERE dag_id = $1 AND logical_date > $2 AND state = 'running'
              ORDER BY logical_date
              LIMIT $3",
        )
        .bind(dag_id.as_str())
        .bind(micros(logical_date))
        .bind(limit);
        self.fetch_all("find the runs after another", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag_run", row);
                Ok((take_run_key(&mut columns)?, columns.parsed()?))
            })
            .collect()
    }

    /// The state of every instance of these tasks in a run.
    pub async fn load_states_of_tasks(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        task_ids: &[TaskId],
    ) -> Result<Vec<(TaskId, TaskInstanceState)>, Error> {
        let theirs = self.dialect().one_of_texts("task_id", "$3");
        let statement = sqlx::query(assembled(format!(
            "SELECT task_id, state
               FROM task_instance
              WHERE dag_id = $1 AND run_id = $2 AND {theirs}"
        )))
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(text_array(task_ids));
        self.fetch_all("load the states of tasks", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("task_instance", row);
                Ok((columns.id()?, take_state(&mut columns)?))
            })
            .collect()
    }

    /// Which of these tasks have an instance in any run of an earlier logical date.
    pub async fn load_tasks_seen_before(
        &mut self,
        dag_id: &DagId,
        logical_date: Timestamp,
        task_ids: &[TaskId],
    ) -> Result<Vec<TaskId>, Error> {
        let theirs = self.dialect().one_of_texts("ti.task_id", "$3");
        let statement = sqlx::query(assembled(format!(
            "SELECT DISTINCT ti.task_id
               FROM dag_run AS r
               JOIN task_instance AS ti ON ti.dag_id = r.dag_id AND ti.run_id = r.run_id
              WHERE r.dag_id = $1 AND r.logical_date < $2 AND {theirs}"
        )))
        .bind(dag_id.as_str())
        .bind(micros(logical_date))
        .bind(text_array(task_ids));
        self.fetch_all("find tasks in earlier runs", statement)
            .await?
            .iter()
            .map(|row| Columns::of("task_instance", row).id())
            .collect()
    }

    /// Whether any try of the run, past or present, belongs to this version of the Dag.
    pub async fn run_knows_version(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        version: DagVersionId,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM task_instance
                                       WHERE dag_id = $1 AND run_id = $2 AND dag_version_id = $3)
                           OR EXISTS (SELECT 1 FROM task_instance_history
                                       WHERE dag_id = $1 AND run_id = $2 AND dag_version_id = $3)
                         THEN 1 ELSE 0 END",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(version.to_string());
        let row = self
            .fetch_one("look for a Dag version in a run", statement)
            .await?;
        Columns::of("task_instance", &row).flag()
    }
}

impl Reader {
    /// As [`Tx::lock_run`], but takes nothing.
    pub async fn find_examined_run(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
    ) -> Result<Option<LockedRun>, Error> {
        let statement = sqlx::query(assembled(examined_run_sql()))
            .bind(dag_id.as_str())
            .bind(run_id.as_str());
        let row = self.fetch_optional("look at a Dag run", statement).await?;
        row.as_ref().map(examined_run_from).transpose()
    }
}

impl Tx {
    /// Takes the run for the rest of the transaction.
    ///
    /// `None`: there is no such run, or another scheduler holds it and will look at it.
    pub async fn lock_run(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
    ) -> Result<Option<LockedRun>, Error> {
        let statement = sqlx::query(assembled(lock_run_sql(self.dialect())))
            .bind(dag_id.as_str())
            .bind(run_id.as_str());
        let row = self.fetch_optional("lock a Dag run", statement).await?;
        row.as_ref().map(examined_run_from).transpose()
    }
}

pub(crate) fn run_key_from(row: &AnyRow) -> Result<RunKey, Error> {
    take_run_key(&mut Columns::of("dag_run", row))
}

fn take_run_key(columns: &mut Columns<'_>) -> Result<RunKey, Error> {
    Ok(RunKey {
        dag_id: columns.id()?,
        run_id: columns.id()?,
    })
}

fn examined_run_from(row: &AnyRow) -> Result<LockedRun, Error> {
    let mut columns = Columns::of("dag_run", row);
    Ok(LockedRun {
        run: take_dag_run(&mut columns)?,
        is_paused: columns.flag()?,
        is_stale: columns.flag()?,
        backfill_sort_ordinal: columns.int_or_null()?,
        latest_version: match (columns.uuid_or_null()?, columns.owned_or_null()?) {
            (Some(id), Some(dag_hash)) => Some(VersionStamp {
                id: DagVersionId(id),
                dag_hash,
            }),
            _ => None,
        },
    })
}

fn slim_from(row: &AnyRow) -> Result<SlimTaskInstance, Error> {
    let mut columns = Columns::of("task_instance", row);
    Ok(SlimTaskInstance {
        id: TaskInstanceId(columns.uuid()?),
        task_id: columns.id()?,
        map_index: MapIndex(columns.int()?),
        state: take_state(&mut columns)?,
        try_number: columns.int()?,
        max_tries: columns.int()?,
        start_date: columns.instant_or_null()?,
        end_date: columns.instant_or_null()?,
        retry_delay_override_secs: columns.real_or_null()?,
        reschedule_date: columns.instant_or_null()?,
        dag_version_id: columns.uuid_or_null()?.map(DagVersionId),
    })
}

/// What [`Tx::lock_run`] runs.
pub(crate) fn lock_run_sql(dialect: Dialect) -> String {
    let select = examined_run_sql();
    format!("{select} {}", dialect.for_update_skip_locked("r"))
}

/// What [`Reader::find_examined_run`] runs.
pub(crate) fn examined_run_sql() -> String {
    format!(
        "SELECT {}, d.is_paused, d.is_stale, e.sort_ordinal, v.id, v.dag_hash
               FROM dag_run AS r
               JOIN dag AS d ON d.dag_id = r.dag_id
               LEFT JOIN backfill_dag_run AS e
                 ON e.dag_run_id = r.id AND e.backfill_id = r.backfill_id
               LEFT JOIN dag_version AS v
                 ON v.dag_id = r.dag_id
                AND v.version_number = (SELECT MAX(version_number)
                                          FROM dag_version
                                         WHERE dag_id = r.dag_id)
              WHERE r.dag_id = $1 AND r.run_id = $2",
        aliased("r", DAG_RUN_COLUMNS),
    )
}

/// What [`Reader::load_slim_task_instances`] runs.
pub(crate) const SLIM_SQL: &str =
    "SELECT id, task_id, map_index, state, try_number, max_tries, start_date, end_date,
                    retry_delay_override,
                    (SELECT reschedule_date
                       FROM task_reschedule
                      WHERE ti_id = task_instance.id
                      ORDER BY id DESC
                      LIMIT 1),
                    dag_version_id
               FROM task_instance
              WHERE dag_id = $1 AND run_id = $2
              ORDER BY task_id, map_index";
