//! Clearing in all that it does to a run.

use updraft_execution::{ClearOrder, Cleared, Clearing};
use updraft_model::{DagRunState, TaskInstanceState as S};
use updraft_planning::clear::{RunAfterClear, RunningInstances};
use updraft_store::RunKey;

use crate::scene::{NOW, Scene, at, daily};

const ORDER: ClearOrder = ClearOrder {
    running: RunningInstances::Restart,
    after: RunAfterClear::Queued,
    run_on_latest_version: Some(false),
    rerun_with_latest_version: false,
};

impl Scene {
    async fn clear(&self, key: &RunKey, task: &str, order: ClearOrder) -> Cleared {
        let rows = self.rows(key).await;
        let rows: Vec<_> = rows
            .into_iter()
            .filter(|row| row.task_id.as_str() == task)
            .collect();
        let mut tx = self.store.write().await.unwrap();
        let mut clearing = Clearing::new(order, &self.ids);
        let cleared = clearing.clear(&mut tx, key, &rows, at(NOW)).await.unwrap();
        tx.commit().await.unwrap();
        cleared
    }
}

#[tokio::test]
async fn rows_are_cleared_in_the_state_that_they_have_by_then() {
    let scene = Scene::new().await;
    scene.parse(&daily("etl", "a >> b"), None).await;
    let key = scene.run("etl", "r", None).await;
    scene.set_run_state(&key, DagRunState::Running).await;
    let rows = scene.rows(&key).await;
    // It starts to run between the look and the clear.
    scene.set_states(&key, Some("a"), S::Running).await;
    let mut tx = scene.store.write().await.unwrap();
    let mut clearing = Clearing::new(ORDER, &scene.ids);
    let cleared = clearing.clear(&mut tx, &key, &rows, at(NOW)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(cleared, Cleared::Rows(ids) if ids.len() == 2));
    assert_eq!(scene.states(&key).await, ["a restarting", "b no_status"]);
}

#[tokio::test]
async fn an_unpinned_run_takes_retries_from_the_newest_version_and_a_pinned_one_from_its_own() {
    for (bundle_version, max_tries) in [(None, 5), (Some("v1"), 1)] {
        let scene = Scene::new().await;
        scene.parse(&daily("etl", "a >> b"), bundle_version).await;
        let key = scene.run("etl", "r", None).await;
        scene.set_run_state(&key, DagRunState::Failed).await;
        scene.set_states(&key, None, S::Failed).await;
        let mut data = daily("etl", "a >> b >> c");
        data["dag"]["tasks"][0]["__var"]["retries"] = 5.into();
        scene.parse(&data, bundle_version.map(|_| "v2")).await;
        let before = scene.find_run(&key).await;
        scene.clear(&key, "a", ORDER).await;
        let row = &scene.rows(&key).await[0];
        assert_eq!((row.state, row.max_tries), (S::NoStatus, max_tries));
        assert_eq!(row.dag_version_id, before.created_dag_version_id);
        let after = scene.find_run(&key).await;
        assert_eq!(after.created_dag_version_id, before.created_dag_version_id);
        assert_eq!(scene.states(&key).await, ["a no_status", "b failed"]);
    }
}

#[tokio::test]
async fn moving_to_the_newest_version_moves_the_cleared_rows_and_adds_what_is_missing() {
    let scene = Scene::new().await;
    let old = scene.parse(&daily("etl", "a >> b"), Some("v1")).await;
    let key = scene.run("etl", "r", None).await;
    scene.set_run_state(&key, DagRunState::Success).await;
    scene.set_states(&key, None, S::Success).await;
    let newest = scene.parse(&daily("etl", "a >> b >> c"), Some("v2")).await;
    let order = ClearOrder {
        run_on_latest_version: Some(true),
        ..ORDER
    };
    scene.clear(&key, "a", order).await;
    let rows = scene.rows(&key).await;
    let versions: Vec<_> = rows.iter().map(|row| row.dag_version_id.unwrap()).collect();
    assert_eq!(versions, [newest, old, newest], "b keeps its own");
    assert_eq!(
        scene.states(&key).await,
        ["a no_status", "b success", "c no_status"]
    );
    let run = scene.find_run(&key).await;
    assert_eq!((run.state, run.start_date), (DagRunState::Queued, None));
    assert_eq!(
        (run.created_dag_version_id, run.bundle_version.as_deref()),
        (Some(newest), Some("v2"))
    );
}

#[tokio::test]
async fn a_running_run_moves_without_new_rows_and_keeps_its_start() {
    let scene = Scene::new().await;
    scene.parse(&daily("etl", "a >> b"), Some("v1")).await;
    let key = scene.run("etl", "r", None).await;
    scene.set_run_state(&key, DagRunState::Running).await;
    scene.set_states(&key, Some("a"), S::Failed).await;
    let newest = scene.parse(&daily("etl", "a >> b >> c"), Some("v2")).await;
    let order = ClearOrder {
        run_on_latest_version: None,
        rerun_with_latest_version: true,
        ..ORDER
    };
    scene.clear(&key, "a", order).await;
    let run = scene.find_run(&key).await;
    assert_eq!(
        (run.state, run.start_date, run.clear_number),
        (DagRunState::Running, Some(at(NOW)), 1)
    );
    assert_eq!(run.created_dag_version_id, Some(newest));
    assert_eq!(scene.states(&key).await, ["a no_status", "b no_status"]);
}

#[tokio::test]
async fn a_run_that_is_to_stay_as_it_is_does() {
    let scene = Scene::new().await;
    scene.parse(&daily("etl", "a"), Some("v1")).await;
    let key = scene.run("etl", "r", None).await;
    scene.set_run_state(&key, DagRunState::Failed).await;
    scene.set_states(&key, None, S::Failed).await;
    scene.parse(&daily("etl", "a >> c"), Some("v2")).await;
    let before = scene.find_run(&key).await;
    let order = ClearOrder {
        after: RunAfterClear::Untouched,
        run_on_latest_version: Some(true),
        ..ORDER
    };
    scene.clear(&key, "a", order).await;
    assert_eq!(scene.states(&key).await, ["a no_status"]);
    let after = scene.find_run(&key).await;
    assert_eq!(
        (
            after.state,
            after.clear_number,
            after.created_dag_version_id
        ),
        (before.state, 0, before.created_dag_version_id)
    );
}

#[tokio::test]
async fn nothing_is_cleared_while_a_task_runs_that_must_not_be_stopped() {
    let scene = Scene::new().await;
    scene.parse(&daily("etl", "a >> b"), None).await;
    let key = scene.run("etl", "r", None).await;
    scene.set_run_state(&key, DagRunState::Running).await;
    scene.set_states(&key, Some("a"), S::Running).await;
    let order = ClearOrder {
        running: RunningInstances::Refuse,
        ..ORDER
    };
    let cleared = scene.clear(&key, "a", order).await;
    assert!(matches!(cleared, Cleared::StillRunning(_)));
    assert_eq!(scene.states(&key).await, ["a running", "b no_status"]);
}
