//! Which change of a row may be made by whom.

use std::collections::BTreeMap;

use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagRunState, TaskInstanceState};

use super::{Oracle, Snapshot, deferral};
use crate::actor::Cause;
use crate::child::{Child, ChildId};
use crate::client::Action;
use crate::faults::FaultKind;

impl Oracle {
    /// What is wrong with the change of a row, if anything.
    pub(super) fn judge(
        &self,
        cause: &Cause,
        old: Option<&TaskInstance>,
        new: Option<&TaskInstance>,
        run: Option<&Snapshot>,
    ) -> Option<String> {
        use TaskInstanceState as S;
        if let Cause::Client(Action::Nonsense(_)) = cause {
            return Some("nonsense changed a row".to_owned());
        }
        let (Some(old), Some(new)) = (old, new) else {
            return None;
        };
        if new.try_number < old.try_number {
            return Some("the number of tries shrank".to_owned());
        }
        let is_filled_again = run.is_some_and(super::is_filled_again);
        let is_explicit = matches!(cause, Cause::Client(_)) || is_filled_again;
        if old.state.is_finished() && new.state != old.state && !is_explicit {
            let is_of_structure = old.state == S::Removed || new.state == S::Removed;
            // As in Airflow, the choice of a branch goes before a failure beside it.
            let is_by_branch = old.state == S::UpstreamFailed && new.state == S::Skipped;
            if !is_of_structure && !is_by_branch {
                return Some("a final state was left without a clear".to_owned());
            }
        }
        if let Some(problem) = deferral::judge(cause, old, new) {
            return Some(problem);
        }
        if let Cause::Worker(by) = cause
            && *by != old.id
        {
            return self.judge_bystander(*by, old, new, run);
        }
        None
    }

    /// A worker changed a row that is not the one of its try.
    fn judge_bystander(
        &self,
        by: updraft_model::TaskInstanceId,
        old: &TaskInstance,
        new: &TaskInstance,
        run: Option<&Snapshot>,
    ) -> Option<String> {
        use TaskInstanceState as S;
        let place = self.tries.get(&by);
        let is_own = place.is_some_and(|(key, instance)| {
            key.dag_id == old.dag_id
                && key.run_id == old.run_id
                && instance.0 == old.task_id.as_str()
                && instance.1 == old.map_index.0
        });
        if is_own {
            // Its successor may begin, now that the process is gone.
            let is_release = old.state == S::Restarting && new.state == S::NoStatus;
            return (!is_release)
                .then(|| "a late message of an old try changed the row".to_owned());
        }
        let is_current = run.is_some_and(|run| run.instances.values().any(|ti| ti.id == by));
        let skips = new.state == S::Skipped;
        if skips && is_current {
            return None;
        }
        // `fail_fast` ends the others.
        let has_failed = run.is_some_and(|run| {
            let failed = |ti: &TaskInstance| matches!(ti.state, S::Failed | S::UpForRetry);
            run.instances.values().any(failed)
        });
        if has_failed && matches!(new.state, S::Skipped | S::Failed) {
            return None;
        }
        Some("a worker changed a row that is none of its business".to_owned())
    }

    pub(super) fn judge_run(
        &mut self,
        cause: &Cause,
        name: &str,
        was: Option<DagRunState>,
        is: Option<DagRunState>,
        is_filled_again: bool,
    ) {
        let was_finished = was.is_some_and(DagRunState::is_finished);
        let is_explicit = matches!(cause, Cause::Client(_)) || is_filled_again;
        if was_finished && is != was && !is_explicit {
            self.violated(|| format!("{name} left its final state, by {cause:?}"));
        }
        if was.is_some() && is.is_none() && !matches!(cause, Cause::Client(Action::DeleteRun(_))) {
            self.violated(|| format!("{name} is gone, by {cause:?}"));
        }
    }

    /// A child whose row is no longer running as this try: whoever took it away needs a reason.
    pub(super) fn release_children(
        &mut self,
        cause: &Cause,
        who: &str,
        old: Option<&TaskInstance>,
        new: Option<&TaskInstance>,
        children: &mut BTreeMap<ChildId, Child>,
    ) {
        use TaskInstanceState as S;
        let Some(old) = old else { return };
        let goes_on = new.is_some_and(|new| new.id == old.id && new.state == S::Running);
        if goes_on || old.state != S::Running {
            return;
        }
        for (id, child) in children {
            if child.workload.ti_id != old.id || child.is_released {
                continue;
            }
            child.is_released = true;
            let is_supervised = child.is_alive && child.session.is_some();
            // The run timed out, or the Dag lost the task.
            let is_ended_by_rule =
                new.is_none_or(|new| matches!(new.state, S::Skipped | S::Removed));
            if *cause == Cause::Scheduler && is_supervised && !is_ended_by_rule {
                let may_be_silent = [
                    FaultKind::SlowStore,
                    FaultKind::BrokenStore,
                    FaultKind::Freeze,
                    FaultKind::Clocks,
                ];
                let has_excuse = may_be_silent.iter().any(|kind| self.faults.contains(kind));
                if !has_excuse {
                    let text = format!("{who} was declared dead while {} ran well", id.0);
                    self.violated(|| text);
                }
            }
        }
    }
}
