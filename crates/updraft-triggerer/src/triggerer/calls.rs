//! What is asked of the store, beside the loop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tracing::{info, warn};
use updraft_execution::{Asker, LogNames, Structures, answer, chain};
use updraft_model::job::JobType;
use updraft_model::{JobId, TriggerId};
use updraft_python::ChildHandle;
use updraft_runtime::Clock;
use updraft_store::{Error, Store, TriggerClaim};
use updraft_task_comms::message::StoreRequest;
use updraft_task_comms::session::{Answer, AskId};

use super::reports::Reported;
use super::{Call, ChildNumber, Running, Triggerer};
use crate::trace::Trace;
use crate::workload::{Unrunnable, Workload};

/// Triggers that are prepared for the child at once.
const LOADED_AT_ONCE_MAX: usize = 500;

/// Unneeded triggers that one transaction deletes.
const DELETED_AT_ONCE_MAX: i64 = 1_000;

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

/// What was prepared for the child.
pub(super) struct Loaded {
    /// What was asked for; whatever is in neither list is not needed any more.
    wanted: Vec<TriggerId>,
    workloads: Vec<Workload>,
    unrunnable: Vec<Unrunnable>,
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
        let (store, job) = (self.store.clone(), self.job.id());
        let free = self.options.capacity - self.roster.len();
        let (limit, queues) = (
            self.options.claimed_at_once_max,
            self.options.queues.clone(),
        );
        self.call(async move {
            let claim = TriggerClaim {
                triggerer: job,
                free,
                limit,
                queues: &queues,
            };
            Done::Claimed(store.retry(|| claim_some(&store, &claim)).await)
        });
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
        let (store, job) = (self.store.clone(), self.job.id());
        let held = self.roster.ids();
        self.call(async move {
            let needed = async {
                let needed = store.read().await?.load_needed_triggers(job).await?;
                Ok(needed)
            };
            Done::Checked {
                held,
                needed: needed.await,
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
        let store = self.store.clone();
        self.tasks.spawn(
            "triggerer.clean",
            updraft_runtime::OnExit::Log,
            async move {
                store
                    .retry(|| async {
                        let mut tx = store.write().await?;
                        tx.delete_unneeded_triggers(DELETED_AT_ONCE_MAX).await?;
                        tx.commit().await
                    })
                    .await
            },
        );
    }

    /// Prepares some of the triggers that wait to be handed to the child.
    pub(super) fn begin_load(&mut self) {
        let ids = self.roster.waiting(LOADED_AT_ONCE_MAX);
        if self.calls.loads || ids.is_empty() {
            return;
        }
        self.calls.loads = true;
        let store = self.store.clone();
        let names = self.options.log_names.clone();
        self.call(async move { Done::Loaded(load(&store, ids, &names).await) });
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
        let (job, store, clock) = (self.job.clone(), self.store.clone(), self.clock.clone());
        let silence = self.options.deadly_silence();
        self.call(async move {
            let beaten = async {
                let is_alive = job.beat().await?;
                bury_dead_triggerers(&store, job.id(), silence, &clock).await?;
                Ok(is_alive)
            };
            Done::Beaten(beaten.await)
        });
    }
}

async fn claim_some(store: &Store, claim: &TriggerClaim<'_>) -> Result<Vec<TriggerId>, Error> {
    if !store.read().await?.has_free_triggers(claim.queues).await? {
        return Ok(Vec::new());
    }
    let mut tx = store.write().await?;
    let claimed = tx.claim_triggers(claim).await?;
    tx.commit().await?;
    Ok(claimed)
}

async fn load(
    store: &Store,
    wanted: Vec<TriggerId>,
    log_names: &LogNames,
) -> Result<Loaded, Error> {
    let mut reader = store.read().await?;
    let mut loaded = Loaded {
        workloads: Vec::with_capacity(wanted.len()),
        unrunnable: Vec::new(),
        wanted,
    };
    let mut structures = Structures::default();
    for runnable in reader.load_runnable_triggers(&loaded.wanted).await? {
        match Workload::prepare(&mut reader, runnable, &mut structures, log_names).await? {
            Ok(workload) => loaded.workloads.push(workload),
            Err(unrunnable) => loaded.unrunnable.push(unrunnable),
        }
    }
    Ok(loaded)
}

/// Declares triggerers dead that have been silent for too long, or all but us, and sets their
/// triggers free.
pub(super) async fn bury_dead_triggerers(
    store: &Store,
    own: JobId,
    silence: Option<Duration>,
    clock: &Clock,
) -> Result<(), Error> {
    let now = clock.now();
    let since = silence.map(|silence| {
        let silence = SignedDuration::try_from(silence).unwrap_or(SignedDuration::MAX);
        now.checked_sub(silence).unwrap_or(jiff::Timestamp::MIN)
    });
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            let dead = match since {
                Some(since) => tx.fail_dead_jobs(JobType::Triggerer, since, now).await?,
                None => tx.fail_other_jobs(JobType::Triggerer, own, now).await?,
            };
            let released = tx.release_orphaned_triggers().await?;
            tx.commit().await?;
            if !dead.is_empty() || released > 0 {
                warn!(jobs = ?dead, released, "took triggers from triggerers that are dead");
            }
            Ok(())
        })
        .await
}
