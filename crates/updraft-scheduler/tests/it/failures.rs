//! Processes that die, fall silent or never begin, as the scheduler sees them.

use std::time::Duration;

use updraft_execution::{ClearOrder, Clearing, release_restarting};
use updraft_executor::Outcome;
use updraft_model::TaskInstanceState as S;
use updraft_planning::clear::{RunAfterClear, RunningInstances};
use updraft_runtime::Ids;
use updraft_store::RunKey;

use crate::machine::Machine;

const MINUTE: Duration = Duration::from_secs(60);

/// A scheduler whose executor has just begun with the only task.
async fn begun() -> (Machine, RunKey, crate::machine::Started) {
    let (mut machine, key) = Machine::new("a").await;
    machine.settle().await;
    let started = machine.take_started().pop().expect("it is queued");
    (machine, key, started)
}

#[tokio::test]
async fn what_nobody_starts_is_queued_again_and_then_retried() {
    let (mut machine, key, first) = begun().await;
    for _ in 0..2 {
        machine.pass(13 * MINUTE).await;
        let again = machine.take_started().pop().expect("it is queued again");
        assert_eq!(again.workload.ti_id, first.workload.ti_id);
        assert_eq!(again.workload.try_number, 1);
        assert_eq!(machine.take_callbacks().await, [""; 0]);
    }
    machine.pass(13 * MINUTE).await;
    assert_eq!(machine.take_callbacks().await, ["up_for_retry"]);
    // The retry delay is five minutes.
    machine.pass(6 * MINUTE).await;
    let retry = machine.take_started().pop().expect("another try is queued");
    assert_eq!(retry.workload.try_number, 2);
    let row = machine.row(&key, "a").await;
    assert_eq!((row.state, row.try_number), (S::Queued, 2));
}

#[tokio::test]
async fn a_try_that_falls_silent_is_retried_with_one_callback() {
    let (mut machine, key, started) = begun().await;
    machine.run(&started.workload).await;
    machine.pass(4 * MINUTE).await;
    assert_eq!(machine.row(&key, "a").await.state, S::Running);
    machine.pass(2 * MINUTE).await;
    assert_eq!(machine.row(&key, "a").await.state, S::UpForRetry);
    // The executor notices as well, later.
    machine
        .finish(started, Outcome::Failed("gone".to_owned()))
        .await;
    assert_eq!(machine.take_callbacks().await, ["up_for_retry"]);
    machine.pass(6 * MINUTE).await;
    let retry = machine.take_started().pop().expect("another try is queued");
    assert_eq!(retry.workload.try_number, 2);
}

#[tokio::test]
async fn a_workload_that_its_executor_gave_up_is_retried_at_once() {
    let (mut machine, key, started) = begun().await;
    machine.run(&started.workload).await;
    machine
        .finish(started, Outcome::Failed("a panic".to_owned()))
        .await;
    assert_eq!(machine.row(&key, "a").await.state, S::UpForRetry);
    assert_eq!(machine.take_callbacks().await, ["up_for_retry"]);
}

/// Clears the task while it runs.
async fn clear(machine: &Machine, key: &RunKey) {
    let row = machine.row(key, "a").await;
    let ids = Ids::seeded(9);
    let order = ClearOrder {
        running: RunningInstances::Restart,
        after: RunAfterClear::Queued,
        run_on_latest_version: Some(false),
        rerun_with_latest_version: false,
    };
    let mut tx = machine.scene.store.write().await.unwrap();
    Clearing::new(order, &ids)
        .clear(&mut tx, key, &[row], machine.clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_task_cleared_while_it_runs_starts_over_when_its_process_is_gone() {
    let (mut machine, key, started) = begun().await;
    machine.run(&started.workload).await;
    clear(&machine, &key).await;
    machine.settle().await;
    let row = machine.row(&key, "a").await;
    assert_eq!((row.state, row.max_tries), (S::Restarting, 1));
    assert_ne!(
        row.id, started.workload.ti_id,
        "its process hears that it is not wanted"
    );
    assert!(
        machine.take_started().is_empty(),
        "not while the old process lives"
    );

    let now = machine.clock.now();
    let mut tx = machine.scene.store.write().await.unwrap();
    release_restarting(&mut tx, &started.workload, &Ids::seeded(10), now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    machine.finish(started, Outcome::Supervised).await;
    let again = machine.take_started().pop().expect("it starts over");
    assert_eq!(again.workload.try_number, 2);
    let row = machine.row(&key, "a").await;
    assert_eq!((row.state, row.max_tries), (S::Queued, 2));
    assert_eq!(machine.take_callbacks().await, [""; 0]);
}

#[tokio::test]
async fn a_task_cleared_while_it_runs_is_retried_when_its_executor_fails() {
    let (mut machine, key, started) = begun().await;
    machine.run(&started.workload).await;
    clear(&machine, &key).await;
    machine
        .finish(started, Outcome::Failed("a panic".to_owned()))
        .await;
    assert_eq!(machine.row(&key, "a").await.state, S::UpForRetry);
}

#[tokio::test]
async fn a_cleared_task_whose_process_nobody_sees_is_retried_after_its_silence() {
    let (mut machine, key, started) = begun().await;
    machine.run(&started.workload).await;
    clear(&machine, &key).await;
    machine.pass(6 * MINUTE).await;
    assert_eq!(machine.row(&key, "a").await.state, S::UpForRetry);
}

#[tokio::test]
async fn the_next_scheduler_starts_what_was_queued_and_starts_over_what_ran() {
    let (mut machine, key) = Machine::new("a >> c\nb").await;
    machine.settle().await;
    let started = machine.take_started();
    let runs = started.iter().find(|one| one.workload.task_id == "a");
    let runs = runs.unwrap().workload.clone();
    machine.run(&runs).await;

    let mut machine = machine.restart().await;
    machine.settle().await;
    let mut again = machine.take_started();
    again.sort_by(|a, b| a.workload.task_id.cmp(&b.workload.task_id));
    let tries = again.iter().map(|one| {
        let workload = &one.workload;
        (workload.task_id.as_str(), workload.try_number)
    });
    assert_eq!(tries.collect::<Vec<_>>(), [("a", 2), ("b", 1)]);
    assert_ne!(machine.row(&key, "a").await.id, runs.ti_id);
}
