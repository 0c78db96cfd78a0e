//! Callbacks that the scheduler requested.

use anyhow::Result;
use jiff::Timestamp;
use serde_json::json;
use updraft_model::{BundleName, DagId, JobId, RunId};
use updraft_store::NewCallbackRequest;

use crate::scene::{BUNDLE, Scene, wait_until};

const FILE: &str = r#"
import os
from pathlib import Path
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

HERE = Path(__file__).parent

def on_failure(context):
    (HERE / "called.txt").write_text(context["reason"])

def on_success(context):
    with open(HERE / "tries.txt", "a") as tries:
        tries.write("x")
    os._exit(5)

with DAG("d", schedule=None, on_failure_callback=on_failure, on_success_callback=on_success):
    EmptyOperator(task_id="a")
"#;

async fn request(scene: &Scene, is_failure: bool) -> Result<()> {
    let body = json!({
        "type": "DagCallbackRequest", "filepath": "d.py", "bundle_name": BUNDLE,
        "bundle_version": null, "msg": "task_failure", "dag_id": "d", "run_id": "r",
        "is_failure_callback": is_failure, "context_from_server": null,
    });
    let request = NewCallbackRequest {
        priority_weight: 1,
        bundle_name: BundleName::new(BUNDLE),
        bundle_version: None,
        filepath: "d.py".to_owned(),
        dag_id: DagId::new("d"),
        run_id: RunId::new("r"),
        body,
    };
    let mut tx = scene.store.write().await?;
    tx.request_callback(&request, Timestamp::UNIX_EPOCH).await?;
    Ok(tx.commit().await?)
}

/// How many requests could be claimed once their claims ran out.
async fn waiting(scene: &Scene) -> Result<Vec<i32>> {
    // Rolled back when it is dropped.
    let mut tx = scene.store.write().await?;
    let bundles = [BundleName::new(BUNDLE)];
    let far: Timestamp = "2200-01-01T00:00:00Z".parse()?;
    let nobody = JobId(0);
    let claimed = tx.claim_callbacks(&bundles, nobody, 10, far, far).await?;
    Ok(claimed
        .into_iter()
        .map(|request| request.attempts)
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_callback_runs_once_and_is_forgotten() -> Result<()> {
    let scene = Scene::new(&[("d.py", FILE)]).await?;
    scene.wait_for_dag("d", |_| true).await?;
    request(&scene, true).await?;
    let called = scene.bundle().join("called.txt");
    wait_until("the callback ran", || called.exists()).await?;
    let mut left = waiting(&scene).await?;
    while !left.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        left = waiting(&scene).await?;
    }
    assert_eq!(std::fs::read_to_string(called)?, "task_failure");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_kills_its_process_is_tried_a_few_times() -> Result<()> {
    let scene = Scene::new(&[("d.py", FILE)]).await?;
    scene.wait_for_dag("d", |_| true).await?;
    request(&scene, false).await?;
    let tries = scene.bundle().join("tries.txt");
    let tried = || std::fs::read_to_string(&tries).unwrap_or_default();
    wait_until("the callback was tried", || tried().len() == 3).await?;
    let mut left = waiting(&scene).await?;
    while !left.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        left = waiting(&scene).await?;
    }
    assert_eq!(tried(), "xxx", "three times are enough");
    Ok(())
}
