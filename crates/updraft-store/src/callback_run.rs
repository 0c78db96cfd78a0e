//! Rows of `callback`: callbacks that the triggerer or an executor runs.
//!
//! | state | who moves it on |
//! |---|---|
//! | scheduled | the scheduler, when its occasion comes: to pending, or queued for the triggerer |
//! | pending | the scheduler, when a slot is free: to queued |
//! | queued | whoever runs it: to running |
//! | running | whoever runs it: to success or failed |
//!
//! A process that dies leaves rows that name its job; they start over, a limited number of times.

use jiff::Timestamp;
use serde_json::{Map, Value};
use updraft_model::callback::{Callback, CallbackState, CallbackType};
use updraft_model::dag_run::DagRun;
use updraft_model::deadline::CallbackDefinition;
use updraft_model::{BundleName, DagId, JobId, RunId};
use uuid::Uuid;

use crate::row::{Columns, assembled, micros};
use crate::{CallbackReport, Error, Reader, Tx};

/// In the order in which [`take_callback`] takes them.
pub(crate) const CALLBACK_COLUMNS: &str = "id, type, data, bundle_name, state, output, \
    priority_weight, created_at, deadline_id, attempts";

/// What becomes part of a row's `data` for the names of metrics, as in Airflow.
const METRICS_PREFIX: &str = "deadline_alerts";

/// Airflow's weight of every callback.
const PRIORITY_WEIGHT: i32 = 1;

/// A callback whose occasion may come.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewCallback {
    id: Uuid,
    runs_in: CallbackType,
    data: Map<String, Value>,
    bundle_name: Option<BundleName>,
    deadline_id: Uuid,
}

/// Where the run of a callback and its code are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackPlace {
    pub dag_id: DagId,
    pub run_id: RunId,
    pub bundle_name: BundleName,
    pub bundle_version: Option<String>,
    /// The Dag file, relative to the bundle.
    pub relative_fileloc: String,
}

/// What became of callbacks whose process died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrphanedCallbacks {
    /// Wait for a slot again.
    pub released: u64,
    /// Were started too often.
    pub failed: u64,
}

impl NewCallback {
    /// The callback of a deadline.
    pub(crate) fn of_deadline(
        deadline_id: Uuid,
        run: &DagRun,
        definition: &CallbackDefinition,
    ) -> Self {
        let mut data = Map::new();
        data.insert("dag_id".to_owned(), run.dag_id.as_str().into());
        data.insert("prefix".to_owned(), METRICS_PREFIX.into());
        data.insert("path".to_owned(), definition.path.as_str().into());
        data.insert("kwargs".to_owned(), definition.kwargs.clone().into());
        if definition.runs_in == CallbackType::Executor {
            data.insert("executor".to_owned(), definition.executor.clone().into());
        }
        Self {
            id: Uuid::new_v5(&deadline_id, b"callback"),
            runs_in: definition.runs_in,
            data,
            bundle_name: run.bundle_name.clone(),
            deadline_id,
        }
    }
}

impl Tx {
    pub(crate) async fn create_callback(
        &mut self,
        new: &NewCallback,
        now: Timestamp,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "INSERT INTO callback (id, type, fetch_method, data, bundle_name, state,
                 priority_weight, created_at, updated_at, deadline_id, attempts)
             VALUES ($1, $2, 'import_path', $3, $4, 'scheduled', $5, $6, $6, $7, 0)",
        )
        .bind(new.id.to_string())
        .bind(new.runs_in.as_str())
        .bind(Value::from(new.data.clone()).to_string())
        .bind(new.bundle_name.as_ref().map(BundleName::as_str))
        .bind(PRIORITY_WEIGHT)
        .bind(micros(now))
        .bind(new.deadline_id.to_string());
        self.execute("create a callback", statement).await?;
        Ok(())
    }

    /// The occasion of a callback has come.
    pub(crate) async fn give_callback_its_occasion(
        &mut self,
        id: Uuid,
        data: &Value,
        state: CallbackState,
        now: Timestamp,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "UPDATE callback
                SET state = $2, data = $3, updated_at = $4
              WHERE id = $1 AND state = 'scheduled'",
        )
        .bind(id.to_string())
        .bind(state.as_str())
        .bind(data.to_string())
        .bind(micros(now));
        self.execute("give a callback its occasion", statement)
            .await?;
        if state == CallbackState::Pending {
            self.changed(crate::Change::Urgent);
        }
        Ok(())
    }

    /// Queues callbacks that wait for a slot of an executor, heaviest first, at most `limit`.
    pub async fn queue_callbacks(
        &mut self,
        job_id: JobId,
        limit: i64,
        now: Timestamp,
    ) -> Result<Vec<Callback>, Error> {
        let lock = self.dialect().for_update_skip_locked("c");
        let statement = sqlx::query(assembled(format!(
            "UPDATE callback
                SET state = 'queued', queued_by_job_id = $1, updated_at = $3
              WHERE id IN (SELECT c.id
                             FROM callback AS c
                            WHERE c.type = 'executor' AND c.state = 'pending'
                            ORDER BY c.priority_weight DESC, c.created_at, c.id
                            LIMIT $2
                            {lock})
              RETURNING {CALLBACK_COLUMNS}"
        )))
        .bind(job_id.0)
        .bind(limit)
        .bind(micros(now));
        let mut queued = self
            .fetch_all("queue callbacks", statement)
            .await?
            .iter()
            .map(|row| take_callback(&mut Columns::of("callback", row)))
            .collect::<Result<Vec<_>, _>>()?;
        queued.sort_by_key(|each| {
            (
                std::cmp::Reverse(each.priority_weight),
                each.created_at,
                each.id,
            )
        });
        Ok(queued)
    }

    /// Marks a queued callback as running. `false`: somebody else has it, or it is gone.
    pub async fn start_callback(&mut self, id: Uuid, now: Timestamp) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE callback
                SET state = 'running', attempts = attempts + 1, updated_at = $2
              WHERE id = $1 AND state = 'queued'",
        )
        .bind(id.to_string())
        .bind(micros(now));
        Ok(self.execute("start a callback", statement).await? == 1)
    }

    /// Writes how a callback that an executor has ended. `false`: it is over, or gone.
    pub async fn finish_callback(
        &mut self,
        id: Uuid,
        report: &CallbackReport,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE callback
                SET state = $2, output = $3, updated_at = $4
              WHERE id = $1 AND state IN ('pending', 'queued', 'running')",
        )
        .bind(id.to_string())
        .bind(report.state.as_str())
        .bind(report.output.as_deref())
        .bind(micros(now));
        Ok(self.execute("finish a callback", statement).await? == 1)
    }

    /// Lets a callback wait for a slot again that could not run for reasons of ours.
    pub async fn release_callback(&mut self, id: Uuid, now: Timestamp) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE callback
                SET attempts = attempts - CASE WHEN state = 'running' THEN 1 ELSE 0 END,
                    state = 'pending', queued_by_job_id = NULL, updated_at = $2
              WHERE id = $1 AND state IN ('queued', 'running')",
        )
        .bind(id.to_string())
        .bind(micros(now));
        let won = self.execute("release a callback", statement).await? == 1;
        if won {
            self.changed(crate::Change::Urgent);
        }
        Ok(won)
    }

    /// Starts the callbacks over whose scheduler is not alive; one that was started `attempts_max`
    /// times fails instead.
    pub async fn release_orphaned_callbacks(
        &mut self,
        attempts_max: i32,
        now: Timestamp,
    ) -> Result<OrphanedCallbacks, Error> {
        const ORPHANED: &str = "type = 'executor' AND state IN ('queued', 'running')
                AND NOT EXISTS (SELECT 1
                                  FROM job
                                 WHERE job.id = queued_by_job_id AND job.state = 'running')";
        let statement = sqlx::query(assembled(format!(
            "UPDATE callback
                SET state = 'failed', updated_at = $2,
                    output = 'its process died ' || $1 || ' times'
              WHERE {ORPHANED} AND attempts >= CAST($1 AS INTEGER)"
        )))
        .bind(attempts_max.to_string())
        .bind(micros(now));
        let failed = self
            .execute("give orphaned callbacks up", statement)
            .await?;
        let statement = sqlx::query(assembled(format!(
            "UPDATE callback
                SET state = 'pending', queued_by_job_id = NULL, updated_at = $1
              WHERE {ORPHANED}"
        )))
        .bind(micros(now));
        let released = self
            .execute("start orphaned callbacks over", statement)
            .await?;
        Ok(OrphanedCallbacks { released, failed })
    }

    /// Writes how far a callback has come that the triggerer runs.
    pub(crate) async fn report_triggered_callback(
        &mut self,
        id: Uuid,
        report: &CallbackReport,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE callback
                SET state = $2, output = COALESCE($3, output)
              WHERE id = $1 AND type = 'triggerer' AND state IN ('queued', 'running')",
        )
        .bind(id.to_string())
        .bind(report.state.as_str())
        .bind(report.output.as_deref());
        Ok(self.execute("report a callback", statement).await? == 1)
    }
}

impl Reader {
    /// One callback.
    pub async fn find_callback(&mut self, id: Uuid) -> Result<Option<Callback>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {CALLBACK_COLUMNS} FROM callback WHERE id = $1"
        )))
        .bind(id.to_string());
        self.fetch_optional("load a callback", statement)
            .await?
            .map(|row| take_callback(&mut Columns::of("callback", &row)))
            .transpose()
    }

    /// Where the run of a callback and its code are; `None`: the run is gone.
    pub async fn find_callback_place(&mut self, id: Uuid) -> Result<Option<CallbackPlace>, Error> {
        let statement = sqlx::query(
            "SELECT r.dag_id, r.run_id, d.bundle_name, r.bundle_version, d.relative_fileloc
               FROM callback AS c
               JOIN deadline AS l ON l.id = c.deadline_id
               JOIN dag_run AS r ON r.id = l.dag_run_id
               JOIN dag AS d ON d.dag_id = r.dag_id
              WHERE c.id = $1",
        )
        .bind(id.to_string());
        let row = self
            .fetch_optional("find the place of a callback", statement)
            .await?;
        row.map(|row| {
            let mut columns = Columns::of("callback", &row);
            Ok(CallbackPlace {
                dag_id: columns.id()?,
                run_id: columns.id()?,
                bundle_name: columns.id()?,
                bundle_version: columns.owned_or_null()?,
                relative_fileloc: columns.owned()?,
            })
        })
        .transpose()
    }

    /// The callbacks that a scheduler has queued and that have not started.
    pub async fn load_callbacks_queued_by(&mut self, job_id: JobId) -> Result<Vec<Uuid>, Error> {
        let statement = sqlx::query(
            "SELECT id FROM callback
              WHERE type = 'executor' AND state = 'queued' AND queued_by_job_id = $1
              ORDER BY id",
        )
        .bind(job_id.0);
        self.fetch_all("load queued callbacks", statement)
            .await?
            .iter()
            .map(|row| Columns::of("callback", row).uuid())
            .collect()
    }

    /// The callbacks of a Dag, newest first, at most `limit`.
    pub async fn load_callbacks(
        &mut self,
        dag_id: &DagId,
        limit: i64,
    ) -> Result<Vec<Callback>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {}
               FROM callback AS c
               JOIN deadline AS d ON d.id = c.deadline_id
               JOIN dag_run AS r ON r.id = d.dag_run_id
              WHERE r.dag_id = $1
              ORDER BY c.created_at DESC, c.id
              LIMIT $2",
            crate::row::aliased("c", CALLBACK_COLUMNS),
        )))
        .bind(dag_id.as_str())
        .bind(limit);
        self.fetch_all("load callbacks", statement)
            .await?
            .iter()
            .map(|row| take_callback(&mut Columns::of("callback", row)))
            .collect()
    }
}

/// Takes [`CALLBACK_COLUMNS`] and leaves what follows them.
pub(crate) fn take_callback(columns: &mut Columns<'_>) -> Result<Callback, Error> {
    Ok(Callback {
        id: columns.uuid()?,
        runs_in: columns.parsed()?,
        data: columns.decoded()?,
        bundle_name: columns.id_or_null()?,
        state: columns.parsed()?,
        output: columns.owned_or_null()?,
        priority_weight: columns.int()?,
        created_at: columns.instant()?,
        deadline_id: columns.uuid_or_null()?,
        attempts: columns.int()?,
    })
}
