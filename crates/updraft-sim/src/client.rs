//! Clients of the API: they talk to the real router, whose store calls pass the gate.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use updraft_store::RunKey;

use crate::dags::WORLD_BEGINS;

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a client wants.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Part of what the world is for: repeated until it is acknowledged.
    Trigger(RunKey),
    ClearTasks {
        key: RunKey,
        task_ids: Vec<String>,
        with_downstream: bool,
    },
    ClearRun(RunKey),
    MarkTask {
        key: RunKey,
        task_id: String,
        map_index: i32,
        state: &'static str,
    },
    MarkRun {
        key: RunKey,
        state: &'static str,
    },
    Pause {
        dag_id: String,
        is_paused: bool,
    },
    ResizePool {
        pool: String,
        slots: i32,
    },
    DeleteRun(RunKey),
    /// Part of what the world is for: repeated until there is such a backfill.
    CreateBackfill(BackfillWish),
    /// `pause`, `unpause` or `cancel`.
    ChangeBackfill {
        id: i64,
        change: &'static str,
    },
    /// Nothing that exists; nothing may change.
    Nonsense(u64),
}

/// A backfill that a client wants to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackfillWish {
    pub(crate) dag_id: String,
    /// From some time before the world begins to this time of it.
    pub(crate) until: Duration,
    pub(crate) max_active_runs: i32,
    pub(crate) reprocess: &'static str,
    pub(crate) run_backwards: bool,
}

/// How a request went.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) action: Action,
    pub(crate) status: u16,
    pub(crate) detail: String,
}

impl Action {
    /// Method, path and body.
    fn request(&self) -> (&'static str, String, Option<Value>) {
        let dag = |key: &RunKey| format!("/api/v2/dags/{}", key.dag_id);
        let run = |key: &RunKey| format!("/api/v2/dags/{}/dagRuns/{}", key.dag_id, key.run_id);
        match self {
            Self::Trigger(key) => (
                "POST",
                format!("{}/dagRuns", dag(key)),
                Some(json!({"dag_run_id": key.run_id.as_str(), "logical_date": null})),
            ),
            Self::ClearTasks {
                key,
                task_ids,
                with_downstream,
            } => (
                "POST",
                format!("{}/clearTaskInstances", dag(key)),
                Some(json!({
                    "dry_run": false, "only_failed": false, "dag_run_id": key.run_id.as_str(),
                    "task_ids": task_ids, "include_downstream": with_downstream,
                })),
            ),
            Self::ClearRun(key) => (
                "POST",
                format!("{}/clear", run(key)),
                Some(json!({"dry_run": false})),
            ),
            Self::MarkTask {
                key,
                task_id,
                map_index,
                state,
            } => (
                "PATCH",
                match map_index {
                    -1 => format!("{}/taskInstances/{task_id}", run(key)),
                    index => format!("{}/taskInstances/{task_id}/{index}", run(key)),
                },
                Some(json!({"new_state": state})),
            ),
            Self::MarkRun { key, state } => ("PATCH", run(key), Some(json!({"state": state}))),
            Self::Pause { dag_id, is_paused } => (
                "PATCH",
                format!("/api/v2/dags/{dag_id}"),
                Some(json!({"is_paused": is_paused})),
            ),
            Self::ResizePool { pool, slots } => (
                "PATCH",
                format!("/api/v2/pools/{pool}?update_mask=slots"),
                Some(json!({"pool": pool, "slots": slots, "include_deferred": false})),
            ),
            Self::DeleteRun(key) => ("DELETE", run(key), None),
            Self::CreateBackfill(wish) => {
                ("POST", "/api/v2/backfills".to_owned(), Some(wish.body()))
            }
            Self::ChangeBackfill { id, change } => {
                ("PUT", format!("/api/v2/backfills/{id}/{change}"), None)
            }
            Self::Nonsense(number) => nonsense(*number),
        }
    }
}

impl BackfillWish {
    fn body(&self) -> Value {
        const HOURS_BACK: u64 = 3;
        let at = |seconds: u64| {
            let at = jiff::Timestamp::from_second(seconds.cast_signed());
            at.expect("a time within this century").to_string()
        };
        json!({
            "dag_id": self.dag_id, "from_date": at(WORLD_BEGINS - 3_600 * HOURS_BACK),
            "to_date": at(WORLD_BEGINS + self.until.as_secs()),
            "max_active_runs": self.max_active_runs, "reprocess_behavior": self.reprocess,
            "run_backwards": self.run_backwards, "dag_run_conf": {},
        })
    }
}

fn nonsense(number: u64) -> (&'static str, String, Option<Value>) {
    match number % 4 {
        0 => (
            "POST",
            "/api/v2/dags/no_such_dag/dagRuns".to_owned(),
            Some(json!({"logical_date": null})),
        ),
        1 => (
            "PATCH",
            "/api/v2/dags/dag0/dagRuns/no_such_run".to_owned(),
            Some(json!({"state": "success"})),
        ),
        2 => (
            "POST",
            "/api/v2/dags/dag0/clearTaskInstances".to_owned(),
            Some(json!({"dry_run": "perhaps", "task_ids": 7})),
        ),
        _ => (
            "PATCH",
            "/api/v2/pools/default_pool".to_owned(),
            Some(json!({"slots": "many"})),
        ),
    }
}

/// Sends a request and waits for the answer.
pub(crate) async fn send(router: Router, token: String, action: Action) -> Answered {
    let (method, path, body) = action.request();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
        .expect("the parts of a request are plain");
    let response = router
        .oneshot(request)
        .await
        .expect("the router never fails");
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MAX)
        .await
        .unwrap_or_default();
    let detail = String::from_utf8_lossy(&bytes).chars().take(200).collect();
    Answered {
        action,
        status,
        detail,
    }
}

/// A token that lives longer than any world.
pub(crate) async fn token(router: Router) -> String {
    let request = Request::get("/auth/token").body(Body::empty());
    let request = request.expect("the parts of a request are plain");
    let response = router
        .oneshot(request)
        .await
        .expect("the router never fails");
    let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MAX)
        .await
        .unwrap_or_default();
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    answer["access_token"]
        .as_str()
        .expect("everybody is admin")
        .to_owned()
}
