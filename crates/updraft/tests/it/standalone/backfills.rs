//! Backfills as a user meets them: created over REST, run by the scheduler, through a kill.

use serde_json::{Value, json};
use updraft_testkit::{RestClient, SECOND, Standalone, wait_until};

const DAGS: &str = include_str!("../../dags/fill.py");

fn started(dag_id: &str) -> (Standalone, RestClient) {
    let mut updraft = super::installation(&[("fill.py", DAGS)]);
    let client = updraft.start();
    client.wait_for_dag(dag_id, 60 * SECOND);
    let path = format!("/api/v2/dags/{dag_id}");
    let unpaused = client.call("PATCH", &path, Some(&json!({"is_paused": false})));
    assert_eq!(unpaused.status, 200, "{unpaused:?}");
    (updraft, client)
}

fn create(client: &RestClient, body: &Value) -> i64 {
    let created = client.call("POST", "/api/v2/backfills", Some(body));
    assert_eq!(created.status, 200, "{created:?}");
    created.body["id"].as_i64().unwrap()
}

/// Runs of the backfill, oldest date first.
fn runs(client: &RestClient, dag_id: &str) -> Vec<Value> {
    let path = format!("/api/v2/dags/{dag_id}/dagRuns?run_type=backfill&order_by=run_after");
    client.list(&path, "dag_runs")
}

fn count(runs: &[Value], state: &str) -> usize {
    runs.iter().filter(|run| run["state"] == state).count()
}

fn is_completed(client: &RestClient, id: i64) -> bool {
    let backfill = client.get(&format!("/api/v2/backfills/{id}"));
    !backfill["completed_at"].is_null()
}

#[test]
fn a_backfill_keeps_its_order_and_its_limit_through_a_kill() {
    let (mut updraft, client) = started("ordered");
    let id = create(
        &client,
        &json!({
            "dag_id": "ordered", "from_date": "2026-01-01T00:00:00Z",
            "to_date": "2026-01-08T00:00:00Z", "reprocess_behavior": "failed", "max_active_runs": 2,
        }),
    );
    wait_until("a run succeeded", 60 * SECOND, || {
        let runs = runs(&client, "ordered");
        assert_eq!(runs.len(), 8);
        assert!(count(&runs, "running") <= 2, "{runs:#?}");
        if count(&runs, "success") > 0 {
            Ok(())
        } else {
            Err(runs)
        }
    });
    updraft.kill();
    let client = updraft.start();
    wait_until("the backfill is complete", 120 * SECOND, || {
        let runs = runs(&client, "ordered");
        assert!(count(&runs, "running") <= 2, "{runs:#?}");
        if is_completed(&client, id) {
            Ok(())
        } else {
            Err(runs)
        }
    });
    let runs = runs(&client, "ordered");
    assert_eq!(count(&runs, "success"), 8, "{runs:#?}");
    let starts: Vec<String> = runs
        .iter()
        .map(|run| {
            let run_id = run["dag_run_id"].as_str().unwrap();
            let path = format!("/api/v2/dags/ordered/dagRuns/{run_id}/taskInstances/work");
            client.get(&path)["start_date"].as_str().unwrap().to_owned()
        })
        .collect();
    // Each day waits for the one before it.
    assert!(starts.is_sorted(), "{starts:?}");
}

#[test]
fn hundreds_of_dates_are_created_paused_resumed_and_run_to_the_end() {
    let (_updraft, client) = started("quick");
    let id = create(
        &client,
        &json!({
            "dag_id": "quick", "from_date": "2025-01-01T00:00:00Z",
            "to_date": "2025-10-27T00:00:00Z", "max_active_runs": 5, "run_backwards": true,
        }),
    );
    let path = |action: &str| format!("/api/v2/backfills/{id}/{action}");
    let paused = client.call("PUT", &path("pause"), None);
    assert_eq!(paused.body["is_paused"], true, "{paused:?}");
    assert_eq!(runs(&client, "quick").len(), 300);
    let unpaused = client.call("PUT", &path("unpause"), None);
    assert_eq!(unpaused.body["is_paused"], false, "{unpaused:?}");
    wait_until("the backfill is complete", 120 * SECOND, || {
        if is_completed(&client, id) {
            Ok(())
        } else {
            Err(count(&runs(&client, "quick"), "success"))
        }
    });
    assert_eq!(count(&runs(&client, "quick"), "success"), 300);
}

#[test]
fn a_cancelled_backfill_starts_nothing_more() {
    let (_updraft, client) = started("ordered");
    let id = create(
        &client,
        &json!({
            "dag_id": "ordered", "from_date": "2026-01-01T00:00:00Z",
            "to_date": "2026-01-08T00:00:00Z", "reprocess_behavior": "failed", "max_active_runs": 1,
        }),
    );
    wait_until("a run is running", 60 * SECOND, || {
        let runs = runs(&client, "ordered");
        if count(&runs, "running") == 1 {
            Ok(())
        } else {
            Err(runs)
        }
    });
    let cancelled = client.call("PUT", &format!("/api/v2/backfills/{id}/cancel"), None);
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    wait_until("what ran has ended", 60 * SECOND, || {
        let runs = runs(&client, "ordered");
        assert_eq!(count(&runs, "queued"), 0);
        if count(&runs, "running") == 0 {
            Ok(())
        } else {
            Err(runs)
        }
    });
    let runs = runs(&client, "ordered");
    assert!(
        count(&runs, "success") >= 1 && count(&runs, "failed") >= 5,
        "{runs:#?}"
    );
    let again = client.call("PUT", &format!("/api/v2/backfills/{id}/cancel"), None);
    assert_eq!(again.status, 409, "{again:?}");
}
