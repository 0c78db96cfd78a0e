//! Task instances that wait for triggers: none without a trigger's row, none twice for one trigger,
//! none at the cost of a try.

use std::collections::BTreeSet;

use serde_json::Value;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{TaskInstanceState, TriggerId};
use updraft_store::{FAIL_METHOD, Reader, RunKey};

use super::{Oracle, Snapshot, place_of};
use crate::actor::Cause;
use crate::child::Child;

/// What is known of triggers.
#[derive(Debug, Default)]
pub(super) struct Deferrals {
    /// Every trigger that a task instance has waited for.
    seen: BTreeSet<TriggerId>,
    /// The deferrals whose event has let a child go on.
    served: BTreeSet<i64>,
}

/// What is wrong with the change of a row into or out of a deferral, if anything.
pub(super) fn judge(cause: &Cause, old: &TaskInstance, new: &TaskInstance) -> Option<String> {
    use TaskInstanceState as S;
    let (was, is) = (old.state == S::Deferred, new.state == S::Deferred);
    if *cause == Cause::Triggerer && !was {
        return Some("a trigger changed a row that did not wait for one".to_owned());
    }
    if is && new.trigger_id.is_none() {
        return Some("it waits for no trigger".to_owned());
    }
    if was == is {
        return None;
    }
    // Who ends without going on may name it until its row is deleted.
    if new.state == S::Scheduled && new.trigger_id.is_some() {
        return Some("it goes on and still names a trigger".to_owned());
    }
    if matches!(cause, Cause::Client(_)) {
        return None;
    }
    if new.try_number != old.try_number {
        return Some("a deferral cost a try".to_owned());
    }
    let is_same_try = is || new.state == S::Scheduled;
    (is_same_try && new.id != old.id).then(|| "a deferral began another try".to_owned())
}

impl Oracle {
    /// Each task instance that waits has the row of its trigger.
    pub(super) async fn check_triggers(&mut self, reader: &mut Reader, run: &Snapshot) {
        let deferred = |ti: &&TaskInstance| ti.state == TaskInstanceState::Deferred;
        let waiting: Vec<&TaskInstance> = run.instances.values().filter(deferred).collect();
        let ids: Vec<TriggerId> = waiting.iter().filter_map(|ti| ti.trigger_id).collect();
        if waiting.is_empty() {
            return;
        }
        self.deferrals.seen.extend(ids.iter().copied());
        let there = reader
            .load_trigger_kinds(&ids)
            .await
            .expect("the inspector reads");
        let lost = waiting.iter().find(|ti| {
            let trigger = ti.trigger_id;
            trigger.is_none_or(|id| !there.contains_key(&id))
        });
        if let Some(lost) = lost {
            let text = format!(
                "{}/{}/{}[{}] waits for a trigger without a row: {:?}",
                lost.dag_id, lost.run_id, lost.task_id, lost.map_index, lost.trigger_id
            );
            self.violated(|| text);
        }
    }

    /// A child goes on after a deferral, if it does.
    pub(crate) fn on_resumed(&mut self, child: &Child, kwargs: &Value) {
        let Some(method) = &child.resumes_with else {
            return;
        };
        let place = place_of(&child.workload);
        let account = self.accounts.entry(place.clone()).or_default();
        account.resumed += 1;
        if account.resumed > account.deferred {
            let (resumed, deferred) = (account.resumed, account.deferred);
            self.violated(|| {
                format!(
                    "{place:?} goes on for the {resumed}. time, but has waited {deferred} times"
                )
            });
        }
        if method == FAIL_METHOD {
            return;
        }
        let (token, event) = (kwargs["token"].as_i64(), kwargs["event"].as_i64());
        if token.is_none() || token != event {
            self.violated(|| format!("{place:?} waited for {token:?} and is told {event:?}"));
        }
        if let Some(token) = token
            && !self.deferrals.served.insert(token)
        {
            self.violated(|| format!("{place:?} goes on a second time for trigger {token}"));
        }
    }

    /// Whether there is any trigger of a task instance.
    pub(crate) async fn has_triggers(&self) -> bool {
        let ids: Vec<TriggerId> = self.deferrals.seen.iter().copied().collect();
        let mut reader = self.inspector.read().await.expect("the inspector reads");
        let left = reader.load_trigger_kinds(&ids).await;
        !left.expect("the inspector reads").is_empty()
    }

    pub(super) fn runs_with_deferred(&self) -> impl Iterator<Item = RunKey> {
        let waits = |ti: &TaskInstance| ti.state == TaskInstanceState::Deferred;
        let runs = self.runs.iter();
        runs.filter(move |(_, run)| run.instances.values().any(waits))
            .map(|(key, _)| key.clone())
    }
}
