//! Who may call what, and how tokens come and go.

use axum::http::header;
use serde_json::{Value, json};

use crate::app::App;

/// Status of one request as each role, in the order viewer, user, op, admin.
async fn statuses(app: &App, method: &str, path: &str, body: Option<Value>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for user in ["vic", "uma", "opal", "admin"] {
        statuses.push(app.call(user, method, path, body.clone()).await.status);
    }
    statuses
}

#[tokio::test]
async fn each_role_gets_exactly_what_it_may_have() {
    let app = App::new().await;
    let ti = "/api/v2/dags/daily_sales/dagRuns/none/taskInstances/extract";
    let cases = [
        ("GET", "/api/v2/dags", [200, 200, 200, 200]),
        ("GET", "/api/v2/dags/~/dagRuns", [200, 200, 200, 200]),
        ("GET", "/api/v2/pools", [200, 200, 200, 200]),
        ("GET", "/api/v2/importErrors", [200, 200, 200, 200]),
        ("GET", "/api/v2/eventLogs", [200, 200, 200, 200]),
        ("GET", "/api/v2/jobs", [200, 200, 200, 200]),
        ("GET", "/api/v2/variables", [403, 403, 200, 200]),
        ("GET", "/api/v2/connections", [403, 403, 200, 200]),
        // What is wrong with a request is told only to those who may make it.
        ("PATCH", "/api/v2/dags/daily_sales", [403, 422, 422, 422]),
        (
            "POST",
            "/api/v2/dags/daily_sales/dagRuns",
            [403, 422, 422, 422],
        ),
        (
            "POST",
            "/api/v2/dags/daily_sales/clearTaskInstances",
            [403, 422, 422, 422],
        ),
        ("POST", "/api/v2/pools", [403, 403, 422, 422]),
        ("POST", "/api/v2/variables", [403, 403, 422, 422]),
        ("POST", "/api/v2/connections", [403, 403, 422, 422]),
        ("PATCH", "/api/v2/pools", [403, 403, 422, 422]),
        ("DELETE", "/api/v2/dags/unknown", [403, 404, 404, 404]),
        ("DELETE", "/api/v2/pools/unknown", [403, 403, 404, 404]),
        ("DELETE", ti, [403, 404, 404, 404]),
    ];
    for (method, path, expected) in cases {
        let body = (method != "GET" && method != "DELETE").then(|| json!({"nonsense": 1}));
        let found = statuses(&app, method, path, body).await;
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn a_token_works_in_the_header_and_in_the_cookie_until_it_is_given_back() {
    let app = App::new().await;
    let token = app.token("vic");
    let cookie = format!("other=1; _token={token}");
    let by_cookie = [(header::COOKIE.as_str(), cookie.as_str())];
    let reply = app.send("GET", "/api/v2/dags", &by_cookie, None).await;
    assert_eq!(reply.status, 200);

    // The header goes before the cookie.
    let both = [by_cookie[0], ("authorization", "Bearer nonsense")];
    let reply = app.send("GET", "/api/v2/dags", &both, None).await;
    assert_eq!(
        (reply.status, &reply.body["detail"]),
        (403, &json!("Invalid JWT token"))
    );

    let reply = app
        .send("GET", "/api/v2/auth/logout", &by_cookie, None)
        .await;
    assert_eq!(reply.status, 307);
    let reply = app.send("GET", "/api/v2/dags", &by_cookie, None).await;
    assert_eq!(
        (reply.status, &reply.body["detail"]),
        (403, &json!("Invalid JWT token"))
    );
    assert_eq!(
        app.call("opal", "GET", "/api/v2/dags", None).await.status,
        200
    );
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_over() {
    let app = App::with_settings("[api_auth]\njwt_expiration_time = 0\njwt_leeway = 0\n").await;
    let expired = app.token("admin").to_owned();
    let bearer = format!("Bearer {expired}");
    // The clock counts whole seconds.
    let over = async {
        loop {
            let headers = [("authorization", bearer.as_str())];
            let reply = app.send("GET", "/api/v2/dags", &headers, None).await;
            if reply.status != 200 {
                return reply;
            }
            tokio::task::yield_now().await;
        }
    };
    let reply = tokio::time::timeout(std::time::Duration::from_secs(10), over)
        .await
        .expect("the token expires");
    assert_eq!(
        (reply.status, &reply.body["detail"]),
        (401, &json!("Token Expired"))
    );
}

#[tokio::test]
async fn forms_log_in_as_well_as_json() {
    let app = App::new().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = json!("username=vic&password=vic");
    let reply = app.send("POST", "/auth/token", &form, Some(&body)).await;
    assert_eq!(reply.status, 201);
    let body = json!("username=vic&password=wrong");
    let reply = app.send("POST", "/auth/token", &form, Some(&body)).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn where_all_are_admins_nobody_needs_a_token() {
    let app = App::with_settings("[core]\nsimple_auth_manager_all_admins = True\n").await;
    let reply = app.send("GET", "/api/v2/variables", &[], None).await;
    assert_eq!(reply.status, 200);
    let reply = app.send("GET", "/auth/token", &[], None).await;
    assert_eq!(reply.status, 201);
    let bearer = format!("Bearer {}", reply.body["access_token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let reply = app.send("GET", "/api/v2/connections", &headers, None).await;
    assert_eq!(reply.status, 200);
    let reply = app.send("GET", "/auth/token/login", &[], None).await;
    assert_eq!(reply.status, 307);
    let set = reply.headers.iter().find(|(name, _)| name == "set-cookie");
    assert!(set.unwrap().1.contains("HttpOnly"));
}

#[tokio::test]
async fn users_of_the_settings_log_in_with_the_passwords_file() {
    let app = App::with_settings("[core]\nsimple_auth_manager_users = pat:viewer\n").await;
    let file = app
        .home
        .path()
        .join("simple_auth_manager_passwords.json.generated");
    std::fs::write(file, r#"{"pat": "p", "eve": "e"}"#).unwrap();
    let log_in = async |name: &str, password: &str| {
        let body = json!({"username": name, "password": password});
        app.send("POST", "/auth/token", &[], Some(&body)).await
    };
    assert_eq!(log_in("pat", "wrong").await.status, 401);
    assert_eq!(
        log_in("eve", "e").await.status,
        401,
        "a password without a user"
    );
    let reply = log_in("pat", "p").await;
    assert_eq!(reply.status, 201);
    let bearer = format!("Bearer {}", reply.body["access_token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let reply = app.send("GET", "/api/v2/variables", &headers, None).await;
    assert_eq!(reply.status, 403, "a viewer");
}
