use insta::assert_snapshot;
use serde_json::{Value, json};
use updraft_model::serialized::SerializedDag;
use updraft_model::{MapIndex, TaskId, TaskInstanceState};

use super::board::Board;
use super::dependencies::Purpose;
use super::view::SkipDecision;
use super::{PreviousRun, PreviousRunRule, ViewNeeds, plan_to_fixpoint};
use crate::scenario::{NOW, apply, dag, describe, fresh_rows, instant, row, rows, view};
use crate::vectors::{check_vectors, expect_eq};

mod anything;
mod decisions;
mod rules;
mod speed;

fn plan(dag_text: &str, row_text: &str) -> String {
    let dag = dag(dag_text);
    describe(&plan_to_fixpoint(&view(&dag, rows(row_text)), instant(NOW)))
}

#[test]
fn a_chain_of_empty_operators_is_one_plan() {
    let plan = plan(
        "
        a >> b >> c >> work
        a: empty
        b: empty
        c: empty
        ",
        "
        a
        b
        c
        work
        ",
    );
    assert_snapshot!(plan, @r"
    a: no_status -> success, try 1 (an empty operator needs no worker)
    b: no_status -> success, try 1 (an empty operator needs no worker)
    c: no_status -> success, try 1 (an empty operator needs no worker)
    work: no_status -> scheduled, try 1 (all dependencies are met)
    ");
}

#[test]
fn a_failure_reaches_the_end_of_the_run_in_one_plan() {
    let plan = plan(
        "z >> y >> x",
        "
        z failed
        y
        x
        ",
    );
    assert_snapshot!(plan, @r"
    x: no_status -> upstream_failed, try 0 (trigger rule all_success, upstream: 1 of 1 done, 1 upstream_failed)
    y: no_status -> upstream_failed, try 0 (trigger rule all_success, upstream: 1 of 1 done, 1 failed)
    run: failed (task_failure), last z
    ");
}

#[test]
fn what_waits_says_why_and_until_when() {
    let dag = dag("
        a >> c
        b >> c
        r: retries=2
        ");
    let mut rows = rows(
        "
        a success
        b running
        c
        r up_for_retry try=1
        ",
    );
    rows[3].end_date = Some(instant(NOW));
    let plan = plan_to_fixpoint(&view(&dag, rows), instant(NOW));
    assert_eq!(
        plan.wake_at,
        Some(instant("2026-03-01T12:05:00.000001Z")),
        "strictly after"
    );
    assert_snapshot!(describe(&plan), @r"
    c waits: trigger rule all_success, upstream: 1 of 2 done, 1 success
    r waits: its next try is due after 2026-03-01T12:05:00Z
    ");
}

#[test]
fn a_mapped_chain_expands_as_far_as_lengths_are_known() {
    let dag = dag("
        up >> m >> n
        m: map=up
        n: map=m
        ");
    let mut view = view(
        &dag,
        rows(
            "
        up success
        m
        n
        ",
        ),
    );
    view.xcoms.mapped_lengths.insert(TaskId::new("up"), 2);
    assert_snapshot!(describe(&plan_to_fixpoint(&view, instant(NOW))), @r"
    m[0]: no_status -> scheduled, try 1 (all dependencies are met)
    m[1]: new -> scheduled, try 1
    n waits: trigger rule all_success, upstream: 0 of 2 done
    ");
}

#[test]
fn a_row_of_a_task_that_is_gone_is_removed() {
    let plan = plan(
        "a",
        "
        a success
        gone success
        ",
    );
    assert_snapshot!(plan, @r"
    gone: success -> removed, try 0 (the Dag no longer has the task)
    run: success (success), last a
    ");
}

#[test]
fn a_sensor_looks_again_at_its_time_within_the_same_try() {
    let dag = dag("s");
    let mut rows = rows("s up_for_reschedule try=1");
    rows[0].reschedule_date = Some(instant("2026-03-01T12:01:00Z"));
    let early = plan_to_fixpoint(&view(&dag, rows.clone()), instant(NOW));
    assert_snapshot!(describe(&early), @"s waits: it looks again at 2026-03-01T12:01:00Z");
    let due = plan_to_fixpoint(&view(&dag, rows), instant("2026-03-01T12:01:00Z"));
    assert_snapshot!(describe(&due), @"s: up_for_reschedule -> scheduled, try 1 (all dependencies are met)");
}

#[test]
fn a_task_without_a_row_upstream_waits_until_the_run_is_stuck() {
    // Quirk §4.4: a task that was left out of the run still counts as one that must finish.
    let dag = dag("a >> b");
    let only_b = vec![row(1, "b", -1, TaskInstanceState::NoStatus)];
    assert_snapshot!(describe(&plan_to_fixpoint(&view(&dag, only_b), instant(NOW))), @r"
    b waits: trigger rule all_success, upstream: 0 of 1 done
    run: failed (all_tasks_deadlocked), last none
    ");
}

#[test]
fn a_search_for_a_deadlock_goes_on_until_it_finishes_nothing_more() {
    // The Dag no longer maps `up`, so its two rows are more than the rule of the others expects:
    // it skips them and is satisfied, both at once.
    let plan = plan(
        "
        up >> a, z
        a: rule=all_skipped
        z: rule=all_skipped
        ",
        "
        up[0] success
        up[1] skipped
        a running
        z running
        ",
    );
    assert_snapshot!(plan, @r"
    a: running -> skipped, try 0 (trigger rule all_skipped, upstream: 2 of 1 done, 1 success, 1 skipped)
    z: running -> skipped, try 0 (trigger rule all_skipped, upstream: 2 of 1 done, 1 success, 1 skipped)
    run: success (success), last up[0]
    ");
}

#[test]
fn a_rule_that_decides_and_is_satisfied_at_once_counts_as_no_change() {
    // One row of `d` is expected and one succeeded, but another one failed: `b` has its fate, and
    // the pass found nothing to do. Airflow then looks for a deadlock while `b` still waits for `d`
    // in the eyes of `g`.
    let plan = plan(
        "d >> b >> g",
        "
        d[0] success
        d[1] failed
        b
        g
        ",
    );
    assert_snapshot!(plan, @r"
    b: no_status -> upstream_failed, try 0 (trigger rule all_success, upstream: 2 of 1 done, 1 success, 1 failed)
    g waits: trigger rule all_success, upstream: 0 of 1 done
    run: failed (all_tasks_deadlocked), last none
    ");
}

#[test]
fn nothing_of_a_paused_dag_starts_but_its_runs_finish() {
    let dag = dag("a >> b");
    let start = super::plan_finish(&view(&dag, fresh_rows(&dag)), instant(NOW));
    assert_snapshot!(describe(&start), @"b waits: trigger rule all_success, upstream: 0 of 1 done");
    let mut done = fresh_rows(&dag);
    for row in &mut done {
        row.state = TaskInstanceState::Success;
    }
    let end = super::plan_finish(&view(&dag, done), instant(NOW));
    assert_snapshot!(describe(&end), @"run: success (success), last a");
}

#[test]
fn a_branch_that_decided_skips_again_after_a_clear() {
    let dag = dag("
        br >> x, y
        br: branch
        ");
    let mut view = view(
        &dag,
        rows(
            "
        br success
        x
        y
        ",
        ),
    );
    let decision = SkipDecision::parse(&json!({"followed": ["x"]}));
    let key = (TaskId::new("br"), MapIndex::UNMAPPED);
    view.xcoms.skip_decisions.insert(key, decision);
    assert_snapshot!(describe(&plan_to_fixpoint(&view, instant(NOW))), @r"
    x: no_status -> scheduled, try 1 (all dependencies are met)
    y: no_status -> skipped, try 0 (task `br` chose not to follow it)
    ");
}

#[test]
fn a_task_may_start_in_the_triggerer_and_needs_no_slot() {
    let mut raw = dag("t: execution_timeout=60").raw().clone();
    let own = &mut raw["dag"]["tasks"][0]["__var"];
    own["start_from_trigger"] = json!(true);
    own["start_trigger_args"] =
        json!({"trigger_cls": "m.T", "next_method": "done", "timeout": 90.0});
    let dag = SerializedDag::parse(raw).unwrap();
    let plan = plan_to_fixpoint(&view(&dag, fresh_rows(&dag)), instant(NOW));
    let to = &plan.changes[0].to;
    assert_eq!((to.state, to.try_number), (TaskInstanceState::Deferred, 1));
    let timeout = to.deferral.as_ref().unwrap().trigger_timeout;
    assert_eq!(timeout, Some(instant("2026-03-01T12:01:00Z")));
    assert_eq!(plan.scheduled().count(), 0);
}

#[test]
fn a_run_that_takes_too_long_fails_with_all_it_had_to_do() {
    let mut raw = dag("a >> b >> c").raw().clone();
    raw["dag"]["dagrun_timeout"] = json!(3600.0);
    let dag = SerializedDag::parse(raw).unwrap();
    let mut view = view(
        &dag,
        rows(
            "
        a success
        b running
        c
        ",
        ),
    );
    view.task_instances[1].start_date = Some(instant("2026-03-01T11:30:00Z"));
    view.run.start_date = Some(instant("2026-03-01T11:00:00Z"));
    let on_time = crate::run_timeout::plan_run_timeout(&view, instant(NOW));
    assert_eq!(on_time, None, "strictly after");
    let wake_at = plan_to_fixpoint(&view, instant(NOW)).wake_at;
    assert_eq!(wake_at, Some(instant("2026-03-01T12:00:00.000001Z")));
    let late = crate::run_timeout::plan_run_timeout(&view, wake_at.unwrap());
    assert_snapshot!(describe(&late.unwrap()), @r"
    b: running -> skipped, try 0 (the Dag run took longer than its timeout)
    c: no_status -> skipped, try 0 (the Dag run took longer than its timeout)
    run: failed (timed_out), last b
    ");
}

#[test]
fn most_dags_need_nothing_but_their_rows() {
    assert_eq!(ViewNeeds::of(&dag("a >> b")), ViewNeeds::default());
    let needs = ViewNeeds::of(&dag("
        br >> x >> y
        br: branch
        up >> m >> n
        m: map=up
        n: map=m
        x: past wait_for_downstream
        "));
    let ids = |ids: &[TaskId]| ids.iter().map(TaskId::as_str).collect::<Vec<_>>().join(" ");
    assert_eq!(ids(&needs.skip_decisions_of), "br");
    assert_eq!(ids(&needs.mapped_lengths_of), "up");
    assert_eq!(ids(&needs.return_value_counts_of), "m");
    assert_eq!(needs.previous_run, Some(PreviousRunRule::Any));
    assert_eq!(ids(&needs.past_tasks), "x y");
    assert_eq!(ids(&needs.tasks_seen), "x");
}
