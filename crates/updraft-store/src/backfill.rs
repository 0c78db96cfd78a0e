//! Rows of `backfill` and `backfill_dag_run`.
//!
//! A backfill is written with all its entries at once; runs are made for them later, some in each
//! transaction, by whoever holds the row of the backfill.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::any::AnyRow;
use updraft_model::backfill::{
    Backfill, BackfillEntry, BackfillOutcome, BackfillTick, NewBackfill,
};
use updraft_model::dag_run::DagRun;
use updraft_model::{DagId, RunId};

use crate::change::Change;
use crate::dag_run::{DAG_RUN_COLUMNS, dag_run_from};
use crate::dialect::Kind;
use crate::row::{Columns, assembled, int_array, micros, micros_or_null};
use crate::scheduling::view::run_key_from;
use crate::{Error, Reader, RunKey, Tx};

/// In the order in which [`backfill_from`] takes them.
pub(crate) const BACKFILL_COLUMNS: &str = "id, dag_id, from_date, to_date, dag_run_conf, \
    is_paused, reprocess_behavior, max_active_runs, run_on_latest_version, triggering_user_name, \
    created_at, completed_at, updated_at";

const ENTRIES: &[(&str, Kind)] = &[
    ("ordinal", Kind::Int),
    ("after", Kind::Int),
    ("starts", Kind::Int),
    ("ends", Kind::Int),
    ("key", Kind::Text),
    ("date", Kind::Int),
];

const OUTCOMES: &[(&str, Kind)] = &[
    ("ordinal", Kind::Int),
    ("run", Kind::Int),
    ("reason", Kind::Text),
];

/// Nothing of the backfill is left to do: every entry was looked at, and no run of it is unfinished.
const IS_DONE: &str = "NOT EXISTS (SELECT 1
                      FROM backfill_dag_run AS e
                     WHERE e.backfill_id = backfill.id AND e.is_pending)
                AND NOT EXISTS (SELECT 1
                      FROM dag_run AS r
                     WHERE r.backfill_id = backfill.id AND r.state IN ('queued', 'running'))";

impl Reader {
    /// One backfill.
    pub async fn find_backfill(&mut self, id: i64) -> Result<Option<Backfill>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {BACKFILL_COLUMNS} FROM backfill WHERE id = $1"
        )))
        .bind(id);
        self.fetch_optional("load a backfill", statement)
            .await?
            .as_ref()
            .map(backfill_from)
            .transpose()
    }

    /// The backfill of a Dag that is not completed; there is at most one.
    pub async fn find_active_backfill(
        &mut self,
        dag_id: &DagId,
    ) -> Result<Option<Backfill>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {BACKFILL_COLUMNS} FROM backfill WHERE dag_id = $1 AND completed_at IS NULL"
        )))
        .bind(dag_id.as_str());
        self.fetch_optional("find the active backfill of a Dag", statement)
            .await?
            .as_ref()
            .map(backfill_from)
            .transpose()
    }

    /// Backfills with entries that nobody has looked at yet, oldest first.
    pub async fn load_backfills_to_fill(&mut self) -> Result<Vec<i64>, Error> {
        let statement = sqlx::query(
            "SELECT id
               FROM backfill
              WHERE completed_at IS NULL
                AND EXISTS (SELECT 1
                              FROM backfill_dag_run AS e
                             WHERE e.backfill_id = backfill.id AND e.is_pending)
              ORDER BY id",
        );
        self.fetch_all("find backfills to fill", statement)
            .await?
            .iter()
            .map(|row| Columns::of("backfill", row).big())
            .collect()
    }

    /// The name of a run by its number.
    pub async fn find_run_key(&mut self, id: i64) -> Result<Option<RunKey>, Error> {
        let statement = sqlx::query("SELECT dag_id, run_id FROM dag_run WHERE id = $1").bind(id);
        self.fetch_optional("find a Dag run by its number", statement)
            .await?
            .as_ref()
            .map(run_key_from)
            .transpose()
    }

    /// What became of each entry of a backfill, in their order.
    pub async fn load_backfill_outcomes(
        &mut self,
        id: i64,
    ) -> Result<Vec<(BackfillEntry, BackfillOutcome)>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {ENTRY_COLUMNS}, is_pending, dag_run_id, exception_reason
               FROM backfill_dag_run
              WHERE backfill_id = $1
              ORDER BY sort_ordinal"
        )))
        .bind(id);
        self.fetch_all("load the entries of a backfill", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("backfill_dag_run", row);
                let entry = take_entry(&mut columns)?;
                let is_pending = columns.flag()?;
                let run = columns.big_or_null()?;
                let outcome = match (is_pending, columns.owned_or_null()?) {
                    (true, _) => BackfillOutcome::Pending,
                    (false, Some(reason)) => BackfillOutcome::Skipped(reason),
                    (false, None) => BackfillOutcome::Run(run),
                };
                Ok((entry, outcome))
            })
            .collect()
    }

    /// The run of each of these logical dates that has one.
    pub async fn load_runs_of_dates(
        &mut self,
        dag_id: &DagId,
        dates: &[Timestamp],
    ) -> Result<BTreeMap<Timestamp, DagRun>, Error> {
        let runs = self.runs_where("logical_date", dag_id, dates).await?;
        let dated = runs
            .into_iter()
            .filter_map(|run| Some((run.logical_date?, run)));
        Ok(dated.collect())
    }

    /// The run that started last for each of these partition dates that has any.
    pub async fn load_runs_of_partitions(
        &mut self,
        dag_id: &DagId,
        dates: &[Timestamp],
    ) -> Result<BTreeMap<Timestamp, DagRun>, Error> {
        let runs = self.runs_where("partition_date", dag_id, dates).await?;
        let dated = runs
            .into_iter()
            .filter_map(|run| Some((run.partition_date?, run)));
        Ok(dated.collect())
    }

    /// Of several runs of one date the one that started last comes last.
    async fn runs_where(
        &mut self,
        column: &'static str,
        dag_id: &DagId,
        dates: &[Timestamp],
    ) -> Result<Vec<DagRun>, Error> {
        let theirs = self.dialect().one_of_ints(column, "$2");
        let statement = sqlx::query(assembled(format!(
            "SELECT {DAG_RUN_COLUMNS}
               FROM dag_run
              WHERE dag_id = $1 AND {theirs}
              ORDER BY start_date IS NOT NULL, start_date, id DESC"
        )))
        .bind(dag_id.as_str())
        .bind(int_array(dates.iter().map(|date| micros(*date))));
        self.fetch_all("load runs of dates", statement)
            .await?
            .iter()
            .map(dag_run_from)
            .collect()
    }
}

const ENTRY_COLUMNS: &str = "sort_ordinal, run_after, data_interval_start, data_interval_end, \
    partition_key, partition_date";

impl Tx {
    /// Creates a backfill with its entries. `None`: the Dag has one that is not completed.
    pub async fn create_backfill(
        &mut self,
        new: &NewBackfill,
        entries: &[BackfillEntry],
        now: Timestamp,
    ) -> Result<Option<Backfill>, Error> {
        let statement = sqlx::query(assembled(format!(
            "INSERT INTO backfill (dag_id, from_date, to_date, dag_run_conf, is_paused,
                 reprocess_behavior, max_active_runs, run_on_latest_version,
                 triggering_user_name, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
             ON CONFLICT DO NOTHING
             RETURNING {BACKFILL_COLUMNS}"
        )))
        .bind(new.dag_id.as_str())
        .bind(micros(new.from_date))
        .bind(micros(new.to_date))
        .bind(new.dag_run_conf.as_ref().map(Value::to_string))
        .bind(false)
        .bind(new.reprocess_behavior.as_str())
        .bind(new.max_active_runs)
        .bind(new.run_on_latest_version)
        .bind(new.triggering_user_name.as_deref())
        .bind(micros(now));
        let created = self.fetch_optional("create a backfill", statement).await?;
        let Some(backfill) = created.as_ref().map(backfill_from).transpose()? else {
            return Ok(None);
        };
        let given = self.dialect().rows("$2", "given", ENTRIES);
        let statement = sqlx::query(assembled(format!(
            "INSERT INTO backfill_dag_run (backfill_id, sort_ordinal, run_after,
                 data_interval_start, data_interval_end, partition_key, partition_date,
                 is_pending)
             SELECT CAST($1 AS BIGINT), ordinal, after, starts, ends, key, date, $3
               FROM {given}"
        )))
        .bind(backfill.id)
        .bind(Value::from_iter(entries.iter().map(entry_row)).to_string())
        .bind(true);
        self.execute("write the entries of a backfill", statement)
            .await?;
        Ok(Some(backfill))
    }

    /// Takes a backfill for the rest of the transaction, waiting for whoever holds it.
    pub async fn lock_backfill(&mut self, id: i64) -> Result<Option<Backfill>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {BACKFILL_COLUMNS} FROM backfill WHERE id = $1 {}",
            self.dialect().for_update("backfill")
        )))
        .bind(id);
        self.fetch_optional("lock a backfill", statement)
            .await?
            .as_ref()
            .map(backfill_from)
            .transpose()
    }

    /// The next entries that nobody has looked at, in their order.
    pub async fn load_pending_entries(
        &mut self,
        backfill_id: i64,
        limit: i64,
    ) -> Result<Vec<BackfillEntry>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {ENTRY_COLUMNS}
               FROM backfill_dag_run
              WHERE backfill_id = $1 AND is_pending
              ORDER BY sort_ordinal
              LIMIT $2"
        )))
        .bind(backfill_id)
        .bind(limit);
        self.fetch_all("load pending entries of a backfill", statement)
            .await?
            .iter()
            .map(|row| take_entry(&mut Columns::of("backfill_dag_run", row)))
            .collect()
    }

    /// Notes what became of entries, by their ordinals.
    pub async fn settle_entries(
        &mut self,
        backfill_id: i64,
        outcomes: &[(i32, BackfillOutcome)],
    ) -> Result<(), Error> {
        let given = self.dialect().rows("$2", "given", OUTCOMES);
        let statement = sqlx::query(assembled(format!(
            "UPDATE backfill_dag_run
                SET is_pending = $3, dag_run_id = given.run, exception_reason = given.reason
               FROM {given}
              WHERE backfill_id = $1 AND sort_ordinal = given.ordinal"
        )))
        .bind(backfill_id)
        .bind(Value::from_iter(outcomes.iter().map(outcome_row)).to_string())
        .bind(false);
        self.execute("settle entries of a backfill", statement)
            .await?;
        Ok(())
    }

    /// Makes an existing run one of a backfill; `None` leaves its conf.
    pub async fn adopt_into_backfill(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        backfill_id: i64,
        conf: Option<&Value>,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "UPDATE dag_run
                SET backfill_id = $3, run_type = 'backfill', triggered_by = 'backfill',
                    conf = COALESCE($4, conf)
              WHERE dag_id = $1 AND run_id = $2",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(backfill_id)
        .bind(conf.map(Value::to_string));
        self.execute("make a run one of a backfill", statement)
            .await?;
        self.run_changed(dag_id, run_id);
        Ok(())
    }

    /// Pauses or unpauses a backfill that is not completed. `false`: there is no such one, or it is
    /// in this state already.
    pub async fn set_backfill_paused(
        &mut self,
        id: i64,
        is_paused: bool,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(assembled(format!(
            "UPDATE backfill
                SET is_paused = $2, updated_at = $3
              WHERE id = $1 AND completed_at IS NULL AND is_paused <> $2
              RETURNING {BACKFILL_COLUMNS}"
        )))
        .bind(id)
        .bind(is_paused)
        .bind(micros(now));
        let row = self
            .fetch_optional("pause or unpause a backfill", statement)
            .await?;
        if let Some(backfill) = row.as_ref().map(backfill_from).transpose()? {
            // Its queued runs may start now.
            self.changed(Change::Dag {
                dag_id: backfill.dag_id,
            });
            return Ok(true);
        }
        Ok(false)
    }

    /// Pauses and completes a backfill that is not completed; its queued runs fail, without a date
    /// of their end, and entries nobody has looked at are skipped for `reason`. `false`: there is
    /// no such one.
    pub async fn cancel_backfill(
        &mut self,
        id: i64,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE backfill
                SET is_paused = $2, completed_at = $3, updated_at = $3
              WHERE id = $1 AND completed_at IS NULL",
        )
        .bind(id)
        .bind(true)
        .bind(micros(now));
        if self.execute("cancel a backfill", statement).await? == 0 {
            return Ok(false);
        }
        let statement = sqlx::query(
            "UPDATE backfill_dag_run
                SET is_pending = $3, exception_reason = $2
              WHERE backfill_id = $1 AND is_pending",
        )
        .bind(id)
        .bind(reason)
        .bind(false);
        self.execute("skip entries of a cancelled backfill", statement)
            .await?;
        let statement = sqlx::query(
            "UPDATE dag_run
                SET state = 'failed', updated_at = $2
              WHERE state = 'queued'
                AND id IN (SELECT dag_run_id FROM backfill_dag_run WHERE backfill_id = $1)
              RETURNING dag_id, run_id",
        )
        .bind(id)
        .bind(micros(now));
        let failed = self
            .fetch_all("fail the queued runs of a backfill", statement)
            .await?;
        for row in &failed {
            let key = run_key_from(row)?;
            self.run_changed(&key.dag_id, &key.run_id);
        }
        Ok(true)
    }

    /// Completes the backfills of which nothing is left to do; gives their ids. One that somebody
    /// holds is left for the next time.
    pub async fn complete_backfills(&mut self, now: Timestamp) -> Result<Vec<i64>, Error> {
        self.complete(None, now).await
    }

    /// Completes a backfill if nothing of it is left to do and nobody holds it.
    pub async fn complete_backfill(&mut self, id: i64, now: Timestamp) -> Result<bool, Error> {
        Ok(!self.complete(Some(id), now).await?.is_empty())
    }

    async fn complete(&mut self, only: Option<i64>, now: Timestamp) -> Result<Vec<i64>, Error> {
        let statement = sqlx::query(assembled(format!(
            "UPDATE backfill
                SET completed_at = $1, updated_at = $1
              WHERE id IN (SELECT id
                             FROM backfill
                            WHERE completed_at IS NULL AND id = COALESCE($2, id) AND {IS_DONE}
                            ORDER BY id
                            {})
              RETURNING id",
            self.dialect().for_update_skip_locked("backfill"),
        )))
        .bind(micros(now))
        .bind(only);
        self.fetch_all("complete backfills", statement)
            .await?
            .iter()
            .map(|row| Columns::of("backfill", row).big())
            .collect()
    }
}

fn entry_row(entry: &BackfillEntry) -> Value {
    let tick = &entry.tick;
    json!({
        "ordinal": entry.sort_ordinal,
        "after": micros(tick.run_after),
        "starts": tick.data_interval.map(|(start, _)| micros(start)),
        "ends": tick.data_interval.map(|(_, end)| micros(end)),
        "key": tick.partition_key,
        "date": micros_or_null(tick.partition_date),
    })
}

fn outcome_row((ordinal, outcome): &(i32, BackfillOutcome)) -> Value {
    let (run, reason) = match outcome {
        BackfillOutcome::Pending => (None, None),
        BackfillOutcome::Run(id) => (*id, None),
        BackfillOutcome::Skipped(reason) => (None, Some(reason)),
    };
    json!({"ordinal": ordinal, "run": run, "reason": reason})
}

fn take_entry(columns: &mut Columns<'_>) -> Result<BackfillEntry, Error> {
    Ok(BackfillEntry {
        sort_ordinal: columns.int()?,
        tick: BackfillTick {
            run_after: columns.instant()?,
            data_interval: columns.instant_or_null()?.zip(columns.instant_or_null()?),
            partition_key: columns.owned_or_null()?,
            partition_date: columns.instant_or_null()?,
        },
    })
}

pub(crate) fn backfill_from(row: &AnyRow) -> Result<Backfill, Error> {
    let mut columns = Columns::of("backfill", row);
    Ok(Backfill {
        id: columns.big()?,
        dag_id: columns.id()?,
        from_date: columns.instant()?,
        to_date: columns.instant()?,
        dag_run_conf: columns.json_or_null()?,
        is_paused: columns.flag()?,
        reprocess_behavior: columns.parsed()?,
        max_active_runs: columns.int()?,
        run_on_latest_version: columns.flag()?,
        triggering_user_name: columns.owned_or_null()?,
        created_at: columns.instant()?,
        completed_at: columns.instant_or_null()?,
        updated_at: columns.instant()?,
    })
}
