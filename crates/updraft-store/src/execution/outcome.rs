//! A try reports how it ended, or why it pauses.

use jiff::Timestamp;
use updraft_model::state_store::TaskScope;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{TaskInstanceId, TaskInstanceState};

use crate::asset_event::{OutletEvent, TaskOutlet};
use crate::event_log::NewEventLog;
use crate::history::Succession;
use crate::row::{assembled, bind_real, micros};
use crate::session::Statement;
use crate::task_instance::{TASK_INSTANCE_COLUMNS, task_instance_from};
use crate::trigger::NewTaskTrigger;
use crate::{Change, Error, Tx};

/// What came of a report.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// The row moved. It is shown as it was before.
    Done(Box<TaskInstance>),
    /// The row was in the wanted state already: a repeated report.
    AlreadySo,
    /// No live row has this id: never heard of, cleared, or retried.
    NotFound,
    /// Only a running try may report; this is what the row is.
    InvalidState(TaskInstanceState),
}

/// A try is over, one way or another, and will not be retried.
#[derive(Clone, Debug)]
pub struct Finish {
    /// `success`, `failed`, `skipped` or `removed`.
    pub state: TaskInstanceState,
    pub end_date: Timestamp,
    pub rendered_map_index: Option<String>,
    /// Of a success: what it may have updated.
    pub outlets: Vec<TaskOutlet>,
    /// Of a success: what it said about the updates.
    pub outlet_events: Vec<OutletEvent>,
    /// `[state_store] clear_on_success`.
    pub clears_state_store: bool,
}

/// A try failed and there will be another.
#[derive(Clone, Debug)]
pub struct Retry {
    pub end_date: Timestamp,
    /// The id of the next try.
    pub new_id: TaskInstanceId,
    pub rendered_map_index: Option<String>,
    /// From a retry policy; `None`: the task's own delay counts.
    pub delay_secs: Option<f64>,
    pub reason: Option<String>,
}

/// A try hands over to a trigger.
#[derive(Clone, Debug)]
pub struct Defer {
    pub classpath: String,
    pub kwargs: TriggerKwargs,
    /// Until when the trigger must have fired.
    pub timeout_at: Option<Timestamp>,
    pub next_method: String,
    pub next_kwargs: Option<String>,
    pub trigger_queue: Option<String>,
    pub rendered_map_index: Option<String>,
}

/// The arguments of a trigger, JSON text.
#[derive(Clone, Debug)]
pub enum TriggerKwargs {
    /// To be encrypted here.
    Plain(String),
    /// Encrypted by the child with the same key.
    Sealed(String),
}

/// A sensor will look again later.
#[derive(Clone, Debug)]
pub struct Reschedule {
    pub reschedule_date: Timestamp,
    pub end_date: Timestamp,
}

/// A try waits for a human.
#[derive(Clone, Debug)]
pub struct AwaitInput {
    pub timeout_at: Option<Timestamp>,
    pub next_method: String,
    pub next_kwargs: Option<String>,
    pub rendered_map_index: Option<String>,
}

/// Longest `retry_reason` that is kept.
const RETRY_REASON_CHARS_MAX: usize = 500;

/// What a report may do with the row it found.
enum Found {
    Running(Box<TaskInstance>),
    Settled(Transition),
}

impl Tx {
    /// Ends a try for good. A success registers its asset events in the same transaction.
    ///
    /// Whether the run's other tasks must fall with it (`fail_fast`) is the planner's question.
    pub async fn finish_try(
        &mut self,
        id: TaskInstanceId,
        finish: &Finish,
        now: Timestamp,
    ) -> Result<Transition, Error> {
        let ti = match self.lock_running(id, finish.state).await? {
            Found::Running(ti) => ti,
            Found::Settled(transition) => return Ok(transition),
        };
        let statement = sqlx::query(
            "UPDATE task_instance
                SET state = $2, end_date = $3, next_method = NULL, next_kwargs = NULL,
                    rendered_map_index = COALESCE($4, rendered_map_index), updated_at = $5,
                    duration = $6
              WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(finish.state.as_str())
        .bind(micros(finish.end_date))
        .bind(finish.rendered_map_index.as_deref())
        .bind(micros(now));
        let statement = bind_real(statement, duration(&ti, finish.end_date));
        self.execute("finish a try", statement).await?;
        if finish.state == TaskInstanceState::Success {
            self.register_asset_changes(&ti, &finish.outlets, &finish.outlet_events, now)
                .await?;
            if finish.clears_state_store {
                self.clear_task_state_store(&TaskScope::from(&*ti)).await?;
            }
        }
        self.reported(&ti, finish.state, now).await?;
        Ok(Transition::Done(ti))
    }

    /// Ends a try and prepares the next: the try goes into the history as failed, the row waits
    /// under a new id. From then on the old process finds nothing.
    pub async fn retry_try(
        &mut self,
        id: TaskInstanceId,
        retry: &Retry,
        now: Timestamp,
    ) -> Result<Transition, Error> {
        let state = TaskInstanceState::UpForRetry;
        let ti = match self.lock_running(id, state).await? {
            Found::Running(ti) => ti,
            // The answer to an earlier report of the same end was lost: from then on the try is
            // found in the history only. Another's burial of it has another end.
            Found::Settled(Transition::NotFound) => {
                let past = self.find_past_try(id).await?;
                let is_ours = past
                    .is_some_and(|past| past.end_date.map(micros) == Some(micros(retry.end_date)));
                return Ok(if is_ours {
                    Transition::AlreadySo
                } else {
                    Transition::NotFound
                });
            }
            Found::Settled(transition) => return Ok(transition),
        };
        self.begin_next_try(&ti, retry, now).await?;
        self.reported(&ti, state, now).await?;
        Ok(Transition::Done(ti))
    }

    /// The rows' part of a retry, whoever decided it.
    pub(crate) async fn begin_next_try(
        &mut self,
        ti: &TaskInstance,
        retry: &Retry,
        now: Timestamp,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "UPDATE task_instance
                SET end_date = $2, rendered_map_index = COALESCE($3, rendered_map_index),
                    duration = $4
              WHERE id = $1",
        )
        .bind(ti.id.to_string())
        .bind(micros(retry.end_date))
        .bind(retry.rendered_map_index.as_deref());
        let statement = bind_real(statement, duration(ti, retry.end_date));
        self.execute("end a try", statement).await?;
        let succession = Succession {
            old: ti.id,
            new: retry.new_id,
        };
        self.archive_tries(&[succession], now).await?;
        let reason = retry
            .reason
            .as_ref()
            .map(|reason| -> String { reason.chars().take(RETRY_REASON_CHARS_MAX).collect() });
        let statement = sqlx::query(
            "UPDATE task_instance
                SET state = 'up_for_retry', next_method = NULL, next_kwargs = NULL,
                    retry_reason = $2, updated_at = $3, retry_delay_override = $4
              WHERE id = $1",
        )
        .bind(retry.new_id.to_string())
        .bind(reason)
        .bind(micros(now));
        let statement = bind_real(statement, retry.delay_secs);
        self.execute("prepare the next try", statement).await?;
        Ok(())
    }

    /// Hands a try over to a trigger.
    pub async fn defer_try(
        &mut self,
        id: TaskInstanceId,
        defer: &Defer,
        now: Timestamp,
    ) -> Result<Transition, Error> {
        let state = TaskInstanceState::Deferred;
        let ti = match self.lock_running(id, state).await? {
            Found::Running(ti) => ti,
            Found::Settled(transition) => return Ok(transition),
        };
        let new = NewTaskTrigger {
            classpath: &defer.classpath,
            kwargs: &defer.kwargs,
            priority_weight: ti.priority_weight,
            queue: defer.trigger_queue.as_deref(),
        };
        let trigger = self.create_task_trigger(&new, now).await?;
        let statement = sqlx::query(
            "UPDATE task_instance
                SET state = 'deferred', trigger_id = $2, trigger_timeout = $3, next_method = $4,
                    next_kwargs = $5, rendered_map_index = COALESCE($6, rendered_map_index),
                    updated_at = $7
              WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(trigger.0)
        .bind(defer.timeout_at.map(micros))
        .bind(defer.next_method.as_str())
        .bind(defer.next_kwargs.as_deref())
        .bind(defer.rendered_map_index.as_deref())
        .bind(micros(now));
        self.execute("defer a try", statement).await?;
        self.reported(&ti, state, now).await?;
        Ok(Transition::Done(ti))
    }

    /// Lets a sensor wait without a worker. Id and try number stay.
    ///
    /// Quirk: the wait begins when the report arrives, not when the poke did (§7.5).
    pub async fn reschedule_try(
        &mut self,
        id: TaskInstanceId,
        reschedule: &Reschedule,
        now: Timestamp,
    ) -> Result<Transition, Error> {
        let state = TaskInstanceState::UpForReschedule;
        let ti = match self.lock_running(id, state).await? {
            Found::Running(ti) => ti,
            Found::Settled(transition) => return Ok(transition),
        };
        let statement = sqlx::query(
            "INSERT INTO task_reschedule (ti_id, start_date, end_date, duration, reschedule_date)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id.to_string())
        .bind(micros(now))
        .bind(micros(reschedule.end_date))
        .bind(seconds_between(now, reschedule.end_date))
        .bind(micros(reschedule.reschedule_date));
        self.execute("note a reschedule", statement).await?;
        let statement = sqlx::query(
            "UPDATE task_instance
                SET state = 'up_for_reschedule', end_date = $2, next_method = NULL,
                    next_kwargs = NULL, updated_at = $3, duration = $4
              WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(micros(reschedule.end_date))
        .bind(micros(now));
        let statement = bind_real(statement, duration(&ti, reschedule.end_date));
        self.execute("reschedule a try", statement).await?;
        self.reported(&ti, state, now).await?;
        Ok(Transition::Done(ti))
    }

    /// Lets a try wait for a human without a worker.
    pub async fn await_input(
        &mut self,
        id: TaskInstanceId,
        wait: &AwaitInput,
        now: Timestamp,
    ) -> Result<Transition, Error> {
        let state = TaskInstanceState::AwaitingInput;
        let ti = match self.lock_running(id, state).await? {
            Found::Running(ti) => ti,
            Found::Settled(transition) => return Ok(transition),
        };
        let statement = sqlx::query(
            "UPDATE task_instance
                SET state = 'awaiting_input', trigger_timeout = $2, next_method = $3,
                    next_kwargs = $4, rendered_map_index = COALESCE($5, rendered_map_index),
                    updated_at = $6
              WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(wait.timeout_at.map(micros))
        .bind(wait.next_method.as_str())
        .bind(wait.next_kwargs.as_deref())
        .bind(wait.rendered_map_index.as_deref())
        .bind(micros(now));
        self.execute("let a try await input", statement).await?;
        if wait.timeout_at.is_some() {
            self.changed(Change::Deadline);
        }
        self.reported(&ti, state, now).await?;
        Ok(Transition::Done(ti))
    }

    async fn lock_running(
        &mut self,
        id: TaskInstanceId,
        wanted: TaskInstanceState,
    ) -> Result<Found, Error> {
        let Some(ti) = self.lock_task_instance(id).await? else {
            return Ok(Found::Settled(Transition::NotFound));
        };
        Ok(match ti.state {
            TaskInstanceState::Running => Found::Running(Box::new(ti)),
            state if state == wanted => Found::Settled(Transition::AlreadySo),
            state => Found::Settled(Transition::InvalidState(state)),
        })
    }

    /// Loads a live row and takes it for the rest of the transaction.
    pub async fn lock_task_instance(
        &mut self,
        id: TaskInstanceId,
    ) -> Result<Option<TaskInstance>, Error> {
        let statement: Statement<'_> = sqlx::query(assembled(format!(
            "SELECT {TASK_INSTANCE_COLUMNS}
               FROM task_instance
              WHERE id = $1
              {}",
            self.dialect().for_update("task_instance"),
        )))
        .bind(id.to_string());
        self.fetch_optional("lock a task instance", statement)
            .await?
            .as_ref()
            .map(task_instance_from)
            .transpose()
    }

    /// The trace every report leaves: an audit entry and a hint for the scheduler.
    async fn reported(
        &mut self,
        ti: &TaskInstance,
        state: TaskInstanceState,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.run_changed(&ti.dag_id, &ti.run_id);
        self.write_event_log(&NewEventLog::about(ti, state.as_str(), now))
            .await
    }
}

fn duration(ti: &TaskInstance, end: Timestamp) -> Option<f64> {
    ti.start_date.map(|start| seconds_between(start, end))
}

fn seconds_between(start: Timestamp, end: Timestamp) -> f64 {
    end.duration_since(start).as_secs_f64()
}
