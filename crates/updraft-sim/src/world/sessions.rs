//! Workers: what the machine of a session wants is done here, as `updraft-worker` does it with real
//! children.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::oneshot;
use updraft_execution::AnswerOptions;
use updraft_executor::{Outcome as ExecutorOutcome, Workload};
use updraft_model::TaskInstanceId;
use updraft_runtime::CancellationToken;
use updraft_store::Change;
use updraft_task_comms::masker::MaskerConfig;
use updraft_task_comms::session::{
    Channel, Conclusion, Effect, Event as SessionEvent, ExitStatus, SessionConfig, Signal,
    StopReason, StoreCall,
};
use updraft_worker::{Outcome, Rows, WorkerOptions, assignment_of, superseded};

use super::World;
use super::events::{Event, Signalled};
use super::hosts::run_rules;
use crate::actor::{Cause, Done};
use crate::child::ChildId;
use crate::session::{Session, SessionId};

/// Elements that a mapped task may have: `[core] max_map_length`.
pub(super) const MAP_LENGTH: u32 = 1_024;

impl World {
    /// The zygote forked a child, or could not.
    pub(super) fn on_fork(
        &mut self,
        at: usize,
        life: u64,
        workload: Workload,
        finish: Option<oneshot::Sender<ExecutorOutcome>>,
    ) {
        if !self.hosts[at].is_life(life) {
            return;
        }
        let assignment = assignment_of(&workload).expect("every drawn Dag has a version");
        let config = SessionConfig {
            heartbeat_interval: Duration::from_secs(60),
            ..SessionConfig::default()
        };
        let host = &self.hosts[at];
        let options = WorkerOptions {
            log_folder: PathBuf::from("/logs"),
            hostname: host.name.clone(),
            unixname: "sim".to_owned(),
            session: config.clone(),
            callback_timeout: None,
            masker: MaskerConfig::default(),
            answers: AnswerOptions {
                map_length_max: MAP_LENGTH,
                run_rules: run_rules(),
                clock: host.clock.clone(),
                ids: host.ids.clone(),
                python: None,
            },
        };
        let rows = Rows::new(
            host.store.clone(),
            host.clock.clone(),
            host.ids.clone(),
            &workload,
            &options,
        );
        let is_second = finish.is_none();
        let (began, elapsed) = (host.time.elapsed(), self.elapsed);
        self.sessions_made += 1;
        let id = SessionId(self.sessions_made);
        let fails = self.dice.chance(self.rates.child_dies / 10.0);
        let child = self.make_child(at, id, workload.clone());
        let rows = rows.for_child(child.0);
        let session = Session {
            host: at,
            rows,
            machine: Session::machine_for(assignment, config),
            child,
            began,
            finish,
            tick: None,
            workload,
        };
        debug_assert_eq!(began, elapsed, "all clocks count the same seconds");
        let of = session.workload.clone();
        self.sessions.insert(id, session);
        self.note(|| {
            let twice = if is_second { " a second time" } else { "" };
            format!("host{at} forks {} for {}{twice}", child.0, name(&of))
        });
        let event = if fails {
            self.children.remove(&child);
            SessionEvent::ForkFailed {
                why: "no memory".to_owned(),
            }
        } else {
            SessionEvent::ForkedChild { pid: child.0 }
        };
        self.on_session_event(id, event);
    }

    pub(super) fn on_session_event(&mut self, id: SessionId, event: SessionEvent) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let moment = session.moment(&self.hosts[session.host].time);
        let effects = session.machine.on_event(event, moment);
        let (host, child, ti_id) = (session.host, session.child, session.workload.ti_id);
        let rows = session.rows.clone();
        let cause = Cause::Worker(ti_id);
        for effect in effects {
            match effect {
                Effect::StartRun { .. } => {
                    let start = rows.clone().start();
                    self.spawn(host, cause.clone(), async move {
                        Done::Session(id, start.await)
                    });
                }
                Effect::Send(bytes) => {
                    let pause = self.dice.duration(Duration::ZERO, Duration::from_millis(2));
                    self.later(pause, Event::ToChild(child, bytes));
                }
                Effect::SendLogChannel(_) => unreachable!("no simulated child asks for one"),
                Effect::Ask { ask, call } => self.ask(id, host, cause.clone(), ask, call),
                Effect::Heartbeat => {
                    let beat = rows.clone().heartbeat();
                    self.spawn(
                        host,
                        cause.clone(),
                        async move { Done::Session(id, beat.await) },
                    );
                }
                Effect::WriteLog(_) | Effect::CloseChannels => {}
                Effect::Signal(signal) => {
                    let signal = match signal {
                        Signal::Terminate => Signalled::Terminate,
                        Signal::Kill => Signalled::Kill,
                    };
                    self.later(Duration::from_millis(1), Event::Signal(child, signal));
                }
                Effect::Finish(conclusion) => self.conclude(id, host, cause.clone(), *conclusion),
            }
        }
        self.arm(id);
    }

    fn ask(
        &mut self,
        id: SessionId,
        host: usize,
        cause: Cause,
        ask: updraft_task_comms::session::AskId,
        call: StoreCall,
    ) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let rows = session.rows.clone();
        if let StoreCall::Outcome(outcome) = &call
            && self.dice.chance(self.rates.doubled)
        {
            // The report arrives once more, much later.
            let (rows, outcome) = (rows.clone(), outcome.clone());
            let clock = self.hosts[host].clock.clone();
            let late = self
                .dice
                .duration(Duration::from_secs(1), Duration::from_secs(900));
            self.spawn(host, cause.clone(), async move {
                clock.sleep(late).await;
                // Whatever it says, nobody waits for the answer.
                drop(rows.finish(outcome).await);
                Done::Nothing
            });
        }
        self.spawn(host, cause, async move {
            let answer = match call {
                StoreCall::Outcome(outcome) => rows.finish(outcome).await,
                StoreCall::Request(request) => rows.answer(request).await,
            };
            Done::Session(id, SessionEvent::StoreAnswer { ask, answer })
        });
    }

    fn conclude(&mut self, id: SessionId, host: usize, cause: Cause, conclusion: Conclusion) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let (rows, workload) = (session.rows.clone(), session.workload.clone());
        let of = name(&workload);
        self.note(|| format!("{of} on host{host} ends: {}", in_words(&conclusion)));
        self.spawn(host, cause, async move {
            let stopping = CancellationToken::new();
            let outcome = rows.conclude(&workload, conclusion, &stopping).await;
            Done::Concluded(id, outcome)
        });
    }

    pub(super) async fn on_concluded(
        &mut self,
        host: usize,
        life: u64,
        id: SessionId,
        outcome: Outcome,
    ) {
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        if let Outcome::Unsettled(why) = &outcome {
            let of = name(&session.workload);
            self.note(|| format!("{of} is left to the scheduler: {why}"));
        }
        let Some(finish) = session.finish else { return };
        let outcome = match outcome {
            Outcome::Settled => ExecutorOutcome::Supervised,
            Outcome::Refused => ExecutorOutcome::Refused,
            Outcome::Unsettled(why) => ExecutorOutcome::Failed(why),
        };
        self.finish_workload(host, life, finish, outcome).await;
    }

    /// Sets the timer of a session.
    fn arm(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let deadline = session.machine.next_deadline();
        let at = deadline.map(|deadline| session.began + deadline);
        if at == session.tick {
            return;
        }
        session.tick = at;
        if let Some(at) = at {
            let event = Event::Tick { session: id, at };
            self.queue.push(at.max(self.elapsed), event);
        }
    }

    pub(super) fn on_tick(&mut self, id: SessionId, at: Duration) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.tick == Some(at) {
            session.tick = None;
            self.on_session_event(id, SessionEvent::Tick);
        }
    }

    pub(super) fn on_exit(&mut self, id: SessionId, status: ExitStatus) {
        self.on_session_event(id, SessionEvent::Exited(status));
        for channel in [
            Channel::Requests,
            Channel::Stdout,
            Channel::Stderr,
            Channel::Logs,
        ] {
            self.on_session_event(id, SessionEvent::ChannelClosed(channel));
        }
    }

    /// A hint may mean that a running try is no longer wanted.
    pub(super) fn check_running(&mut self, host: usize, change: &Change) {
        let is_meant = |session: &Session| match change {
            Change::DagRun { dag_id, run_id } => {
                session.workload.dag_id == *dag_id && session.workload.run_id == *run_id
            }
            Change::Everything => true,
            _ => false,
        };
        let ids: Vec<TaskInstanceId> = self
            .sessions
            .values()
            .filter(|session| session.host == host && is_meant(session))
            .map(|session| session.workload.ti_id)
            .collect();
        if ids.is_empty() {
            return;
        }
        let store = self.hosts[host].store.clone();
        self.spawn(host, Cause::Worker(ids[0]), async move {
            // When the store fails, the heartbeats find out.
            Done::Superseded(superseded(&store, &ids).await.unwrap_or_default())
        });
    }

    pub(super) fn on_superseded(&mut self, host: usize, tries: &[TaskInstanceId]) {
        let ids: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.host == host && tries.contains(&session.workload.ti_id))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.on_session_event(id, SessionEvent::StopRequested(StopReason::Superseded));
        }
    }

    /// The session that a child speaks to.
    pub(super) fn session_of(&self, child: ChildId) -> Option<SessionId> {
        let session = self.children.get(&child)?.session?;
        self.sessions.contains_key(&session).then_some(session)
    }
}

/// How a try is called in the log.
pub(super) fn name(workload: &Workload) -> String {
    let Workload {
        dag_id,
        run_id,
        task_id,
        map_index,
        try_number,
        ..
    } = workload;
    match map_index.is_mapped() {
        true => format!("{dag_id}/{run_id}/{task_id}[{map_index}] try {try_number}"),
        false => format!("{dag_id}/{run_id}/{task_id} try {try_number}"),
    }
}

fn in_words(conclusion: &Conclusion) -> String {
    match conclusion {
        Conclusion::NotStarted { why } => format!("not started, {why}"),
        Conclusion::Refused(failure) => {
            let detail = failure.error.detail.as_ref().map(ToString::to_string);
            format!("refused, {}", detail.unwrap_or_default())
        }
        Conclusion::Completed { state, .. } => (*state).to_owned(),
        Conclusion::Superseded { .. } => "superseded".to_owned(),
        Conclusion::Undelivered { .. } => "undelivered".to_owned(),
        Conclusion::Crashed(crash) => format!("crashed, {}", crash.reason),
    }
}
