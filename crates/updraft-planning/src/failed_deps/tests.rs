use insta::assert_snapshot;
use updraft_model::serialized::SerializedDag;

use super::*;
use crate::run::PreviousRun;
use crate::scenario::{NOW, dag, instant, rows, task_instance, view};

/// A view of the first row of `row_text`.
fn of<'a>(dag: &'a SerializedDag, row_text: &str) -> DepsView<'a> {
    let run = view(dag, rows(row_text));
    let seen = run.task_instances[0].clone();
    let pool = Pool {
        name: "etl".into(),
        slots: 16,
        description: None,
        include_deferred: false,
    };
    DepsView {
        task: dag.find_task(seen.task_id.as_str()).unwrap(),
        dag_is_paused: false,
        pool: Some((pool, PoolUsage::default())),
        running_of_dag: 0,
        active_of_task: 0,
        active_of_task_in_run: 0,
        row: TaskInstance {
            pool_slots: 2,
            ..task_instance(&seen)
        },
        run,
    }
}

fn describe(view: &DepsView<'_>) -> String {
    let failed = find_failed_deps(view, instant(NOW));
    let lines = failed
        .iter()
        .map(|dep| format!("{}: {}", dep.name, dep.reason));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_scheduled_task_that_may_run_lacks_nothing() {
    let dag = dag("b >> a");
    assert_eq!(describe(&of(&dag, "a scheduled\nb success")), "");
}

#[test]
fn all_limits_are_named_at_once_and_by_name() {
    let dag = dag("a: max_active_tis_per_dag=2");
    let mut view = of(&dag, "a scheduled");
    view.dag_is_paused = true;
    view.run.run.state = DagRunState::Queued;
    view.run.run.logical_date = Some(instant("2026-03-01T13:00:00Z"));
    view.running_of_dag = 16;
    view.active_of_task = 2;
    view.pool.as_mut().unwrap().1.running = 15;
    assert_snapshot!(describe(&view), @r"
    Dag Not Paused: Task's DAG 'd' is paused.
    Dagrun Running: Task instance's dagrun was not in the 'running' state but in the state 'queued'.
    Logical Date: Logical date 2026-03-01T13:00:00+00:00 is in the future (the current date is 2026-03-01T12:00:00+00:00).
    Pool Slots Available: Not scheduling since there are 1 open slots in pool etl and require 2 pool slots
    Task Concurrency: The max task concurrency has been reached.
    Task Instance Slots Available: The maximum number of running tasks (16) for this task's DAG 'd' has been reached.
    ");
    view.pool = None;
    assert!(describe(&view).contains("Tasks using non-existent pool 'etl' will not be scheduled"));
}

#[test]
fn what_holds_its_slots_has_them() {
    let dag = dag("a");
    let mut view = of(&dag, "a running");
    view.pool.as_mut().unwrap().1.running = 16;
    assert_snapshot!(describe(&view), @r"
    Task Instance Not Running: Task is in the running state
    Task Instance State: Task is in the 'running' state.
    ");
}

#[test]
fn each_trigger_rule_has_words_of_its_own() {
    let words = |rule: &str| {
        let dag = dag(&format!("b, c >> a\na: rule={rule}"));
        let all = describe(&of(&dag, "a scheduled\nb skipped\nc"));
        let reason = all
            .strip_prefix("Trigger Rule: Task's trigger rule ")
            .unwrap()
            .to_owned();
        reason.split(" upstream_states").next().unwrap().to_owned()
    };
    let rules = [
        "all_success",
        "all_failed",
        "all_done",
        "one_success",
        "one_failed",
        "one_done",
        "none_failed",
        "none_failed_min_one_success",
        "none_skipped",
        "all_skipped",
        "all_done_min_one_success",
        "all_done_setup_success",
    ];
    assert_snapshot!(rules.map(words).join("\n"), @r"
    'all_success' requires all upstream tasks to have succeeded, but found 2 non-success(es).
    'all_failed' requires all upstream tasks to have failed, but found 2 non-failure(s).
    'all_done' requires all upstream tasks to have completed, but found 1 task(s) that were not done.
    'one_success' requires one upstream task success, but none were found.
    'one_failed' requires one upstream task failure, but none were found.
    'one_done' requires at least one upstream task failure or success but none were failed or success.
    'none_failed' requires all upstream tasks to have succeeded or been skipped, but found 1 non-success(es).
    'none_failed_min_one_success' requires all upstream tasks to have succeeded or been skipped, but found 1 non-success(es).
    'none_skipped' requires all upstream tasks to not have been skipped, but found 1 task(s) skipped.
    'all_skipped' requires all upstream tasks to have been skipped, but found 1 task(s) in non skipped state.
    'all_done_min_one_success' requires all non-skipped upstream tasks to have completed, but found 1 skipped task(s).
    'all_done_setup_success' requires all upstream tasks to have completed, but found 1 task(s) that were not done.
    ");
    let dag = dag("b, c >> a");
    assert_snapshot!(describe(&of(&dag, "a scheduled\nb success\nc")), @"Trigger Rule: Task's trigger rule 'all_success' requires all upstream tasks to have succeeded, but found 1 non-success(es). upstream_states=_UpstreamTIStates(success=1, skipped=0, failed=0, upstream_failed=0, removed=0, done=1, success_setup=0, skipped_setup=0), upstream_task_ids={'b', 'c'}");
}

#[test]
fn a_setup_and_a_rule_are_both_named() {
    let dag = dag("
        s >> b >> a
        s: setup
        ");
    // The setup failed, which would settle the matter for a scheduler.
    let all = describe(&of(&dag, "a scheduled\nb\ns failed"));
    let starts: Vec<_> = all.lines().map(|line| &line[..40]).collect();
    assert_eq!(
        starts,
        [
            "Trigger Rule: All setup tasks must compl",
            "Trigger Rule: Task's trigger rule 'all_s"
        ]
    );
}

#[test]
fn times_and_the_past_are_named() {
    let dag = dag("a: past retries=2");
    let mut view = of(&dag, "a up_for_retry try=1");
    view.run.task_instances[0].end_date = Some(instant(NOW));
    view.run.past.previous = Some(PreviousRun {
        logical_date: None,
        states: vec![("a".into(), S::Failed)],
    });
    assert_snapshot!(describe(&view), @r"
    Not In Retry Period: Task is not ready for retry yet but will be retried automatically. Current date is 2026-03-01T12:00:00+00:00 and task will be retried at 2026-03-01T12:05:00+00:00.
    Previous Dagrun State: depends_on_past is true for this task, but 1 previous task instance(s) are not in a successful state.
    Task Instance State: Task is in the 'up_for_retry' state.
    ");
}
