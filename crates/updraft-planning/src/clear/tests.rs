use serde_json::{Value, json};

use super::selection::{Reach, companions};
use super::*;
use crate::run::relatives::{Direction, Target, find_relatives};
use crate::scenario::{NOW, dag, instant, view};
use crate::vectors::{check_vectors, expect_eq};

const OLD: &str = "2026-01-01T00:00:00Z";

fn number(value: &Value) -> i32 {
    i32::try_from(value.as_i64().unwrap()).unwrap()
}

fn word(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |time| {
        json!(if time == instant(OLD) { "kept" } else { "now" })
    })
}

#[test]
fn clearing_does_what_airflow_does() {
    check_vectors(
        "clear",
        |_| true,
        &[],
        |vector| {
            let before = &vector["ti_before"];
            let state = TaskInstanceState::from_nullable(before["state"].as_str()).unwrap();
            let view = ClearView {
                state,
                try_number: number(&before["try_number"]),
                max_tries: number(&before["max_tries"]),
                end_date: Some(instant(OLD)),
                task_retries: Some(number(&before["task_retries"])),
            };
            let cleared =
                plan_clear_instance(&view, RunningInstances::Restart, instant(NOW)).unwrap();
            let after = &vector["ti_after"];
            expect_eq(
                "state",
                cleared.state.to_nullable(),
                after["state"].as_str(),
            )?;
            expect_eq("max tries", cleared.max_tries, number(&after["max_tries"]))?;
            let kept =
                after["next_method"].is_string() && after["external_executor_id"].is_string();
            expect_eq("reset", cleared.is_reset, !kept)?;
            let history = vector["history"].as_array().unwrap();
            expect_eq("history", history.len(), 1)?;
            let archived = cleared.history.state.as_str();
            expect_eq(
                "history state",
                Some(archived),
                history[0]["state"].as_str(),
            )?;
            check_run(vector)
        },
    );
}

fn check_run(vector: &Value) -> Result<(), String> {
    let old: DagRunState = vector["run_before"].as_str().unwrap().parse().unwrap();
    let times = RunTimes {
        queued_at: None,
        start_date: Some(instant(OLD)),
        end_date: old.is_finished().then(|| instant(OLD)),
    };
    let after = match vector["dag_run_state_arg"].as_str() {
        Some("queued") => RunAfterClear::Queued,
        Some("running") => RunAfterClear::Running,
        _ => RunAfterClear::Untouched,
    };
    let found = match plan_clear_run(old, times, 0, after, instant(NOW)) {
        Some(run) => json!({
            "state": run.state.as_str(),
            "clear_number": run.clear_number,
            "queued_at_changed": run.times.queued_at.is_some(),
            "start_date": word(run.times.start_date),
            "end_date": word(run.times.end_date),
        }),
        None => json!({
            "state": old.as_str(), "clear_number": 0, "queued_at_changed": false,
            "start_date": "kept", "end_date": "kept",
        }),
    };
    expect_eq("run", found, vector["run_after"].clone())
}

#[test]
fn a_running_instance_can_be_protected() {
    let view = ClearView {
        state: TaskInstanceState::Running,
        try_number: 1,
        max_tries: 0,
        end_date: None,
        task_retries: None,
    };
    let refused = plan_clear_instance(&view, RunningInstances::Refuse, instant(NOW));
    assert_eq!(refused, Err(StillRunning));
}

#[test]
fn an_instance_whose_task_is_gone_keeps_its_tries() {
    let view = ClearView {
        state: TaskInstanceState::Failed,
        try_number: 4,
        max_tries: 2,
        end_date: None,
        task_retries: None,
    };
    let cleared = plan_clear_instance(&view, RunningInstances::Restart, instant(NOW)).unwrap();
    assert_eq!(cleared.max_tries, 4);
}

fn cleared_with(task_id: &str, reach: Reach) -> String {
    let dag = dag("
        s >> a >> b >> t >> after
        s >> t
        other >> b
        s: setup
        t: teardown
        ");
    let found = companions(&dag, &[dag.index_of(task_id).unwrap()], reach);
    let ids = found.iter().map(|index| dag.task(*index).task_id.as_str());
    ids.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_cleared_task_brings_its_setups_and_their_teardowns() {
    assert_eq!(cleared_with("b", Reach::Only), "s t");
    assert_eq!(cleared_with("s", Reach::Only), "t");
    assert_eq!(cleared_with("t", Reach::Only), "");
    assert_eq!(
        cleared_with("after", Reach::Only),
        "",
        "the teardown is above it"
    );
    assert_eq!(cleared_with("b", Reach::Upstream), "s a t other");
    assert_eq!(cleared_with("a", Reach::Downstream), "s b t after");
    assert_eq!(cleared_with("other", Reach::Downstream), "s b t after");
}

#[test]
fn an_instance_brings_the_same_index_within_its_group_and_whole_tasks_elsewhere() {
    let text = std::fs::read_to_string("testdata/scheduling_decisions.json").unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    // tg.a >> tg.b over three values, >> agg outside the group.
    let vector = vectors
        .iter()
        .find(|vector| vector["id"] == json!("sd-0125"))
        .unwrap();
    let dag = updraft_model::serialized::SerializedDag::parse(vector["dag"].clone()).unwrap();
    let view = view(&dag, Vec::new());
    let target = Target::Instance(dag.index_of("tg.a").unwrap(), updraft_model::MapIndex(1));
    let found = find_relatives(&view, &[target], Direction::Downstream, instant(NOW));
    let b = Target::Instance(dag.index_of("tg.b").unwrap(), updraft_model::MapIndex(1));
    let aggregate = Target::Task(dag.index_of("agg").unwrap());
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [aggregate, b]);
}
