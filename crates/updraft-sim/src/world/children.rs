//! What children really do.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use updraft_executor::Workload;
use updraft_task_comms::frame::{BadFrame, FrameProblem};
use updraft_task_comms::session::{Event as SessionEvent, ExitStatus};

use updraft_store::FAIL_METHOD;

use super::World;
use super::events::{Event, Signalled};
use super::sessions::name;
use crate::child::{Child, ChildId, Mischief, frame, outcome};
use crate::dags::{Behaviour, Ending, Step};
use crate::session::SessionId;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

impl World {
    pub(super) fn make_child(
        &mut self,
        host: usize,
        session: SessionId,
        workload: Workload,
    ) -> ChildId {
        self.children_made += 1;
        let id = ChildId(self.children_made);
        let mischief = self.dice.chance(self.rates.child_misbehaves).then(|| {
            *self.dice.choose(&[
                Mischief::Deaf,
                Mischief::Lingering,
                Mischief::Garbage,
                Mischief::Twice,
                Mischief::Silent(0),
                Mischief::Silent(1),
            ])
        });
        let child = Child {
            host,
            session: Some(session),
            workload,
            has_started: false,
            is_alive: true,
            is_released: false,
            should_retry: false,
            resumes_with: None,
            steps: Vec::new(),
            at: 0,
            waits_for: None,
            requests: 0,
            reported: None,
            mischief,
            outlet: None,
        };
        self.children.insert(id, child);
        id
    }

    /// The worker wrote something to the child.
    pub(super) fn on_frame_to_child(&mut self, id: ChildId, bytes: &Bytes) {
        let Some(child) = self.children.get_mut(&id).filter(|child| child.is_alive) else {
            return;
        };
        let (request, body, is_error) = Child::read(bytes);
        if !child.has_started {
            let context = body["ti_context"].clone();
            return self.start_child(id, &context);
        }
        if child.waits_for != Some(request) {
            return;
        }
        child.waits_for = None;
        if child.reported.is_some() {
            return self.on_outcome_answered(id, is_error);
        }
        if is_error {
            // An exception in user code.
            child.steps = vec![Step::End(Ending::Failure)];
            child.at = 0;
        }
        self.later(Duration::from_millis(1), Event::Child(id));
    }

    /// User code begins.
    fn start_child(&mut self, id: ChildId, context: &serde_json::Value) {
        let child = self.children.get_mut(&id).expect("it was just there");
        child.has_started = true;
        child.should_retry = context["should_retry"].as_bool() == Some(true);
        child.resumes_with = context["next_method"].as_str().map(str::to_owned);
        let fails_at_once = child.resumes_with.as_deref() == Some(FAIL_METHOD);
        let workload = child.workload.clone();
        self.tries += 1;
        let version = &self.versions[workload.dag_id.as_str()];
        let dag = self
            .dags
            .iter()
            .find(|dag| dag.id == workload.dag_id.as_str());
        let dag = dag.expect("children run drawn Dags only");
        let task = dag.versions[*version]
            .tasks
            .get(workload.task_id.as_str())
            .cloned()
            .unwrap_or_default();
        let instance = format!(
            "{}/{}/{}/{}",
            workload.dag_id, workload.run_id, workload.task_id, workload.map_index
        );
        let behaviour = Behaviour::draw(self.setup.seed, &instance, &task);
        let ended = self.oracle.ended_by_themselves(&workload);
        let child = self.children.get_mut(&id).expect("it was just there");
        child.steps = match fails_at_once {
            true => vec![Step::End(Ending::Failure)],
            false => behaviour.attempt(ended),
        };
        child.outlet = task.outlet;
        let of = name(&workload);
        let how = child
            .resumes_with
            .clone()
            .map_or_else(String::new, |method| {
                format!(", with {method} {}", context["next_kwargs"])
            });
        self.note(|| format!("{of} runs as {}{how}", id.0));
        self.oracle.on_child_started(id, &self.children);
        self.oracle
            .on_resumed(&self.children[&id], &context["next_kwargs"]);
        self.later(Duration::from_millis(1), Event::Child(id));
    }

    /// The child goes on with its next step.
    pub(super) fn on_child(&mut self, id: ChildId) {
        let Some(child) = self.children.get_mut(&id).filter(|child| child.is_alive) else {
            return;
        };
        let Some(step) = child.steps.get(child.at).cloned() else {
            return self.end_child(id, ExitStatus::Code(0));
        };
        child.at += 1;
        let workload = child.workload.clone();
        match step {
            Step::Work(time) => {
                self.task_time += time;
                let dies = self.dice.chance(self.rates.child_dies);
                let share = self
                    .dice
                    .duration(Duration::ZERO, time.max(Duration::from_millis(2)));
                if dies {
                    let _ = &workload;
                    return self.later(share, Event::Signal(id, Signalled::Kill));
                }
                self.later(time, Event::Child(id));
            }
            Step::Return { length } => {
                let body = json!({
                    "type": "SetXCom", "key": "return_value", "value": vec![0; length],
                    "dag_id": workload.dag_id.as_str(), "run_id": workload.run_id.as_str(),
                    "task_id": workload.task_id.as_str(), "map_index": workload.map_index.0,
                    "mapped_length": length,
                });
                self.child_asks(id, &body);
            }
            Step::SkipDownstream(tasks) => {
                self.child_asks(id, &json!({"type": "SkipDownstreamTasks", "tasks": tasks}));
            }
            Step::End(ending) => self.child_reports(id, ending),
        }
    }

    fn child_asks(&mut self, id: ChildId, body: &serde_json::Value) {
        let Some(session) = self.session_of(id) else {
            return self.orphan_notices(id);
        };
        let child = self.children.get_mut(&id).expect("it asks");
        let request = child.request(body);
        let event = Event::Session(session, Box::new(SessionEvent::Frame(Ok(request))));
        self.later(Duration::from_millis(1), event);
    }

    fn child_reports(&mut self, id: ChildId, ending: Ending) {
        let Some(session) = self.session_of(id) else {
            return self.orphan_notices(id);
        };
        let now = self.hosts[self.children[&id].host].clock.now();
        let child = self.children.get_mut(&id).expect("it reports");
        let body = outcome(
            ending,
            child.should_retry,
            child.outlet.as_deref(),
            id.0,
            now,
        );
        match child.mischief {
            Some(Mischief::Silent(code)) => return self.end_child(id, ExitStatus::Code(code)),
            Some(Mischief::Garbage) => {
                let bad = BadFrame {
                    id: Some(7),
                    problem: FrameProblem::Empty,
                };
                let odd = frame(8, &json!({"type": "NoSuchMessage", "x": 1}));
                for event in [SessionEvent::Frame(Err(bad)), SessionEvent::Frame(Ok(odd))] {
                    self.later(Duration::ZERO, Event::Session(session, Box::new(event)));
                }
            }
            _ => {}
        }
        let child = self.children.get_mut(&id).expect("it reports");
        child.reported = Some(ending);
        self.oracle.on_reported(child.workload.ti_id, ending);
        let is_twice = child.mischief == Some(Mischief::Twice);
        let request = child.request(&body);
        let other = self.dice.choose(&[Ending::Success, Ending::FailureForGood]);
        let second = frame(999, &outcome(*other, false, None, id.0, now));
        let event = Event::Session(session, Box::new(SessionEvent::Frame(Ok(request))));
        self.later(Duration::from_millis(1), event);
        if is_twice {
            let event = Event::Session(session, Box::new(SessionEvent::Frame(Ok(second))));
            self.later(Duration::from_millis(1), event);
        }
    }

    fn on_outcome_answered(&mut self, id: ChildId, is_error: bool) {
        let child = &self.children[&id];
        if child.mischief == Some(Mischief::Lingering) {
            // It is stopped when its overtime is over.
            return;
        }
        let code = i32::from(is_error);
        let pause = self
            .dice
            .duration(Duration::from_millis(1), Duration::from_secs(2));
        let event = match code {
            0 => Event::Child(id),
            _ => Event::Signal(id, Signalled::Kill),
        };
        self.later(pause, event);
    }

    /// The process that listened is dead: whoever writes to it dies as well.
    fn orphan_notices(&mut self, id: ChildId) {
        let of = name(&self.children[&id].workload);
        self.note(|| format!("{of} finds nobody to report to, and dies"));
        self.end_child(id, ExitStatus::Code(1));
    }

    pub(super) fn on_signal(&mut self, id: ChildId, signal: Signalled) {
        let Some(child) = self.children.get(&id).filter(|child| child.is_alive) else {
            return;
        };
        match signal {
            Signalled::Kill => self.end_child(id, ExitStatus::Signal(SIGKILL)),
            Signalled::Terminate if child.mischief == Some(Mischief::Deaf) => {}
            Signalled::Terminate => self.end_child(id, ExitStatus::Signal(SIGTERM)),
        }
    }

    fn end_child(&mut self, id: ChildId, status: ExitStatus) {
        let session = self.session_of(id);
        let child = self.children.get_mut(&id).expect("it ends");
        child.is_alive = false;
        if let Some(session) = session {
            self.later(Duration::from_millis(1), Event::Exit(session, status));
        }
        // Only what is alive can break a rule.
        self.children.remove(&id);
    }

    /// The process of a machine died: its children live on, with nobody to talk to.
    pub(super) fn orphan_children(&mut self, host: usize) {
        self.sessions.retain(|_, session| session.host != host);
        for child in self.children.values_mut() {
            if child.host == host {
                child.session = None;
            }
        }
    }

    /// A process that starts first kills what an earlier one left running.
    pub(super) fn kill_leftovers(&mut self, host: usize) {
        self.children.retain(|_, child| child.host != host);
    }
}
