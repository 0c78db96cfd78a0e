//! Rows of `dag_run`.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::dag_run::{DagRun, NewDagRun};
use updraft_model::{DagId, DagRunState, DagVersionId, JobId, RunId};

use crate::change::Change;
use crate::row::{Columns, assembled, micros, micros_or_null};
use crate::{Error, Reader, Tx};

/// In the order in which [`dag_run_from`] takes them.
pub(crate) const DAG_RUN_COLUMNS: &str = "id, dag_id, run_id, state, run_type, triggered_by, \
    triggering_user_name, logical_date, data_interval_start, data_interval_end, run_after, \
    queued_at, start_date, end_date, last_scheduling_decision, conf, clear_number, note, \
    note_user, partition_key, partition_date, backfill_id, creating_job_id, scheduled_by_job_id, \
    created_dag_version_id, bundle_name, bundle_version, updated_at";

/// Names a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    pub dag_id: DagId,
    pub run_id: RunId,
}

/// What became of an attempt to create a run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunCreation {
    Created(Box<DagRun>),
    /// The Dag has a run of this id already.
    RunIdTaken,
    /// The Dag has a run of this logical date already.
    LogicalDateTaken,
}

/// A new state for a run, with the timestamps that go with it.
#[derive(Clone, Debug)]
pub struct RunStateChange {
    /// The change is made only if this is the run's state.
    pub from: DagRunState,
    pub to: DagRunState,
    pub queued_at: Option<Timestamp>,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
}

impl Reader {
    /// One run.
    pub async fn find_dag_run(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
    ) -> Result<Option<DagRun>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {DAG_RUN_COLUMNS}
               FROM dag_run
              WHERE dag_id = $1 AND run_id = $2"
        )))
        .bind(dag_id.as_str())
        .bind(run_id.as_str());
        self.fetch_optional("load a Dag run", statement)
            .await?
            .as_ref()
            .map(dag_run_from)
            .transpose()
    }

    /// The run with this logical date.
    pub async fn find_dag_run_of_date(
        &mut self,
        dag_id: &DagId,
        logical_date: Timestamp,
    ) -> Result<Option<DagRun>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {DAG_RUN_COLUMNS}
               FROM dag_run
              WHERE dag_id = $1 AND logical_date = $2"
        )))
        .bind(dag_id.as_str())
        .bind(micros(logical_date));
        self.fetch_optional("load a Dag run", statement)
            .await?
            .as_ref()
            .map(dag_run_from)
            .transpose()
    }

    /// The states of the last runs of a Dag, newest first, of any type and state.
    pub async fn load_last_run_states(
        &mut self,
        dag_id: &DagId,
        count: i64,
    ) -> Result<Vec<DagRunState>, Error> {
        let statement = sqlx::query(
            "SELECT state
               FROM dag_run
              WHERE dag_id = $1
              ORDER BY run_after DESC, id DESC
              LIMIT $2",
        )
        .bind(dag_id.as_str())
        .bind(count);
        self.fetch_all("load the last runs", statement)
            .await?
            .iter()
            .map(|row| Columns::of("dag_run", row).parsed())
            .collect()
    }
}

impl Tx {
    /// Creates a run in state `queued`, with the deadlines that its Dag gives it.
    ///
    /// Conflicts are told apart and leave nothing behind.
    pub async fn create_dag_run(
        &mut self,
        run: &NewDagRun,
        now: Timestamp,
    ) -> Result<RunCreation, Error> {
        let (interval_start, interval_end) = match run.data_interval {
            Some((start, end)) => (Some(micros(start)), Some(micros(end))),
            None => (None, None),
        };
        let statement = sqlx::query(assembled(format!(
            "INSERT INTO dag_run (
                 dag_id, run_id, state, run_type, triggered_by, triggering_user_name, logical_date,
                 data_interval_start, data_interval_end, run_after, queued_at, conf, clear_number,
                 note, note_user, partition_key, partition_date, backfill_id, creating_job_id,
                 created_dag_version_id, bundle_name, bundle_version, updated_at)
             VALUES ($1, $2, 'queued', $3, $4, $5, $6, $7, $8, $9, $10, $11, 0,
                     $12, $13, $14, $15, $16, $17, $18, $19, $20, $10)
             ON CONFLICT DO NOTHING
             RETURNING {DAG_RUN_COLUMNS}"
        )))
        .bind(run.dag_id.as_str())
        .bind(run.run_id.as_str())
        .bind(run.run_type.as_str())
        .bind(run.triggered_by.as_str())
        .bind(run.triggering_user_name.as_deref())
        .bind(micros_or_null(run.logical_date))
        .bind(interval_start)
        .bind(interval_end)
        .bind(micros(run.run_after))
        .bind(micros(now))
        .bind(run.conf.to_string())
        .bind(run.note.as_deref())
        .bind(run.note.as_ref().and(run.triggering_user_name.as_deref()))
        .bind(run.partition_key.as_deref())
        .bind(micros_or_null(run.partition_date))
        .bind(run.backfill_id)
        .bind(run.creating_job_id.map(|job| job.0))
        .bind(run.created_dag_version_id.to_string())
        .bind(run.bundle_name.as_ref().map(|name| name.as_str()))
        .bind(run.bundle_version.as_deref());
        let row = self.fetch_optional("create a Dag run", statement).await?;
        let Some(row) = row else {
            let taken = self.find_dag_run(&run.dag_id, &run.run_id).await?;
            return Ok(match taken {
                Some(_) => RunCreation::RunIdTaken,
                None => RunCreation::LogicalDateTaken,
            });
        };
        let created = dag_run_from(&row)?;
        self.create_deadlines(&created, now).await?;
        self.run_changed(&run.dag_id, &run.run_id);
        Ok(RunCreation::Created(Box::new(created)))
    }

    /// Moves a run from one state to another. `false`: it was not in that state.
    pub async fn change_dag_run_state(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        change: &RunStateChange,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE dag_run
                SET state = $4, queued_at = $5, start_date = $6, end_date = $7, updated_at = $8
              WHERE dag_id = $1 AND run_id = $2 AND state = $3",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(change.from.as_str())
        .bind(change.to.as_str())
        .bind(micros_or_null(change.queued_at))
        .bind(micros_or_null(change.start_date))
        .bind(micros_or_null(change.end_date))
        .bind(micros(now));
        let won = self
            .execute("change the state of a Dag run", statement)
            .await?
            == 1;
        if won {
            if let (DagRunState::Success, Some(end_date)) = (change.to, change.end_date) {
                self.prune_deadlines(dag_id, run_id, end_date).await?;
            }
            self.run_changed(dag_id, run_id);
            if matches!(change.to, DagRunState::Success | DagRunState::Failed) {
                self.may_create_runs(dag_id);
            }
        }
        Ok(won)
    }

    /// Notes that a pass looked at the run.
    pub async fn note_scheduling_decision(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        job_id: JobId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "UPDATE dag_run
                SET last_scheduling_decision = $3, scheduled_by_job_id = $4
              WHERE dag_id = $1 AND run_id = $2",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(micros(now))
        .bind(job_id.0);
        self.execute("note a scheduling decision", statement)
            .await?;
        Ok(())
    }

    /// Replaces the note of a run; `None` removes it. `false`: there is no such run.
    pub async fn set_dag_run_note(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        note: Option<&str>,
        user: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE dag_run
                SET note = $3, note_user = $4, updated_at = $5
              WHERE dag_id = $1 AND run_id = $2",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(note)
        .bind(note.and(user))
        .bind(micros(now));
        Ok(self.execute("set the note of a Dag run", statement).await? == 1)
    }

    /// Takes a run for the rest of the transaction, waiting for whoever has it. `None`: there is no
    /// such run.
    pub async fn hold_dag_run(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
    ) -> Result<Option<DagRun>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {DAG_RUN_COLUMNS}
               FROM dag_run
              WHERE dag_id = $1 AND run_id = $2
              {}",
            self.dialect().for_update("dag_run")
        )))
        .bind(dag_id.as_str())
        .bind(run_id.as_str());
        self.fetch_optional("hold a Dag run", statement)
            .await?
            .as_ref()
            .map(dag_run_from)
            .transpose()
    }

    /// Moves a run to another version; `None` leaves the version of its bundle as it is.
    pub async fn set_created_dag_version(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        version: DagVersionId,
        bundle_version: Option<&str>,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "UPDATE dag_run
                SET created_dag_version_id = $3, bundle_version = COALESCE($4, bundle_version)
              WHERE dag_id = $1 AND run_id = $2",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(version.to_string())
        .bind(bundle_version);
        self.execute("move a run to another Dag version", statement)
            .await?;
        Ok(())
    }

    /// Deletes a run with everything that hangs on it. `false`: there is no such run.
    pub async fn delete_dag_run(&mut self, dag_id: &DagId, run_id: &RunId) -> Result<bool, Error> {
        let statement = sqlx::query("DELETE FROM dag_run WHERE dag_id = $1 AND run_id = $2")
            .bind(dag_id.as_str())
            .bind(run_id.as_str());
        let deleted = self.execute("delete a Dag run", statement).await? == 1;
        if deleted {
            self.run_changed(dag_id, run_id);
            self.may_create_runs(dag_id);
        }
        Ok(deleted)
    }

    pub(crate) fn run_changed(&mut self, dag_id: &DagId, run_id: &RunId) {
        self.changed(Change::DagRun {
            dag_id: dag_id.clone(),
            run_id: run_id.clone(),
        });
    }
}

pub(crate) fn dag_run_from(row: &AnyRow) -> Result<DagRun, Error> {
    take_dag_run(&mut Columns::of("dag_run", row))
}

/// Takes [`DAG_RUN_COLUMNS`] and leaves what follows them.
pub(crate) fn take_dag_run(columns: &mut Columns<'_>) -> Result<DagRun, Error> {
    Ok(DagRun {
        id: columns.big()?,
        dag_id: columns.id()?,
        run_id: columns.id()?,
        state: columns.parsed()?,
        run_type: columns.parsed()?,
        triggered_by: columns.parsed_or_null()?,
        triggering_user_name: columns.owned_or_null()?,
        logical_date: columns.instant_or_null()?,
        data_interval_start: columns.instant_or_null()?,
        data_interval_end: columns.instant_or_null()?,
        run_after: columns.instant()?,
        queued_at: columns.instant_or_null()?,
        start_date: columns.instant_or_null()?,
        end_date: columns.instant_or_null()?,
        last_scheduling_decision: columns.instant_or_null()?,
        conf: columns.json()?,
        clear_number: columns.big()?,
        note: columns.owned_or_null()?,
        note_user: columns.owned_or_null()?,
        partition_key: columns.owned_or_null()?,
        partition_date: columns.instant_or_null()?,
        backfill_id: columns.big_or_null()?,
        creating_job_id: columns.big_or_null()?.map(JobId),
        scheduled_by_job_id: columns.big_or_null()?.map(JobId),
        created_dag_version_id: columns.uuid_or_null()?.map(DagVersionId),
        bundle_name: columns.id_or_null()?,
        bundle_version: columns.owned_or_null()?,
        updated_at: columns.instant()?,
    })
}
