//! The Dag list is answered from memory, and yet never old.

use serde_json::json;
use updraft_store::{Keyring, Store, StoreOptions};

use crate::app::App;

#[tokio::test]
async fn a_change_by_anybody_shows_in_the_very_next_answer() {
    let app = App::new().await;
    let is_paused = async || {
        let reply = app
            .admin("GET", "/api/v2/dags?dag_id_pattern=plain", None)
            .await;
        reply.body["dags"][0]["is_paused"].as_bool().unwrap()
    };
    assert!(is_paused().await);
    assert!(is_paused().await);

    let body = json!({"is_paused": false});
    app.admin("PATCH", "/api/v2/dags/plain", Some(body)).await;
    assert!(!is_paused().await, "changed through this server");

    let mut tx = app.store.write().await.unwrap();
    tx.set_paused(&"plain".into(), true).await.unwrap();
    tx.commit().await.unwrap();
    assert!(is_paused().await, "changed by another role of this process");

    let other = Store::open(StoreOptions {
        url: format!("sqlite:///{}", app.home.path().join("updraft.db").display()),
        keyring: Keyring::parse("81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=").unwrap(),
        connections_max: 4,
        lock_wait: std::time::Duration::from_secs(5),
        gate: updraft_store::Gate::default(),
    })
    .await
    .unwrap();
    let mut tx = other.write().await.unwrap();
    tx.set_paused(&"plain".into(), false).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!is_paused().await, "changed through other connections");
}

#[tokio::test]
async fn answers_to_different_questions_are_kept_apart() {
    let app = App::new().await;
    let names = async |query: &str| -> Vec<String> {
        let reply = app
            .admin("GET", &format!("/api/v2/dags{query}"), None)
            .await;
        let dags = reply.body["dags"].as_array().unwrap().clone();
        dags.iter()
            .map(|dag| dag["dag_id"].as_str().unwrap().to_owned())
            .collect()
    };
    for _ in 0..2 {
        assert_eq!(names("").await, ["daily_sales", "mapped", "plain"]);
        assert_eq!(
            names("?order_by=-dag_id").await,
            ["plain", "mapped", "daily_sales"]
        );
        assert_eq!(names("?limit=1&offset=1").await, ["mapped"]);
    }
}
