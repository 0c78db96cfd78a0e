//! Questions to people against Airflow's answers.
//!
//! The rows are those of the recording: a run whose tasks wait, except for one whose time was up.

use serde_json::{Value, json};
use updraft_model::hitl::{HitlQuestion, HitlResponse};
use updraft_model::{TaskInstanceId, TaskInstanceState as S};
use updraft_store::Tx;

use crate::app::{App, persist_dags};
use crate::golden::{Page, check_some};
use crate::task_instances::{answer, at, started_from, write_run};

const PAGES: &str = include_str!("../../testdata/golden/hitl.json");
const ENTER: &str = "/api/v2/dags/asks/dagRuns/one/taskInstances/enter/-1/hitlDetails";
const CLEAR: &str = "/api/v2/dags/asks/clearTaskInstances";

#[tokio::test]
async fn questions_answer_as_airflow_does() {
    let app = app().await;
    let is_before = |page: &Page| !page.name.contains("clear");
    check_some(&app, "hitl", PAGES, is_before).await;
    let clear = json!({"dag_run_id": "one", "only_failed": false, "task_ids": ["choose"], "dry_run": false});
    assert_eq!(app.admin("POST", CLEAR, Some(clear)).await.status, 200);
    check_some(&app, "hitl", PAGES, |page| page.name.contains("clear")).await;
}

#[tokio::test]
async fn an_answer_lets_the_task_go_on_with_what_was_said() {
    let app = app().await;
    let body = json!({"chosen_options": ["OK"], "params_input": {"count": 5, "ratio": 1.0}});
    assert_eq!(
        app.call("uma", "PATCH", ENTER, Some(body)).await.status,
        200
    );
    let mut reader = app.store.read().await.unwrap();
    let rows = reader
        .load_task_instances_of_run(&"asks".into(), &"one".into())
        .await
        .unwrap();
    let ti = rows.iter().find(|ti| ti.task_id == "enter").unwrap();
    assert_eq!(ti.state, S::Scheduled);
    assert_eq!(ti.next_method.as_deref(), Some("execute_complete"));
    let kwargs: Value = serde_json::from_str(ti.next_kwargs.as_deref().unwrap()).unwrap();
    assert_eq!(kwargs["x"], json!(1.5), "what waited with the task");
    let event = &kwargs["event"];
    assert_eq!(event["chosen_options"], json!(["OK"]));
    assert_eq!(
        event["params_input"].to_string(),
        r#"{"count":5,"ratio":1.0}"#
    );
    assert_eq!(
        event["responded_by_user"],
        json!({"id": "uma", "name": "uma"})
    );
    assert_eq!(event["timedout"], json!(false));
    assert_eq!(event["responded_at"]["__classname__"], "datetime.datetime");
}

#[tokio::test]
async fn an_answer_cannot_bring_in_objects_of_its_own() {
    let app = app().await;
    let evil = json!({"a": [{"__classname__": "os.system", "__version__": 1, "__data__": "x"}]});
    let body = json!({"chosen_options": ["OK"], "params_input": evil});
    let reply = app.admin("PATCH", ENTER, Some(body)).await;
    assert_eq!(reply.status, 422);
    let text = reply.body.to_string();
    assert!(text.contains("`__classname__` is reserved"), "{text}");
    let detail = app.admin("GET", ENTER, None).await;
    assert_eq!(detail.body["response_received"], json!(false));
}

#[tokio::test]
async fn of_many_answers_at_once_one_counts() {
    let app = app().await;
    let body = json!({"chosen_options": ["OK"]});
    let mut replies = Vec::new();
    for _ in 0..8 {
        replies.push(app.admin("PATCH", ENTER, Some(body.clone())));
    }
    let mut statuses = Vec::new();
    for reply in futures_util::future::join_all(replies).await {
        statuses.push(reply.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
}

async fn app() -> App {
    let app = App::new().await;
    let pages: Vec<Page> = serde_json::from_str(PAGES).unwrap();
    let mut tx = app.store.write().await.unwrap();
    let serialized = include_str!("../../testdata/golden/people.json");
    let source = include_str!("../../testdata/golden/golden_people.py");
    let now = at("2026-11-27T21:51:38Z");
    persist_dags(&mut tx, "people.py", serialized, source, now).await;
    seed(&mut tx, &pages).await;
    tx.commit().await.unwrap();
    app
}

async fn seed(tx: &mut Tx, pages: &[Page]) {
    let version = tx.find_latest_version(&"asks".into()).await.unwrap();
    let version = version.unwrap().id;
    write_run(tx, "asks", "one", version).await;
    for detail in answer(pages, "list")["hitl_details"].as_array().unwrap() {
        let row = &detail["task_instance"];
        let mut started = started_from(row, version);
        let awaits = started.new.state == S::AwaitingInput;
        if awaits {
            started.new.state = S::Running;
        }
        let id = started.new.id;
        let begun = started.start_date.unwrap();
        tx.create_task_instances(&[started], begun).await.unwrap();
        let fields = row["rendered_fields"].to_string();
        tx.set_rendered_fields(id, &fields).await.unwrap();
        ask(tx, id, detail).await;
        if awaits {
            let wait = updraft_store::AwaitInput {
                timeout_at: None,
                next_method: "execute_complete".to_owned(),
                next_kwargs: Some("{\"x\":1.5}".to_owned()),
                rendered_map_index: None,
            };
            tx.await_input(id, &wait, begun).await.unwrap();
        }
    }
    seed_silent(tx, pages, version).await;
}

/// A task that asks nothing; its id stands in what Airflow says of it.
async fn seed_silent(tx: &mut Tx, pages: &[Page], version: updraft_model::DagVersionId) {
    let text = answer(pages, "get of who asks nothing")["detail"].as_str();
    let id = text.unwrap().rsplit(' ').next().unwrap();
    let mut row = answer(pages, "list")["hitl_details"][0]["task_instance"].clone();
    row["id"] = id.into();
    row["task_id"] = "silent".into();
    row["state"] = "success".into();
    let silent = started_from(&row, version);
    tx.create_task_instances(&[silent], at("2026-11-27T21:57:33Z"))
        .await
        .unwrap();
}

async fn ask(tx: &mut Tx, id: TaskInstanceId, detail: &Value) {
    let texts = |key: &str| serde_json::from_value(detail[key].clone()).unwrap();
    let question = HitlQuestion {
        options: texts("options"),
        subject: detail["subject"].as_str().unwrap().to_owned(),
        body: detail["body"].as_str().map(str::to_owned),
        defaults: serde_json::from_value(detail["defaults"].clone()).unwrap(),
        multiple: detail["multiple"].as_bool().unwrap(),
        params: detail["params"].as_object().unwrap().clone(),
        assigned_users: serde_json::from_value(detail["assigned_users"].clone()).unwrap(),
    };
    let created = at(detail["created_at"].as_str().unwrap());
    tx.put_hitl_question(id, &question, created).await.unwrap();
    if let Some(responded_at) = detail["responded_at"].as_str() {
        let response = HitlResponse {
            responded_at: at(responded_at),
            responded_by: None,
            chosen_options: texts("chosen_options"),
            params_input: detail["params_input"].as_object().unwrap().clone(),
        };
        tx.answer_hitl_question(id, &response).await.unwrap();
    }
}
