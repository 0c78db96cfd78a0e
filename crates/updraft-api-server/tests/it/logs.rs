//! Logs of tries that still write them.

use std::io::Write;

use serde_json::{Value, json};
use updraft_model::TaskInstanceState;
use updraft_store::StateChange;

use crate::app::{App, Reply};

const RUN: &str = "/api/v2/dags/daily_sales/dagRuns";

/// A run whose task `extract` is in `state`, with a log of two lines and a piece of a third.
async fn app_with_log(state: TaskInstanceState) -> (App, std::fs::File) {
    let app = App::new().await;
    let body = json!({"dag_run_id": "r", "logical_date": null});
    assert_eq!(app.admin("POST", RUN, Some(body)).await.status, 200);
    let mut tx = app.store.write().await.unwrap();
    let rows = tx
        .load_task_instances_of_run(&"daily_sales".into(), &"r".into())
        .await
        .unwrap();
    let row = rows.iter().find(|row| row.task_id == "extract").unwrap();
    let change = StateChange {
        id: row.id,
        from: row.state,
        to: state,
        start_date: None,
        end_date: None,
        duration_secs: None,
    };
    tx.change_task_instance_states(&row.dag_id, &row.run_id, &[change], row.updated_at)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let folder = app
        .home
        .path()
        .join("logs/dag_id=daily_sales/run_id=r/task_id=extract");
    std::fs::create_dir_all(&folder).unwrap();
    let mut file = std::fs::File::create(folder.join("attempt=0.log")).unwrap();
    file.write_all(b"{\"event\":\"one\"}\nplain two\n{\"event\":\"thr")
        .unwrap();
    (app, file)
}

async fn log(app: &App, query: &str, kind: &str) -> Reply {
    let path = format!("{RUN}/r/taskInstances/extract/logs/0{query}");
    let bearer = format!("Bearer {}", app.token("vic"));
    let headers = [("authorization", bearer.as_str()), ("accept", kind)];
    app.send("GET", &path, &headers, None).await
}

fn events(reply: &Reply) -> Vec<&str> {
    let content = reply.body["content"].as_array().unwrap();
    let events = content.iter().filter_map(|line| line["event"].as_str());
    events
        .filter(|event| !event.contains("::") && !event.contains('/'))
        .collect()
}

#[tokio::test]
async fn a_running_try_gives_whole_lines_and_a_token_that_leads_on() {
    let (app, mut file) = app_with_log(TaskInstanceState::Running).await;
    let first = log(&app, "", "application/json").await;
    assert_eq!(events(&first), ["one", "plain two"]);
    let token = first.body["continuation_token"]
        .as_str()
        .unwrap()
        .to_owned();

    let nothing = log(&app, &format!("?token={token}"), "application/json").await;
    assert!(events(&nothing).is_empty());
    assert_eq!(nothing.body["continuation_token"], token.as_str());

    file.write_all(b"ee\"}\n").unwrap();
    let rest = log(&app, &format!("?token={token}"), "application/json").await;
    assert_eq!(rest.body["content"], json!([{"event": "three"}]));

    let forged = log(&app, &format!("?token={token}x"), "application/json").await;
    assert_eq!(forged.status, 400);
}

#[tokio::test]
async fn lines_carry_the_token_in_a_header() {
    let (app, _file) = app_with_log(TaskInstanceState::Running).await;
    let reply = log(&app, "", "application/x-ndjson").await;
    let Value::String(text) = &reply.body else {
        panic!("{:?}", reply.body)
    };
    assert!(
        text.ends_with("{\"timestamp\":null,\"event\":\"plain two\"}\n"),
        "{text}"
    );
    let token = reply
        .headers
        .iter()
        .find(|(name, _)| name == "airflow-continuation-token");
    let query = format!("?token={}", token.unwrap().1);
    let rest = log(&app, &query, "application/x-ndjson").await;
    assert_eq!(rest.body, Value::Null);
}

#[tokio::test]
async fn a_finished_try_gives_everything_and_no_token() {
    let (app, _file) = app_with_log(TaskInstanceState::Failed).await;
    let reply = log(&app, "", "*/*").await;
    assert_eq!(events(&reply), ["one", "plain two", "{\"event\":\"thr"]);
    assert_eq!(reply.body["continuation_token"], Value::Null);
}

#[tokio::test]
async fn a_log_that_is_not_there_says_so() {
    let (app, file) = app_with_log(TaskInstanceState::Failed).await;
    drop(file);
    std::fs::remove_dir_all(app.home.path().join("logs")).unwrap();
    let reply = log(&app, "", "application/json").await;
    assert_eq!(reply.status, 200);
    let content = reply.body["content"].to_string();
    assert!(content.contains("does not exist"), "{content}");
}

#[tokio::test]
async fn what_a_trigger_wrote_stands_where_it_happened() {
    let (app, _file) = app_with_log(TaskInstanceState::Deferred).await;
    let folder = app
        .home
        .path()
        .join("logs/dag_id=daily_sales/run_id=r/task_id=extract");
    let line = |second: u32, text: &str| {
        let timestamp = format!("2026-01-01T00:00:{second:02}Z");
        format!("{}\n", json!({"timestamp": timestamp, "event": text}))
    };
    std::fs::write(folder.join("attempt=0.log"), line(1, "deferred")).unwrap();
    let trigger = folder.join("attempt=0.log.trigger.7.log");
    std::fs::write(&trigger, line(2, "waiting") + &line(4, "fired")).unwrap();
    // Of another try.
    std::fs::write(folder.join("attempt=10.log"), line(3, "not this")).unwrap();

    let first = log(&app, "", "application/json").await;
    assert_eq!(events(&first), ["deferred", "waiting", "fired"]);
    let sources = first.body["content"].to_string();
    assert!(sources.contains("attempt=0.log.trigger.7.log"), "{sources}");

    let mut file = std::fs::File::options()
        .append(true)
        .open(folder.join("attempt=0.log"))
        .unwrap();
    file.write_all(line(5, "resumed").as_bytes()).unwrap();
    let token = first.body["continuation_token"].as_str().unwrap();
    let rest = log(&app, &format!("?token={token}"), "application/json").await;
    assert_eq!(events(&rest), ["resumed"]);
}
