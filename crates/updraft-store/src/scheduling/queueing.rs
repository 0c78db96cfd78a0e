//! The critical section: `scheduled` to `queued`, one scheduler at a time.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::{
    BundleName, DagId, DagVersionId, JobId, MapIndex, PoolName, RunId, TaskId, TaskInstanceId,
    TaskInstanceState,
};

use crate::pool::BUSY;
use crate::row::{Columns, aliased, assembled, int_array, micros, text_array};
use crate::task_instance::{TASK_INSTANCE_COLUMNS, take_task_instance};
use crate::{Dialect, Error, Reader, Tx};

/// Names the advisory lock of the critical section among all that Updraft takes on PostgreSQL.
const QUEUEING_LOCK: i64 = 0x7570_6472_6166_7401;

/// A scheduled task instance that may be queued if limits allow.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueCandidate {
    pub id: TaskInstanceId,
    pub dag_id: DagId,
    pub run_id: RunId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub try_number: i32,
    pub pool: PoolName,
    pub pool_slots: i32,
    pub priority_weight: i64,
    pub executor: Option<String>,
    pub logical_date: Option<Timestamp>,
    pub dag_version_id: Option<DagVersionId>,
    /// Of the Dag: per run, in spite of the name.
    pub max_active_tasks: i32,
    pub has_task_concurrency_limits: bool,
}

/// How many instances of one task in one run are in one state; only states that count somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveCount {
    pub dag_id: DagId,
    pub run_id: RunId,
    pub task_id: TaskId,
    pub state: TaskInstanceState,
    pub count: i64,
}

/// What an executor needs to start a try: the row, and where its code is.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    pub task_instance: updraft_model::task_instance::TaskInstance,
    pub bundle_name: BundleName,
    /// The version the run is pinned to; `None`: whatever the bundle holds.
    pub bundle_version: Option<String>,
    pub relative_fileloc: String,
    pub logical_date: Option<Timestamp>,
    pub run_after: Timestamp,
    pub data_interval: Option<(Timestamp, Timestamp)>,
}

impl Tx {
    /// Takes the critical section for the rest of the transaction. `false`: another scheduler is in
    /// it; nothing is lost by leaving the work to it.
    pub async fn lock_queueing(&mut self) -> Result<bool, Error> {
        match self.dialect() {
            // The write transaction is alone already.
            Dialect::Sqlite => Ok(true),
            Dialect::Postgres => {
                let statement =
                    sqlx::query("SELECT pg_try_advisory_xact_lock($1)").bind(QUEUEING_LOCK);
                let row = self
                    .fetch_one("enter the critical section", statement)
                    .await?;
                Columns::of("task_instance", &row).flag()
            }
        }
    }

    /// Moves the given task instances from `scheduled` to `queued`.
    ///
    /// Returns the ids that this scheduler won. A missing id is not an error: another scheduler or
    /// an API call moved that row first.
    pub async fn queue_task_instances(
        &mut self,
        ids: &[TaskInstanceId],
        job_id: JobId,
        now: Timestamp,
    ) -> Result<Vec<TaskInstanceId>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let statement = sqlx::query(assembled(queue_sql(self.dialect())))
            .bind(text_array(ids))
            .bind(micros(now))
            .bind(job_id.0);
        self.fetch_all("queue task instances", statement)
            .await?
            .iter()
            .map(|row| Columns::of("task_instance", row).uuid().map(TaskInstanceId))
            .collect()
    }

    /// Takes queued task instances back that the executor cannot start, for example because their
    /// run ended meanwhile. Only rows that this job queued are touched.
    pub async fn unqueue_task_instances(
        &mut self,
        ids: &[TaskInstanceId],
        to: TaskInstanceState,
        job_id: JobId,
        now: Timestamp,
    ) -> Result<u64, Error> {
        if ids.is_empty() {
            return Ok(0);
        }
        let theirs = self.dialect().one_of_texts("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "UPDATE task_instance
                SET state = $2, queued_dttm = NULL, queued_by_job_id = NULL,
                    scheduled_dttm = $3, updated_at = $3
              WHERE {theirs} AND state = 'queued' AND queued_by_job_id = $4"
        )))
        .bind(text_array(ids))
        .bind(to.to_nullable())
        .bind(micros(now))
        .bind(job_id.0);
        self.execute("take queued task instances back", statement)
            .await
    }
}

impl Reader {
    /// Scheduled task instances of running runs of unpaused Dags, in the order in which they get
    /// slots. Runs that are at their `max_active_tasks` are left out.
    ///
    /// NULL logical dates come last, as on PostgreSQL; the id makes the order total.
    pub async fn load_queue_candidates(
        &mut self,
        limit: i64,
    ) -> Result<Vec<QueueCandidate>, Error> {
        let statement = sqlx::query(assembled(candidates_sql())).bind(limit);
        self.fetch_all("find task instances to queue", statement)
            .await?
            .iter()
            .map(candidate_from)
            .collect()
    }

    /// One scheduled task instance as it competes, whatever keeps it from doing so, and whether
    /// Python has still to say something about it. `None`: it is not scheduled.
    pub async fn find_queue_candidate(
        &mut self,
        id: TaskInstanceId,
    ) -> Result<Option<(QueueCandidate, bool)>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {CANDIDATE_COLUMNS}, CASE WHEN ti.settling = 0 THEN 0 ELSE 1 END
               FROM task_instance AS ti
               JOIN dag_run AS r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
               JOIN dag AS d ON d.dag_id = ti.dag_id
              WHERE ti.id = $1 AND ti.state = 'scheduled'"
        )))
        .bind(id.to_string());
        let row = self
            .fetch_optional("load a scheduled task instance", statement)
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let mut columns = Columns::of("task_instance", &row);
        let candidate = take_candidate(&mut columns)?;
        Ok(Some((candidate, columns.flag()?)))
    }

    /// Counts per task, run and state of everything that holds a worker, a slot or a place in a
    /// limit: running, queued, deferred, awaiting input.
    pub async fn load_active_counts(&mut self) -> Result<Vec<ActiveCount>, Error> {
        let statement = sqlx::query(assembled(active_counts_sql()));
        self.fetch_all("count active task instances", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("task_instance", row);
                Ok(ActiveCount {
                    dag_id: columns.id()?,
                    run_id: columns.id()?,
                    task_id: columns.id()?,
                    state: columns.parsed()?,
                    count: columns.big()?,
                })
            })
            .collect()
    }

    /// What an executor needs to start these tries, highest priority first.
    pub async fn load_workloads(&mut self, ids: &[TaskInstanceId]) -> Result<Vec<Workload>, Error> {
        let theirs = self.dialect().one_of_texts("ti.id", "$1");
        let columns = aliased("ti", TASK_INSTANCE_COLUMNS);
        let statement = sqlx::query(assembled(format!(
            "SELECT {columns}, d.bundle_name, r.bundle_version, d.relative_fileloc, r.logical_date,
                    r.run_after, r.data_interval_start, r.data_interval_end
               FROM task_instance AS ti
               JOIN dag_run AS r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
               JOIN dag AS d ON d.dag_id = ti.dag_id
              WHERE {theirs}
              ORDER BY ti.priority_weight DESC, ti.map_index, ti.id"
        )))
        .bind(text_array(ids));
        self.workloads(statement).await
    }

    /// The tries that these jobs queued and that nobody started: a restarted scheduler gives them
    /// to its executor again.
    pub async fn load_queued_workloads(&mut self, jobs: &[JobId]) -> Result<Vec<Workload>, Error> {
        let busy = BUSY.replace("state", "ti.state");
        let theirs = self.dialect().one_of_ints("ti.queued_by_job_id", "$1");
        let columns = aliased("ti", TASK_INSTANCE_COLUMNS);
        let statement = sqlx::query(assembled(format!(
            "SELECT {columns}, d.bundle_name, r.bundle_version, d.relative_fileloc, r.logical_date,
                    r.run_after, r.data_interval_start, r.data_interval_end
               FROM task_instance AS ti
               JOIN dag_run AS r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
               JOIN dag AS d ON d.dag_id = ti.dag_id
              WHERE {busy} AND ti.state = 'queued' AND {theirs}
              ORDER BY ti.priority_weight DESC, ti.map_index, ti.id"
        )))
        .bind(int_array(jobs.iter().map(|job| job.0)));
        self.workloads(statement).await
    }

    async fn workloads(
        &mut self,
        statement: crate::session::Statement<'_>,
    ) -> Result<Vec<Workload>, Error> {
        self.fetch_all("load workloads", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("task_instance", row);
                Ok(Workload {
                    task_instance: take_task_instance(&mut columns)?,
                    bundle_name: columns.id()?,
                    bundle_version: columns.owned_or_null()?,
                    relative_fileloc: columns.owned()?,
                    logical_date: columns.instant_or_null()?,
                    run_after: columns.instant()?,
                    data_interval: {
                        let start = columns.instant_or_null()?;
                        start.zip(columns.instant_or_null()?)
                    },
                })
            })
            .collect()
    }
}

fn candidate_from(row: &AnyRow) -> Result<QueueCandidate, Error> {
    take_candidate(&mut Columns::of("task_instance", row))
}

fn take_candidate(columns: &mut Columns<'_>) -> Result<QueueCandidate, Error> {
    Ok(QueueCandidate {
        id: TaskInstanceId(columns.uuid()?),
        dag_id: columns.id()?,
        run_id: columns.id()?,
        task_id: columns.id()?,
        map_index: MapIndex(columns.int()?),
        try_number: columns.int()?,
        pool: columns.id()?,
        pool_slots: columns.int()?,
        priority_weight: columns.big()?,
        executor: columns.owned_or_null()?,
        logical_date: columns.instant_or_null()?,
        dag_version_id: columns.uuid_or_null()?.map(DagVersionId),
        max_active_tasks: columns.int()?,
        has_task_concurrency_limits: columns.flag()?,
    })
}

/// What a [`QueueCandidate`] is made of.
const CANDIDATE_COLUMNS: &str =
    "ti.id, ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number, ti.pool,
                    ti.pool_slots, ti.priority_weight, ti.executor, r.logical_date,
                    ti.dag_version_id, d.max_active_tasks, d.has_task_concurrency_limits";

/// What [`Reader::load_queue_candidates`] runs.
pub(crate) fn candidates_sql() -> String {
    let busy = BUSY.replace("state", "ti.state");
    format!(
        "SELECT {CANDIDATE_COLUMNS}
               FROM task_instance AS ti
               JOIN dag_run AS r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
               JOIN dag AS d ON d.dag_id = ti.dag_id
               LEFT JOIN (SELECT dag_id, run_id, COUNT(*) AS held
                            FROM task_instance
                           WHERE {BUSY} AND state IN ('queued', 'running')
                           GROUP BY dag_id, run_id) AS active
                 ON active.dag_id = ti.dag_id AND active.run_id = ti.run_id
              WHERE {busy} AND ti.state = 'scheduled' AND ti.settling = 0
                AND r.state = 'running' AND NOT d.is_paused
                AND COALESCE(active.held, 0) < d.max_active_tasks
              ORDER BY ti.priority_weight DESC, r.logical_date IS NULL, r.logical_date,
                       ti.map_index, ti.id
              LIMIT $1"
    )
}

/// What [`Reader::load_active_counts`] runs.
pub(crate) fn active_counts_sql() -> String {
    format!(
        "SELECT dag_id, run_id, task_id, state, COUNT(*)
               FROM task_instance
              WHERE {BUSY} AND state IN ('queued', 'running', 'deferred', 'awaiting_input')
              GROUP BY state, dag_id, run_id, task_id"
    )
}

/// What [`Tx::queue_task_instances`] runs.
pub(crate) fn queue_sql(dialect: Dialect) -> String {
    let theirs = dialect.one_of_texts("id", "$1");
    format!(
        "UPDATE task_instance
                SET state = 'queued', queued_dttm = $2, queued_by_job_id = $3, updated_at = $2
              WHERE {theirs} AND state = 'scheduled'
              RETURNING id"
    )
}
