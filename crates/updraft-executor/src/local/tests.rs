use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use updraft_model::workload::CallbackWorkload;
use updraft_model::{MapIndex, TaskInstanceId};
use updraft_runtime::Tasks;
use uuid::Uuid;

use super::{LocalExecutor, Outcome};
use crate::{ExecutorEvent, ExecutorWorkload, Workload};

const LONG: Duration = Duration::from_secs(10);

fn workload(task: &str, priority_weight: i64) -> ExecutorWorkload {
    let workload = Workload {
        ti_id: TaskInstanceId(Uuid::now_v7()),
        dag_id: "d".into(),
        run_id: "r".into(),
        task_id: task.into(),
        map_index: MapIndex::UNMAPPED,
        try_number: 1,
        dag_version_id: None,
        queue: "default".to_owned(),
        pool_slots: 1,
        priority_weight,
        bundle_name: "dags-folder".into(),
        bundle_version: None,
        dag_rel_path: "d.py".to_owned(),
        log_path: String::new(),
    };
    workload.into()
}

fn callback(path: &str) -> ExecutorWorkload {
    let workload = CallbackWorkload {
        callback_id: Uuid::now_v7(),
        dag_id: "d".into(),
        run_id: "r".into(),
        path: path.to_owned(),
        kwargs: serde_json::Map::new(),
        bundle_name: "dags-folder".into(),
        bundle_version: None,
        dag_rel_path: "d.py".to_owned(),
        log_path: String::new(),
    };
    workload.into()
}

fn name(workload: &ExecutorWorkload) -> String {
    match workload {
        ExecutorWorkload::ExecuteTask(task) => task.task_id.to_string(),
        ExecutorWorkload::ExecuteCallback(callback) => callback.path.clone(),
        ExecutorWorkload::TestConnection(test) => test.connection_id.clone(),
    }
}

/// An executor whose workloads wait for a permit of `gate`, and the order in which they started.
struct Gated {
    executor: LocalExecutor,
    events: mpsc::Receiver<ExecutorEvent>,
    gate: Arc<Semaphore>,
    started: Arc<Mutex<Vec<String>>>,
}

fn gated(parallelism: usize) -> Gated {
    let gate = Arc::new(Semaphore::new(0));
    let started = Arc::new(Mutex::new(Vec::new()));
    let run = {
        let (gate, started) = (gate.clone(), started.clone());
        move |workload: ExecutorWorkload| {
            let (gate, started) = (gate.clone(), started.clone());
            async move {
                started.lock().unwrap().push(name(&workload));
                gate.acquire().await.unwrap().forget();
                assert_ne!(name(&workload), "panics");
                Outcome::Supervised
            }
        }
    };
    let (executor, events) = LocalExecutor::start(Tasks::new(), parallelism, run);
    Gated {
        executor,
        events,
        gate,
        started,
    }
}

async fn next(events: &mut mpsc::Receiver<ExecutorEvent>) -> String {
    let event = tokio::time::timeout(LONG, events.recv())
        .await
        .expect("an event")
        .expect("open");
    name(&event.workload)
}

#[tokio::test]
async fn the_heaviest_starts_first_and_equals_in_order_of_arrival() {
    let Gated {
        executor,
        mut events,
        gate,
        started,
    } = gated(1);
    executor.queue(vec![workload("first", 1)]);
    executor.queue(vec![
        workload("b", 5),
        workload("a", 5),
        workload("light", 1),
        workload("heavy", 9),
    ]);
    assert_eq!(executor.open_slots(), 0);
    gate.add_permits(5);
    for _ in 0..5 {
        next(&mut events).await;
    }
    assert_eq!(
        *started.lock().unwrap(),
        ["first", "heavy", "b", "a", "light"]
    );
    assert_eq!(executor.open_slots(), 1);
}

#[tokio::test]
async fn callbacks_go_before_the_heaviest_task_in_the_order_they_came() {
    let Gated {
        executor,
        mut events,
        gate,
        started,
    } = gated(1);
    executor.queue(vec![workload("first", 1)]);
    executor.queue(vec![
        workload("heavy", i64::MAX),
        callback("one"),
        workload("light", 1),
        callback("two"),
    ]);
    gate.add_permits(5);
    for _ in 0..5 {
        next(&mut events).await;
    }
    assert_eq!(
        *started.lock().unwrap(),
        ["first", "one", "two", "heavy", "light"]
    );
}

#[tokio::test]
async fn no_more_run_at_once_than_parallelism_allows() {
    let Gated {
        executor,
        mut events,
        gate,
        started,
    } = gated(3);
    executor.queue((0..10).map(|n| workload(&n.to_string(), 1)).collect());
    while started.lock().unwrap().len() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(executor.occupied(), 10);
    gate.add_permits(1);
    next(&mut events).await;
    while started.lock().unwrap().len() < 4 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(9);
    for _ in 0..9 {
        next(&mut events).await;
    }
    assert_eq!(started.lock().unwrap().len(), 10);
    assert_eq!(executor.occupied(), 0);
}

#[tokio::test]
async fn a_panic_in_the_supervision_gives_its_slot_back_and_is_reported() {
    let Gated {
        executor,
        mut events,
        gate,
        ..
    } = gated(1);
    executor.queue(vec![workload("panics", 2), workload("next", 1)]);
    gate.add_permits(2);
    let event = events.recv().await.expect("open");
    assert_eq!(name(&event.workload), "panics");
    assert!(matches!(event.outcome, Outcome::Failed(_)), "{event:?}");
    assert_eq!(next(&mut events).await, "next");
    assert_eq!(executor.open_slots(), 1);
}

#[tokio::test]
async fn a_stopped_executor_starts_nothing_and_finishes_what_runs() {
    let Gated {
        executor,
        mut events,
        gate,
        started,
    } = gated(1);
    executor.queue(vec![workload("runs", 1), workload("waits", 1)]);
    while started.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    executor.stop();
    gate.add_permits(2);
    assert_eq!(next(&mut events).await, "runs");
    assert_eq!(*started.lock().unwrap(), ["runs"]);
    assert_eq!(executor.occupied(), 0);
}

#[tokio::test]
async fn a_revoked_try_gives_its_place_back_and_nobody_is_told_that_it_failed() {
    let Gated {
        executor,
        mut events,
        gate,
        started,
    } = gated(1);
    let (runs, waits) = (workload("runs", 2), workload("waits", 1));
    executor.queue(vec![runs.clone(), waits.clone(), workload("next", 0)]);
    while started.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(executor.is_waiting(waits.id()) && !executor.is_waiting(runs.id()));
    executor.revoke(waits.id());
    assert!(!executor.holds(waits.id()));
    executor.revoke(runs.id());
    let event = events.recv().await.expect("open");
    assert_eq!(
        (event.workload, event.outcome),
        (runs.clone(), Outcome::Refused)
    );
    assert!(!executor.holds(runs.id()));
    gate.add_permits(1);
    assert_eq!(next(&mut events).await, "next");
    assert_eq!(executor.occupied(), 0);

    // What is queued after a revocation is not affected by it.
    executor.queue(vec![runs.clone()]);
    gate.add_permits(1);
    let event = events.recv().await.expect("open");
    assert_eq!((event.workload, event.outcome), (runs, Outcome::Supervised));
}
