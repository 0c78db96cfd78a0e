//! What becomes of rows that may run.
//!
//! Source: §4.9. Pools and limits do not matter here; they act when rows are queued.

use jiff::{SignedDuration, Timestamp};
use updraft_model::TaskInstanceState;
use updraft_model::serialized::{StartTrigger, Task};

use super::board::{At, Board};
use super::plan::Deferral;
use crate::Because;

use TaskInstanceState as S;

impl Board<'_> {
    /// Schedules the rows; trivially empty ones succeed, some start in the triggerer.
    pub(super) fn schedule(&mut self, ready: &[At]) {
        for at in ready {
            self.schedule_one(*at);
        }
    }

    fn schedule_one(&mut self, at: At) {
        let now = self.now;
        let task = self.task_of(at);
        let instance = &mut self.instances[at];
        // A sensor that looks again is still in the same try.
        if instance.state != S::UpForReschedule {
            instance.try_number += 1;
        }
        if task.is_trivially_empty() {
            instance.start_date = Some(now);
            instance.end_date = Some(now);
            instance.duration = Some(SignedDuration::ZERO);
            self.assign_state(at, S::Success, Because::TriviallyEmpty);
        } else if let Some(start) = &task.start_trigger {
            instance.start_date = Some(now);
            instance.deferral = Some(plan_deferral(task, start, now));
            self.assign_state(at, S::Deferred, Because::DependenciesMet);
        } else {
            instance.scheduled_dttm = Some(now);
            self.assign_state(at, S::Scheduled, Because::DependenciesMet);
        }
    }
}

/// The trigger must fire in its own time and in that of the task.
fn plan_deferral(task: &Task, start: &StartTrigger, now: Timestamp) -> Deferral {
    let timeout = match (start.timeout, task.execution_timeout) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    Deferral {
        trigger_timeout: timeout.and_then(|timeout| now.checked_add(timeout).ok()),
    }
}
