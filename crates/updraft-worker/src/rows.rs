//! The row of the running try: how it starts, stays alive and ends.
//!
//! Source: runtime protocols §7.4, §7.5.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tracing::{info, warn};
use updraft_execution::{
    Asker, Death, TaskAsker, answer, bury, fail_fast, failure_of, park, release_restarting,
};
use updraft_model::workload::Workload;
use updraft_model::{TaskInstanceId, TaskInstanceState};
use updraft_runtime::{CancellationToken, Clock, Ids};
use updraft_store::{
    AwaitInput, Defer, Error, Finish, Heartbeat, OutletEvent, Reschedule, Retry, Runner, Start,
    StartedTry, Store, Succession, TaskOutlet, Transition, TriggerKwargs, Tx,
};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::{
    self, AssetProfile, DeferTask, ErrorResponse, RetryTask, StoreRequest, SucceedTask,
    TIRunContext, TaskState, TerminalState,
};
use updraft_task_comms::scalar::TimeDelta;
use updraft_task_comms::session::{
    Answer, Conclusion, Crash, Event, Failure, FailureKind, HeartbeatAnswer,
};

use crate::worker::WorkerOptions;

/// Attempts at moving the row of a crashed try before that is left to the scheduler.
const ATTEMPTS_MAX: u32 = 8;

/// What became of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The row says how the task ended.
    Settled,
    /// The row refused the start.
    Refused,
    /// The row could not be moved on; why.
    Unsettled(String),
}

/// The store as one try sees it. Cheap to clone.
#[derive(Clone)]
pub struct Rows {
    store: Store,
    clock: Clock,
    ids: Ids,
    ti_id: TaskInstanceId,
    identity: Arc<Identity>,
    /// The child that runs the try, once there is one.
    pid: Option<i32>,
    asker: Asker,
}

struct Identity {
    hostname: String,
    unixname: String,
}

impl Rows {
    pub fn new(
        store: Store,
        clock: Clock,
        ids: Ids,
        workload: &Workload,
        options: &WorkerOptions,
    ) -> Self {
        let asker = TaskAsker {
            ti_id: workload.ti_id,
            dag_id: workload.dag_id.clone(),
            run_id: workload.run_id.clone(),
            task_id: workload.task_id.clone(),
            map_index: workload.map_index,
            options: options.answers.clone(),
        };
        let identity = Identity {
            hostname: options.hostname.clone(),
            unixname: options.unixname.clone(),
        };
        Self {
            store,
            clock,
            ids,
            ti_id: workload.ti_id,
            identity: Arc::new(identity),
            pid: None,
            asker: Asker::Task(Arc::new(asker)),
        }
    }

    /// The same rows as the child `pid` sees them: what it does counts only while they say that the
    /// try runs in it.
    #[must_use]
    pub fn for_child(&self, pid: u32) -> Self {
        Self {
            pid: Some(pid.cast_signed()),
            ..self.clone()
        }
    }

    /// Marks the try as running in our child.
    pub async fn start(self) -> Event {
        let refused = |status, message: &str| Event::RunRefused(not_ours(status, message));
        let mut attempt = 0;
        loop {
            match self.store.retry(|| self.try_start()).await {
                Ok(Start::Started(started)) => {
                    return Event::RunAccepted(Box::new(context_of(*started)));
                }
                Ok(Start::NotFound) => {
                    return refused(
                        404,
                        "the task instance does not exist or has begun another try",
                    );
                }
                Ok(Start::InvalidState(state)) => {
                    let message = format!("the task instance cannot start: its state is `{state}`");
                    return refused(409, &message);
                }
                Err(error) if error.is_transient() && attempt < ATTEMPTS_MAX => {
                    self.clock.sleep(pause_before(attempt)).await;
                    attempt += 1;
                }
                Err(error) => return Event::RunRefused(failure_of(&error)),
            }
        }
    }

    async fn try_start(&self) -> Result<Start, Error> {
        let runner = Runner {
            hostname: self.identity.hostname.clone(),
            unixname: self.identity.unixname.clone(),
            pid: self.pid.expect("a try starts in a child"),
        };
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        let start = tx.start_try(self.ti_id, &runner, now, now).await?;
        tx.commit().await?;
        Ok(start)
    }

    /// Whether a running row runs in our child. A try that was rescheduled or deferred keeps its id
    /// when it runs again elsewhere, so the id alone does not tell a late report from a fresh one.
    async fn is_ours(&self, tx: &mut Tx) -> Result<bool, Error> {
        let row = tx.lock_task_instance(self.ti_id).await?;
        Ok(row.is_none_or(|ti| {
            ti.state != TaskInstanceState::Running
                || ti.hostname == self.identity.hostname && ti.pid == self.pid
        }))
    }

    /// Tells the store that the try is alive, and learns whether it should be.
    pub async fn heartbeat(self) -> Event {
        let beat = async {
            let mut tx = self.store.write().await?;
            let hostname = &self.identity.hostname;
            let pid = self.pid.expect("only a child has a heartbeat");
            let answer = tx
                .heartbeat_try(self.ti_id, hostname, pid, self.clock.now())
                .await?;
            tx.commit().await?;
            Ok::<_, Error>(answer)
        };
        Event::HeartbeatAnswer(match beat.await {
            Ok(Heartbeat::Alive) => HeartbeatAnswer::Alive,
            Ok(
                Heartbeat::NotFound
                | Heartbeat::Superseded
                | Heartbeat::RunningElsewhere { .. }
                | Heartbeat::NotRunning(_),
            ) => HeartbeatAnswer::NotOurs,
            Err(error) => {
                warn!(%error, ti_id = %self.ti_id, "failed to deliver a heartbeat");
                HeartbeatAnswer::Unavailable
            }
        })
    }

    /// Answers a question of the child.
    pub async fn answer(&self, request: StoreRequest) -> Answer {
        answer(&self.store, &self.asker, request).await
    }

    /// Writes how the try ended, or why it pauses.
    pub async fn finish(self, outcome: message::Outcome) -> Answer {
        let written = self.store.retry(|| self.try_finish(&outcome)).await;
        match written {
            Ok(Transition::Done(_) | Transition::AlreadySo) => Ok(None),
            Ok(Transition::NotFound) => Err(not_ours(
                404,
                "the task instance does not exist or has begun another try",
            )),
            Ok(Transition::InvalidState(state)) => Err(not_ours(
                409,
                &format!("the task instance is not running here: its state is `{state}`"),
            )),
            Err(error) => Err(failure_of(&error)),
        }
    }

    async fn try_finish(&self, outcome: &message::Outcome) -> Result<Transition, Error> {
        use message::Outcome as O;
        let now = self.clock.now();
        let id = self.ti_id;
        let mut tx = self.store.write().await?;
        if !self.is_ours(&mut tx).await? {
            return Ok(Transition::InvalidState(TaskInstanceState::Running));
        }
        let transition = match outcome {
            O::SucceedTask(success) => tx.finish_try(id, &success_of(success), now).await?,
            O::TaskState(end) => {
                let transition = tx.finish_try(id, &end_of(end, now), now).await?;
                if let (TerminalState::Failed, Transition::Done(ti)) = (end.state, &transition) {
                    fail_fast(&mut tx, ti, now).await?;
                }
                transition
            }
            O::RetryTask(retry) => tx.retry_try(id, &retry_of(retry, &self.ids), now).await?,
            O::DeferTask(defer) => tx.defer_try(id, &deferral_of(defer, now), now).await?,
            O::RescheduleTask(reschedule) => {
                let reschedule = Reschedule {
                    reschedule_date: reschedule.reschedule_date.into(),
                    end_date: reschedule.end_date.into(),
                };
                tx.reschedule_try(id, &reschedule, now).await?
            }
            O::AwaitInputTask(wait) => {
                let wait = AwaitInput {
                    timeout_at: deadline(wait.timeout, now),
                    next_method: wait.next_method.clone(),
                    next_kwargs: text_of(wait.next_kwargs.as_ref()),
                    rendered_map_index: wait.rendered_map_index.clone(),
                };
                park(&mut tx, id, &wait, now).await?
            }
        };
        tx.commit().await?;
        Ok(transition)
    }

    /// Writes what the end of the session leaves to be written.
    pub async fn conclude(
        &self,
        workload: &Workload,
        conclusion: Conclusion,
        stopping: &CancellationToken,
    ) -> Outcome {
        match conclusion {
            Conclusion::Completed { state, .. } => {
                info!(dag_id = %workload.dag_id, run_id = %workload.run_id, task_id = %workload.task_id, map_index = %workload.map_index, try_number = workload.try_number, state, "a task ended");
                Outcome::Settled
            }
            Conclusion::Superseded { .. } => self.after_superseded(workload).await,
            Conclusion::Refused(failure) if failure.kind == FailureKind::NotOurs => {
                Outcome::Refused
            }
            // Nobody knows whether the row says queued or running; the scheduler looks.
            Conclusion::Refused(failure) => {
                Outcome::Unsettled(format!("{:?}", failure.error.error))
            }
            Conclusion::NotStarted { why } => Outcome::Unsettled(why),
            Conclusion::Crashed(crash) => {
                warn!(dag_id = %workload.dag_id, run_id = %workload.run_id, task_id = %workload.task_id, map_index = %workload.map_index, try_number = workload.try_number, reason = %crash.reason, "a task ended without an outcome");
                self.crashed(&crash).await
            }
            Conclusion::Undelivered {
                outcome, failure, ..
            } => {
                let mut attempt = 0;
                while attempt < ATTEMPTS_MAX && !stopping.is_cancelled() {
                    self.clock.sleep(pause_before(attempt)).await;
                    attempt += 1;
                    if self.clone().finish((*outcome).clone()).await.is_ok() {
                        return Outcome::Settled;
                    }
                }
                Outcome::Unsettled(format!("{:?}", failure.error.error))
            }
        }
    }

    /// Moves on the row of a try whose child died, together with its callbacks.
    async fn crashed(&self, crash: &Crash) -> Outcome {
        let mut attempt = 0;
        loop {
            match self.try_crashed(crash).await {
                Ok(_) => return Outcome::Settled,
                Err(error) if attempt < ATTEMPTS_MAX => {
                    warn!(%error, ti_id = %self.ti_id, "failed to write the end of a crashed task; trying again");
                    self.clock.sleep(pause_before(attempt)).await;
                    attempt += 1;
                }
                Err(error) => return Outcome::Unsettled(error.to_string()),
            }
        }
    }

    async fn try_crashed(&self, crash: &Crash) -> Result<bool, Error> {
        let mut tx = self.store.write().await?;
        if !self.is_ours(&mut tx).await? {
            return Ok(false);
        }
        let why = crash.reason.to_string();
        let death = Death {
            event: "state mismatch",
            why: &why,
        };
        let is_buried = bury(&mut tx, self.ti_id, death, &self.ids, self.clock.now()).await?;
        tx.commit().await?;
        Ok(is_buried)
    }

    /// A try that was cleared while it ran waits in `restarting` for its process to be gone.
    async fn after_superseded(&self, workload: &Workload) -> Outcome {
        let release = async {
            let mut tx = self.store.write().await?;
            release_restarting(&mut tx, workload, &self.ids, self.clock.now()).await?;
            tx.commit().await
        };
        match release.await {
            Ok(()) => Outcome::Settled,
            Err(error) => Outcome::Unsettled(error.to_string()),
        }
    }
}

/// Hands running tries back: those rows go back to no state under a new id, so that they start over
/// elsewhere. Gives how many there were.
///
/// # Errors
/// When the store fails; nothing is handed back then.
pub async fn hand_back(
    store: &Store,
    clock: &Clock,
    ids: &Ids,
    running: &[TaskInstanceId],
) -> Result<usize, Error> {
    if running.is_empty() {
        return Ok(0);
    }
    let hand_back = || async {
        let mut tx = store.write().await?;
        let mut successions = Vec::new();
        for id in running {
            let ti = tx.lock_task_instance(*id).await?;
            if ti.is_some_and(|ti| ti.state.is_executing()) {
                let new = TaskInstanceId(ids.uuid());
                successions.push(Succession { old: *id, new });
            }
        }
        tx.reset_orphans(&successions, clock.now()).await?;
        tx.commit().await?;
        Ok(successions.len())
    };
    store.retry(hand_back).await
}

/// How long to pause before the next attempt of something that must succeed.
pub(crate) fn pause_before(attempt: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);
    FIRST.saturating_mul(1 << attempt.min(10)).min(LONGEST)
}

fn context_of(started: StartedTry) -> TIRunContext {
    let ti = started.task_instance;
    let resumes = ti.next_method.is_some();
    TIRunContext {
        dag_run: message::DagRun {
            team_name: started.team_name,
            consumed_asset_events: started
                .consumed_asset_events
                .iter()
                .map(Into::into)
                .collect(),
            ..message::DagRun::from(&started.dag_run)
        },
        task_reschedule_count: started.task_reschedule_count,
        max_tries: i64::from(ti.max_tries),
        variables: Vec::new(),
        connections: Vec::new(),
        next_method: ti.next_method,
        next_kwargs: ti
            .next_kwargs
            .filter(|_| resumes)
            .map(JsonText::from_stored),
        xcom_keys_to_clear: started.xcom_keys_to_clear,
        should_retry: started.should_retry,
        start_date: ti.start_date.filter(|_| resumes).map(Into::into),
    }
}

fn success_of(success: &SucceedTask) -> Finish {
    Finish {
        state: TaskInstanceState::Success,
        end_date: success.end_date.into(),
        rendered_map_index: success.rendered_map_index.clone(),
        outlets: success
            .task_outlets
            .iter()
            .flatten()
            .filter_map(outlet_of)
            .collect(),
        outlet_events: success
            .outlet_events
            .iter()
            .flatten()
            .filter_map(event_of)
            .collect(),
        clears_state_store: false,
    }
}

fn end_of(end: &TaskState, now: Timestamp) -> Finish {
    Finish {
        state: match end.state {
            TerminalState::Failed => TaskInstanceState::Failed,
            TerminalState::Skipped => TaskInstanceState::Skipped,
            TerminalState::Removed => TaskInstanceState::Removed,
        },
        end_date: end.end_date.map_or(now, Timestamp::from),
        rendered_map_index: end.rendered_map_index.clone(),
        outlets: Vec::new(),
        outlet_events: Vec::new(),
        clears_state_store: false,
    }
}

fn retry_of(retry: &RetryTask, ids: &Ids) -> Retry {
    Retry {
        end_date: retry.end_date.into(),
        new_id: TaskInstanceId(ids.uuid()),
        rendered_map_index: retry.rendered_map_index.clone(),
        delay_secs: retry.retry_delay_seconds,
        reason: retry.retry_reason.clone(),
    }
}

fn deferral_of(defer: &DeferTask, now: Timestamp) -> Defer {
    Defer {
        classpath: defer.classpath.clone(),
        kwargs: kwargs_of(defer.trigger_kwargs.as_ref()),
        timeout_at: deadline(defer.trigger_timeout, now),
        next_method: defer.next_method.clone(),
        next_kwargs: text_of(defer.next_kwargs.as_ref()),
        trigger_queue: defer.queue.clone(),
        rendered_map_index: defer.rendered_map_index.clone(),
    }
}

/// An object, or a text that the child encrypted itself.
fn kwargs_of(given: Option<&JsonText>) -> TriggerKwargs {
    let text = given.map_or("{}", JsonText::as_str);
    match serde_json::from_str::<String>(text) {
        Ok(sealed) => TriggerKwargs::Sealed(sealed),
        Err(_) => TriggerKwargs::Plain(text.to_owned()),
    }
}

fn deadline(after: Option<TimeDelta>, now: Timestamp) -> Option<Timestamp> {
    after.and_then(|after| now.checked_add(after.0).ok())
}

fn text_of(json: Option<&JsonText>) -> Option<String> {
    json.filter(|json| !json.is_null())
        .map(|json| json.as_str().to_owned())
}

fn outlet_of(profile: &AssetProfile) -> Option<TaskOutlet> {
    let (name, uri) = (profile.name.clone(), profile.uri.clone());
    match profile.r#type.as_str() {
        "Asset" => Some(TaskOutlet::Asset {
            name: name?,
            uri: uri?,
        }),
        "AssetNameRef" => Some(TaskOutlet::NameRef { name: name? }),
        "AssetUriRef" => Some(TaskOutlet::UriRef { uri: uri? }),
        "AssetAlias" => Some(TaskOutlet::Alias { name: name? }),
        other => {
            warn!(r#type = other, "left out an outlet of an unknown type");
            None
        }
    }
}

/// Source: runtime protocols §1.8, below the table.
fn event_of(event: &JsonText) -> Option<OutletEvent> {
    let event: Value = serde_json::from_str(event.as_str()).ok()?;
    let key = event.get("dest_asset_key")?;
    let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
    Some(OutletEvent {
        asset_name: text(key, "name")?,
        asset_uri: text(key, "uri")?,
        source_alias: text(&event, "source_alias_name"),
        asset_extra: event.get("dest_asset_extra").cloned().unwrap_or_default(),
        extra: event.get("extra").cloned().unwrap_or_default(),
        partition_key: text(&event, "partition_key"),
    })
}

fn not_ours(status: u16, message: &str) -> Failure {
    Failure {
        kind: FailureKind::NotOurs,
        error: ErrorResponse::api_server_error(status, message),
    }
}
