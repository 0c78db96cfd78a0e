//! A task waits for a person without a worker, and goes on when somebody answered or the time is up.
//!
//! The worker parks it, the API answers it, the scheduler ends its patience; they meet in the rows.
//! Whoever comes first locks the task instance before the question, so that an answer and a wait
//! that begins at the same moment cannot miss each other.
//!
//! Source: scheduling semantics §7.3, runtime protocols §5.4.

use jiff::Timestamp;
use tracing::warn;
use updraft_model::TaskInstanceId;
use updraft_model::hitl::{HitlDetail, HitlResponse};
use updraft_model::task_instance::TaskInstance;
use updraft_planning::hitl::{Patience, plan_end_of_patience};
use updraft_store::{AwaitInput, Error, Transition, Tx};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::{hitl_event, hitl_timeout_event};

/// The method that makes a task fail where it would go on.
const FAIL: &str = "__fail__";

/// What became of the wish to let a task go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// It is scheduled.
    Scheduled,
    /// It is scheduled, to fail: its stored arguments cannot be read.
    ScheduledToFail,
    /// It did not wait.
    NotWaiting,
}

/// What was done about tasks that waited too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverdueInput {
    /// Tasks that were looked at.
    pub count: usize,
    /// Go on with an answer, or with the defaults.
    pub resolved: usize,
    /// Go on to fail.
    pub failed: usize,
}

/// Lets a try wait for a person. One whose question was answered already goes on at once.
///
/// # Errors
/// When the store fails; nothing may be committed then.
pub async fn park(
    tx: &mut Tx,
    id: TaskInstanceId,
    wait: &AwaitInput,
    now: Timestamp,
) -> Result<Transition, Error> {
    let transition = tx.await_input(id, wait, now).await?;
    if let Transition::Done(before) = &transition
        && let Some(HitlDetail {
            response: Some(response),
            ..
        }) = tx.lock_hitl_detail(id).await?
    {
        let parked = TaskInstance {
            next_method: Some(wait.next_method.clone()),
            next_kwargs: wait.next_kwargs.clone(),
            ..(**before).clone()
        };
        resume(tx, &parked, &hitl_event(&response, false), now).await?;
    }
    Ok(transition)
}

/// Writes a person's answer, which nobody has given yet, and lets the task go on if it waits.
/// `ti` and the question are locked. `None`: somebody else answered.
///
/// # Errors
/// When the store fails; nothing may be committed then.
pub async fn respond(
    tx: &mut Tx,
    ti: &TaskInstance,
    response: &HitlResponse,
    now: Timestamp,
) -> Result<Option<Resumed>, Error> {
    if !tx.answer_hitl_question(ti.id, response).await? {
        return Ok(None);
    }
    let resumed = resume(tx, ti, &hitl_event(response, false), now).await?;
    Ok(Some(resumed))
}

/// Ends the patience of at most `limit` tasks whose time is up: each goes on with the answer it has,
/// with its defaults, or to fail.
///
/// # Errors
/// When the store fails; nothing may be committed then.
pub async fn resolve_overdue_input(
    tx: &mut Tx,
    now: Timestamp,
    limit: i64,
) -> Result<OverdueInput, Error> {
    let overdue = tx.lock_overdue_input(now, limit).await?;
    let mut done = OverdueInput {
        count: overdue.len(),
        ..OverdueInput::default()
    };
    for ti in &overdue {
        let detail = tx.lock_hitl_detail(ti.id).await?;
        let (event, is_answer) = match plan_end_of_patience(detail.as_ref(), now) {
            Patience::Answered(response) => (hitl_event(response, false), true),
            Patience::Defaults(response) => {
                tx.answer_hitl_question(ti.id, &response).await?;
                (hitl_event(&response, true), true)
            }
            Patience::Nothing => (hitl_timeout_event(), false),
        };
        match resume(tx, ti, &event, now).await? {
            Resumed::Scheduled if is_answer => done.resolved += 1,
            Resumed::Scheduled | Resumed::ScheduledToFail => done.failed += 1,
            Resumed::NotWaiting => {}
        }
    }
    Ok(done)
}

/// Lets a locked task that waits without a worker go on with `event`.
///
/// Stored arguments that nobody can read make it fail instead of waiting for ever.
///
/// # Errors
/// When the store fails; nothing may be committed then.
pub async fn resume(
    tx: &mut Tx,
    ti: &TaskInstance,
    event: &JsonText,
    now: Timestamp,
) -> Result<Resumed, Error> {
    let stored = ti.next_kwargs.as_deref().unwrap_or("null");
    let method = ti.next_method.as_deref().unwrap_or(FAIL);
    let (method, kwargs) = match JsonText::from_stored(stored).with_entry("event", event) {
        Ok(kwargs) => (method, kwargs),
        Err(error) => {
            warn!(dag_id = %ti.dag_id, run_id = %ti.run_id, task_id = %ti.task_id, map_index = %ti.map_index, %error, "failed to read the arguments of a task that waits; it fails");
            let problem = format!(
                "Could not resume the task: its stored next_kwargs could not be decoded ({error})"
            );
            let kwargs = serde_json::json!({"error": problem, "traceback": null});
            (FAIL, JsonText::from(&kwargs))
        }
    };
    if !tx.resume_try(ti, method, kwargs.as_str(), now).await? {
        return Ok(Resumed::NotWaiting);
    }
    Ok(if method == FAIL {
        Resumed::ScheduledToFail
    } else {
        Resumed::Scheduled
    })
}
