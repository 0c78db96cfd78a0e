//! Requests that make no sense are refused with the reason, and change nothing.

use serde_json::{Value, json};

use crate::app::App;

#[tokio::test]
async fn ids_that_do_not_exist_are_named() {
    let app = App::new().await;
    let run = "/api/v2/dags/daily_sales/dagRuns";
    for (method, path, named) in [
        ("GET", "/api/v2/dags/nope", "nope"),
        ("GET", "/api/v2/dags/nope/details", "nope"),
        ("GET", "/api/v2/dags/nope/tasks", "nope"),
        ("GET", "/api/v2/dags/nope/dagRuns", "nope"),
        ("GET", "/api/v2/dags/nope/dagVersions", "nope"),
        ("GET", "/api/v2/dagSources/nope", "nope"),
        ("GET", &format!("{run}/nope"), "nope"),
        ("DELETE", &format!("{run}/nope"), "nope"),
        ("GET", &format!("{run}/nope/taskInstances"), "nope"),
        ("GET", &format!("{run}/x/taskInstances/nope"), "nope"),
        ("GET", &format!("{run}/x/taskInstances/nope/tries"), "nope"),
        (
            "GET",
            &format!("{run}/x/taskInstances/y/xcomEntries/nope"),
            "nope",
        ),
        ("GET", "/api/v2/pools/no/such/pool", "no/such/pool"),
        ("GET", "/api/v2/variables/no%2Fsuch", "no/such"),
        ("GET", "/api/v2/connections/nope", "nope"),
        ("GET", "/api/v2/eventLogs/7777", "7777"),
        ("GET", "/api/v2/importErrors/7777", "7777"),
    ] {
        let reply = app.admin(method, path, None).await;
        assert_eq!(reply.status, 404, "{method} {path}: {}", reply.body);
        let detail = reply.body["detail"].to_string();
        assert!(detail.contains(named), "{method} {path}: {detail}");
    }
}

#[tokio::test]
async fn every_problem_of_a_body_is_reported_at_once() {
    let app = App::new().await;
    let body = json!({
        "name": 5,
        "slots": "many",
        "include_deferred": [],
        "unknown": {"deep": true},
    });
    let reply = app.admin("POST", "/api/v2/pools", Some(body)).await;
    assert_eq!(reply.status, 422);
    let found: Vec<(String, String)> = reply.body["detail"]
        .as_array()
        .unwrap()
        .iter()
        .map(|issue| {
            let place = issue["loc"][1].as_str().unwrap_or_default().to_owned();
            (place, issue["type"].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    let expected = [
        ("name", "string_type"),
        ("slots", "int_parsing"),
        ("include_deferred", "bool_type"),
        ("unknown", "extra_forbidden"),
    ];
    let expected: Vec<(String, String)> = expected
        .iter()
        .map(|(place, kind)| ((*place).to_owned(), (*kind).to_owned()))
        .collect();
    assert_eq!(found, expected);
    let pools = app.admin("GET", "/api/v2/pools", None).await;
    assert_eq!(pools.body["total_entries"], 1);
}

#[tokio::test]
async fn a_bulk_action_is_applied_as_a_whole_or_not_at_all() {
    let app = App::new().await;
    let pools = |names: &[&str]| -> Value {
        names
            .iter()
            .map(|name| json!({"name": name, "slots": 1}))
            .collect()
    };
    let body = json!({"actions": [
        {"action": "create", "entities": pools(&["a"])},
        {"action": "create", "entities": pools(&["b", "a"])},
        {"action": "delete", "entities": ["a", "nope"]},
    ]});
    let reply = app.admin("PATCH", "/api/v2/pools", Some(body)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body["create"]["success"], json!(["a"]));
    assert_eq!(reply.body["create"]["errors"][0]["status_code"], 409);
    assert_eq!(reply.body["delete"]["errors"][0]["status_code"], 404);
    assert_eq!(app.admin("GET", "/api/v2/pools/a", None).await.status, 200);
    assert_eq!(app.admin("GET", "/api/v2/pools/b", None).await.status, 404);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_unread() {
    let app = App::new().await;
    let huge = json!({"key": "k", "value": "v".repeat(11 * 1024 * 1024)});
    let reply = app.admin("POST", "/api/v2/variables", Some(huge)).await;
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn ids_with_slashes_and_signs_arrive_as_they_were_meant() {
    let app = App::new().await;
    let body = json!({"key": "a/b+c", "value": "v"});
    assert_eq!(
        app.admin("POST", "/api/v2/variables", Some(body))
            .await
            .status,
        201
    );
    for path in ["a/b+c", "a%2Fb%2Bc", "a%2fb+c"] {
        let reply = app
            .admin("GET", &format!("/api/v2/variables/{path}"), None)
            .await;
        assert_eq!(reply.body["key"], "a/b+c", "{path}");
    }
    let run = json!({"logical_date": null, "run_after": "2026-03-03T06:00:00+02:00"});
    let reply = app
        .admin("POST", "/api/v2/dags/daily_sales/dagRuns", Some(run))
        .await;
    assert_eq!(
        reply.body["dag_run_id"],
        "manual__2026-03-03T06:00:00+02:00"
    );
    for id in [
        "manual__2026-03-03T06:00:00+02:00",
        "manual__2026-03-03T06%3A00%3A00%2B02%3A00",
    ] {
        let path = format!("/api/v2/dags/daily_sales/dagRuns/{id}");
        assert_eq!(app.admin("GET", &path, None).await.status, 200, "{id}");
    }
}

#[tokio::test]
async fn a_secret_that_comes_back_masked_stays_as_it_is() {
    let app = App::new().await;
    let body = json!({
        "connection_id": "db",
        "conn_type": "postgres",
        "password": "hush",
        "extra": "{\"api_key\": \"k\", \"region\": \"eu\"}",
    });
    let shown = app.admin("POST", "/api/v2/connections", Some(body)).await;
    assert_eq!(shown.body["password"], "***");
    let mut back = shown.body.clone();
    back["host"] = json!("db.example");
    let reply = app
        .admin("PATCH", "/api/v2/connections/db", Some(back))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let stored = app
        .store
        .read()
        .await
        .unwrap()
        .find_connection("db")
        .await
        .unwrap();
    let stored = stored.unwrap();
    assert_eq!(stored.password.as_deref(), Some("hush"));
    assert_eq!(stored.host.as_deref(), Some("db.example"));
    let extra: Value = serde_json::from_str(&stored.extra.unwrap()).unwrap();
    assert_eq!(extra, json!({"api_key": "k", "region": "eu"}));
}

#[tokio::test]
async fn a_walk_by_cursor_sees_every_run_once_in_both_directions() {
    let app = App::new().await;
    for day in 1..=7 {
        let body = json!({
            "dag_run_id": format!("r{day}"),
            // Some runs have no date: those come first.
            "logical_date": (day > 2).then(|| format!("2026-03-0{day}T00:00:00Z")),
        });
        let path = "/api/v2/dags/daily_sales/dagRuns";
        assert_eq!(app.admin("POST", path, Some(body)).await.status, 200);
    }
    let walk = async |order: &str, first: &str, link: &str| {
        let (mut seen, mut cursor) = (Vec::new(), first.to_owned());
        loop {
            let path = format!("/api/v2/dags/~/dagRuns?cursor={cursor}&limit=3&order_by={order}");
            let reply = app.admin("GET", &path, None).await;
            assert_eq!(reply.status, 200, "{}", reply.body);
            assert_eq!(reply.body["total_entries"], 7);
            let page = reply.body["dag_runs"].as_array().unwrap();
            seen.push(
                page.iter()
                    .map(|run| run["dag_run_id"].as_str().unwrap().to_owned())
                    .collect::<Vec<_>>(),
            );
            match reply.body[link].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => return (seen, cursor),
            }
        }
    };
    let forwards = [vec!["r1", "r2", "r3"], vec!["r4", "r5", "r6"], vec!["r7"]];
    let (seen, last) = walk("logical_date", "", "next_cursor").await;
    assert_eq!(seen, forwards);
    let (seen, _) = walk("-logical_date", "", "next_cursor").await;
    assert_eq!(seen.concat(), ["r7", "r6", "r5", "r4", "r3", "r2", "r1"]);
    // Back from the last page.
    let path = format!("/api/v2/dags/~/dagRuns?cursor={last}&limit=3&order_by=logical_date");
    let reply = app.admin("GET", &path, None).await;
    let back = reply.body["previous_cursor"].as_str().unwrap().to_owned();
    let (seen, _) = walk("logical_date", &back, "previous_cursor").await;
    assert_eq!(seen, [vec!["r4", "r5", "r6"], vec!["r1", "r2", "r3"]]);
}

#[tokio::test]
async fn an_id_may_be_the_name_of_an_operation() {
    let app = App::new().await;
    let runs = "/api/v2/dags/daily_sales/dagRuns";
    let body = json!({"dag_run_id": "list", "logical_date": null});
    assert_eq!(app.admin("POST", runs, Some(body)).await.status, 200);
    let reply = app.admin("GET", &format!("{runs}/list"), None).await;
    assert_eq!(reply.body["dag_run_id"], "list");
    let path = format!("{runs}/list/taskInstances/extract");
    assert_eq!(app.admin("GET", &path, None).await.status, 200);
    let body = json!({"connection_id": "test", "conn_type": "http"});
    assert_eq!(
        app.admin("POST", "/api/v2/connections", Some(body))
            .await
            .status,
        201
    );
    let reply = app.admin("GET", "/api/v2/connections/test", None).await;
    assert_eq!(reply.body["connection_id"], "test");
}
