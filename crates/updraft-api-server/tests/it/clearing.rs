//! Which task instances are cleared with those that were named.

use serde_json::{Value, json};
use updraft_runtime::Clock;

use crate::app::{App, persist_dags};

/// A mapped group `op` over three values: `op.add_1 >> op.mul_2`.
const MAPPED_GROUP: &str =
    include_str!("../../../updraft-model/testdata/serialized-dags/example_task_group_mapping.json");
const DAG: &str = "example_task_group_mapping";

impl App {
    /// Three runs of the Dag, a day apart.
    async fn with_mapped_group() -> Self {
        let app = Self::new().await;
        let data: Value = serde_json::from_str(MAPPED_GROUP).unwrap();
        let file = json!({DAG: data}).to_string();
        let mut tx = app.store.write().await.unwrap();
        persist_dags(&mut tx, "groups.py", &file, "", Clock::machine().now()).await;
        tx.commit().await.unwrap();
        for day in 1..4 {
            let date = format!("2026-02-0{day}T00:00:00Z");
            let body =
                json!({"dag_run_id": format!("r{day}"), "logical_date": date, "run_after": date});
            let path = format!("/api/v2/dags/{DAG}/dagRuns");
            let reply = app.admin("POST", &path, Some(body)).await;
            assert_eq!(reply.status, 200, "{}", reply.body);
        }
        app
    }

    /// What would be cleared, as `run task[index]`.
    async fn would_clear(&self, wish: Value) -> Vec<String> {
        let mut body = json!({"dry_run": true, "only_failed": false});
        for (key, value) in wish.as_object().unwrap() {
            body[key] = value.clone();
        }
        let path = format!("/api/v2/dags/{DAG}/clearTaskInstances");
        let reply = self.admin("POST", &path, Some(body)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let rows = reply.body["task_instances"].as_array().unwrap();
        let mut names: Vec<String> = rows
            .iter()
            .map(|row| {
                let (run, task) = (&row["dag_run_id"], &row["task_id"]);
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                format!("{} {}[{}]", text(run), text(task), row["map_index"])
            })
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn within_a_run_an_instance_leads_to_those_of_its_own_index() {
    let app = App::with_mapped_group().await;
    let below =
        json!({"dag_run_id": "r2", "task_ids": [["op.add_1", 1]], "include_downstream": true});
    assert_eq!(
        app.would_clear(below).await,
        ["r2 op.add_1[1]", "r2 op.mul_2[1]"]
    );
    let above =
        json!({"dag_run_id": "r2", "task_ids": [["op.mul_2", 2]], "include_upstream": true});
    assert_eq!(
        app.would_clear(above).await,
        ["r2 op.add_1[2]", "r2 op.mul_2[2]"]
    );
    let both = json!({"dag_run_id": "r2", "task_ids": [["op.mul_2", 0], "op.add_1"], "include_downstream": true});
    assert_eq!(
        app.would_clear(both).await.len(),
        6,
        "a whole task leads to whole tasks"
    );
    let alone = json!({"dag_run_id": "r2", "task_ids": [["op.add_1", 1]]});
    assert_eq!(app.would_clear(alone).await, ["r2 op.add_1[1]"]);
}

#[tokio::test]
async fn over_several_runs_tasks_are_cleared_as_a_whole() {
    let app = App::with_mapped_group().await;
    let window = json!({
        "start_date": "2026-02-02T00:00:00Z", "end_date": "2026-02-02T00:00:00Z",
        "task_ids": [["op.add_1", 1]], "include_downstream": true,
    });
    assert_eq!(
        app.would_clear(window).await,
        [
            "r2 op.add_1[1]",
            "r2 op.mul_2[0]",
            "r2 op.mul_2[1]",
            "r2 op.mul_2[2]"
        ]
    );
}

#[tokio::test]
async fn past_and_future_reach_the_runs_before_and_after() {
    let app = App::with_mapped_group().await;
    let runs = async |past: bool, future: bool| {
        let wish = json!({
            "dag_run_id": "r2", "task_ids": [["op.add_1", 0]],
            "include_past": past, "include_future": future,
        });
        let names = app.would_clear(wish).await;
        let runs = names
            .iter()
            .map(|name| name.split(' ').next().unwrap().to_owned());
        runs.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(runs(false, false).await, "r2");
    assert_eq!(runs(true, false).await, "r1 r2");
    assert_eq!(runs(false, true).await, "r2 r3");
    assert_eq!(runs(true, true).await, "r1 r2 r3");
}
