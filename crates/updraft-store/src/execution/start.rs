//! A worker starts a try.

use jiff::Timestamp;
use updraft_model::asset::AssetEvent;
use updraft_model::dag_run::DagRun;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagRunType, TaskInstanceId, TaskInstanceState};

use crate::dag_run::{DAG_RUN_COLUMNS, take_dag_run};
use crate::event_log::NewEventLog;
use crate::row::{Columns, aliased, assembled, micros};
use crate::task_instance::{TASK_INSTANCE_COLUMNS, take_task_instance};
use crate::{Dialect, Error, Reader, Tx};

/// The process that runs a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    pub hostname: String,
    pub unixname: String,
    pub pid: i32,
}

/// What came of the wish to start a try.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    Started(Box<StartedTry>),
    /// No live row has this id: never heard of, cleared, or retried.
    NotFound,
    /// The row is in a state from which this process cannot start it.
    InvalidState(TaskInstanceState),
}

/// What a process needs to know about the try it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct StartedTry {
    /// As it is now: running.
    pub task_instance: TaskInstance,
    pub dag_run: DagRun,
    pub team_name: Option<String>,
    /// Of an asset-triggered run.
    pub consumed_asset_events: Vec<AssetEvent>,
    pub task_reschedule_count: i64,
    /// Left by earlier tries; empty for a try that resumes.
    pub xcom_keys_to_clear: Vec<String>,
    /// Whether the worker should ask for a retry when the try fails.
    pub should_retry: bool,
}

impl Tx {
    /// Marks a try as running in `runner`. The same call again, of the same process, succeeds
    /// again: its answer may have been lost.
    pub async fn start_try(
        &mut self,
        id: TaskInstanceId,
        runner: &Runner,
        started_at: Timestamp,
        now: Timestamp,
    ) -> Result<Start, Error> {
        let Some((mut ti, dag_run, reschedules)) = self.lock_try_and_run(id).await? else {
            return Ok(Start::NotFound);
        };
        let before = ti.state;
        let is_repetition = before == TaskInstanceState::Running
            && ti.hostname == runner.hostname
            && ti.unixname == runner.unixname
            && ti.pid == Some(runner.pid);
        let may_start = matches!(
            before,
            TaskInstanceState::Queued | TaskInstanceState::Restarting
        );
        if !is_repetition && !may_start {
            return Ok(Start::InvalidState(before));
        }
        let should_retry = ti.should_retry(before);
        if may_start {
            self.mark_running(&mut ti, runner, started_at, now).await?;
            let mut entry = NewEventLog::about(&ti, "running", now);
            entry.logical_date = dag_run.logical_date;
            self.write_event_log(&entry).await?;
        }
        let xcom_keys_to_clear = match ti.next_method {
            Some(_) => Vec::new(),
            None => self.load_xcom_keys(&ti).await?,
        };
        let consumed_asset_events = match dag_run.run_type {
            DagRunType::AssetTriggered => self.load_consumed_asset_events(dag_run.id).await?,
            _ => Vec::new(),
        };
        Ok(Start::Started(Box::new(StartedTry {
            task_instance: ti,
            dag_run,
            team_name: None,
            consumed_asset_events,
            task_reschedule_count: reschedules,
            xcom_keys_to_clear,
            should_retry,
        })))
    }

    async fn lock_try_and_run(
        &mut self,
        id: TaskInstanceId,
    ) -> Result<Option<(TaskInstance, DagRun, i64)>, Error> {
        let statement = sqlx::query(assembled(lock_try_sql(self.dialect()))).bind(id.to_string());
        let Some(row) = self
            .fetch_optional("load a try to start", statement)
            .await?
        else {
            return Ok(None);
        };
        let mut columns = Columns::of("task_instance", &row);
        Ok(Some((
            take_task_instance(&mut columns)?,
            take_dag_run(&mut columns)?,
            columns.big()?,
        )))
    }

    async fn mark_running(
        &mut self,
        ti: &mut TaskInstance,
        runner: &Runner,
        started_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        // A try that resumes after a deferral began long ago.
        let resumes = ti
            .next_kwargs
            .as_deref()
            .is_some_and(|kwargs| !matches!(kwargs, "" | "null" | "{}"));
        if !resumes || ti.start_date.is_none() {
            ti.start_date = Some(started_at);
        }
        ti.state = TaskInstanceState::Running;
        ti.end_date = None;
        ti.hostname.clone_from(&runner.hostname);
        ti.unixname.clone_from(&runner.unixname);
        ti.pid = Some(runner.pid);
        ti.last_heartbeat_at = Some(now);
        ti.retry_delay_override_secs = None;
        ti.retry_reason = None;
        ti.updated_at = now;
        let statement = sqlx::query(
            "UPDATE task_instance
                SET state = 'running', start_date = $2, end_date = NULL, hostname = $3,
                    unixname = $4, pid = $5, last_heartbeat_at = $6, retry_delay_override = NULL,
                    retry_reason = NULL, updated_at = $6
              WHERE id = $1",
        )
        .bind(ti.id.to_string())
        .bind(ti.start_date.map(micros))
        .bind(runner.hostname.as_str())
        .bind(runner.unixname.as_str())
        .bind(runner.pid)
        .bind(micros(now));
        self.execute("mark a try as running", statement).await?;
        Ok(())
    }
}

impl Reader {
    async fn load_xcom_keys(&mut self, ti: &TaskInstance) -> Result<Vec<String>, Error> {
        let statement = sqlx::query(
            "SELECT key
               FROM xcom
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4
              ORDER BY key",
        )
        .bind(ti.dag_id.as_str())
        .bind(ti.run_id.as_str())
        .bind(ti.task_id.as_str())
        .bind(ti.map_index.0);
        self.fetch_all("load XCom keys", statement)
            .await?
            .iter()
            .map(|row| Columns::of("xcom", row).owned())
            .collect()
    }
}

/// What `lock_try_and_run` runs.
pub(crate) fn lock_try_sql(dialect: Dialect) -> String {
    format!(
        "SELECT {}, {},
                    (SELECT COUNT(*) FROM task_reschedule AS s WHERE s.ti_id = ti.id)
               FROM task_instance AS ti
               JOIN dag_run AS r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
              WHERE ti.id = $1
              {}",
        aliased("ti", TASK_INSTANCE_COLUMNS),
        aliased("r", DAG_RUN_COLUMNS),
        dialect.for_update("ti"),
    )
}
