//! What the events of triggers do to whoever waits for them.

use serde_json::{Value, json};
use updraft_execution::{Fired, FiredTrigger, Settled, TriggerEvents};
use updraft_model::task_instance::TaskInstance;
use updraft_model::trigger::CallbackState;
use updraft_model::{JobId, MapIndex, TaskInstanceState as S, TriggerId};
use updraft_store::{
    AssetDefinition, AssetEventQuery, AssetWatcher, DagAssets, Deferral, EventsOf, FAIL_METHOD,
    NewCallbackTrigger, NewTaskTrigger, RunKey, TaskInstanceUpdate, TriggerClaim, TriggerKwargs,
    TriggerQueues, XComKey,
};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::TriggerEvent;
use uuid::Uuid;

use crate::scene::{NOW, Scene, at, daily};

fn event(payload: &Value) -> Fired {
    Fired::Event(TriggerEvent {
        payload: JsonText::from(payload),
        task_instance_state: None,
        xcoms: None,
        problem: None,
    })
}

fn end(state: &str, xcoms: &Value) -> Fired {
    Fired::Event(TriggerEvent {
        payload: JsonText::null(),
        task_instance_state: Some(state.to_owned()),
        xcoms: Some(JsonText::from(xcoms)),
        problem: None,
    })
}

/// A run in which every task instance waits for a trigger, in its first try.
struct Waiting {
    scene: Scene,
    key: RunKey,
    triggers: Vec<TriggerId>,
}

impl Waiting {
    async fn new(data: Value) -> Self {
        let scene = Scene::new().await;
        scene.parse(&data, None).await;
        let key = scene.run("d", "r", Some("2026-02-28T00:00:00Z")).await;
        let mut tx = scene.store.write().await.unwrap();
        let mut triggers = Vec::new();
        for row in scene.rows(&key).await {
            let new = NewTaskTrigger {
                classpath: "m.T",
                kwargs: &TriggerKwargs::Plain("{}".to_owned()),
                priority_weight: 1,
                queue: None,
            };
            let trigger_id = tx.create_task_trigger(&new, at(NOW)).await.unwrap();
            triggers.push(trigger_id);
            let update = TaskInstanceUpdate {
                id: row.id,
                from: row.state,
                map_index: row.map_index,
                state: S::Deferred,
                try_number: 1,
                start_date: Some(at("2026-03-01T11:59:00Z")),
                end_date: None,
                duration_secs: None,
                scheduled_dttm: None,
                deferral: Some(Deferral {
                    trigger_id,
                    trigger_timeout: None,
                    next_method: "done".to_owned(),
                    next_kwargs: r#"{"a":1.0}"#.to_owned(),
                }),
            };
            tx.update_task_instances(&[update], at(NOW)).await.unwrap();
        }
        tx.commit().await.unwrap();
        Self {
            scene,
            key,
            triggers,
        }
    }

    /// Applies what the trigger of the task with this position did, in one transaction.
    async fn fire(&self, fired: Vec<(usize, Fired)>) -> Settled {
        let fired: Vec<FiredTrigger> = fired
            .into_iter()
            .map(|(task, fired)| FiredTrigger {
                id: self.triggers[task],
                fired,
            })
            .collect();
        fire(&self.scene, &fired).await
    }

    async fn row(&self, task: usize) -> TaskInstance {
        self.scene.rows(&self.key).await.remove(task)
    }
}

async fn fire(scene: &Scene, fired: &[FiredTrigger]) -> Settled {
    let mut tx = scene.store.write().await.unwrap();
    let settled = TriggerEvents::default()
        .apply(&mut tx, fired, &scene.ids, at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    settled
}

/// Tasks `a` and `b` that do not depend on each other, with these extra keys.
fn two_tasks(extra: &Value) -> Value {
    let mut data = daily("d", "a\nb");
    for task in data["dag"]["tasks"].as_array_mut().unwrap() {
        for (key, value) in extra.as_object().unwrap() {
            task["__var"][key] = value.clone();
        }
    }
    data
}

#[tokio::test]
async fn an_event_joins_the_arguments_and_only_the_first_one_counts() {
    let waiting = Waiting::new(two_tasks(&json!({}))).await;
    let settled = waiting
        .fire(vec![
            (0, event(&json!({"x": 1}))),
            (0, event(&json!({"x": 2}))),
            (0, Fired::Failed(None)),
        ])
        .await;
    assert_eq!((settled.resumed, settled.ended), (1, 0));
    let row = waiting.row(0).await;
    assert_eq!((row.state, row.try_number), (S::Scheduled, 1));
    assert_eq!(row.next_method.as_deref(), Some("done"));
    assert_eq!(
        row.next_kwargs.as_deref(),
        Some(r#"{"a":1.0,"event":{"x":1}}"#)
    );
    assert_eq!(waiting.row(1).await.state, S::Deferred);
    let late = waiting.fire(vec![(0, event(&json!(3)))]).await;
    assert_eq!(late, Settled::default());
}

#[tokio::test]
async fn a_failure_and_an_unusable_event_let_a_worker_fail_the_task() {
    let waiting = Waiting::new(two_tasks(&json!({}))).await;
    let lines = vec!["Traceback\n".to_owned(), "ValueError: x\n".to_owned()];
    let unusable = TriggerEvent {
        payload: JsonText::null(),
        task_instance_state: None,
        xcoms: None,
        problem: Some("no JSON form".to_owned()),
    };
    waiting
        .fire(vec![
            (0, Fired::Failed(Some(lines))),
            (1, Fired::Event(unusable)),
        ])
        .await;
    let failed = waiting.row(0).await;
    assert_eq!(failed.next_method.as_deref(), Some(FAIL_METHOD));
    assert_eq!(
        failed.next_kwargs.as_deref(),
        Some(r#"{"error":"Trigger failure","traceback":["Traceback\n","ValueError: x\n"]}"#)
    );
    let unusable = waiting.row(1).await;
    assert_eq!(unusable.next_method.as_deref(), Some(FAIL_METHOD));
    let kwargs = unusable.next_kwargs.unwrap();
    assert!(kwargs.contains("no JSON form"), "{kwargs}");
}

#[tokio::test]
async fn a_trigger_may_end_its_task_with_xcoms_and_without_a_worker() {
    let waiting = Waiting::new(two_tasks(&json!({}))).await;
    let settled = waiting
        .fire(vec![
            (
                0,
                end("success", &json!({"return_value": [1, 2.0], "k": "v"})),
            ),
            (1, end("skipped", &json!({}))),
        ])
        .await;
    assert_eq!((settled.resumed, settled.ended), (0, 2));
    assert_eq!(
        waiting.scene.states(&waiting.key).await,
        ["a success", "b skipped"]
    );
    let row = waiting.row(0).await;
    assert_eq!((row.trigger_id, row.next_method.clone()), (None, None));
    assert_eq!(
        (row.end_date, row.duration_secs),
        (Some(at(NOW)), Some(60.0))
    );
    let mut reader = waiting.scene.store.read().await.unwrap();
    let key = |name: &str| XComKey {
        dag_id: row.dag_id.clone(),
        run_id: row.run_id.clone(),
        task_id: row.task_id.clone(),
        key: name.to_owned(),
    };
    for (name, value) in [("return_value", "[1,2.0]"), ("k", "\"v\"")] {
        let xcom = reader.find_xcom(&key(name), MapIndex::UNMAPPED).await;
        assert_eq!(xcom.unwrap().unwrap().value, value);
    }
    let lengths = reader
        .load_mapped_lengths(&row.dag_id, &row.run_id, &["a".into()])
        .await
        .unwrap();
    assert_eq!(lengths.get("a"), Some(&2));
    assert!(
        reader
            .load_needed_triggers(JobId(1))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_task_that_its_trigger_fails_is_tried_again_while_it_may_and_its_callback_requested() {
    let extra = json!({"has_on_retry_callback": true, "has_on_failure_callback": true});
    let waiting = Waiting::new(two_tasks(&extra)).await;
    let before = waiting.row(0).await;
    waiting
        .fire(vec![(0, end("failed", &json!({"k": 1})))])
        .await;
    let row = waiting.row(0).await;
    assert_eq!(row.state, S::UpForRetry);
    assert_ne!(row.id, before.id, "another try");
    let mut tx = waiting.scene.store.write().await.unwrap();
    assert!(tx.find_past_try(before.id).await.unwrap().is_some());
    let requests = tx
        .claim_callbacks(&["dags-folder".into()], JobId(1), 9, at(NOW), at(NOW))
        .await
        .unwrap();
    let [request] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(request.body["task_callback_type"], "up_for_retry");
    assert_eq!(request.body["ti"]["id"], before.id.to_string());
    let key = XComKey {
        dag_id: row.dag_id.clone(),
        run_id: row.run_id.clone(),
        task_id: row.task_id.clone(),
        key: "k".to_owned(),
    };
    let xcom = tx.find_xcom(&key, MapIndex::UNMAPPED).await.unwrap();
    assert_eq!(xcom, None, "only a try that is final leaves XComs");
}

#[tokio::test]
async fn a_task_that_its_trigger_fails_for_good_stops_a_dag_that_wants_it_so() {
    let mut data = two_tasks(&json!({"retries": 0}));
    data["dag"]["fail_fast"] = json!(true);
    let waiting = Waiting::new(data).await;
    waiting.fire(vec![(0, end("failed", &json!({})))]).await;
    assert_eq!(
        waiting.scene.states(&waiting.key).await,
        ["a failed", "b skipped"]
    );
    let mut tx = waiting.scene.store.write().await.unwrap();
    assert_eq!(tx.delete_unneeded_triggers(9).await.unwrap(), 1);
}

#[tokio::test]
async fn an_event_of_a_watcher_updates_every_asset_it_watches() {
    let scene = Scene::new().await;
    let names = ["one", "two"];
    let scheduled_on = names.map(|name| AssetDefinition {
        name: name.to_owned(),
        uri: format!("file:///{name}"),
        group: "asset".to_owned(),
        extra: json!({}),
    });
    let assets = DagAssets {
        scheduled_on: scheduled_on.into(),
        ..DagAssets::default()
    };
    scene.parse_with(&daily("d", "a"), None, assets).await;
    let watcher = AssetWatcher {
        name: "w".to_owned(),
        classpath: "m.W".to_owned(),
        kwargs: json!({}),
    };
    let mut tx = scene.store.write().await.unwrap();
    for name in names {
        let asset = tx.find_asset_by_name(name).await.unwrap().unwrap();
        tx.set_asset_watchers(asset.id, std::slice::from_ref(&watcher), at(NOW))
            .await
            .unwrap();
    }
    let claim = TriggerClaim {
        triggerer: JobId(1),
        free: 9,
        limit: 9,
        queues: &TriggerQueues::All,
    };
    let claimed = tx.claim_triggers(&claim).await.unwrap();
    let [trigger] = claimed[..] else {
        panic!("{claimed:?}");
    };
    tx.commit().await.unwrap();
    let fired = |fired| FiredTrigger { id: trigger, fired };
    let twice = [
        fired(event(&json!({"n": 1}))),
        fired(event(&json!({"n": 2}))),
        fired(Fired::Failed(None)),
    ];
    assert_eq!(fire(&scene, &twice).await, Settled::default());
    let mut reader = scene.store.read().await.unwrap();
    for name in names {
        let of = EventsOf::Asset {
            name: Some(name),
            uri: None,
        };
        let events = reader
            .load_asset_events(&of, &AssetEventQuery::default())
            .await
            .unwrap();
        let extras: Vec<_> = events.iter().map(|event| event.extra.clone()).collect();
        assert_eq!(
            extras,
            [
                json!({"from_trigger": true, "payload": {"n": 1}}),
                json!({"from_trigger": true, "payload": {"n": 2}}),
            ],
        );
    }
}

#[tokio::test]
async fn a_callback_reports_until_it_is_over_and_fails_with_its_trigger() {
    let scene = Scene::new().await;
    let outcome = async |fired: Vec<Fired>| {
        let callback_id = Uuid::now_v7();
        let new = NewCallbackTrigger {
            callback_id,
            kwargs: "{}",
            priority_weight: 1,
        };
        let mut tx = scene.store.write().await.unwrap();
        let id = tx.create_callback_trigger(&new, at(NOW)).await.unwrap();
        tx.commit().await.unwrap();
        let fired: Vec<_> = fired
            .into_iter()
            .map(|fired| FiredTrigger { id, fired })
            .collect();
        fire(&scene, &fired).await;
        let mut reader = scene.store.read().await.unwrap();
        let report = reader.find_callback_report(callback_id).await;
        let report = report.unwrap().unwrap();
        (report.state, report.output)
    };
    let running = || event(&json!({"state": "running"}));
    let success = event(&json!({"state": "success", "body": {"n": 1}}));
    assert_eq!(
        outcome(vec![running()]).await,
        (CallbackState::Running, None)
    );
    assert_eq!(
        outcome(vec![running(), success, Fired::Failed(None)]).await,
        (CallbackState::Success, Some(r#"{"n":1}"#.to_owned()))
    );
    let lines = vec!["a\n".to_owned(), "b\n".to_owned()];
    assert_eq!(
        outcome(vec![running(), Fired::Failed(Some(lines))]).await,
        (CallbackState::Failed, Some("a\nb\n".to_owned()))
    );
    assert_eq!(
        outcome(vec![event(&json!("garbage"))]).await,
        (CallbackState::Queued, None)
    );
}
