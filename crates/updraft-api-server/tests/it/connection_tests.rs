//! Connection tests as a client sees them; the executor is played here.

use serde_json::{Value, json};
use updraft_model::JobId;
use updraft_model::connection::Connection;
use updraft_model::connection_test::ConnectionTestState;

use crate::app::{App, Reply};

const ENABLED: &str = "[core]\ntest_connection = Enabled\n";
const ENQUEUE: &str = "/api/v2/connections/enqueue-test";
const TEST: &str = "/api/v2/connections/test";

/// Takes the test that waits and ends it; what was to be tested.
async fn execute(app: &App, state: ConnectionTestState, message: &str) -> Connection {
    let now = jiff::Timestamp::UNIX_EPOCH;
    loop {
        let mut tx = app.store.write().await.unwrap();
        let queued = tx.queue_connection_tests(JobId(1), 9, now).await.unwrap();
        if let Some(test) = queued.first() {
            let started = tx.start_connection_test(test.id, now).await.unwrap();
            tx.finish_connection_test(test.id, state, message, now)
                .await
                .unwrap();
            tx.commit().await.unwrap();
            return started.unwrap().connection;
        }
        drop(tx);
        tokio::task::yield_now().await;
    }
}

async fn poll(app: &App, user: &str, token: &str) -> Reply {
    let bearer = format!("Bearer {}", app.token(user));
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Airflow-Connection-Test-Token", token),
    ];
    app.send("GET", ENQUEUE, &headers, None).await
}

#[tokio::test]
async fn a_test_is_queued_and_its_token_is_the_key_to_its_result() {
    let app = App::with_settings(ENABLED).await;
    let body = json!({"connection_id": "web", "conn_type": "http", "password": "hush"});
    let queued = app.admin("POST", ENQUEUE, Some(body.clone())).await;
    assert_eq!(queued.status, 202, "{}", queued.body);
    assert_eq!(queued.body["connection_id"], "web");
    assert_eq!(queued.body["state"], "pending");
    let token = queued.body["token"].as_str().unwrap();
    let again = app.admin("POST", ENQUEUE, Some(body)).await;
    assert_eq!(
        (again.status, &again.body["detail"]),
        (
            409,
            &json!("An active connection test already exists for connection_id `web`.")
        )
    );
    assert_eq!(poll(&app, "admin", token).await.body["state"], "pending");
    let tested = execute(&app, ConnectionTestState::Failed, "no such host").await;
    assert_eq!(tested.password.as_deref(), Some("hush"));
    let ended = poll(&app, "opal", token).await;
    assert_eq!(ended.status, 200, "{}", ended.body);
    assert_eq!(ended.body["state"], "failed");
    assert_eq!(ended.body["result_message"], "no such host");
    assert!(!ended.body.to_string().contains("hush"));
    // Who may not see connections learns nothing of their tests.
    for (user, token) in [("uma", token), ("admin", "odd")] {
        let reply = poll(&app, user, token).await;
        let detail = format!("No connection test found for token: `{token}`");
        assert_eq!(
            (reply.status, &reply.body["detail"]),
            (404, &Value::from(detail))
        );
    }
    let reply = app.admin("GET", ENQUEUE, None).await;
    assert_eq!(reply.status, 422);
    assert_eq!(
        reply.body["detail"][0]["loc"],
        json!(["header", "Airflow-Connection-Test-Token"])
    );
}

#[tokio::test]
async fn a_test_that_may_not_be_is_refused() {
    let body = json!({"connection_id": "web", "conn_type": "http"});
    let app = App::new().await;
    for path in [ENQUEUE, TEST] {
        let reply = app.admin("POST", path, Some(body.clone())).await;
        let detail = reply.body["detail"].as_str().unwrap();
        assert_eq!(reply.status, 403);
        assert!(
            detail.starts_with("Testing connections is disabled"),
            "{detail}"
        );
    }
    let app = App::with_settings(ENABLED).await;
    let refused = app.call("uma", "POST", ENQUEUE, Some(body.clone())).await;
    assert_eq!(
        (refused.status, &refused.body["detail"]),
        (
            403,
            &json!("You are not authorized to test connection `web`.")
        )
    );
    let mut odd = body.clone();
    odd["executor"] = json!("OddExecutor");
    let refused = app.admin("POST", ENQUEUE, Some(odd)).await;
    assert_eq!(
        (refused.status, &refused.body["detail"]),
        (
            422,
            &json!(
                "Executor 'OddExecutor' is not configured. \
                 Configured executors: ['LocalExecutor']"
            )
        )
    );
    let mut unknown = body;
    unknown["colour"] = json!("green");
    assert_eq!(app.admin("POST", ENQUEUE, Some(unknown)).await.status, 422);
}

#[tokio::test]
async fn a_client_may_wait_for_the_result_of_a_stored_connection() {
    let app = App::with_settings(ENABLED).await;
    let stored = json!({
        "connection_id": "web", "conn_type": "http", "host": "one", "password": "hush"
    });
    let reply = app.admin("POST", "/api/v2/connections", Some(stored)).await;
    assert_eq!(reply.status, 201);
    let ask = |body: Value| app.admin("POST", TEST, Some(body));

    let body = json!({
        "connection_id": "web", "conn_type": "http", "host": "one", "password": "***"
    });
    let (reply, tested) = tokio::join!(
        ask(body),
        execute(&app, ConnectionTestState::Success, "it works")
    );
    assert_eq!(reply.body, json!({"status": true, "message": "it works"}));
    assert_eq!(tested.password.as_deref(), Some("hush"));
    assert_ne!(tested.conn_id, "web");

    let elsewhere = json!({
        "connection_id": "web", "conn_type": "http", "host": "two", "password": "***"
    });
    let reply = ask(elsewhere.clone()).await;
    assert_eq!(reply.status, 400, "{}", reply.body);
    let mut own = elsewhere;
    own["password"] = json!("mine");
    let (reply, tested) = tokio::join!(
        ask(own),
        execute(&app, ConnectionTestState::Failed, "no route")
    );
    assert_eq!(reply.body, json!({"status": false, "message": "no route"}));
    assert_eq!(tested.password.as_deref(), Some("mine"));
    assert_eq!(tested.host.as_deref(), Some("two"));
}
