//! Waiting for a run to end.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use updraft_model::xcom::XCom;
use updraft_model::{DagRunState, MapIndex, TaskInstanceState};
use updraft_store::{RunStateChange, StateChange};

use crate::app::App;
use crate::golden::check_some;

const PAGES: &str = include_str!("../../testdata/golden/waits.json");

const LONG: Duration = Duration::from_secs(10);

impl App {
    /// A run of the Dag `results`, in its first state.
    async fn trigger(&self, run_id: &str) {
        let body = json!({"dag_run_id": run_id, "logical_date": null});
        let path = "/api/v2/dags/results/dagRuns";
        let reply = self.admin("POST", path, Some(body)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }

    async fn end(&self, run_id: &str) {
        let (dag_id, run_id) = ("results".into(), run_id.into());
        let now = "2026-11-21T21:31:36Z".parse().unwrap();
        let change = RunStateChange {
            from: DagRunState::Queued,
            to: DagRunState::Success,
            queued_at: Some(now),
            start_date: Some(now),
            end_date: Some(now),
        };
        let mut tx = self.store.write().await.unwrap();
        let rows = tx
            .load_task_instances_of_run(&dag_id, &run_id)
            .await
            .unwrap();
        let changes: Vec<StateChange> = rows
            .iter()
            .map(|row| StateChange {
                id: row.id,
                from: row.state,
                to: TaskInstanceState::Success,
                start_date: Some(now),
                end_date: Some(now),
                duration_secs: None,
            })
            .collect();
        tx.change_task_instance_states(&dag_id, &run_id, &changes, now)
            .await
            .unwrap();
        tx.change_dag_run_state(&dag_id, &run_id, &change, now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn push(
        &self,
        run_id: &str,
        task_id: &str,
        map_index: i32,
        value: &str,
        is_result: bool,
    ) {
        let xcom = XCom {
            dag_id: "results".into(),
            run_id: run_id.into(),
            task_id: task_id.into(),
            map_index: MapIndex(map_index),
            key: "return_value".to_owned(),
            value: value.to_owned(),
            dag_result: is_result,
            timestamp: "2026-11-21T21:31:42Z".parse().unwrap(),
        };
        let mut tx = self.store.write().await.unwrap();
        assert!(tx.set_xcom(&xcom, None).await.unwrap());
        tx.commit().await.unwrap();
    }

    /// The lines of an answer as they come.
    async fn lines(&self, path: &str) -> impl futures_util::Stream<Item = String> + use<> {
        let request = Request::get(path)
            .header("Authorization", format!("Bearer {}", self.token("vic")))
            .body(Body::empty())
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let chunks = response.into_body().into_data_stream();
        chunks.map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap())
    }
}

#[tokio::test]
async fn a_wait_for_a_finished_run_answers_as_airflow_does() {
    let app = App::with_run_dags().await;
    app.trigger("done").await;
    app.end("done").await;
    app.push("done", "one", -1, "{\"a\": [1, null, \"\\u00fc\"]}", false)
        .await;
    for (index, value) in [(0, "1"), (1, "4"), (2, "9")] {
        app.push("done", "many", index, value, false).await;
    }
    check_some(&app, "waits", PAGES, |page| page.name != "entries").await;
}

#[tokio::test]
async fn a_line_comes_at_once_one_after_each_interval_and_the_last_when_the_run_ends() {
    let app = App::with_run_dags().await;
    app.trigger("soon").await;
    app.push("soon", "one", -1, "NaN", true).await;
    let path = "/api/v2/dags/results/dagRuns/soon/wait?interval=0.05";
    let mut lines = Box::pin(app.lines(path).await);
    for _ in 0..3 {
        let line = tokio::time::timeout(LONG, lines.next()).await.unwrap();
        assert_eq!(line.unwrap(), "{\"state\": \"queued\"}\n");
    }
    // An interval that nobody wants to wait for: the end is told at once.
    let path = "/api/v2/dags/results/dagRuns/soon/wait?interval=100000";
    let mut patient = Box::pin(app.lines(path).await);
    assert_eq!(patient.next().await.unwrap(), "{\"state\": \"queued\"}\n");
    app.end("soon").await;
    let last = "{\"state\": \"success\", \"results\": {\"one\": NaN}}\n";
    let line = tokio::time::timeout(LONG, patient.next()).await.unwrap();
    assert_eq!(line.unwrap(), last, "the Dag names its result");
    assert_eq!(patient.next().await, None);
    let rest: Vec<String> = lines.collect().await;
    assert_eq!(rest.last().unwrap(), last);
}

#[tokio::test]
async fn a_wait_ends_when_the_run_is_deleted_or_the_server_stops() {
    let app = App::with_run_dags().await;
    app.trigger("gone").await;
    app.trigger("stays").await;
    let wait = |run: &str| format!("/api/v2/dags/results/dagRuns/{run}/wait?interval=100000");
    let mut gone = Box::pin(app.lines(&wait("gone")).await);
    let mut stays = Box::pin(app.lines(&wait("stays")).await);
    assert!(gone.next().await.is_some() && stays.next().await.is_some());
    let deleted = app
        .admin("DELETE", "/api/v2/dags/results/dagRuns/gone", None)
        .await;
    assert_eq!((deleted.status, deleted.body), (204, Value::Null));
    assert_eq!(tokio::time::timeout(LONG, gone.next()).await.unwrap(), None);
    app.shutdown.cancel();
    assert_eq!(
        tokio::time::timeout(LONG, stays.next()).await.unwrap(),
        None
    );
}
