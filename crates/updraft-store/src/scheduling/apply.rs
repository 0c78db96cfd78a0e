//! Writes what a planner decided about task instances, in bulk and by compare-and-set.

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_model::{
    DagId, DagVersionId, MapIndex, RunId, TaskInstanceId, TaskInstanceState, TriggerId,
};

use crate::dialect::Kind;
use crate::row::{Columns, assembled, bind_real, micros, micros_or_null, text_array};
use crate::session::Statement;
use crate::settling::SETTLED;
use crate::{Change, Dialect, Error, Tx};

/// New values for one row, written only while its state is `from`.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskInstanceUpdate {
    pub id: TaskInstanceId,
    pub from: TaskInstanceState,
    /// The index to store; differs from the row's when an unmapped row becomes index 0.
    pub map_index: MapIndex,
    pub state: TaskInstanceState,
    pub try_number: i32,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    /// `None` leaves the row's value.
    pub duration_secs: Option<f64>,
    /// `None` leaves the row's value.
    pub scheduled_dttm: Option<Timestamp>,
    /// For a task that starts deferred; `None` leaves the row's values.
    pub deferral: Option<Deferral>,
}

/// What a task instance that starts deferred waits for, and how it goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Deferral {
    pub trigger_id: TriggerId,
    /// Until when the trigger must have fired.
    pub trigger_timeout: Option<Timestamp>,
    pub next_method: String,
    /// Serde JSON text.
    pub next_kwargs: String,
}

/// From this many rows on, a statement of their own is cheaper than spelling each row out.
const ALIKE_MIN: usize = 8;

/// How many groups an update is compared with, so that a plan of strangers costs no square.
const GROUPS_COMPARED_MAX: usize = 8;

/// The columns of an update that is spelt out.
const UPDATED: &[(&str, Kind)] = &[
    ("ti", Kind::Text),
    ("was", Kind::Text),
    ("to_index", Kind::Int),
    ("to_state", Kind::Text),
    ("to_try", Kind::Int),
    ("started", Kind::Int),
    ("ended", Kind::Int),
    ("lasted", Kind::Real),
    ("scheduled", Kind::Int),
    ("waits_for", Kind::Int),
    ("waits_until", Kind::Int),
    ("method", Kind::Text),
    ("kwargs", Kind::Text),
];

impl Tx {
    /// Applies the updates whose row is still in the state the planner saw.
    ///
    /// Returns the rows won. A missing id is not an error: somebody moved that row first, or gave
    /// it a new id.
    pub async fn update_task_instances(
        &mut self,
        updates: &[TaskInstanceUpdate],
        now: Timestamp,
    ) -> Result<Vec<TaskInstanceId>, Error> {
        let mut won = Vec::with_capacity(updates.len());
        // An instance that is expanded in place is shown to the cluster's hook again.
        let is_expanded = updates.iter().any(|update| update.map_index == MapIndex(0));
        let settling = if is_expanded {
            self.settling_of_new().await?
        } else {
            SETTLED
        };
        if settling != SETTLED {
            self.changed(Change::PythonWanted);
        }
        let mut singular = Vec::new();
        for alike in group_alike(updates) {
            if alike.len() < ALIKE_MIN {
                singular.extend(alike);
            } else {
                won.extend(self.update_alike(&alike, settling, now).await?);
            }
        }
        if !singular.is_empty() {
            won.extend(self.update_singular(&singular, settling, now).await?);
        }
        Ok(won)
    }

    /// Rows that all get the same values: only their ids travel.
    async fn update_alike(
        &mut self,
        alike: &[&TaskInstanceUpdate],
        settling: i32,
        now: Timestamp,
    ) -> Result<Vec<TaskInstanceId>, Error> {
        let Some(first) = alike.first() else {
            return Ok(Vec::new());
        };
        let deferral = first.deferral.as_ref();
        let statement = sqlx::query(assembled(alike_sql(self.dialect())))
            .bind(text_array(alike.iter().map(|update| update.id)))
            .bind(micros(now))
            .bind(first.from.to_nullable())
            .bind(first.map_index.0)
            .bind(first.state.to_nullable())
            .bind(first.try_number)
            .bind(micros_or_null(first.start_date))
            .bind(micros_or_null(first.end_date))
            .bind(micros_or_null(first.scheduled_dttm))
            .bind(deferral.map(|deferral| deferral.trigger_id.0))
            .bind(deferral.and_then(|deferral| deferral.trigger_timeout.map(micros)))
            .bind(deferral.map(|deferral| deferral.next_method.as_str()))
            .bind(deferral.map(|deferral| deferral.next_kwargs.as_str()));
        let statement = bind_real(statement, first.duration_secs).bind(settling);
        self.won_ids("update task instances", statement).await
    }

    /// Rows that each get their own values.
    async fn update_singular(
        &mut self,
        updates: &[&TaskInstanceUpdate],
        settling: i32,
        now: Timestamp,
    ) -> Result<Vec<TaskInstanceId>, Error> {
        let statement = sqlx::query(assembled(singular_sql(self.dialect())))
            .bind(Value::from_iter(updates.iter().map(|update| update_row(update))).to_string())
            .bind(micros(now))
            .bind(settling);
        self.won_ids("update task instances", statement).await
    }

    /// Runs a compare-and-set that returns the ids it changed.
    pub(crate) async fn won_ids(
        &mut self,
        doing: &'static str,
        statement: Statement<'_>,
    ) -> Result<Vec<TaskInstanceId>, Error> {
        self.fetch_all(doing, statement)
            .await?
            .iter()
            .map(|row| Columns::of("task_instance", row).uuid().map(TaskInstanceId))
            .collect()
    }

    /// Pins the unfinished rows of a run to a version of the Dag.
    ///
    /// Quirk: rows without a state keep theirs, as Airflow's `IN` leaves out NULL.
    pub async fn repin_unfinished(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        version: DagVersionId,
    ) -> Result<u64, Error> {
        let statement = sqlx::query(
            "UPDATE task_instance
                SET dag_version_id = $3
              WHERE dag_id = $1 AND run_id = $2
                AND state IN ('scheduled', 'queued', 'running', 'restarting', 'up_for_retry',
                              'up_for_reschedule', 'deferred', 'awaiting_input')",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(version.to_string());
        self.execute("move task instances to another Dag version", statement)
            .await
    }

    /// Pins these rows to a version of the Dag, whatever their state.
    pub async fn repin(
        &mut self,
        ids: &[TaskInstanceId],
        version: DagVersionId,
    ) -> Result<u64, Error> {
        if ids.is_empty() {
            return Ok(0);
        }
        let theirs = self.dialect().one_of_texts("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "UPDATE task_instance SET dag_version_id = $2 WHERE {theirs}"
        )))
        .bind(text_array(ids))
        .bind(version.to_string());
        self.execute("move task instances to another Dag version", statement)
            .await
    }
}

/// Puts updates together that differ in nothing but the row: mostly, a plan moves many instances to
/// the same state at the same moment.
fn group_alike(updates: &[TaskInstanceUpdate]) -> Vec<Vec<&TaskInstanceUpdate>> {
    let mut groups: Vec<Vec<&TaskInstanceUpdate>> = Vec::new();
    for update in updates {
        let is_like = |other: &TaskInstanceUpdate| {
            let same_row = TaskInstanceUpdate {
                id: update.id,
                ..other.clone()
            };
            same_row == *update
        };
        let group = groups
            .iter_mut()
            .rev()
            .take(GROUPS_COMPARED_MAX)
            .find(|group| group.first().is_some_and(|first| is_like(first)));
        match group {
            Some(group) => group.push(update),
            None => groups.push(vec![update]),
        }
    }
    groups
}

fn update_row(update: &TaskInstanceUpdate) -> Value {
    let deferral = update.deferral.as_ref();
    json!({
        "ti": update.id,
        "was": update.from.to_nullable(),
        "to_index": update.map_index,
        "to_state": update.state.to_nullable(),
        "to_try": update.try_number,
        "started": update.start_date.map(micros),
        "ended": update.end_date.map(micros),
        "lasted": update.duration_secs,
        "scheduled": update.scheduled_dttm.map(micros),
        "waits_for": deferral.map(|deferral| deferral.trigger_id),
        "waits_until": deferral.and_then(|deferral| deferral.trigger_timeout.map(micros)),
        "method": deferral.map(|deferral| &deferral.next_method),
        "kwargs": deferral.map(|deferral| &deferral.next_kwargs),
    })
}

/// What `update_alike` runs.
pub(crate) fn alike_sql(dialect: Dialect) -> String {
    let theirs = dialect.one_of_texts("id", "$1");
    format!(
        "UPDATE task_instance
                SET map_index = $4,
                    state = $5,
                    try_number = $6,
                    start_date = $7,
                    end_date = $8,
                    scheduled_dttm = COALESCE($9, scheduled_dttm),
                    trigger_id = COALESCE($10, trigger_id),
                    trigger_timeout = CASE WHEN $10 IS NULL THEN trigger_timeout ELSE $11 END,
                    next_method = COALESCE($12, next_method),
                    next_kwargs = COALESCE($13, next_kwargs),
                    duration = COALESCE($14, duration),
                    settling = CASE WHEN map_index < 0 AND $4 >= 0 AND settling < $15 THEN $15
                                    ELSE settling END,
                    updated_at = $2
              WHERE {theirs} AND state IS NOT DISTINCT FROM $3
              RETURNING id"
    )
}

/// What `update_singular` runs.
pub(crate) fn singular_sql(dialect: Dialect) -> String {
    let given = dialect.rows("$1", "given", UPDATED);
    format!(
        "UPDATE task_instance
                SET map_index = given.to_index,
                    state = given.to_state,
                    try_number = given.to_try,
                    start_date = given.started,
                    end_date = given.ended,
                    duration = COALESCE(given.lasted, duration),
                    scheduled_dttm = COALESCE(given.scheduled, scheduled_dttm),
                    trigger_id = COALESCE(given.waits_for, trigger_id),
                    trigger_timeout = CASE WHEN given.waits_for IS NULL THEN trigger_timeout
                                           ELSE given.waits_until END,
                    next_method = COALESCE(given.method, next_method),
                    next_kwargs = COALESCE(given.kwargs, next_kwargs),
                    settling = CASE WHEN map_index < 0 AND given.to_index >= 0 AND settling < $3
                                    THEN $3 ELSE settling END,
                    updated_at = $2
               FROM {given}
              WHERE id = given.ti AND state IS NOT DISTINCT FROM given.was
              RETURNING id"
    )
}
