//! The operations we serve against those of Airflow's document.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use updraft_rest_api::contract;

use crate::app::App;

#[tokio::test]
async fn every_operation_of_the_document_is_served_or_listed_as_missing() {
    let app = App::new().await;
    let plain = |path: &str| path.replace("{*", "{");
    let served: BTreeSet<(String, String, String)> = app
        .server
        .operations()
        .iter()
        .filter(|operation| operation.path.starts_with("/api/v2/"))
        .map(|operation| {
            let (method, id) = (operation.method.to_owned(), operation.id.to_owned());
            (method, plain(operation.path), id)
        })
        .collect();
    let triple = |operation: contract::ContractOperation| {
        let (method, id) = (operation.method.to_owned(), operation.id.to_owned());
        (method, plain(operation.path), id)
    };
    let all: BTreeSet<_> = contract::operations().map(triple).collect();
    let missing: BTreeSet<_> = contract::missing().map(triple).collect();
    assert_eq!(all.len(), 128);
    let unknown: Vec<_> = served.difference(&all).collect();
    assert!(
        unknown.is_empty(),
        "served, but not in the document: {unknown:?}"
    );
    let both: Vec<_> = served.intersection(&missing).collect();
    assert!(
        both.is_empty(),
        "served, and yet listed as missing: {both:?}"
    );
    let neither: Vec<_> = all
        .iter()
        .filter(|each| !served.contains(*each) && !missing.contains(*each))
        .collect();
    assert!(
        neither.is_empty(),
        "neither served nor listed as missing: {neither:?}"
    );
}

/// Which schema of the document describes the answer to a request, and where in the answer.
const DESCRIBED: &[(&str, &str, &str)] = &[
    ("/api/v2/dags", "", "DAGCollectionResponse"),
    ("/api/v2/dags", "/dags/0", "DAGResponse"),
    ("/api/v2/dags/daily_sales/details", "", "DAGDetailsResponse"),
    (
        "/api/v2/dags/daily_sales/dagVersions",
        "/dag_versions/0",
        "DagVersionResponse",
    ),
    ("/api/v2/dagSources/daily_sales", "", "DAGSourceResponse"),
    ("/api/v2/dags/daily_sales/tasks", "/tasks/0", "TaskResponse"),
    (
        "/api/v2/dags/daily_sales/dagRuns",
        "",
        "DAGRunCollectionResponse",
    ),
    ("/api/v2/dags/daily_sales/dagRuns/one", "", "DAGRunResponse"),
    (
        "/api/v2/dags/daily_sales/dagRuns/one/taskInstances",
        "",
        "TaskInstanceCollectionResponse",
    ),
    (
        "/api/v2/dags/daily_sales/dagRuns/one/taskInstances",
        "/task_instances/0",
        "TaskInstanceResponse",
    ),
    (
        "/api/v2/dags/daily_sales/dagRuns/one/taskInstances/extract/tries",
        "/task_instances/0",
        "TaskInstanceHistoryResponse",
    ),
    (
        "/api/v2/dags/daily_sales/dagRuns/one/taskInstances/extract/xcomEntries",
        "/xcom_entries/0",
        "XComResponse",
    ),
    (
        "/api/v2/dags/daily_sales/dagRuns/one/taskInstances/extract/dependencies",
        "/dependencies/0",
        "TaskDependencyResponse",
    ),
    ("/api/v2/dagStats", "/dags/0", "DagStatsResponse"),
    (
        "/api/v2/importErrors",
        "/import_errors/0",
        "ImportErrorResponse",
    ),
    ("/api/v2/pools", "/pools/0", "PoolResponse"),
    ("/api/v2/variables", "/variables/0", "VariableResponse"),
    (
        "/api/v2/connections",
        "/connections/0",
        "ConnectionResponse",
    ),
    ("/api/v2/eventLogs", "/event_logs/0", "EventLogResponse"),
    ("/api/v2/monitor/health", "", "HealthInfoResponse"),
    ("/api/v2/version", "", "VersionInfo"),
];

#[tokio::test]
async fn answers_have_the_keys_of_the_document() {
    let app = App::new().await;
    let ti = "/api/v2/dags/daily_sales/dagRuns/one/taskInstances/extract";
    let run = json!({"dag_run_id": "one", "logical_date": null});
    let rows = [
        ("/api/v2/dags/daily_sales/dagRuns".to_owned(), run),
        (format!("{ti}/xcomEntries"), json!({"key": "k", "value": 1})),
        (
            "/api/v2/variables".to_owned(),
            json!({"key": "k", "value": "v"}),
        ),
        (
            "/api/v2/connections".to_owned(),
            json!({"connection_id": "c", "conn_type": "http"}),
        ),
    ];
    for (path, body) in rows {
        let reply = app.admin("POST", &path, Some(body)).await;
        assert!(reply.status < 300, "{path}: {}", reply.body);
    }
    let schemas: Map<String, Value> = serde_json::from_str(include_str!(
        "../../../updraft-rest-api/contract/schemas.json"
    ))
    .unwrap();
    for (path, place, name) in DESCRIBED {
        let reply = app.admin("GET", path, None).await;
        let found = reply.body.pointer(place);
        let found = found.and_then(Value::as_object);
        let found = found.unwrap_or_else(|| panic!("{path}{place}: {}", reply.body));
        let names = |key: &str| -> BTreeSet<&str> {
            let list = schemas[*name][key].as_array().unwrap();
            list.iter().filter_map(Value::as_str).collect()
        };
        let found: BTreeSet<&str> = found.keys().map(String::as_str).collect();
        let unknown: Vec<_> = found.difference(&names("properties")).copied().collect();
        assert!(
            unknown.is_empty(),
            "{path}{place}: {name} has no {unknown:?}"
        );
        let missing: Vec<_> = names("required").difference(&found).copied().collect();
        assert!(
            missing.is_empty(),
            "{path}{place}: {name} needs {missing:?}"
        );
    }
}
