//! Clearing and marking: what users do to rows, decided by the planner, written here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_model::{
    DagId, DagRunState, DagVersionId, PoolName, RunId, TaskInstanceId, TaskInstanceState,
};

use crate::dialect::Kind;
use crate::history::Succession;
use crate::row::{Columns, assembled, micros, micros_or_null, text_array};
use crate::settling::SETTLED;
use crate::task_instance::take_state;
use crate::{Change, Error, Tx};

/// A task instance to clear: its try ends, the row starts over under a new id.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskInstanceClear {
    pub id: TaskInstanceId,
    /// Cleared only while the row is in this state.
    pub from: TaskInstanceState,
    pub new_id: TaskInstanceId,
    /// No state, or `restarting` for one whose process must stop first.
    pub state: TaskInstanceState,
    pub max_tries: i32,
    /// What is taken from the task again; `None` for one that must stop first.
    pub reset: Option<ResetFields>,
}

/// Columns that a cleared row takes from the task again.
#[derive(Clone, Debug, PartialEq)]
pub struct ResetFields {
    pub pool: PoolName,
    pub pool_slots: i32,
    pub queue: String,
    pub priority_weight: i64,
    pub executor: Option<String>,
    pub executor_config: Value,
    /// Its weight comes from a class of the user, which is asked later.
    pub has_custom_weight: bool,
    /// `None` leaves the row at its version.
    pub dag_version_id: Option<DagVersionId>,
}

/// What clearing does to the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunClear {
    /// Written only while the run is in this state.
    pub from: DagRunState,
    pub state: DagRunState,
    pub queued_at: Option<Timestamp>,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub clear_number: i64,
    /// Its next pass comes before those of runs that were looked at already.
    pub forget_last_scheduling_decision: bool,
}

/// A new state for a row that keeps its id: a worker learns of it from its heartbeat.
#[derive(Clone, Debug, PartialEq)]
pub struct StateChange {
    pub id: TaskInstanceId,
    /// Changed only while the row is in this state.
    pub from: TaskInstanceState,
    pub to: TaskInstanceState,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    /// `None` leaves the row's value.
    pub duration_secs: Option<f64>,
}

const CLEARED: &[(&str, Kind)] = &[
    ("ti", Kind::Text),
    ("to_state", Kind::Text),
    ("tries", Kind::Int),
    ("is_reset", Kind::Flag),
    ("to_pool", Kind::Text),
    ("to_slots", Kind::Int),
    ("to_queue", Kind::Text),
    ("weight", Kind::Int),
    ("to_executor", Kind::Text),
    ("config", Kind::Text),
    ("version", Kind::Text),
    ("custom", Kind::Flag),
];

const CHANGED: &[(&str, Kind)] = &[
    ("ti", Kind::Text),
    ("was", Kind::Text),
    ("to_state", Kind::Text),
    ("started", Kind::Int),
    ("ended", Kind::Int),
    ("lasted", Kind::Real),
];

impl Tx {
    /// Clears the task instances that are still as the planner saw them.
    ///
    /// Returns the old ids of those. Start date, end date and duration of the rows stay.
    pub async fn clear_task_instances(
        &mut self,
        clears: &[TaskInstanceClear],
        now: Timestamp,
    ) -> Result<Vec<TaskInstanceId>, Error> {
        if clears.is_empty() {
            return Ok(Vec::new());
        }
        let states = self
            .lock_states(clears.iter().map(|clear| clear.id))
            .await?;
        let won: Vec<&TaskInstanceClear> = clears
            .iter()
            .filter(|clear| states.get(&clear.id) == Some(&clear.from))
            .collect();
        let successions: Vec<Succession> = won
            .iter()
            .map(|clear| Succession {
                old: clear.id,
                new: clear.new_id,
            })
            .collect();
        self.archive_tries(&successions, now).await?;
        let settling = self.settling_of_new().await?;
        let given = self.dialect().rows("$1", "given", CLEARED);
        let statement = sqlx::query(assembled(format!(
            "UPDATE task_instance
                SET state = given.to_state,
                    max_tries = given.tries,
                    pool = COALESCE(given.to_pool, pool),
                    pool_slots = COALESCE(given.to_slots, pool_slots),
                    queue = COALESCE(given.to_queue, queue),
                    priority_weight = COALESCE(given.weight, priority_weight),
                    executor = CASE WHEN given.is_reset THEN given.to_executor
                                    ELSE executor END,
                    executor_config = COALESCE(given.config, executor_config),
                    dag_version_id = COALESCE(given.version, dag_version_id),
                    settling = CASE WHEN NOT given.is_reset THEN settling
                                    WHEN given.custom THEN 2 ELSE $3 END,
                    external_executor_id = CASE WHEN given.is_reset THEN NULL
                                                ELSE external_executor_id END,
                    next_method = CASE WHEN given.is_reset THEN NULL ELSE next_method END,
                    next_kwargs = CASE WHEN given.is_reset THEN NULL ELSE next_kwargs END,
                    updated_at = $2
               FROM {given}
              WHERE id = given.ti"
        )))
        .bind(Value::from_iter(won.iter().map(|clear| clear_row(clear))).to_string())
        .bind(micros(now))
        .bind(settling);
        self.execute("clear task instances", statement).await?;
        let is_custom = |clear: &&TaskInstanceClear| {
            clear
                .reset
                .as_ref()
                .is_some_and(|reset| reset.has_custom_weight)
        };
        if settling != SETTLED || won.iter().any(is_custom) {
            self.changed(Change::PythonWanted);
        }
        Ok(won.iter().map(|clear| clear.id).collect())
    }

    /// The states of these rows, which nobody else can change until the transaction ends.
    async fn lock_states(
        &mut self,
        ids: impl IntoIterator<Item = TaskInstanceId>,
    ) -> Result<BTreeMap<TaskInstanceId, TaskInstanceState>, Error> {
        let theirs = self.dialect().one_of_texts("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "SELECT id, state
               FROM task_instance
              WHERE {theirs}
              ORDER BY id
              {}",
            self.dialect().for_update("task_instance"),
        )))
        .bind(text_array(ids));
        self.fetch_all("lock task instances", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("task_instance", row);
                Ok((TaskInstanceId(columns.uuid()?), take_state(&mut columns)?))
            })
            .collect()
    }

    /// Changes the run of cleared task instances. `false`: it is in another state now.
    pub async fn clear_dag_run(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        clear: &RunClear,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE dag_run
                SET state = $4, queued_at = $5, start_date = $6, end_date = $7, clear_number = $8,
                    last_scheduling_decision =
                        CASE WHEN $9 THEN NULL ELSE last_scheduling_decision END,
                    updated_at = $10
              WHERE dag_id = $1 AND run_id = $2 AND state = $3",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(clear.from.as_str())
        .bind(clear.state.as_str())
        .bind(micros_or_null(clear.queued_at))
        .bind(micros_or_null(clear.start_date))
        .bind(micros_or_null(clear.end_date))
        .bind(clear.clear_number)
        .bind(clear.forget_last_scheduling_decision)
        .bind(micros(now));
        let won = self.execute("clear a Dag run", statement).await? == 1;
        if won {
            if let Some(queued_at) = clear.queued_at {
                self.requeue_deadlines(dag_id, run_id, queued_at).await?;
            }
            self.run_changed(dag_id, run_id);
        }
        Ok(won)
    }

    /// Gives rows of a run new states without a new try, where they are still as the planner saw
    /// them. Returns those.
    pub async fn change_task_instance_states(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        changes: &[StateChange],
        now: Timestamp,
    ) -> Result<Vec<TaskInstanceId>, Error> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let given = self.dialect().rows("$1", "given", CHANGED);
        let statement = sqlx::query(assembled(format!(
            "UPDATE task_instance
                SET state = given.to_state, start_date = given.started, end_date = given.ended,
                    duration = COALESCE(given.lasted, duration), updated_at = $2
               FROM {given}
              WHERE id = given.ti AND state IS NOT DISTINCT FROM given.was
              RETURNING id"
        )))
        .bind(Value::from_iter(changes.iter().map(change_row)).to_string())
        .bind(micros(now));
        let won = self
            .won_ids("change the states of task instances", statement)
            .await?;
        self.run_changed(dag_id, run_id);
        Ok(won)
    }
}

fn clear_row(clear: &TaskInstanceClear) -> Value {
    let reset = clear.reset.as_ref();
    json!({
        "ti": clear.new_id,
        "to_state": clear.state.to_nullable(),
        "tries": clear.max_tries,
        "is_reset": reset.is_some(),
        "to_pool": reset.map(|reset| &reset.pool),
        "to_slots": reset.map(|reset| reset.pool_slots),
        "to_queue": reset.map(|reset| &reset.queue),
        "weight": reset.map(|reset| reset.priority_weight),
        "to_executor": reset.and_then(|reset| reset.executor.as_ref()),
        "config": reset.map(|reset| reset.executor_config.to_string()),
        "version": reset.and_then(|reset| reset.dag_version_id),
        "custom": reset.is_some_and(|reset| reset.has_custom_weight),
    })
}

fn change_row(change: &StateChange) -> Value {
    json!({
        "ti": change.id,
        "was": change.from.to_nullable(),
        "to_state": change.to.to_nullable(),
        "started": change.start_date.map(micros),
        "ended": change.end_date.map(micros),
        "lasted": change.duration_secs,
    })
}
