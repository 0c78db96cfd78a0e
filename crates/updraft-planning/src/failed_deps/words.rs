//! What Airflow says of a dependency that is not met.

use jiff::Timestamp;
use updraft_model::TriggerRule;
use updraft_model::serialized::TaskIndex;
use updraft_timetable::isoformat;

use super::{DepsView, FailedDep};
use crate::Because;
use crate::run::UpstreamCounts;

/// The name and the words for a reason of the planner.
pub(super) fn failed_dep(
    view: &DepsView<'_>,
    because: &Because,
    now: Timestamp,
) -> Option<FailedDep> {
    let (name, reason) = match because {
        Because::TriggerRule { rule, upstream } => {
            ("Trigger Rule", trigger_rule(view, *rule, upstream)?)
        }
        Because::Setups { upstream } => ("Trigger Rule", setups(view, upstream)),
        Because::TeardownScope { unfinished } => {
            ("Trigger Rule", teardown_scope(view, *unfinished))
        }
        Because::RetryAt(at) => (
            "Not In Retry Period",
            format!(
                "Task is not ready for retry yet but will be retried automatically. Current date \
                 is {} and task will be retried at {}.",
                isoformat(now),
                isoformat(*at)
            ),
        ),
        Because::RescheduleAt(at) => (
            "Ready To Reschedule",
            format!(
                "Task is not ready for reschedule yet but will be rescheduled automatically. \
                 Current date is {} and task will be rescheduled at {}.",
                isoformat(now),
                isoformat(*at)
            ),
        ),
        Because::PastMissing
        | Because::PastUnsuccessful { .. }
        | Because::PastDownstreamUnsuccessful { .. } => ("Previous Dagrun State", past(because)),
        Because::MappedUpstream { .. } => (
            "Mapped dependencies have succeeded",
            "At least one of task's mapped dependencies has not succeeded!".to_owned(),
        ),
        Because::SkippedBy { task_id } => (
            "Not Previously Skipped",
            format!("Skipping because of previous XCom result from parent task {task_id}"),
        ),
        // Nothing else keeps a single dependency from being met.
        _ => return None,
    };
    Some(FailedDep { name, reason })
}

fn past(because: &Because) -> String {
    match because {
        Because::PastUnsuccessful { count } => format!(
            "depends_on_past is true for this task, but {count} previous task instance(s) are not \
             in a successful state."
        ),
        Because::PastDownstreamUnsuccessful { .. } => {
            "The tasks downstream of the previous task instance(s) haven't completed, and \
             wait_for_downstream is True."
                .to_owned()
        }
        _ => "depends_on_past is true for this task's DAG, but the previous task instance has not \
              run yet."
            .to_owned(),
    }
}

/// `None` for the rule that is always satisfied.
fn trigger_rule(view: &DepsView<'_>, rule: TriggerRule, up: &UpstreamCounts) -> Option<String> {
    use TriggerRule as R;
    let left = |accounted: u32| up.expected.saturating_sub(accounted);
    let tasks = u32::try_from(view.task.upstream.len()).unwrap_or(u32::MAX);
    let not_done = i64::from(tasks) - i64::from(up.done());
    let excused = up.success + up.skipped + up.removed;
    let all = "requires all upstream tasks to have";
    let ran = "requires all non-skipped upstream tasks to have completed";
    let what = match rule {
        R::Always => return None,
        R::AllSuccess => {
            let left = left(up.success + up.removed);
            format!("{all} succeeded, but found {left} non-success(es).")
        }
        R::AllFailed => {
            let left = left(up.failed + up.upstream_failed + up.removed);
            format!("{all} failed, but found {left} non-failure(s).")
        }
        R::AllDone => format!("{all} completed, but found {not_done} task(s) that were not done."),
        R::OneSuccess => "requires one upstream task success, but none were found.".to_owned(),
        R::OneFailed => "requires one upstream task failure, but none were found.".to_owned(),
        R::OneDone => {
            "requires at least one upstream task failure or success but none were failed \
                       or success."
                .to_owned()
        }
        R::NoneFailedMinOneSuccess if left(excused) == 0 => {
            "requires at least one upstream task success, but none were found.".to_owned()
        }
        R::NoneFailed | R::NoneFailedMinOneSuccess => {
            let left = left(excused);
            format!("{all} succeeded or been skipped, but found {left} non-success(es).")
        }
        R::NoneSkipped => format!(
            "requires all upstream tasks to not have been skipped, but found {} task(s) skipped.",
            up.skipped
        ),
        R::AllSkipped => {
            let left = left(up.skipped);
            format!("{all} been skipped, but found {left} task(s) in non skipped state.")
        }
        R::AllDoneMinOneSuccess => {
            let not_done = left(up.success + up.failed + up.upstream_failed + up.removed);
            if up.skipped > 0 {
                format!("{ran}, but found {} skipped task(s).", up.skipped)
            } else if not_done > 0 {
                format!("{ran}, but found {not_done} task(s) that were not done.")
            } else {
                format!(
                    "{ran} and at least one upstream task has succeeded, but found 0 successful task(s)."
                )
            }
        }
        R::AllDoneSetupSuccess if up.done() >= up.expected => format!(
            "requires at least one upstream setup task be successful, but found {} task(s) that \
             were not.",
            up.setups_expected
        ),
        R::AllDoneSetupSuccess => {
            format!("{all} completed, but found {not_done} task(s) that were not done.")
        }
    };
    Some(format!(
        "Task's trigger rule '{rule}' {what} {}",
        counted(view, up)
    ))
}

fn setups(view: &DepsView<'_>, up: &UpstreamCounts) -> String {
    let dag = view.run.dag;
    let setups = view.task.relations.indirect_setups.iter().map(|index| {
        let setup = dag.task(*index);
        format!(
            "'{0}': <SerializedTask({1}): {0}>",
            setup.task_id, setup.task_type
        )
    });
    format!(
        "All setup tasks must complete successfully. Relevant setups: {{{}}}: {}",
        setups.collect::<Vec<_>>().join(", "),
        counted(view, up)
    )
}

fn teardown_scope(view: &DepsView<'_>, unfinished: u32) -> String {
    format!(
        "Task's trigger rule '{}' requires all tasks between setup and teardown to have \
         completed, but found {unfinished} in-scope task(s) not done. in_scope_task_ids={}",
        view.task.trigger_rule,
        set_of(view, &view.task.relations.teardown_scope)
    )
}

fn counted(view: &DepsView<'_>, up: &UpstreamCounts) -> String {
    format!(
        "upstream_states=_UpstreamTIStates(success={}, skipped={}, failed={}, upstream_failed={}, \
         removed={}, done={}, success_setup={}, skipped_setup={}), upstream_task_ids={}",
        up.success,
        up.skipped,
        up.failed,
        up.upstream_failed,
        up.removed,
        up.done(),
        up.setups_success,
        up.setups_skipped,
        set_of(view, &view.task.upstream)
    )
}

/// As Python writes a set of texts; its order is as good as any, ours is the alphabet.
fn set_of(view: &DepsView<'_>, tasks: &[TaskIndex]) -> String {
    let mut ids: Vec<String> = tasks
        .iter()
        .map(|index| format!("'{}'", view.run.dag.task(*index).task_id))
        .collect();
    ids.sort_unstable();
    format!("{{{}}}", ids.join(", "))
}
