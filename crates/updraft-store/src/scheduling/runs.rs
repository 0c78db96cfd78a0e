//! Creating runs that are due and starting runs that wait.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::dag::{Dag, NextDagRun};
use updraft_model::dag_run::DagRun;
use updraft_model::{DagId, DagRunType, RunId};

use crate::change::Change;
use crate::dag::{dag_columns, dag_from};
use crate::dag_run::{DAG_RUN_COLUMNS, RunKey, dag_run_from};
use crate::row::{Columns, assembled, micros, micros_or_null};
use crate::session::Statement;
use crate::{Dialect, Error, Reader, Tx};

/// The advisory lock of the step that starts runs.
const STARTING_LOCK: i64 = 7_310_544;

/// A queued run that may start if its Dag has room.
#[derive(Clone, Debug, PartialEq)]
pub struct StartCandidate {
    pub key: RunKey,
    pub run_type: DagRunType,
    pub run_after: Timestamp,
    pub last_scheduling_decision: Option<Timestamp>,
    /// Of the Dag; 0 means no limit.
    pub max_active_runs: i32,
    /// Running runs that count against the same limit: of the backfill, or else of the Dag.
    pub running: i64,
    pub backfill: Option<BackfillOfCandidate>,
}

/// The backfill that a queued run belongs to. It is not paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillOfCandidate {
    pub id: i64,
    pub sort_ordinal: i32,
    pub max_active_runs: i32,
}

impl Reader {
    /// The run that the next scheduled one follows: of type scheduled or backfill, with the largest
    /// logical date, or the largest partition date if the timetable is partitioned.
    pub async fn find_latest_automated_run(
        &mut self,
        dag_id: &DagId,
        is_partitioned: bool,
    ) -> Result<Option<DagRun>, Error> {
        let order = if is_partitioned {
            "partition_date IS NULL, partition_date DESC, run_after DESC"
        } else {
            "logical_date IS NULL, logical_date DESC"
        };
        let statement = sqlx::query(assembled(format!(
            "SELECT {DAG_RUN_COLUMNS}
               FROM dag_run
              WHERE dag_id = $1 AND run_type IN ('scheduled', 'backfill')
              ORDER BY {order}, id DESC
              LIMIT 1"
        )))
        .bind(dag_id.as_str());
        self.fetch_optional("find the latest automated run", statement)
            .await?
            .as_ref()
            .map(dag_run_from)
            .transpose()
    }

    /// Running runs of a backfill, or of a Dag outside all backfills: those that count against
    /// `max_active_runs`.
    pub async fn count_running_runs(
        &mut self,
        dag_id: &DagId,
        backfill_id: Option<i64>,
    ) -> Result<i64, Error> {
        let statement = sqlx::query(
            "SELECT COUNT(*)
               FROM dag_run
              WHERE dag_id = $1 AND state IN ('queued', 'running') AND state = 'running'
                AND COALESCE(backfill_id, 0) = $2",
        )
        .bind(dag_id.as_str())
        .bind(backfill_id.unwrap_or(0));
        let row = self
            .fetch_one("count the running runs of a Dag", statement)
            .await?;
        Columns::of("dag_run", &row).big()
    }

    /// How many runs of a Dag are queued or running, backfills not counted.
    pub async fn count_active_runs(&mut self, dag_id: &DagId) -> Result<i64, Error> {
        let statement = sqlx::query(
            "SELECT COUNT(*)
               FROM dag_run
              WHERE dag_id = $1 AND state IN ('queued', 'running') AND run_type <> 'backfill'",
        )
        .bind(dag_id.as_str());
        let row = self.fetch_one("count active runs", statement).await?;
        Columns::of("dag_run", &row).big()
    }

    /// When the next scheduled run falls due, to sleep until then.
    pub async fn find_next_due(&mut self) -> Result<Option<Timestamp>, Error> {
        let statement = sqlx::query(
            "SELECT MIN(next_dagrun_create_after)
               FROM dag
              WHERE next_dagrun_create_after IS NOT NULL
                AND NOT is_paused AND NOT is_stale AND NOT has_import_errors
                AND NOT exceeds_max_non_backfill AND next_dagrun_asked IS NULL",
        );
        let row = self.fetch_one("find the next due Dag", statement).await?;
        Columns::of("dag", &row).instant_or_null()
    }

    /// When the next waiting run falls due: the earliest `run_after` in the future.
    pub async fn find_next_run_after(
        &mut self,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let statement = sqlx::query(
            "SELECT MIN(run_after)
               FROM dag_run
              WHERE state IN ('queued', 'running') AND run_after > $1",
        )
        .bind(micros(now));
        let row = self
            .fetch_one("find the next waiting run", statement)
            .await?;
        Columns::of("dag_run", &row).instant_or_null()
    }
}

impl Tx {
    /// Takes the Dags whose next scheduled run is due. Dags that another scheduler holds are left
    /// to it.
    pub async fn lock_due_dags(&mut self, now: Timestamp, limit: i64) -> Result<Vec<Dag>, Error> {
        let columns = dag_columns(self.dialect(), "d");
        let statement = sqlx::query(assembled(format!(
            "SELECT {columns}
               FROM dag AS d
              WHERE d.next_dagrun_create_after <= $1
                AND NOT d.is_paused AND NOT d.is_stale AND NOT d.has_import_errors
                AND NOT d.exceeds_max_non_backfill AND d.next_dagrun_asked IS NULL
              ORDER BY d.next_dagrun_create_after, d.dag_id
              LIMIT $2
              {}",
            self.dialect().for_update_skip_locked("d"),
        )))
        .bind(micros(now))
        .bind(limit);
        self.fetch_all("find due Dags", statement)
            .await?
            .iter()
            .map(dag_from)
            .collect()
    }

    /// Stores when the next scheduled run is due.
    pub async fn set_next_dagrun(
        &mut self,
        dag_id: &DagId,
        next: &NextDagRun,
    ) -> Result<(), Error> {
        let statement = set_next("dag_id = $8", next).bind(dag_id.as_str());
        self.execute("store the next run of a Dag", statement)
            .await?;
        Ok(())
    }

    /// Recomputes whether the Dag has as many active runs as it may have.
    pub async fn refresh_exceeds_max_non_backfill(&mut self, dag_id: &DagId) -> Result<(), Error> {
        let statement = sqlx::query(
            "UPDATE dag
                SET exceeds_max_non_backfill = (
                    SELECT COUNT(*)
                      FROM dag_run
                     WHERE dag_run.dag_id = dag.dag_id AND state IN ('queued', 'running')
                       AND run_type <> 'backfill') >= max_active_runs
              WHERE dag_id = $1",
        )
        .bind(dag_id.as_str());
        self.execute("recount the active runs of a Dag", statement)
            .await?;
        Ok(())
    }

    /// Takes the right to start runs for the rest of the transaction, waiting for whoever has it:
    /// two schedulers that count at the same time would start too many.
    pub async fn lock_starting(&mut self) -> Result<(), Error> {
        if self.dialect() == Dialect::Postgres {
            let statement = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(STARTING_LOCK);
            self.execute("wait to start runs", statement).await?;
        }
        Ok(())
    }

    /// Takes the queued runs that are due, of Dags and backfills with room for them, in the order
    /// of their start: those of backfills come last, each after those before it.
    pub async fn lock_start_candidates(
        &mut self,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<StartCandidate>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT r.dag_id, r.run_id, r.run_type, r.run_after, r.last_scheduling_decision,
                    d.max_active_runs, COALESCE(active.running, 0), b.id, b.max_active_runs,
                    e.sort_ordinal
               FROM dag_run AS r
               JOIN dag AS d ON d.dag_id = r.dag_id
               LEFT JOIN backfill AS b ON b.id = r.backfill_id
               LEFT JOIN backfill_dag_run AS e
                 ON e.dag_run_id = r.id AND e.backfill_id = r.backfill_id
               LEFT JOIN (SELECT dag_id, COALESCE(backfill_id, 0) AS backfill, COUNT(*) AS running
                            FROM dag_run
                           WHERE state IN ('queued', 'running') AND state = 'running'
                           GROUP BY dag_id, COALESCE(backfill_id, 0)) AS active
                 ON active.dag_id = r.dag_id AND active.backfill = COALESCE(r.backfill_id, 0)
              WHERE r.state IN ('queued', 'running') AND r.state = 'queued' AND r.run_after <= $1
                AND NOT d.is_paused AND NOT d.is_stale
                AND (b.id IS NULL OR NOT b.is_paused)
                AND CASE WHEN b.id IS NOT NULL
                         THEN COALESCE(active.running, 0) < b.max_active_runs
                         ELSE d.max_active_runs = 0
                              OR COALESCE(active.running, 0) < d.max_active_runs END
              ORDER BY COALESCE(e.sort_ordinal, 0), COALESCE(r.last_scheduling_decision, 0),
                       COALESCE(active.running, 0), r.run_after, r.id
              LIMIT $2
              {}",
            self.dialect().for_update_skip_locked("r"),
        )))
        .bind(micros(now))
        .bind(limit);
        self.fetch_all("find queued runs", statement)
            .await?
            .iter()
            .map(start_candidate_from)
            .collect()
    }

    /// Starts a queued run. `false`: it is no longer queued.
    pub async fn start_dag_run(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE dag_run
                SET state = 'running', start_date = $3, end_date = NULL, updated_at = $3
              WHERE dag_id = $1 AND run_id = $2 AND state = 'queued'",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(micros(now));
        let started = self.execute("start a Dag run", statement).await? == 1;
        if started {
            self.run_changed(dag_id, run_id);
        }
        Ok(started)
    }

    /// Pauses or unpauses a Dag. `false`: there is no such Dag.
    pub async fn set_paused(&mut self, dag_id: &DagId, is_paused: bool) -> Result<bool, Error> {
        let statement = sqlx::query("UPDATE dag SET is_paused = $2 WHERE dag_id = $1")
            .bind(dag_id.as_str())
            .bind(is_paused);
        self.changed(Change::Dag {
            dag_id: dag_id.clone(),
        });
        Ok(self.execute("pause or unpause a Dag", statement).await? == 1)
    }
}

fn start_candidate_from(row: &AnyRow) -> Result<StartCandidate, Error> {
    let mut columns = Columns::of("dag_run", row);
    Ok(StartCandidate {
        key: RunKey {
            dag_id: columns.id()?,
            run_id: columns.id()?,
        },
        run_type: columns.parsed()?,
        run_after: columns.instant()?,
        last_scheduling_decision: columns.instant_or_null()?,
        max_active_runs: columns.int()?,
        running: columns.big()?,
        backfill: match (
            columns.big_or_null()?,
            columns.int_or_null()?,
            columns.int_or_null()?,
        ) {
            (Some(id), Some(max_active_runs), Some(sort_ordinal)) => Some(BackfillOfCandidate {
                id,
                sort_ordinal,
                max_active_runs,
            }),
            _ => None,
        },
    })
}

/// Writes the next run of the Dags that fit `condition`, whose parameters begin with `$8`.
pub(crate) fn set_next<'q>(condition: &str, next: &'q NextDagRun) -> Statement<'q> {
    sqlx::query(assembled(format!(
        "UPDATE dag
            SET next_dagrun = $1, next_dagrun_data_interval_start = $2,
                next_dagrun_data_interval_end = $3, next_dagrun_create_after = $4,
                next_dagrun_partition_key = $5, next_dagrun_partition_date = $6,
                next_dagrun_run_id = $7, next_dagrun_asked = NULL
          WHERE {condition}"
    )))
    .bind(micros_or_null(next.logical_date))
    .bind(micros_or_null(next.data_interval_start))
    .bind(micros_or_null(next.data_interval_end))
    .bind(micros_or_null(next.run_after))
    .bind(next.partition_key.as_deref())
    .bind(micros_or_null(next.partition_date))
    .bind(next.run_id.as_deref())
}
