//! `dagrun_timeout`: a run that takes too long fails, and so does everything it still had to do.
//!
//! Source: §0.4 step 2.

use jiff::Timestamp;
use updraft_model::serialized::DagAttributes;
use updraft_model::{DagRunState, TaskInstanceState};

use crate::Because;
use crate::because::just_after;
use crate::run::view::{RunFacts, RunView};
use crate::run::{DagCallback, InstanceFields, RunEnd, RunEndReason, RunPlan, TaskInstanceChange};
use crate::run_state::RunTimes;

/// The first moment at which the run has timed out: strictly after its timeout.
#[must_use]
pub fn times_out_at(dag: &DagAttributes, run: &RunFacts) -> Option<Timestamp> {
    let end = run.start_date?.checked_add(dag.dagrun_timeout?).ok()?;
    Some(just_after(end))
}

/// Ends a run that has timed out; `None` for one that has not. To be asked before
/// [`crate::run::plan_to_fixpoint`].
#[must_use]
pub fn plan_run_timeout(view: &RunView<'_>, now: Timestamp) -> Option<RunPlan> {
    let at = times_out_at(view.dag.attributes(), &view.run)?;
    if at > now {
        return None;
    }
    let run = &view.run;
    let unfinished = || {
        let rows = view.task_instances.iter();
        rows.filter(|ti| !ti.state.is_finished())
    };
    let last = unfinished()
        .filter(|ti| ti.start_date.is_some())
        .max_by_key(|ti| ti.start_date);
    let times = RunTimes {
        queued_at: run.queued_at,
        start_date: run.start_date,
        end_date: run.end_date,
    };
    let changes = unfinished().map(|ti| TaskInstanceChange {
        id: ti.id,
        task_id: ti.task_id.clone(),
        map_index: ti.map_index,
        from: ti.state,
        // Quirk §0.4: only the state changes; there is no end date.
        to: InstanceFields {
            state: TaskInstanceState::Skipped,
            try_number: ti.try_number,
            start_date: ti.start_date,
            end_date: ti.end_date,
            duration: None,
            scheduled_dttm: None,
            deferral: None,
        },
        because: Because::RunTimedOut,
    });
    Some(RunPlan {
        changes: changes.collect(),
        end: Some(RunEnd {
            state: DagRunState::Failed,
            reason: RunEndReason::TimedOut,
            times: times.after(Some(run.state), DagRunState::Failed, now),
            // Quirk §0.4: requested whether or not the Dag has such a callback.
            callback: Some(DagCallback {
                is_failure: true,
                msg: RunEndReason::TimedOut.as_str(),
                last_ti: last.map(|ti| (ti.task_id.clone(), ti.map_index)),
            }),
            check_consecutive_failures: None,
            prune_deadlines: false,
        }),
        is_settled: true,
        ..RunPlan::default()
    })
}
