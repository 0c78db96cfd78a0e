//! The settings, for those who may see them.

use serde_json::{Value, json};

use crate::app::App;

const CONFIG: &str = "/api/v2/config";
const PARALLELISM: &str = "/api/v2/config/section/core/option/parallelism";

const SECRET: &str = "bm90IGEgc2VjcmV0IG9mIGFueWJvZHkgYXQgYWxsISE=";

fn settings() -> String {
    format!("[core]\nparallelism = 7\nfernet_key = {SECRET}\n[api]\nexpose_config = True\n")
}

#[tokio::test]
async fn settings_are_shown_and_secrets_are_not() {
    let app = App::with_settings(&settings()).await;
    let all = app.admin("GET", CONFIG, None).await;
    assert_eq!(all.status, 200, "{}", all.body);
    let sections = all.body["sections"].as_array().unwrap();
    assert!(sections.len() > 10, "{sections:?}");
    assert!(!all.body.to_string().contains(SECRET));

    let core = app.admin("GET", "/api/v2/config?section=core", None).await;
    let sections = core.body["sections"].as_array().unwrap();
    assert_eq!(sections.len(), 1);
    assert_eq!(sections[0]["name"], "core");
    let options = sections[0]["options"].as_array().unwrap();
    let option = |key: &str, value: &str| json!({"key": key, "value": value});
    assert!(options.contains(&option("parallelism", "7")), "{options:?}");
    assert!(options.contains(&option("fernet_key", "< hidden >")));

    let one = app.admin("GET", PARALLELISM, None).await;
    let expected = json!({"sections": [
        {"name": "core", "options": [{"key": "parallelism", "value": "7"}]}
    ]});
    assert_eq!(one.body, expected);
    let bearer = format!("Bearer {}", app.token("admin"));
    let headers = [("Authorization", bearer.as_str()), ("Accept", "text/plain")];
    let text = app.send("GET", PARALLELISM, &headers, None).await;
    assert_eq!(text.body, Value::from("[core]\nparallelism = 7\n"));
    let headers = [("Authorization", bearer.as_str()), ("Accept", "image/png")];
    assert_eq!(app.send("GET", CONFIG, &headers, None).await.status, 406);
}

#[tokio::test]
async fn what_is_not_there_or_not_to_be_seen_says_so() {
    let app = App::with_settings(&settings()).await;
    let detail = async |path: &str| {
        let reply = app.admin("GET", path, None).await;
        (reply.status, reply.body["detail"].clone())
    };
    assert_eq!(
        detail("/api/v2/config?section=odd").await,
        (404, json!("Section odd not found."))
    );
    assert_eq!(
        detail("/api/v2/config/section/core/option/odd").await,
        (404, json!("Option [core/odd] not found."))
    );
    assert_eq!(app.call("uma", "GET", CONFIG, None).await.status, 403);

    // As in Airflow, that is the default.
    let app = App::new().await;
    for path in [CONFIG, PARALLELISM] {
        let reply = app.admin("GET", path, None).await;
        let detail = reply.body["detail"].as_str().unwrap();
        assert_eq!(reply.status, 403);
        assert!(detail.contains("chose not to expose"), "{detail}");
    }
}
