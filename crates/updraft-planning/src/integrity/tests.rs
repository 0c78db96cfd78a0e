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
    three: success -> removed, try 0 (it expands over 3 values only)
    three[5]: success -> removed, try 0 (it expands over 3 values only)
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

#[test]
fn weights_are_those_of_airflow() {
    check_vectors(
        "priority_weights",
        |_| true,
        &[],
        |vector| {
            let shape = vector["dag"].as_str().unwrap();
            expect_eq("shape", shape, "a(1)>>[b(2),c(4)]>>e(8); f(16) isolated")?;
            let rule = vector["weight_rule"].as_str().unwrap();
            let mut text = String::from("a >> b, c >> e\n");
            for (task_id, weight) in [("a", 1), ("b", 2), ("c", 4), ("e", 8), ("f", 16)] {
                text.push_str(&format!(
                    "{task_id}: priority_weight={weight} weight_rule={rule}\n"
                ));
            }
            let dag = dag(&text);
            let weight = |task_id: &String| json!(dag.find_task(task_id).unwrap().total_weight);
            let expected = vector["expect"].as_object().unwrap();
            let found = expected
                .keys()
                .map(|task_id| (task_id.clone(), weight(task_id)));
            expect_eq(
                "weights",
                Value::Object(found.collect()),
                vector["expect"].clone(),
            )
        },
    );
}

/// Runs that assets trigger are planned where asset events are stored, not here.
const ASSETS_LATER: &str = "asset-triggered runs are not planned yet";

#[test]
fn every_recorded_run_creation_is_checked_or_named_here() {
    let names = [
        "rc-0034", "rc-0035", "rc-0036", "rc-0037", "rc-0038", "rc-0039",
    ];
    let excused = names.map(|id| (id, ASSETS_LATER));
    check_vectors(
        "dagrun_creation",
        |_| true,
        &excused,
        |vector| match vector["group"].as_str().unwrap() {
            "start-queued" | "ti-creation-filter" | "backfill" => Ok(()),
            other => Err(format!("nothing checks group {other}")),
        },
    );
}
