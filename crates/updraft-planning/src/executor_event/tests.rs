use serde_json::{Value, json};

use super::*;
use crate::scenario::{NOW, dag, instant};
use crate::vectors::{check_vectors, expect_eq};

fn check_event(vector: &Value) -> Result<(), String> {
    let number = |key: &str| i32::try_from(vector[key].as_i64().unwrap()).unwrap();
    let wants_callback = !vector["callbacks"].as_array().unwrap().is_empty();
    let flag = if wants_callback {
        "has_on_failure_callback"
    } else {
        ""
    };
    let dag = dag(&format!("x: retries={} {flag}", number("retries")));
    let try_number = number("try_number");
    let state = TaskInstanceState::from_nullable(vector["ti_state"].as_str()).unwrap();
    let view = EventView {
        state,
        try_number,
        max_tries: number("retries"),
        start_date: Some(instant("2026-01-01T00:00:00Z")),
        event_try_number: if vector["event_try_matches"] == json!(true) {
            try_number
        } else {
            try_number + 1
        },
        is_queued_by_other: vector["queued_by_other_scheduler"] == json!(true),
        is_held_by_executor: false,
        is_resuming: vector["next_method"].is_string(),
        task: dag.find_task("x"),
        fail_fast: false,
    };
    let event = match vector["event"].as_str().unwrap() {
        "success" => ExecutorEvent::Succeeded,
        "failed" => ExecutorEvent::Failed,
        _ => ExecutorEvent::Underway {
            external_executor_id: None,
        },
    };
    let mut after = json!({"state": vector["ti_state"], "try_number": try_number,
        "max_tries": view.max_tries});
    let mut history = json!([]);
    let mut callbacks = json!([]);
    match plan_executor_event(&event, &view, instant(NOW)) {
        EventPlan::Name(_) | EventPlan::Ignore => {}
        EventPlan::Restart { max_tries } => {
            after["state"] = Value::Null;
            after["max_tries"] = json!(max_tries);
        }
        EventPlan::Mismatch(mismatch) => {
            after["state"] = json!(mismatch.state.as_str());
            if mismatch.archive {
                history = json!([["failed", try_number]]);
            }
            if mismatch.callback {
                callbacks = json!([["TaskCallbackRequest", mismatch.state.as_str()]]);
            }
        }
    }
    expect_eq("after", after, vector["after"].clone())?;
    expect_eq("history", history, vector["history"].clone())?;
    expect_eq("callbacks", callbacks, vector["callbacks"].clone())
}

#[test]
fn events_mean_what_they_mean_to_airflow() {
    check_vectors("executor_events", |_| true, &[], check_event);
}

#[test]
fn an_end_without_a_known_task_is_never_a_success() {
    let view = EventView {
        state: TaskInstanceState::Queued,
        try_number: 1,
        max_tries: 3,
        start_date: None,
        event_try_number: 1,
        is_queued_by_other: false,
        is_held_by_executor: false,
        is_resuming: false,
        task: None,
        fail_fast: true,
    };
    let plan = plan_executor_event(&ExecutorEvent::Succeeded, &view, instant(NOW));
    let EventPlan::Mismatch(mismatch) = plan else {
        panic!("{plan:?}");
    };
    assert_eq!(mismatch.state, TaskInstanceState::Failed);
}
