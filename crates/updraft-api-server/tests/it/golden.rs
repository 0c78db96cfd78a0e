//! Replays recorded requests in their order and compares the answers with Airflow's.
//!
//! Where we differ on purpose, [`DEVIATIONS`] says so and why.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::app::{App, Reply};

#[derive(Deserialize)]
pub(crate) struct Page {
    pub(crate) name: String,
    #[serde(rename = "as")]
    user: Option<String>,
    method: String,
    path: String,
    body: Option<Value>,
    headers: Option<Map<String, Value>>,
    status: u16,
    pub(crate) answer: Value,
}

/// Answers that differ on purpose: resource, page, reason.
const DEVIATIONS: &[(&str, &str, &str)] = &[
    ("service", "version", "names our own build in `git_version`"),
    ("service", "health", "no scheduler runs in this test"),
    (
        "service",
        "token not json",
        "422 that says what is wrong instead of 500",
    ),
    (
        "service",
        "token array",
        "422 that says what is wrong instead of 500",
    ),
    (
        "admin",
        "pools after bulk",
        "pools have no number here; after the default one they stand by name",
    ),
    (
        "admin",
        "pool bulk update mask",
        "the mask is honoured instead of demanding fields that it leaves out",
    ),
    (
        "admin",
        "event logs excluded",
        "the recorded installation had a longer history",
    ),
    ("admin", "plugins", "not served yet"),
    ("admin", "plugin errors", "not served yet"),
    ("admin", "jobs", "no scheduler runs in this test"),
    (
        "admin",
        "providers",
        "the test has no Python installation to look into",
    ),
    (
        "admin",
        "pool bulk bad",
        "Airflow validates the body twice and lists each problem twice",
    ),
    (
        "admin",
        "pool bulk extra",
        "Airflow validates the body twice and lists each problem twice",
    ),
    (
        "admin",
        "event logs",
        "the recorded installation had a longer history",
    ),
    (
        "dag_runs",
        "clear runs none",
        "Airflow validates the body twice and lists each problem twice",
    ),
    (
        "partitions",
        "rerun two",
        "Airflow validates the body twice and lists each problem twice",
    ),
    (
        "partitions",
        "rerun wrong order",
        "Airflow validates the body twice and lists each problem twice",
    ),
    (
        "partitions",
        "trigger 1",
        "instants come back in UTC, as in every later answer, not in the timetable's zone",
    ),
    (
        "partitions",
        "trigger 2",
        "instants come back in UTC, as in every later answer, not in the timetable's zone",
    ),
    (
        "partitions",
        "trigger 3",
        "instants come back in UTC, as in every later answer, not in the timetable's zone",
    ),
    (
        "partitions",
        "trigger 4",
        "instants come back in UTC, as in every later answer, not in the timetable's zone",
    ),
    (
        "partitions",
        "trigger bad key",
        "says where the key leaves the format",
    ),
    (
        "dag_runs",
        "trigger default id",
        "instants come back in UTC, as in every later answer, not in the offset they were sent with",
    ),
];

/// Compares a recorded resource, page by page, and lists every difference.
pub(crate) async fn check(app: &App, resource: &str, pages: &str) {
    check_some(app, resource, pages, |_| true).await;
}

pub(crate) async fn check_some(
    app: &App,
    resource: &str,
    pages: &str,
    choose: impl Fn(&Page) -> bool,
) {
    let pages: Vec<Page> = serde_json::from_str(pages).unwrap();
    let mut report = String::new();
    for page in pages.iter().filter(|page| choose(page)) {
        let reply = replay(app, page).await;
        let deviates = DEVIATIONS
            .iter()
            .any(|(of, name, _)| *of == resource && *name == page.name);
        let theirs = (page.status, normalized(&page.answer, None));
        let ours = (reply.status, normalized(&reply.body, None));
        if !deviates && theirs != ours {
            let _ = writeln!(
                report,
                "{}: {} {} {}\n  Airflow {} {}\n  Updraft {} {}\n",
                page.name,
                page.method,
                page.path,
                page.body.as_ref().map_or_else(String::new, shortened),
                theirs.0,
                shortened(&theirs.1),
                ours.0,
                shortened(&ours.1),
            );
        }
    }
    assert!(report.is_empty(), "{resource} differs:\n\n{report}");
}

async fn replay(app: &App, page: &Page) -> Reply {
    let mut headers: Vec<(String, String)> = page
        .headers
        .iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    if let Some(user) = &page.user {
        headers.push((
            "Authorization".to_owned(),
            format!("Bearer {}", app.token(user)),
        ));
    }
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let path = page.path.replace(' ', "%20");
    app.send(&page.method, &path, &headers, page.body.as_ref())
        .await
}

fn shortened(value: &Value) -> String {
    value.to_string().chars().take(1_500).collect()
}

/// Takes out what no two servers have in common: the time of day, ids, machine names.
fn normalized(value: &Value, name: Option<&str>) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| normalized(item, name)).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(key, item)| match (key.as_str(), item) {
                ("event_log_id", Value::Number(_)) => (key.clone(), "<number>".into()),
                ("duration", Value::Number(_)) => (key.clone(), "<seconds>".into()),
                // What only a worker writes.
                ("pid" | "queued_when" | "hostname" | "unixname", _) => {
                    (key.clone(), "<worker>".into())
                }
                _ => (key.clone(), normalized(item, Some(key))),
            })
            .collect(),
        Value::String(lines) if lines.starts_with("{\"timestamp\":") => lines
            .lines()
            .map(|line| normalized(&serde_json::from_str(line).unwrap(), None))
            .collect(),
        Value::String(text) => normalized_text(text, name.unwrap_or_default()).into(),
        other => other.clone(),
    }
}

fn normalized_text(text: &str, name: &str) -> String {
    const DRIFTING: &[&str] = &["next_cursor", "previous_cursor"];
    if DRIFTING.contains(&name) {
        return format!("<{name}>");
    }
    if name == "event"
        && let Some((_, place)) = text.split_once("/logs/dag_id=")
    {
        return format!("<logs>/dag_id={place}");
    }
    if let Some((before, _)) = text.split_once("when you look for ID ") {
        return format!("{before}<id>");
    }
    // A partition may be filled again at the same date.
    if let Some((before, random)) = text.rsplit_once("__")
        && text.starts_with("backfill__")
        && random.len() == 8
    {
        return format!("{before}__<random>");
    }
    if uuid::Uuid::parse_str(text).is_ok() && text.len() == 36 {
        return "<uuid>".to_owned();
    }
    if let Some((run_type, instant)) = text.split_once("__")
        && normalized_text(instant, name) == "<now>"
    {
        return format!("{run_type}__<now>");
    }
    let is_instant = text.len() >= 20 && text.parse::<jiff::Timestamp>().is_ok();
    // Dates of the recorded requests stay; the time of the recording does not.
    let is_fixed = ["2026-01", "2026-03", "2026-04"]
        .iter()
        .any(|month| text.starts_with(month));
    if is_instant && !is_fixed {
        return "<now>".to_owned();
    }
    text.to_owned()
}

#[tokio::test]
async fn tokens_health_and_wrong_addresses_answer_as_airflow_does() {
    let app = App::new().await;
    let pages = include_str!("../../testdata/golden/service.json");
    check_some(&app, "service", pages, |page| page.name != "config hidden").await;
}

#[tokio::test]
async fn dags_answer_as_airflow_does() {
    let app = App::new().await;
    let pages = include_str!("../../testdata/golden/dags.json");
    check(&app, "dags", pages).await;
}

#[tokio::test]
async fn dag_runs_answer_as_airflow_does() {
    let app = App::new().await;
    let pages = include_str!("../../testdata/golden/dag_runs.json");
    check(&app, "dag_runs", pages).await;
}

#[tokio::test]
async fn backfills_answer_as_airflow_does() {
    let app = App::with_run_dags().await;
    let pages = include_str!("../../testdata/golden/backfills.json");
    check(&app, "backfills", pages).await;
}

#[tokio::test]
async fn pools_variables_and_connections_answer_as_airflow_does() {
    let app = App::new().await;
    let pages = include_str!("../../testdata/golden/admin.json");
    check(&app, "admin", pages).await;
}
