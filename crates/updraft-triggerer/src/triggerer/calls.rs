//! What is asked of the store, beside the loop.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::{info, warn};
use updraft_execution::{Asker, answer, chain};
use updraft_model::TriggerId;
use updraft_python::ChildHandle;
use updraft_store::Error;
use updraft_task_comms::message::StoreRequest;
use updraft_task_comms::session::{Answer, AskId};

use super::reports::Reported;
use super::{Call, ChildNumber, Running, Triggerer};
use crate::rows::Loaded;
use crate::trace::Trace;
use crate::workload::Workload;

/// Triggers that are prepared for the child at once.
const LOADED_AT_ONCE_MAX: usize = 500;

/// Calls that are under way: at most one of each kind but answers.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) running: Running,
    pub(super) spawns: bool,
    pub(super) claims: bool,
    pub(super) checks: bool,
    pub(super) loads: bool,
    pub(super) beats: bool,
}

/// The end of a call.
pub(super) enum Done {
    Spawned(Result<(ChildHandle, Trace), String>),
    Claimed(Result<Vec<TriggerId>, Error>),
    Checked {
        /// What was held when the question was put.
        held: Vec<TriggerId>,
        needed: Result<BTreeSet<TriggerId>, Error>,
    },
    Loaded(Result<Loaded, Error>),
    Answered {
        child: ChildNumber,
        ask: AskId,
        answer: Answer,
    },
    Reported(Box<Reported>),
    Beaten(Result<bool, Error>),
}

impl Triggerer {
    pub(super) fn call(&self, call: impl Future<Output = Done> + Send + 'static) {
        let call: Call = Box::pin(call);
        self.calls.running.push(call);
    }

    pub(super) fn begin_claim(&mut self) {
        if self.calls.claims {
            return;
        }
        self.calls.claims = true;
        self.wanted.claim = false;
        let rows = self.rows.clone();
        let free = self.options.capacity - self.roster.len();
        self.call(async move { Done::Claimed(rows.claim(free).await) });
    }

    pub(super) fn on_claimed(&mut self, claimed: Result<Vec<TriggerId>, Error>) {
        self.calls.claims = false;
        match claimed {
            Ok(ids) => {
                // Others get their turn, then we look for more.
                self.wanted.claim |= !ids.is_empty();
                self.roster.add(&ids);
            }
            Err(error) => warn!(error = chain(&error), "failed to claim triggers"),
        }
    }

    pub(super) fn begin_check(&mut self) {
        self.calls.checks = true;
        self.wanted.check = false;
        let rows = self.rows.clone();
        let held = self.roster.ids();
        self.call(async move {
            Done::Checked {
                held,
                needed: rows.load_needed().await,
            }
        });
    }

    pub(super) async fn on_checked(
        &mut self,
        held: &[TriggerId],
        needed: Result<BTreeSet<TriggerId>, Error>,
    ) {
        self.calls.checks = false;
        let needed = match needed {
            Ok(needed) => needed,
            Err(error) => {
                warn!(
                    error = chain(&error),
                    "failed to check which triggers are needed"
                );
                return;
            }
        };
        let now = self.clock.monotonic();
        let (to_cancel, missing) = self.roster.on_needed(held, &needed, now);
        // A claim that is under way is added when it is reported.
        if !self.calls.claims {
            self.roster.add(&missing);
        }
        if !to_cancel.is_empty() {
            info!(
                count = to_cancel.len(),
                "stopping triggers that nobody needs any more"
            );
        }
        self.cancel(&to_cancel).await;
        if held.iter().any(|id| !needed.contains(id)) {
            self.begin_cleaning();
        }
    }

    /// Deletes the rows of triggers that nobody needs.
    pub(super) fn begin_cleaning(&self) {
        let rows = self.rows.clone();
        self.tasks.spawn(
            "triggerer.clean",
            updraft_runtime::OnExit::Log,
            async move { rows.clean().await },
        );
    }

    /// Prepares some of the triggers that wait to be handed to the child.
    pub(super) fn begin_load(&mut self) {
        let ids = self.roster.waiting(LOADED_AT_ONCE_MAX);
        if self.calls.loads || ids.is_empty() {
            return;
        }
        self.calls.loads = true;
        let rows = self.rows.clone();
        self.call(async move { Done::Loaded(rows.load(ids).await) });
    }

    pub(super) async fn on_loaded(&mut self, loaded: Result<Loaded, Error>) {
        self.calls.loads = false;
        match loaded {
            Ok(loaded) => self.hand_over(loaded).await,
            Err(error) => {
                warn!(error = chain(&error), "failed to load triggers");
                self.pause_after_failure();
            }
        }
    }

    async fn hand_over(&mut self, loaded: Loaded) {
        let takes_triggers = self
            .runner
            .as_ref()
            .is_some_and(|runner| runner.takes_triggers());
        if !takes_triggers {
            // They wait for the next child.
            return;
        }
        let there: BTreeSet<TriggerId> = loaded.workloads.iter().map(Workload::id).collect();
        for id in loaded.wanted.iter().filter(|id| !there.contains(id)) {
            self.roster.remove(*id);
        }
        if there.len() < loaded.wanted.len() {
            self.begin_cleaning();
        }
        let mut started = Vec::with_capacity(loaded.workloads.len());
        for workload in loaded.workloads {
            let id = workload.id();
            if !self.roster.is_waiting(id) {
                // Nobody needs it any more.
                continue;
            }
            self.roster.on_started(id, workload.kind, workload.run());
            if let Some(log_path) = &workload.log_path {
                self.logs.begin(id, log_path);
            }
            started.push(workload.run_trigger);
        }
        self.fail_unrunnable(loaded.unrunnable);
        self.tell_child(updraft_task_comms::session::triggerer::Event::Start(
            started,
        ))
        .await;
    }

    pub(super) fn begin_answer(&self, ask: AskId, request: StoreRequest) {
        let (store, child) = (self.store.clone(), self.child);
        let asker = Asker::Trigger(Arc::new(self.options.answers.clone()));
        self.call(async move {
            let answer = answer(&store, &asker, request).await;
            Done::Answered { child, ask, answer }
        });
    }

    pub(super) fn begin_heartbeat(&mut self) {
        if self.calls.beats {
            return;
        }
        self.calls.beats = true;
        let rows = self.rows.clone();
        self.call(async move { Done::Beaten(rows.beat().await) });
    }
}
