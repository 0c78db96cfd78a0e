//! Rows of `log`, written; reading them is a matter of [`crate::listing`].

use jiff::Timestamp;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagId, RunId, TaskId};

use crate::row::{micros, micros_or_null};
use crate::{Error, Tx};

/// A row on its way into the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewEventLog {
    pub dttm: Timestamp,
    /// The operation, such as `trigger_dag_run`.
    pub event: String,
    /// Name of the user.
    pub owner: Option<String>,
    pub dag_id: Option<DagId>,
    pub run_id: Option<RunId>,
    pub task_id: Option<TaskId>,
    pub map_index: Option<i32>,
    pub try_number: Option<i32>,
    pub logical_date: Option<Timestamp>,
    /// JSON text; secrets are masked by whoever writes it.
    pub extra: Option<String>,
}

impl NewEventLog {
    /// A row about a try.
    #[must_use]
    pub fn about(ti: &TaskInstance, event: &str, now: Timestamp) -> Self {
        Self {
            dttm: now,
            event: event.to_owned(),
            dag_id: Some(ti.dag_id.clone()),
            run_id: Some(ti.run_id.clone()),
            task_id: Some(ti.task_id.clone()),
            map_index: Some(ti.map_index.0),
            try_number: Some(ti.try_number),
            ..Self::default()
        }
    }
}

impl Tx {
    /// Adds a row to the audit log.
    pub async fn write_event_log(&mut self, row: &NewEventLog) -> Result<(), Error> {
        let statement = sqlx::query(
            "INSERT INTO log (dttm, event, owner, dag_id, run_id, task_id, map_index, try_number,
                              logical_date, extra)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(micros(row.dttm))
        .bind(row.event.as_str())
        .bind(row.owner.as_deref())
        .bind(row.dag_id.as_ref().map(DagId::as_str))
        .bind(row.run_id.as_ref().map(RunId::as_str))
        .bind(row.task_id.as_ref().map(TaskId::as_str))
        .bind(row.map_index)
        .bind(row.try_number)
        .bind(micros_or_null(row.logical_date))
        .bind(row.extra.as_deref());
        self.execute("write to the audit log", statement).await?;
        Ok(())
    }
}
