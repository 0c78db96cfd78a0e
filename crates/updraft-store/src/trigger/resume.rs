//! Deferred task instances go on.
//!
//! Id and try number stay; the task instance is scheduled and competes for slots again.
//! Source: scheduling semantics §7.1, §7.2.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{TaskInstanceId, TriggerId};

use crate::dialect::Kind;
use crate::row::{Columns, assembled, int_array, micros};
use crate::task_instance::TASK_INSTANCE_COLUMNS;
use crate::{Change, Dialect, Error, Reader, Tx};

/// The method that only fails, with which Airflow's worker resumes when nothing else is left.
pub const FAIL_METHOD: &str = "__fail__";

/// The arguments of [`FAIL_METHOD`] when time ran out.
const TIMED_OUT: &str = r#"{"error":"Trigger timeout"}"#;

/// How a deferred task instance goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Resumption {
    pub ti: TaskInstanceId,
    /// Written only while the task instance waits for this.
    pub trigger: TriggerId,
    pub next_method: Option<String>,
    /// Serde JSON text.
    pub next_kwargs: String,
}

const RESUMED: &[(&str, Kind)] = &[
    ("ti", Kind::Text),
    ("waits_for", Kind::Int),
    ("method", Kind::Text),
    ("kwargs", Kind::Text),
];

impl Tx {
    /// The task instances that wait for these triggers; nobody else can change them until the
    /// transaction ends.
    pub async fn lock_deferred(
        &mut self,
        triggers: &[TriggerId],
    ) -> Result<Vec<TaskInstance>, Error> {
        if triggers.is_empty() {
            return Ok(Vec::new());
        }
        let theirs = self.dialect().one_of_ints("trigger_id", "$1");
        let statement = sqlx::query(assembled(format!(
            "SELECT {TASK_INSTANCE_COLUMNS}
               FROM task_instance
              WHERE {theirs} AND state = 'deferred'
              ORDER BY id
              {}",
            self.dialect().for_update("task_instance"),
        )))
        .bind(int_array(triggers.iter().map(|id| id.0)));
        self.task_instances("lock deferred task instances", statement)
            .await
    }

    /// Schedules task instances that still wait for their trigger, and deletes those triggers.
    ///
    /// Returns the task instances won.
    pub async fn resume_deferred(
        &mut self,
        resumptions: &[Resumption],
        now: Timestamp,
    ) -> Result<Vec<TaskInstanceId>, Error> {
        if resumptions.is_empty() {
            return Ok(Vec::new());
        }
        let statement = sqlx::query(assembled(resume_sql(self.dialect())))
            .bind(Value::from_iter(resumptions.iter().map(resumed_row)).to_string())
            .bind(micros(now));
        let rows = self
            .fetch_all("resume deferred task instances", statement)
            .await?;
        let triggers: BTreeMap<TaskInstanceId, TriggerId> = resumptions
            .iter()
            .map(|resumption| (resumption.ti, resumption.trigger))
            .collect();
        let mut won = Vec::with_capacity(rows.len());
        let mut served = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut columns = Columns::of("task_instance", row);
            let id = TaskInstanceId(columns.uuid()?);
            let (dag_id, run_id) = (columns.id()?, columns.id()?);
            self.run_changed(&dag_id, &run_id);
            won.push(id);
            served.extend(triggers.get(&id));
        }
        self.delete_task_triggers(&served).await?;
        Ok(won)
    }

    /// Deletes triggers whose task instances no longer wait for them.
    pub async fn delete_task_triggers(&mut self, ids: &[TriggerId]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let theirs = self.dialect().one_of_ints("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM trigger WHERE {theirs} AND kind = 'task'"
        )))
        .bind(int_array(ids.iter().map(|id| id.0)));
        self.execute("delete triggers", statement).await?;
        Ok(())
    }

    /// Resumes every deferred task instance whose `trigger_timeout` has passed, so that a worker
    /// fails it. Their triggers are left for [`Tx::delete_unneeded_triggers`]. Returns how many.
    pub async fn time_out_deferred(&mut self, now: Timestamp) -> Result<usize, Error> {
        let statement = sqlx::query(
            "UPDATE task_instance
                SET state = 'scheduled', next_method = $2, next_kwargs = $3,
                    scheduled_dttm = $1, trigger_id = NULL, trigger_timeout = NULL, updated_at = $1
              WHERE state = 'deferred' AND trigger_timeout IS NOT NULL AND trigger_timeout < $1
              RETURNING dag_id, run_id",
        )
        .bind(micros(now))
        .bind(FAIL_METHOD)
        .bind(TIMED_OUT);
        let rows = self
            .fetch_all("time out deferred task instances", statement)
            .await?;
        for row in &rows {
            let mut columns = Columns::of("task_instance", row);
            let (dag_id, run_id) = (columns.id()?, columns.id()?);
            self.run_changed(&dag_id, &run_id);
        }
        if !rows.is_empty() {
            self.changed(Change::Trigger);
        }
        Ok(rows.len())
    }
}

impl Reader {
    /// When the next deferred task instance runs out of time.
    pub async fn find_next_trigger_timeout(&mut self) -> Result<Option<Timestamp>, Error> {
        let statement = sqlx::query(
            "SELECT MIN(trigger_timeout)
               FROM task_instance
              WHERE state = 'deferred' AND trigger_timeout IS NOT NULL",
        );
        let row = self
            .fetch_one("find the next trigger timeout", statement)
            .await?;
        Columns::of("task_instance", &row).instant_or_null()
    }
}

fn resumed_row(resumption: &Resumption) -> Value {
    json!({
        "ti": resumption.ti,
        "waits_for": resumption.trigger,
        "method": resumption.next_method,
        "kwargs": resumption.next_kwargs,
    })
}

/// What [`Tx::resume_deferred`] runs.
pub(crate) fn resume_sql(dialect: Dialect) -> String {
    let given = dialect.rows("$1", "given", RESUMED);
    format!(
        "UPDATE task_instance
            SET state = 'scheduled', next_method = given.method, next_kwargs = given.kwargs,
                scheduled_dttm = $2, trigger_id = NULL, trigger_timeout = NULL, updated_at = $2
           FROM {given}
          WHERE id = given.ti AND state = 'deferred' AND trigger_id = given.waits_for
          RETURNING id, dag_id, run_id"
    )
}
