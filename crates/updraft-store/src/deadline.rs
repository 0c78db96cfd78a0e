//! Rows of `deadline_alert` and `deadline`: until when runs must have succeeded, and what then.
//!
//! A run gets its deadlines in the transaction that creates it, whoever creates it, because
//! [`Tx::create_dag_run`] does both. What such a transaction cannot know, the value of a variable
//! in the environment or what a class of the user's says, is asked afterwards: a deadline without a
//! time waits for that.
//!
//! Ids are made of those of the alert and the run, so that nothing here draws random numbers.
//!
//! Source: scheduling semantics §1.5, §7.12.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sqlx::any::AnyRow;
use tracing::warn;
use updraft_model::callback::{Callback, CallbackState};
use updraft_model::dag_run::DagRun;
use updraft_model::deadline::{
    BadDefinition, CallbackDefinition, Deadline, DeadlineAlert, Interval, NewRunFacts, Reference,
};
use updraft_model::{DagId, DagVersionId, RunId};
use uuid::Uuid;

use crate::callback_run::{CALLBACK_COLUMNS, NewCallback, take_callback};
use crate::change::Change;
use crate::dag_run::{DAG_RUN_COLUMNS, take_dag_run};
use crate::row::{Columns, aliased, assembled, micros, micros_or_null};
use crate::{Error, Reader, Tx};

const ALERT_COLUMNS: &str =
    "id, dag_version_id, name, reference, interval, callback_def, created_at";

const DEADLINE_COLUMNS: &str =
    "id, dag_run_id, deadline_alert_id, deadline_time, missed, created_at, last_updated_at";

/// What a file says about a deadline: the parts are JSON text in Airflow's serialized form.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDeadlineAlert {
    /// The id of the row, should one be needed.
    pub id: Uuid,
    pub name: Option<String>,
    pub reference: String,
    pub interval: String,
    pub callback: String,
}

/// A deadline that has passed, and what it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct DueDeadline {
    pub deadline: Deadline,
    pub run: DagRun,
    pub callback: Callback,
}

/// A deadline whose time is not known yet, but from when it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct UnresolvedDeadline {
    pub deadline: Deadline,
    pub reference_time: Timestamp,
    pub run: DagRun,
    /// `None`: the Dag does not have it any more.
    pub alert: Option<DeadlineAlert>,
}

/// A deadline that counts from a time which only a class of the user's knows.
#[derive(Clone, Debug, PartialEq)]
pub struct AskedDeadline {
    pub id: Uuid,
    pub dag_id: DagId,
    pub run_id: RunId,
    /// `None`: the Dag does not have it any more.
    pub alert: Option<DeadlineAlert>,
}

impl Tx {
    /// Writes what a version of a Dag says about deadlines. An alert keeps its row as long as all
    /// alerts of the version are defined as before; its name may change.
    pub(crate) async fn write_deadline_alerts(
        &mut self,
        version: DagVersionId,
        alerts: &[NewDeadlineAlert],
        now: Timestamp,
    ) -> Result<(), Error> {
        let existing = self.load_deadline_alerts(version).await?;
        if let Some(matched) = matched(&existing, alerts) {
            for (row, alert) in matched {
                if row.name != alert.name {
                    self.rename_deadline_alert(row.id, alert.name.as_deref())
                        .await?;
                }
            }
            return Ok(());
        }
        let statement = sqlx::query("DELETE FROM deadline_alert WHERE dag_version_id = $1")
            .bind(version.to_string());
        self.execute("replace deadline alerts", statement).await?;
        for (position, alert) in (0_i32..).zip(alerts) {
            let statement = sqlx::query(
                "INSERT INTO deadline_alert (id, dag_version_id, position, name, reference,
                     interval, callback_def, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(alert.id.to_string())
            .bind(version.to_string())
            .bind(position)
            .bind(alert.name.as_deref())
            .bind(alert.reference.as_str())
            .bind(alert.interval.as_str())
            .bind(alert.callback.as_str())
            .bind(micros(now));
            self.execute("write a deadline alert", statement).await?;
        }
        Ok(())
    }

    async fn rename_deadline_alert(&mut self, id: Uuid, name: Option<&str>) -> Result<(), Error> {
        let statement = sqlx::query("UPDATE deadline_alert SET name = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(name);
        self.execute("rename a deadline alert", statement).await?;
        Ok(())
    }

    /// Gives a new run its deadlines.
    pub(crate) async fn create_deadlines(
        &mut self,
        run: &DagRun,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(version) = run.created_dag_version_id else {
            return Ok(());
        };
        for alert in self.load_deadline_alerts(version).await? {
            if let Err(bad) = self.create_deadline(run, &alert, now).await? {
                let (dag_id, run_id) = (&run.dag_id, &run.run_id);
                warn!(%dag_id, %run_id, error = %bad, "left out a deadline that makes no sense");
            }
        }
        Ok(())
    }

    async fn create_deadline(
        &mut self,
        run: &DagRun,
        alert: &DeadlineAlert,
        now: Timestamp,
    ) -> Result<Result<(), BadDefinition>, Error> {
        let (reference, interval, callback) = match parts_of(alert) {
            Ok(parts) => parts,
            Err(bad) => return Ok(Err(bad)),
        };
        let average_runtime = match reference {
            Reference::AverageRuntime { max_runs, min_runs } => {
                self.average_runtime(&run.dag_id, max_runs, min_runs)
                    .await?
            }
            _ => None,
        };
        let facts = NewRunFacts {
            logical_date: run.logical_date,
            queued_at: run.queued_at,
            average_runtime,
            now,
        };
        let from = reference.time_of(&facts);
        if from.is_none() && !matches!(reference, Reference::Custom(..)) {
            // It means nothing for this run.
            return Ok(Ok(()));
        }
        let time = match (&interval, from) {
            (Interval::Fixed(length), Some(from)) => match from.checked_add(*length) {
                Ok(time) => Some(time),
                Err(_) => return Ok(Ok(())),
            },
            _ => None,
        };
        let id = Uuid::new_v5(&alert.id, &run.id.to_be_bytes());
        let statement = sqlx::query(
            "INSERT INTO deadline (id, dag_run_id, deadline_alert_id, reference_time,
                 deadline_time, missed, created_at, last_updated_at)
             VALUES ($1, $2, $3, $4, $5, FALSE, $6, $6)",
        )
        .bind(id.to_string())
        .bind(run.id)
        .bind(alert.id.to_string())
        .bind(micros_or_null(from))
        .bind(micros_or_null(time))
        .bind(micros(now));
        self.execute("create a deadline", statement).await?;
        self.create_callback(&NewCallback::of_deadline(id, run, &callback), now)
            .await?;
        self.changed(match from {
            Some(_) => Change::Deadline,
            None => Change::PythonWanted,
        });
        Ok(Ok(()))
    }

    /// Takes deadlines that have passed and were not dealt with, the earliest first.
    pub async fn lock_due_deadlines(
        &mut self,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<DueDeadline>, Error> {
        let lock = self.dialect().for_update_skip_locked("d");
        let statement = sqlx::query(assembled(format!(
            "SELECT {}, {}, {}
               FROM deadline AS d
               JOIN dag_run AS r ON r.id = d.dag_run_id
               JOIN callback AS c ON c.deadline_id = d.id
              WHERE NOT d.missed AND d.deadline_time < $1
              ORDER BY d.deadline_time, d.id
              LIMIT $2
              {lock}",
            aliased("d", DEADLINE_COLUMNS),
            aliased("r", DAG_RUN_COLUMNS),
            aliased("c", CALLBACK_COLUMNS),
        )))
        .bind(micros(now))
        .bind(limit);
        self.fetch_all("find passed deadlines", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("deadline", row);
                Ok(DueDeadline {
                    deadline: take_deadline(&mut columns)?,
                    run: take_dag_run(&mut columns)?,
                    callback: take_callback(&mut columns)?,
                })
            })
            .collect()
    }

    /// Notes that a deadline was missed and that its callback has work: `data` is what the callback
    /// gets, `state` where it goes.
    pub async fn miss_deadline(
        &mut self,
        due: &DueDeadline,
        data: &Value,
        state: CallbackState,
        now: Timestamp,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "UPDATE deadline SET missed = TRUE, last_updated_at = $2 WHERE id = $1 AND NOT missed",
        )
        .bind(due.deadline.id.to_string())
        .bind(micros(now));
        let won = self.execute("miss a deadline", statement).await?;
        debug_assert_eq!(won, 1, "a locked deadline changed");
        self.give_callback_its_occasion(due.callback.id, data, state, now)
            .await
    }

    /// Takes deadlines whose length is not known, at most `limit`.
    pub async fn lock_unresolved_deadlines(
        &mut self,
        limit: i64,
    ) -> Result<Vec<UnresolvedDeadline>, Error> {
        let lock = self.dialect().for_update_skip_locked("d");
        let statement = sqlx::query(assembled(format!(
            "SELECT {}, d.reference_time, {}
               FROM deadline AS d
               JOIN dag_run AS r ON r.id = d.dag_run_id
              WHERE NOT d.missed AND d.deadline_time IS NULL AND d.reference_time IS NOT NULL
              ORDER BY d.id
              LIMIT $1
              {lock}",
            aliased("d", DEADLINE_COLUMNS),
            aliased("r", DAG_RUN_COLUMNS),
        )))
        .bind(limit);
        let rows = self
            .fetch_all("find deadlines without a time", statement)
            .await?;
        let mut unresolved = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut columns = Columns::of("deadline", row);
            let deadline = take_deadline(&mut columns)?;
            let reference_time = columns.instant()?;
            let run = take_dag_run(&mut columns)?;
            let alert = match deadline.deadline_alert_id {
                Some(id) => self.find_deadline_alert(id).await?,
                None => None,
            };
            unresolved.push(UnresolvedDeadline {
                deadline,
                reference_time,
                run,
                alert,
            });
        }
        Ok(unresolved)
    }

    /// Gives a deadline its time. `false`: it has one, or is gone.
    pub async fn resolve_deadline(
        &mut self,
        id: Uuid,
        time: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE deadline
                SET deadline_time = $2, last_updated_at = $3
              WHERE id = $1 AND deadline_time IS NULL",
        )
        .bind(id.to_string())
        .bind(micros(time))
        .bind(micros(now));
        let won = self.execute("give a deadline its time", statement).await? == 1;
        if won {
            self.changed(Change::Deadline);
        }
        Ok(won)
    }

    /// Writes from when a deadline counts. `false`: that is known, or the deadline is gone.
    pub async fn set_deadline_reference(
        &mut self,
        id: Uuid,
        reference_time: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE deadline
                SET reference_time = $2, last_updated_at = $3
              WHERE id = $1 AND reference_time IS NULL AND deadline_time IS NULL",
        )
        .bind(id.to_string())
        .bind(micros(reference_time))
        .bind(micros(now));
        let won = self.execute("give a deadline its start", statement).await? == 1;
        if won {
            self.changed(Change::Deadline);
        }
        Ok(won)
    }

    /// Deletes a deadline together with its callback.
    pub async fn delete_deadline(&mut self, id: Uuid) -> Result<(), Error> {
        let statement = sqlx::query("DELETE FROM deadline WHERE id = $1").bind(id.to_string());
        self.execute("delete a deadline", statement).await?;
        Ok(())
    }

    /// Deletes the deadlines that a run has met, because it succeeded at `end_date`. Whether it has
    /// met those without a time is seen when they get one.
    pub(crate) async fn prune_deadlines(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        end_date: Timestamp,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "DELETE FROM deadline
              WHERE dag_run_id = (SELECT id FROM dag_run WHERE dag_id = $1 AND run_id = $2)
                AND NOT missed AND deadline_time >= $3",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(micros(end_date));
        self.execute("delete met deadlines", statement).await?;
        Ok(())
    }

    /// Moves the open deadlines of a run that count from its queueing: it was queued again.
    pub(crate) async fn requeue_deadlines(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        queued_at: Timestamp,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "SELECT d.id, a.reference
               FROM deadline AS d
               JOIN dag_run AS r ON r.id = d.dag_run_id
               JOIN deadline_alert AS a ON a.id = d.deadline_alert_id
              WHERE r.dag_id = $1 AND r.run_id = $2 AND NOT d.missed",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str());
        let rows = self.fetch_all("load open deadlines", statement).await?;
        for row in &rows {
            let mut columns = Columns::of("deadline", row);
            let (id, reference) = (columns.uuid()?, columns.json()?);
            if Reference::parse(&reference) != Ok(Reference::QueuedAt) {
                continue;
            }
            let statement = sqlx::query(
                "UPDATE deadline
                    SET deadline_time = $2 + (deadline_time - reference_time),
                        reference_time = $2, last_updated_at = $2
                  WHERE id = $1",
            )
            .bind(id.to_string())
            .bind(micros(queued_at));
            self.execute("move a deadline", statement).await?;
            self.changed(Change::Deadline);
        }
        Ok(())
    }
}

impl Reader {
    /// What a version of a Dag says about deadlines, in its order.
    pub async fn load_deadline_alerts(
        &mut self,
        version: DagVersionId,
    ) -> Result<Vec<DeadlineAlert>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {ALERT_COLUMNS}
               FROM deadline_alert
              WHERE dag_version_id = $1
              ORDER BY position"
        )))
        .bind(version.to_string());
        self.fetch_all("load deadline alerts", statement)
            .await?
            .iter()
            .map(alert_from)
            .collect()
    }

    async fn find_deadline_alert(&mut self, id: Uuid) -> Result<Option<DeadlineAlert>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {ALERT_COLUMNS} FROM deadline_alert WHERE id = $1"
        )))
        .bind(id.to_string());
        self.fetch_optional("load a deadline alert", statement)
            .await?
            .as_ref()
            .map(alert_from)
            .transpose()
    }

    /// The deadlines of a run, the earliest first, those without a time last.
    pub async fn load_deadlines(&mut self, run: &DagRun) -> Result<Vec<Deadline>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {DEADLINE_COLUMNS}
               FROM deadline
              WHERE dag_run_id = $1
              ORDER BY deadline_time IS NULL, deadline_time, id"
        )))
        .bind(run.id);
        self.fetch_all("load deadlines", statement)
            .await?
            .iter()
            .map(|row| take_deadline(&mut Columns::of("deadline", row)))
            .collect()
    }

    /// When the next deadline passes.
    pub async fn find_next_deadline(&mut self) -> Result<Option<Timestamp>, Error> {
        let statement = sqlx::query("SELECT MIN(deadline_time) FROM deadline WHERE NOT missed");
        let row = self.fetch_one("find the next deadline", statement).await?;
        Columns::of("deadline", &row).instant_or_null()
    }

    /// Deadlines that count from a time which only a class of the user's knows, at most `limit`.
    pub async fn load_asked_deadlines(&mut self, limit: i64) -> Result<Vec<AskedDeadline>, Error> {
        let statement = sqlx::query(
            "SELECT d.id, r.dag_id, r.run_id, d.deadline_alert_id
               FROM deadline AS d
               JOIN dag_run AS r ON r.id = d.dag_run_id
              WHERE NOT d.missed AND d.deadline_time IS NULL AND d.reference_time IS NULL
              ORDER BY d.id
              LIMIT $1",
        )
        .bind(limit);
        let rows = self
            .fetch_all("find deadlines to ask about", statement)
            .await?;
        let mut asked = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut columns = Columns::of("deadline", row);
            let (id, dag_id, run_id) = (columns.uuid()?, columns.id()?, columns.id()?);
            let alert = match columns.uuid_or_null()? {
                Some(id) => self.find_deadline_alert(id).await?,
                None => None,
            };
            asked.push(AskedDeadline {
                id,
                dag_id,
                run_id,
                alert,
            });
        }
        Ok(asked)
    }

    /// Whether there are deadlines whose length is not known.
    pub async fn has_unresolved_deadlines(&mut self) -> Result<bool, Error> {
        let statement = sqlx::query(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM deadline
                                       WHERE NOT missed AND deadline_time IS NULL
                                         AND reference_time IS NOT NULL)
                         THEN 1 ELSE 0 END",
        );
        let row = self
            .fetch_one("look for deadlines without a time", statement)
            .await?;
        Columns::of("deadline", &row).flag()
    }

    /// How long the last `max_runs` successful runs of a Dag took on average; `None`: there are
    /// fewer than `min_runs`.
    async fn average_runtime(
        &mut self,
        dag_id: &DagId,
        max_runs: i64,
        min_runs: i64,
    ) -> Result<Option<SignedDuration>, Error> {
        let statement = sqlx::query(
            "SELECT COUNT(*), CAST(COALESCE(SUM(took), 0) AS BIGINT)
               FROM (SELECT end_date - start_date AS took
                       FROM dag_run
                      WHERE dag_id = $1 AND state = 'success'
                        AND start_date IS NOT NULL AND end_date IS NOT NULL
                      ORDER BY COALESCE(logical_date, run_after) DESC, id DESC
                      LIMIT $2) AS last_runs",
        )
        .bind(dag_id.as_str())
        .bind(max_runs.max(0));
        let row = self
            .fetch_one("average the runtime of a Dag", statement)
            .await?;
        let mut columns = Columns::of("dag_run", &row);
        let (count, micros) = (columns.big()?, columns.big()?);
        let enough = count > 0 && count >= min_runs;
        Ok(enough.then(|| SignedDuration::from_micros(micros / count)))
    }
}

/// Each alert with its row, if the rows are those of just these definitions.
fn matched<'a>(
    rows: &'a [DeadlineAlert],
    alerts: &'a [NewDeadlineAlert],
) -> Option<Vec<(&'a DeadlineAlert, &'a NewDeadlineAlert)>> {
    if rows.len() != alerts.len() {
        return None;
    }
    let mut free: Vec<&DeadlineAlert> = rows.iter().collect();
    let mut pairs = Vec::with_capacity(rows.len());
    for alert in alerts {
        let found = free.iter().position(|row| is_same(row, alert))?;
        pairs.push((free.remove(found), alert));
    }
    Some(pairs)
}

fn is_same(row: &DeadlineAlert, alert: &NewDeadlineAlert) -> bool {
    let equal = |value: &Value, text: &str| {
        serde_json::from_str::<Value>(text).is_ok_and(|other| other == *value)
    };
    equal(&row.reference, &alert.reference)
        && equal(&row.interval, &alert.interval)
        && equal(&row.callback_def, &alert.callback)
}

fn parts_of(
    alert: &DeadlineAlert,
) -> Result<(Reference, Interval, CallbackDefinition), BadDefinition> {
    Ok((
        Reference::parse(&alert.reference)?,
        Interval::parse(&alert.interval)?,
        CallbackDefinition::parse(&alert.callback_def)?,
    ))
}

fn alert_from(row: &AnyRow) -> Result<DeadlineAlert, Error> {
    let mut columns = Columns::of("deadline_alert", row);
    Ok(DeadlineAlert {
        id: columns.uuid()?,
        dag_version_id: DagVersionId(columns.uuid()?),
        name: columns.owned_or_null()?,
        reference: columns.json()?,
        interval: columns.json()?,
        callback_def: columns.json()?,
        created_at: columns.instant()?,
    })
}

fn take_deadline(columns: &mut Columns<'_>) -> Result<Deadline, Error> {
    Ok(Deadline {
        id: columns.uuid()?,
        dag_run_id: columns.big()?,
        deadline_alert_id: columns.uuid_or_null()?,
        deadline_time: columns.instant_or_null()?,
        missed: columns.flag()?,
        created_at: columns.instant()?,
        last_updated_at: columns.instant()?,
    })
}
