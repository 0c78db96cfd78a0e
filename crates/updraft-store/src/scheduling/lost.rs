//! Task instances whose keeper died or fell silent.

use jiff::Timestamp;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{JobId, TaskInstanceId, TaskInstanceState};

use crate::history::Succession;
use crate::pool::BUSY;
use crate::row::{Columns, aliased, assembled, bind_real, micros, text_array};
use crate::session::Statement;
use crate::task_instance::{TASK_INSTANCE_COLUMNS, task_instance_from};
use crate::{Dialect, Error, Reader, Tx};

/// A try that ended without a word of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct BuriedTry {
    pub id: TaskInstanceId,
    /// Written only while the row is in this state.
    pub from: TaskInstanceState,
    /// `failed` or `up_for_retry`.
    pub state: TaskInstanceState,
    pub end_date: Timestamp,
    pub duration_secs: Option<f64>,
    /// The id of the next try, if this one goes into the history.
    pub successor: Option<TaskInstanceId>,
}

impl Tx {
    /// Writes down the end of a try in its place. `false`: the row has moved on.
    pub async fn bury_try(&mut self, buried: &BuriedTry, now: Timestamp) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE task_instance
                SET state = $3, end_date = $4, next_method = NULL, next_kwargs = NULL,
                    updated_at = $5, duration = COALESCE($6, duration)
              WHERE id = $1 AND state IS NOT DISTINCT FROM $2",
        )
        .bind(buried.id.to_string())
        .bind(buried.from.to_nullable())
        .bind(buried.state.to_nullable())
        .bind(micros(buried.end_date))
        .bind(micros(now));
        let statement = bind_real(statement, buried.duration_secs);
        if self.execute("bury a try", statement).await? == 0 {
            return Ok(false);
        }
        if let Some(new) = buried.successor {
            let old = buried.id;
            self.archive_tries(&[Succession { old, new }], now).await?;
        }
        if let Some(ti) = self
            .find_task_instance(buried.successor.unwrap_or(buried.id))
            .await?
        {
            self.run_changed(&ti.dag_id, &ti.run_id);
        }
        Ok(true)
    }

    /// Lets a cleared try start again, now that its process has stopped. `false`: the row is not
    /// restarting.
    pub async fn restart_cleared(
        &mut self,
        id: TaskInstanceId,
        max_tries: i32,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE task_instance
                SET state = NULL, max_tries = $2, updated_at = $3
              WHERE id = $1 AND state = 'restarting'
              RETURNING dag_id, run_id",
        )
        .bind(id.to_string())
        .bind(max_tries)
        .bind(micros(now));
        let Some(row) = self
            .fetch_optional("restart a cleared try", statement)
            .await?
        else {
            return Ok(false);
        };
        let mut columns = Columns::of("task_instance", &row);
        let (dag_id, run_id) = (columns.id()?, columns.id()?);
        self.run_changed(&dag_id, &run_id);
        Ok(true)
    }

    /// Lets a queued try wait for a place again. `false`: the row has moved on.
    pub async fn requeue_stuck(
        &mut self,
        id: TaskInstanceId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE task_instance
                SET state = 'scheduled', queued_dttm = NULL, queued_by_job_id = NULL,
                    scheduled_dttm = $2, updated_at = $2
              WHERE id = $1 AND state = 'queued'
              RETURNING dag_id, run_id",
        )
        .bind(id.to_string())
        .bind(micros(now));
        let Some(row) = self
            .fetch_optional("queue a stuck try again", statement)
            .await?
        else {
            return Ok(false);
        };
        let mut columns = Columns::of("task_instance", &row);
        let (dag_id, run_id) = (columns.id()?, columns.id()?);
        self.run_changed(&dag_id, &run_id);
        Ok(true)
    }

    /// Stores the name under which an executor knows a try.
    pub async fn set_external_executor_id(
        &mut self,
        id: TaskInstanceId,
        name: Option<&str>,
    ) -> Result<(), Error> {
        let statement =
            sqlx::query("UPDATE task_instance SET external_executor_id = $2 WHERE id = $1")
                .bind(id.to_string())
                .bind(name);
        self.execute("name a workload", statement).await?;
        Ok(())
    }

    /// Takes the queued, running and restarting task instances of running runs whose scheduler job
    /// is not running any more.
    pub async fn lock_orphans(&mut self, limit: i64) -> Result<Vec<TaskInstance>, Error> {
        let statement = sqlx::query(assembled(orphans_sql(self.dialect()))).bind(limit);
        self.task_instances("find orphaned task instances", statement)
            .await
    }

    /// Lets a job answer for task instances that another one queued.
    pub async fn adopt_task_instances(
        &mut self,
        ids: &[TaskInstanceId],
        job_id: JobId,
    ) -> Result<u64, Error> {
        if ids.is_empty() {
            return Ok(0);
        }
        let theirs = self.dialect().one_of_texts("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "UPDATE task_instance
                SET queued_by_job_id = $2
              WHERE {theirs} AND state IN ('queued', 'running', 'restarting')"
        )))
        .bind(text_array(ids))
        .bind(job_id.0);
        self.execute("adopt task instances", statement).await
    }

    /// Starts orphans over: the try goes into the history, the row gets a new id and no state.
    ///
    /// The next scheduling counts as another try while `max_tries` stays: it costs a retry, as in
    /// Airflow (§7.9).
    pub async fn reset_orphans(
        &mut self,
        successions: &[Succession],
        now: Timestamp,
    ) -> Result<u64, Error> {
        if successions.is_empty() {
            return Ok(0);
        }
        self.archive_tries(successions, now).await?;
        let theirs = self.dialect().one_of_texts("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "UPDATE task_instance
                SET state = NULL, queued_by_job_id = NULL, external_executor_id = NULL,
                    next_method = NULL, next_kwargs = NULL, updated_at = $2
              WHERE {theirs}"
        )))
        .bind(text_array(successions.iter().map(|each| each.new)))
        .bind(micros(now));
        self.execute("start orphaned task instances over", statement)
            .await
    }
}

impl Reader {
    /// Running task instances that this job answers for and that sent no heartbeat since. One that
    /// never sent any is not among them.
    pub async fn load_silent_task_instances(
        &mut self,
        job_id: JobId,
        since: Timestamp,
    ) -> Result<Vec<TaskInstance>, Error> {
        let statement = sqlx::query(assembled(silent_sql()))
            .bind(job_id.0)
            .bind(micros(since));
        self.task_instances("find silent task instances", statement)
            .await
    }

    /// Task instances that this job queued before `since` and that nobody started.
    pub async fn load_stuck_in_queued(
        &mut self,
        job_id: JobId,
        since: Timestamp,
    ) -> Result<Vec<TaskInstance>, Error> {
        let statement = sqlx::query(assembled(stuck_sql()))
            .bind(job_id.0)
            .bind(micros(since));
        self.task_instances("find task instances stuck in queued", statement)
            .await
    }

    /// Deferred task instances, and those that await input, whose `trigger_timeout` has passed.
    pub async fn load_trigger_timeouts(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<TaskInstance>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {TASK_INSTANCE_COLUMNS}
               FROM task_instance
              WHERE {BUSY} AND state IN ('deferred', 'awaiting_input') AND trigger_timeout < $1"
        )))
        .bind(micros(now));
        self.task_instances("find passed trigger timeouts", statement)
            .await
    }

    pub(crate) async fn task_instances(
        &mut self,
        doing: &'static str,
        statement: Statement<'_>,
    ) -> Result<Vec<TaskInstance>, Error> {
        self.fetch_all(doing, statement)
            .await?
            .iter()
            .map(task_instance_from)
            .collect()
    }

    /// How often an event was logged for this try since its last `running`.
    pub async fn count_log_events(&mut self, ti: &TaskInstance, event: &str) -> Result<i64, Error> {
        let statement = sqlx::query(
            "SELECT COUNT(*)
               FROM log
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4
                AND event = $5 AND try_number = $6
                AND id > COALESCE((SELECT MAX(id)
                                     FROM log
                                    WHERE dag_id = $1 AND run_id = $2 AND task_id = $3
                                      AND map_index = $4 AND event = 'running'
                                      AND try_number = $6), 0)",
        )
        .bind(ti.dag_id.as_str())
        .bind(ti.run_id.as_str())
        .bind(ti.task_id.as_str())
        .bind(ti.map_index.0)
        .bind(event)
        .bind(ti.try_number);
        let row = self.fetch_one("count log events", statement).await?;
        Columns::of("log", &row).big()
    }
}

/// What [`Tx::lock_orphans`] runs.
pub(crate) fn orphans_sql(dialect: Dialect) -> String {
    let busy = BUSY.replace("state", "ti.state");
    let columns = aliased("ti", TASK_INSTANCE_COLUMNS);
    format!(
        "SELECT {columns}
               FROM task_instance AS ti
               JOIN dag_run AS r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
              WHERE {busy} AND ti.state IN ('queued', 'running', 'restarting')
                AND r.state = 'running'
                AND NOT EXISTS (SELECT 1
                                  FROM job
                                 WHERE job.id = ti.queued_by_job_id AND job.state = 'running')
              ORDER BY ti.id
              LIMIT $1
              {}",
        dialect.for_update_skip_locked("ti"),
    )
}

/// What [`Reader::load_silent_task_instances`] runs.
pub(crate) fn silent_sql() -> String {
    format!(
        "SELECT {TASK_INSTANCE_COLUMNS}
               FROM task_instance
              WHERE {BUSY} AND state IN ('running', 'restarting')
                AND last_heartbeat_at < $2 AND queued_by_job_id = $1"
    )
}

/// What [`Reader::load_stuck_in_queued`] runs.
pub(crate) fn stuck_sql() -> String {
    format!(
        "SELECT {TASK_INSTANCE_COLUMNS}
               FROM task_instance
              WHERE {BUSY} AND state = 'queued'
                AND queued_dttm < $2 AND queued_by_job_id = $1"
    )
}
