//! Trigger rules and `depends_on_past`, as recorded from Airflow.

use super::*;

/// The mini Dag behind the words of a vector.
fn shape(words: &str) -> &'static str {
    let words = words.split(';').collect::<Vec<_>>();
    match words.as_slice() {
        ["s1(setup)>>a>>x>>t1(teardown of s1)", ..] => {
            "
            s1 >> a >> x >> t1
            s1 >> t1
            s1: setup
            t1: teardown
            "
        }
        ["s1,s2(setups)>>a>>x>>t1,t2(teardowns)", ..] => {
            "
            s1, s2 >> a >> x >> t1, t2
            s1 >> t1
            s2 >> t2
            s1: setup
            s2: setup
            t1: teardown
            t2: teardown
            "
        }
        ["s1(setup)>>w1>>w2>>t1(teardown of s1)", " w1>>w3>>t1", ..] => {
            "
            s1 >> w1 >> w2 >> t1
            w1 >> w3 >> t1
            s1 >> t1
            s1: setup
            t1: teardown
            "
        }
        other => panic!("unknown shape {other:?}"),
    }
}

/// The Dag, its rows and the task to evaluate.
fn scenario(vector: &Value) -> (SerializedDag, Vec<(String, Option<String>)>, &'static str) {
    let rule = vector["rule"].as_str().unwrap();
    let text = |state: &Value| state.as_str().map(str::to_owned);
    if let Some(words) = vector["dag"].as_str() {
        let task = if words.contains("evaluate t1") {
            "t1"
        } else {
            "x"
        };
        let dag = dag(&format!("{}\n{task}: rule={rule}", shape(words)));
        let states = vector["states"].as_object().unwrap();
        let states = states.iter().map(|(id, state)| (id.clone(), text(state)));
        return (dag, states.collect(), task);
    }
    let mut lines = vec![format!("x: rule={rule}")];
    let mut states = Vec::new();
    for (number, upstream) in vector["upstreams"].as_array().unwrap().iter().enumerate() {
        lines.push(format!("u{number} >> x"));
        if upstream["is_setup"] == json!(true) {
            lines.push(format!("u{number}: setup"));
        }
        let state = upstream.get("state").unwrap_or(upstream);
        states.push((format!("u{number}"), text(state)));
    }
    (dag(&lines.join("\n")), states, "x")
}

fn check_rule(vector: &Value) -> Result<(), String> {
    let (dag, states, task) = scenario(vector);
    let state = |text: Option<&str>| TaskInstanceState::from_nullable(text).unwrap();
    let map_index = vector["map_index"].as_i64().unwrap_or(-1);
    let initial = state(vector["initial_state"].as_str());
    let mut rows = vec![row(1, task, i32::try_from(map_index).unwrap(), initial)];
    for (number, (id, text)) in (2..).zip(&states) {
        rows.push(row(number, id, -1, state(text.as_deref())));
    }
    let view = view(&dag, rows);
    let mut board = Board::new(&view, instant(NOW));
    let passed = board.evaluate(0, Purpose::FindDeadlock).is_ok();
    let new_state = board.instances[0].state;
    let expected = &vector["expect"];
    expect_eq("passed", passed, expected["passed"].as_bool().unwrap())?;
    if vector["flag_upstream_failed"] == json!(false) {
        return Ok(());
    }
    let changed = (new_state != initial).then(|| new_state.as_str());
    expect_eq("new state", changed, expected["new_state"].as_str())
}

/// Why a vector with an unmet `wait_for_past_depends_before_skipping` is not matched.
const NEVER_SET: &str = "Airflow's scheduler never sets the flag, so a skip never waits (§4.1)";

#[test]
fn trigger_rules_decide_as_airflow_does() {
    let unmatched = [
        "tr-01631", "tr-01633", "tr-01637", "tr-01639", "tr-01641", "tr-01645", "tr-01655",
        "tr-01657", "tr-01661", "tr-01671", "tr-01677", "tr-01679", "tr-01681", "tr-01685",
        "tr-01687", "tr-01693", "tr-01703", "tr-01705", "tr-01709", "tr-01719", "tr-01725",
        "tr-01729", "tr-01731",
    ]
    .map(|id| (id, NEVER_SET));
    check_vectors("trigger_rules", |_| true, &unmatched, check_rule);
}

#[test]
fn depends_on_past_decides_as_airflow_does() {
    check_vectors("depends_on_past", |_| true, &[], check_past);
}

fn check_past(vector: &Value) -> Result<(), String> {
    let flag = |key: &str| vector[key].as_bool().unwrap();
    let mut text = String::from("x: past\n");
    if vector["previous_run"]["downstream_state"].is_string() {
        text.push_str("x >> y\n");
    }
    for key in ["wait_for_downstream", "ignore_first_depends_on_past"] {
        if flag(key) {
            text.push_str(&format!("x: {key}\n"));
        }
    }
    let mut raw = dag(&text).raw().clone();
    raw["dag"]["catchup"] = json!(flag("catchup"));
    let dag = SerializedDag::parse(raw).unwrap();
    let needs = super::super::ViewNeeds::of(&dag);
    let rule = needs.previous_run.unwrap();
    assert_eq!(rule == PreviousRunRule::NotManual, flag("catchup"));

    let mut view = view(&dag, vec![row(1, "x", -1, TaskInstanceState::NoStatus)]);
    let previous = &vector["previous_run"];
    let run_type = previous["run_type"]
        .as_str()
        .map(|text| text.parse().unwrap());
    if let Some(run_type) = run_type
        && rule.accepts(run_type)
    {
        let mut states = Vec::new();
        let state = |text: &Value| match text.as_str() {
            Some("none") | None => TaskInstanceState::NoStatus,
            Some(text) => text.parse().unwrap(),
        };
        if previous["task_state"] != json!("absent") {
            states.push((TaskId::new("x"), state(&previous["task_state"])));
        }
        if !previous["downstream_state"].is_null() {
            states.push((TaskId::new("y"), state(&previous["downstream_state"])));
        }
        view.past.previous = Some(PreviousRun {
            logical_date: Some(instant("2025-12-31T00:00:00Z")),
            states,
        });
    }
    if flag("older_run_with_task") {
        view.past.tasks_seen.insert(TaskId::new("x"));
    }
    let mut board = Board::new(&view, instant(NOW));
    let passed = board.evaluate(0, Purpose::Schedule).is_ok();
    expect_eq("passed", passed, flag("expect_passed"))
}
