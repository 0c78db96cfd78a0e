//! What becomes of tries that end without saying how: the row, the history, the requests for
//! callbacks and mails.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use updraft_execution::{
    Death, Report, StuckRules, Unstuck, bury, bury_silent, free_stuck, settle_workload,
};
use updraft_model::job::JobType;
use updraft_model::task_instance::{NewTaskInstance, TaskInstance};
use updraft_model::workload::Workload;
use updraft_model::{DagRunState, JobId, MapIndex, TaskInstanceState as S};
use updraft_planning::executor_event::ExecutorEvent;
use updraft_store::{
    Defer, NewJob, Retry, Runner, Start, StartedTaskInstance, StateChange, Transition,
    TriggerKwargs,
};

use crate::scene::{NOW, Scene, at, daily};

const VECTORS: &str = include_str!("../../../updraft-planning/testdata/executor_events.json");
const CRASH: Death<'_> = Death {
    event: "state mismatch",
    why: "killed by signal 9",
};

/// A run with one task instance, in the middle of its life.
struct One {
    scene: Scene,
    key: updraft_store::RunKey,
    job: JobId,
}

/// What the task of a [`One`] is like.
struct Sketch {
    retries: i32,
    try_number: i32,
    state: S,
    has_callback: bool,
    has_mail: bool,
}

const RUNNING: Sketch = Sketch {
    retries: 2,
    try_number: 1,
    state: S::Running,
    has_callback: true,
    has_mail: true,
};

impl One {
    async fn new(sketch: &Sketch) -> Self {
        let scene = Scene::new().await;
        let mut data = daily("d", "x");
        let task = &mut data["dag"]["tasks"][0]["__var"];
        task["retries"] = sketch.retries.into();
        if sketch.has_callback {
            task["has_on_failure_callback"] = json!(true);
        }
        if sketch.has_mail {
            task["email"] = json!(["me@example.org"]);
        }
        scene.parse(&data, None).await;
        let key = scene.run("d", "r", Some("2026-02-28T00:00:00Z")).await;
        scene.set_run_state(&key, DagRunState::Running).await;
        let mut one = Self {
            key,
            job: scene.job().await,
            scene,
        };
        one.begin_try(sketch).await;
        one
    }

    /// Replaces the row by one that is in the middle of its life.
    async fn begin_try(&mut self, sketch: &Sketch) {
        let scene = &self.scene;
        let first = self.row().await;
        let mut tx = scene.store.write().await.unwrap();
        tx.delete_task_instances(&[first.id]).await.unwrap();
        let row = started(&first, sketch);
        tx.create_task_instances(&[row], at(NOW)).await.unwrap();
        let id = first.id;
        tx.adopt_task_instances(&[id], self.job).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn row(&self) -> TaskInstance {
        self.scene.rows(&self.key).await.pop().unwrap()
    }

    /// Tries that are over, as `(state, number)`.
    async fn history(&self) -> Vec<(String, i32)> {
        let mut reader = self.scene.store.read().await.unwrap();
        let (dag_id, run_id) = (&self.key.dag_id, &self.key.run_id);
        let past = reader
            .load_past_tries(dag_id, run_id, &"x".into(), MapIndex::UNMAPPED)
            .await
            .unwrap();
        past.iter()
            .map(|ti| (ti.state.to_string(), ti.try_number))
            .collect()
    }

    /// Requests for callbacks and mails, as `(kind, for what)`.
    async fn callbacks(&self) -> Vec<(String, String)> {
        let mut tx = self.scene.store.write().await.unwrap();
        let until = at(NOW) + SignedDuration::from_hours(1);
        let claimed = tx
            .claim_callbacks(&["dags-folder".into()], JobId(1), 10, at(NOW), until)
            .await
            .unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        claimed
            .iter()
            .map(|request| match &request.body {
                body if body["type"] == "EmailRequest" => {
                    (text(&body["type"]), text(&body["email_type"]))
                }
                body => (text(&body["type"]), text(&body["task_callback_type"])),
            })
            .collect()
    }

    async fn settle(&self, event: ExecutorEvent, try_number: i32) {
        let row = self.row().await;
        let report = Report {
            event,
            try_number,
            job_id: Some(self.job),
            is_held_by_executor: false,
            death: CRASH,
        };
        let workload = workload_of(&row);
        let mut tx = self.scene.store.write().await.unwrap();
        settle_workload(&mut tx, &workload, &report, &self.scene.ids, at(NOW))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn bury(&self) -> bool {
        let id = self.row().await.id;
        let mut tx = self.scene.store.write().await.unwrap();
        let is_buried = bury(&mut tx, id, CRASH, &self.scene.ids, at(NOW)).await;
        tx.commit().await.unwrap();
        is_buried.unwrap()
    }

    async fn free(&self, now: Timestamp) -> Unstuck {
        let id = self.row().await.id;
        let rules = StuckRules {
            job_id: self.job,
            queued_before: now - SignedDuration::from_mins(10),
            requeues_max: 2,
        };
        let mut tx = self.scene.store.write().await.unwrap();
        let unstuck = free_stuck(&mut tx, id, &rules, &self.scene.ids, now).await;
        tx.commit().await.unwrap();
        unstuck.unwrap()
    }

    /// Queues the row, as the scheduler does.
    async fn queue(&self, now: Timestamp) {
        let row = self.row().await;
        let mut tx = self.scene.store.write().await.unwrap();
        let queued = tx.queue_task_instances(&[row.id], self.job, now).await;
        assert_eq!(queued.unwrap(), [row.id]);
        tx.commit().await.unwrap();
    }
}

impl Scene {
    async fn job(&self) -> JobId {
        let mut tx = self.store.write().await.unwrap();
        let job = NewJob {
            job_type: JobType::Scheduler,
            hostname: "here".to_owned(),
            unixname: "me".to_owned(),
            pid: 1,
        };
        let job = tx.start_job(&job, at(NOW)).await.unwrap();
        tx.commit().await.unwrap();
        job.id
    }
}

/// A row like another one, in the middle of its life.
fn started(like: &TaskInstance, sketch: &Sketch) -> StartedTaskInstance {
    let new = NewTaskInstance {
        id: like.id,
        dag_id: like.dag_id.clone(),
        run_id: like.run_id.clone(),
        task_id: like.task_id.clone(),
        map_index: like.map_index,
        state: sketch.state,
        max_tries: sketch.retries,
        pool: like.pool.clone(),
        pool_slots: like.pool_slots,
        queue: like.queue.clone(),
        priority_weight: like.priority_weight,
        operator: like.operator.clone(),
        custom_operator_name: like.custom_operator_name.clone(),
        executor: like.executor.clone(),
        executor_config: like.executor_config.clone(),
        has_custom_weight: false,
        dag_version_id: like.dag_version_id.unwrap(),
    };
    StartedTaskInstance {
        try_number: sketch.try_number,
        start_date: Some(at(NOW) - SignedDuration::from_mins(1)),
        ..new.into()
    }
}

fn workload_of(ti: &TaskInstance) -> Workload {
    Workload {
        ti_id: ti.id,
        dag_id: ti.dag_id.clone(),
        run_id: ti.run_id.clone(),
        task_id: ti.task_id.clone(),
        map_index: ti.map_index,
        try_number: ti.try_number,
        dag_version_id: ti.dag_version_id,
        queue: ti.queue.clone(),
        pool_slots: 1,
        priority_weight: 1,
        bundle_name: "dags-folder".into(),
        bundle_version: None,
        dag_rel_path: "d.py".to_owned(),
        log_path: String::new(),
    }
}

async fn follow(vector: &Value) {
    let number = |key: &str| i32::try_from(vector[key].as_i64().unwrap()).unwrap();
    let try_number = number("try_number");
    let resumes = vector["next_method"].is_string();
    let state = S::from_nullable(vector["ti_state"].as_str()).unwrap();
    let sketch = Sketch {
        retries: number("retries"),
        try_number,
        state: if resumes { S::Running } else { state },
        has_callback: !vector["callbacks"].as_array().unwrap().is_empty(),
        has_mail: false,
    };
    let one = One::new(&sketch).await;
    if resumes {
        one.resume().await;
    }
    if vector["queued_by_other_scheduler"] == json!(true) {
        let other = one.scene.job().await;
        let id = one.row().await.id;
        let mut tx = one.scene.store.write().await.unwrap();
        tx.adopt_task_instances(&[id], other).await.unwrap();
        tx.commit().await.unwrap();
    }
    let before = one.row().await;
    let event = match vector["event"].as_str().unwrap() {
        "success" => ExecutorEvent::Succeeded,
        "failed" => ExecutorEvent::Failed,
        _ => ExecutorEvent::Underway {
            external_executor_id: Some("name".to_owned()),
        },
    };
    let is_of_this_try = vector["event_try_matches"] == json!(true);
    let of_try = try_number + i32::from(!is_of_this_try);
    one.settle(event, of_try).await;
    let after = one.row().await;
    let id = &vector["id"];
    let written = json!({"state": after.state.to_nullable(), "try_number": after.try_number,
                         "max_tries": after.max_tries});
    assert_eq!(written, vector["after"], "{id}");
    assert_eq!(json!(one.history().await), vector["history"], "{id}");
    assert_eq!(json!(one.callbacks().await), vector["callbacks"], "{id}");
    let has_new_id = before.id != after.id;
    assert_eq!(has_new_id, vector["history"] != json!([]), "{id}");
}

impl One {
    /// Lets the running try defer, and its trigger time out: it goes on where it left off.
    async fn resume(&self) {
        let id = self.row().await.id;
        let mut tx = self.scene.store.write().await.unwrap();
        let defer = Defer {
            classpath: "a.Trigger".to_owned(),
            kwargs: TriggerKwargs::Plain("{}".to_owned()),
            timeout_at: Some(at(NOW) - SignedDuration::from_secs(1)),
            next_method: "go_on".to_owned(),
            next_kwargs: None,
            trigger_queue: None,
            rendered_map_index: None,
        };
        let deferred = tx.defer_try(id, &defer, at(NOW)).await.unwrap();
        assert!(matches!(deferred, Transition::Done(_)));
        assert_eq!(tx.time_out_deferred(at(NOW)).await.unwrap(), 1);
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn every_event_of_an_executor_leaves_the_row_that_airflow_leaves() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    for vector in vectors["vectors"].as_array().unwrap() {
        follow(vector).await;
    }
}

#[tokio::test]
async fn a_crash_with_tries_left_is_retried_at_once_and_says_so() {
    let one = One::new(&RUNNING).await;
    let before = one.row().await;
    assert!(one.bury().await);
    let after = one.row().await;
    assert_eq!((after.state, after.try_number), (S::UpForRetry, 1));
    assert_eq!(after.duration_secs, Some(60.0));
    assert_ne!(
        before.id, after.id,
        "whatever the dead process still says finds nothing"
    );
    assert_eq!(one.history().await, [("failed".to_owned(), 1)]);
    let expected = [
        ("TaskCallbackRequest", "up_for_retry"),
        ("EmailRequest", "retry"),
    ];
    let expected = expected.map(|(kind, what)| (kind.to_owned(), what.to_owned()));
    assert_eq!(one.callbacks().await, expected);
}

#[tokio::test]
async fn a_crash_of_the_last_try_asks_for_the_failure_callback_and_the_mail() {
    let one = One::new(&Sketch {
        try_number: 3,
        ..RUNNING
    })
    .await;
    assert!(one.bury().await);
    let after = one.row().await;
    assert_eq!((after.state, after.end_date), (S::Failed, Some(at(NOW))));
    let expected = [
        ("TaskCallbackRequest", "failed"),
        ("EmailRequest", "failure"),
    ];
    let expected = expected.map(|(kind, what)| (kind.to_owned(), what.to_owned()));
    assert_eq!(one.callbacks().await, expected);
    assert!(!one.bury().await, "nobody dies twice");
    assert_eq!(one.callbacks().await, expected);
}

#[tokio::test]
async fn a_silent_try_ends_once_and_one_that_spoke_meanwhile_does_not() {
    let one = One::new(&Sketch {
        state: S::Queued,
        ..RUNNING
    })
    .await;
    let id = one.row().await.id;
    let mut tx = one.scene.store.write().await.unwrap();
    let runner = Runner {
        hostname: "here".to_owned(),
        unixname: "me".to_owned(),
        pid: 7,
    };
    let started = tx.start_try(id, &runner, at(NOW), at(NOW)).await.unwrap();
    assert!(matches!(started, Start::Started(_)));
    let later = at(NOW) + SignedDuration::from_mins(6);
    let ids = &one.scene.ids;
    // Its last sign of life is from this very moment.
    let spoke = bury_silent(&mut tx, id, at(NOW), ids, later).await.unwrap();
    assert!(!spoke);
    let since = at(NOW) + SignedDuration::from_secs(1);
    assert!(bury_silent(&mut tx, id, since, ids, later).await.unwrap());
    assert!(!bury_silent(&mut tx, id, since, ids, later).await.unwrap());
    tx.commit().await.unwrap();
    // Airflow asks for the callback twice: for the silence, and for the executor's event.
    one.settle(ExecutorEvent::Failed, 1).await;
    let callbacks = one.callbacks().await;
    let of_task = callbacks
        .iter()
        .filter(|(kind, _)| kind == "TaskCallbackRequest");
    assert_eq!(of_task.count(), 1, "{callbacks:?}");
}

#[tokio::test]
async fn a_stuck_try_is_queued_again_twice_and_then_uses_the_retries_it_has() {
    let one = One::new(&Sketch {
        state: S::Scheduled,
        ..RUNNING
    })
    .await;
    let id = one.row().await.id;
    let mut now = at(NOW);
    for _ in 0..2 {
        one.queue(now).await;
        assert_eq!(
            one.free(now).await,
            Unstuck::MovedOn,
            "it was queued just now"
        );
        now += SignedDuration::from_mins(11);
        assert_eq!(one.free(now).await, Unstuck::Requeued);
        let row = one.row().await;
        assert_eq!((row.state, row.try_number, row.id), (S::Scheduled, 1, id));
        assert_eq!((row.queued_dttm, row.queued_by_job_id), (None, None));
    }
    one.queue(now).await;
    now += SignedDuration::from_mins(11);
    assert_eq!(one.free(now).await, Unstuck::GivenUp);
    let row = one.row().await;
    assert_eq!((row.state, row.try_number), (S::UpForRetry, 1));
    assert_eq!(one.callbacks().await.len(), 2, "the callback and the mail");
    assert_eq!(one.free(now).await, Unstuck::MovedOn);
}

#[tokio::test]
async fn a_stuck_try_without_retries_fails_with_its_callback() {
    let one = One::new(&Sketch {
        state: S::Queued,
        retries: 0,
        ..RUNNING
    })
    .await;
    for _ in 0..2 {
        let mut tx = one.scene.store.write().await.unwrap();
        let entry = updraft_store::NewEventLog::about(
            &one.row().await,
            "stuck in queued reschedule",
            at(NOW),
        );
        tx.write_event_log(&entry).await.unwrap();
        tx.commit().await.unwrap();
    }
    one.requeue_as_queued(at(NOW)).await;
    let later = at(NOW) + SignedDuration::from_mins(11);
    assert_eq!(one.free(later).await, Unstuck::GivenUp);
    assert_eq!(one.row().await.state, S::Failed);
    let kinds = one.callbacks().await;
    assert_eq!(
        kinds[0],
        ("TaskCallbackRequest".to_owned(), "failed".to_owned())
    );
}

impl One {
    /// Gives the queued row its moment and its scheduler.
    async fn requeue_as_queued(&self, now: Timestamp) {
        let row = self.row().await;
        let change = StateChange {
            id: row.id,
            from: row.state,
            to: S::Scheduled,
            start_date: row.start_date,
            end_date: None,
            duration_secs: None,
        };
        let mut tx = self.scene.store.write().await.unwrap();
        let (dag_id, run_id) = (&self.key.dag_id, &self.key.run_id);
        tx.change_task_instance_states(dag_id, run_id, &[change], now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        self.queue(now).await;
    }
}

#[tokio::test]
async fn a_repeated_report_of_a_retry_is_fine_and_one_after_a_burial_is_not() {
    let retry = |one: &One| Retry {
        end_date: at("2026-03-01T11:59:58.123456789Z"),
        new_id: updraft_model::TaskInstanceId(one.scene.ids.uuid()),
        rendered_map_index: None,
        delay_secs: None,
        reason: None,
    };
    for buried in [false, true] {
        let one = One::new(&RUNNING).await;
        let id = one.row().await.id;
        if buried {
            one.bury().await;
        } else {
            let mut tx = one.scene.store.write().await.unwrap();
            let done = tx.retry_try(id, &retry(&one), at(NOW)).await.unwrap();
            assert!(matches!(done, Transition::Done(_)));
            tx.commit().await.unwrap();
        }
        // The answer to the commit was lost; the same report comes again.
        let mut tx = one.scene.store.write().await.unwrap();
        let again = tx.retry_try(id, &retry(&one), at(NOW)).await.unwrap();
        let expected = if buried {
            Transition::NotFound
        } else {
            Transition::AlreadySo
        };
        assert_eq!(again, expected);
        assert_eq!(one.history().await, [("failed".to_owned(), 1)]);
    }
}
