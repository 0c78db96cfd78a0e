//! Favourites: each user has their own.

use serde_json::{Value, json};

use crate::app::App;

const DAG: &str = "/api/v2/dags/daily_sales";

async fn favorites(app: &App, user: &str, wanted: bool) -> Vec<String> {
    let path = format!("/api/v2/dags?is_favorite={wanted}&order_by=dag_id");
    let reply = app.call(user, "GET", &path, None).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let dags = reply.body["dags"].as_array().unwrap();
    dags.iter()
        .map(|dag| dag["dag_id"].as_str().unwrap().to_owned())
        .collect()
}

async fn is_favorite(app: &App, user: &str) -> Value {
    let path = format!("{DAG}/details");
    app.call(user, "GET", &path, None).await.body["is_favorite"].clone()
}

#[tokio::test]
async fn a_user_marks_dags_for_themselves() {
    let app = App::new().await;
    let mark = |user: &'static str, word: &'static str| {
        let (app, path) = (&app, format!("{DAG}/{word}"));
        async move { app.call(user, "POST", &path, None).await }
    };
    // Asked before, so that a kept answer would show.
    assert!(favorites(&app, "vic", true).await.is_empty());
    assert_eq!(mark("vic", "favorite").await.status, 204);
    assert_eq!(favorites(&app, "vic", true).await, ["daily_sales"]);
    let others = favorites(&app, "vic", false).await;
    assert!(!others.is_empty() && !others.contains(&"daily_sales".to_owned()));
    assert!(favorites(&app, "uma", true).await.is_empty());
    assert_eq!(is_favorite(&app, "vic").await, json!(true));
    assert_eq!(is_favorite(&app, "uma").await, json!(false));

    let again = mark("vic", "favorite").await;
    assert_eq!(again.status, 409, "{}", again.body);
    let not_theirs = mark("uma", "unfavorite").await;
    assert_eq!(
        (not_theirs.status, &not_theirs.body["detail"]),
        (409, &json!("Dag is not marked as favorite"))
    );
    assert_eq!(mark("vic", "unfavorite").await.status, 204);
    assert!(favorites(&app, "vic", true).await.is_empty());

    let path = "/api/v2/dags/none/favorite";
    let unknown = app.call("vic", "POST", path, None).await;
    assert_eq!(
        (unknown.status, &unknown.body["detail"]),
        (404, &json!("Dag with id 'none' not found"))
    );
}
