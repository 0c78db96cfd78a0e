//! What triggers did, on its way into the store.

use std::collections::BTreeSet;

use tracing::warn;
use updraft_execution::{Fired, FiredTrigger, TriggerEvents};
use updraft_model::TriggerId;
use updraft_task_comms::session::triggerer::{Event, Report};

use super::calls::Done;
use super::{ChildNumber, Triggerer};
use crate::workload::Unrunnable;

/// Airflow takes such an end for the answer to a cancellation of its own, and starts the trigger
/// again and again while the task instance waits for ever.
const SILENT_END: &str = "The trigger was cancelled from within itself before it had any event\n";

/// A report that is stored.
pub(super) struct Reported {
    events: TriggerEvents,
    /// The child whose report it was. `None`: ours, about triggers that cannot run.
    child: Option<ChildNumber>,
    fired: Vec<TriggerId>,
    failed: BTreeSet<TriggerId>,
    finished: Vec<TriggerId>,
}

impl Triggerer {
    /// Stores what the child's triggers did.
    pub(super) fn begin_report(&mut self, report: Report) {
        let events = report.events.into_iter().map(|entry| FiredTrigger {
            id: TriggerId(entry.0),
            fired: Fired::Event(entry.1),
        });
        let failures = report.failures.into_iter().map(|(id, lines)| FiredTrigger {
            id: TriggerId(id),
            fired: Fired::Failed(lines),
        });
        let fired = events.chain(failures).collect();
        let finished = report.finished.into_iter().map(TriggerId).collect();
        self.begin_storing(fired, finished, Some(self.child));
    }

    /// Lets whoever waits for triggers know that these cannot run.
    pub(super) fn fail_unrunnable(&mut self, unrunnable: Vec<Unrunnable>) {
        if unrunnable.is_empty() {
            return;
        }
        let fired = unrunnable
            .into_iter()
            .map(|one| {
                warn!(trigger_id = one.id.0, why = one.why, "a trigger cannot run");
                FiredTrigger {
                    id: one.id,
                    fired: Fired::Failed(Some(vec![one.why])),
                }
            })
            .collect();
        self.begin_storing(fired, Vec::new(), None);
    }

    fn begin_storing(
        &mut self,
        fired: Vec<FiredTrigger>,
        finished: Vec<TriggerId>,
        child: Option<ChildNumber>,
    ) {
        // Two at once happen only around the death of a child; what was parsed is parsed again.
        let mut events = self.events.take().unwrap_or_default();
        let (rows, shutdown) = (self.rows.clone(), self.tasks.shutdown());
        self.call(async move {
            rows.report(&mut events, &fired, &shutdown).await;
            let of = |is_failure: bool| {
                let matching =
                    move |one: &&FiredTrigger| matches!(one.fired, Fired::Failed(_)) == is_failure;
                fired.iter().filter(matching).map(|one| one.id)
            };
            Done::Reported(Box::new(Reported {
                child,
                fired: of(false).collect(),
                failed: of(true).collect(),
                finished,
                events,
            }))
        });
    }

    pub(super) async fn on_reported(&mut self, reported: Reported) {
        self.events = Some(reported.events);
        let now = self.clock.monotonic();
        for id in &reported.fired {
            self.roster.on_event(*id, now);
        }
        let mut silent = Vec::new();
        for id in &reported.finished {
            let has_failed = reported.failed.contains(id);
            if self.roster.on_finished(*id, has_failed, now) {
                let why = SILENT_END.to_owned();
                silent.push(Unrunnable { id: *id, why });
            }
            self.logs.finish(*id);
        }
        self.fail_unrunnable(silent);
        // Room for others.
        self.wanted.claim |= !reported.finished.is_empty();
        if let Some(child) = reported.child {
            self.tell_that_child(child, Event::Stored).await;
        }
    }
}
