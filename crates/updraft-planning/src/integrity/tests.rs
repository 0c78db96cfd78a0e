use insta::assert_snapshot;
use serde_json::{Value, json};
use updraft_model::serialized::SerializedDag;

use super::*;
use crate::run::plan_integrity;
use crate::scenario::{NOW, dag, describe, instant, name, rows, view};
use crate::vectors::{check_vectors, expect_eq};

fn is_filter(vector: &Value) -> bool {
    vector["group"] == json!("ti-creation-filter")
}

#[test]
fn a_run_gets_the_tasks_that_airflow_gives_it() {
    check_vectors("dagrun_creation", is_filter, &[], |vector| {
        let epoch = |value: &Value| {
            let instant = value.as_str().map(instant);
            instant.map_or(Value::Null, |instant| json!(instant.as_second()))
        };
        let tasks = vector["tasks"].as_object().unwrap();
        let mut raw = dag(&tasks
            .keys()
            .map(|id| format!("{id}:\n"))
            .collect::<String>())
        .raw()
        .clone();
        for task in raw["dag"]["tasks"].as_array_mut().unwrap() {
            let own = &mut task["__var"];
            let dates = &tasks[own["task_id"].as_str().unwrap()];
            own["start_date"] = epoch(&dates["start_date"]);
            own["end_date"] = epoch(&dates["end_date"]);
        }
        let dag = SerializedDag::parse(raw).unwrap();
        let run_type = vector["run_type"].as_str().unwrap().parse().unwrap();
        let logical_date = vector["logical_date"].as_str().map(instant);
        let new = plan_new_task_instances(&dag, run_type, logical_date);
        let mut created: Vec<Value> = new
            .iter()
            .map(|new| json!(dag.task(new.task).task_id.as_str()))
            .collect();
        created.sort_by_key(Value::to_string);
        expect_eq("created", Value::Array(created), vector["created"].clone())
    });
}

#[test]
fn a_run_begins_with_the_rows_that_airflow_creates() {
    let has_rows = |vector: &Value| vector["created_tis"].is_array();
    check_vectors("scheduling_decisions", has_rows, &[], |vector| {
        let dag = SerializedDag::parse(vector["dag"].clone()).unwrap();
        let date = Some(instant("2026-01-01T00:00:00Z"));
        let new = plan_new_task_instances(&dag, DagRunType::Scheduled, date);
        let mut created: Vec<(String, i32, i32)> = new
            .iter()
            .map(|new| {
                let task = dag.task(new.task);
                (
                    task.task_id.to_string(),
                    new.map_index.0,
                    task.retries.count,
                )
            })
            .collect();
        created.sort();
        let created: Value = created
            .into_iter()
            .map(|(task_id, map_index, max_tries)| json!([task_id, map_index, null, 0, max_tries]))
            .collect();
        expect_eq("created", created, vector["created_tis"].clone())
    });
}

#[test]
fn rows_follow_a_dag_that_changed() {
    let dag = dag("
        back
        fresh
        three: map=3
        ");
    let mut view = view(
        &dag,
        rows(
            "
        back removed
        gone success
        three success
        three[0] success
        three[5] success
        ",
        ),
    );
    assert_snapshot!(describe(&plan_integrity(&view, instant(NOW))), @r"
    back: removed -> no_status, try 0 (the Dag has the task again)
    three: success -> removed, try 0 (expands over 3 values only)
    three[5]: success -> removed, try 0 (expands over 3 values only)
    fresh: new -> no_status, try 0
    ");
    // The next pass of a running run marks what is gone; for any other run it is done here.
    view.run.state = updraft_model::DagRunState::Queued;
    let plan = plan_integrity(&view, instant(NOW));
    let gone = plan
        .changes
        .iter()
        .filter(|change| change.task_id == "gone");
    let gone: Vec<String> = gone.map(|c| name(&c.task_id, c.map_index)).collect();
    assert_eq!(gone, ["gone"]);
}
