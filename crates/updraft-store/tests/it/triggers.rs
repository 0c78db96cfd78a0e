//! Triggers: who runs them, who waits for them, and what their events change.

use jiff::SignedDuration;
use serde_json::json;
use updraft_model::job::{JobState, JobType};
use updraft_model::trigger::{CallbackState, RunnableTrigger, TriggerKind, Waiting};
use updraft_model::{JobId, TaskInstanceId, TaskInstanceState as S, TriggerId};
use updraft_store::{
    AssetDefinition, AssetWatcher, CallbackReport, Change, DagAssets, Deferral, FAIL_METHOD,
    Keyring, NewCallbackTrigger, NewJob, NewTaskTrigger, Resumption, Store, TaskInstanceUpdate,
    TriggerClaim, TriggerKwargs, TriggerQueues, Tx,
};
use uuid::Uuid;

use crate::backends::{on_each_backend, on_postgres_if_any, open, options, runtime, sqlite_url};
use crate::fixtures::{
    at, create_tis, dag, dag_id, file, parsed, run_id, start_run, update, write_etl,
};

const SECRET: &str = r#"{"token":"s3cr3t","moment":1.0}"#;

async fn start_triggerer(tx: &mut Tx) -> JobId {
    let job = NewJob {
        job_type: JobType::Triggerer,
        hostname: "box".to_owned(),
        unixname: "me".to_owned(),
        pid: 42,
    };
    tx.start_job(&job, at(0)).await.unwrap().id
}

/// A trigger with this weight, made at this second.
async fn new_trigger(tx: &mut Tx, weight: i64, second: i64, queue: Option<&str>) -> TriggerId {
    let new = NewTaskTrigger {
        classpath: "m.T",
        kwargs: &TriggerKwargs::Plain(SECRET.to_owned()),
        priority_weight: weight,
        queue,
    };
    tx.create_task_trigger(&new, at(second)).await.unwrap()
}

/// A task instance that waits for a trigger of its own.
async fn defer(tx: &mut Tx, id: TaskInstanceId, timeout: Option<i64>) -> TriggerId {
    let trigger_id = new_trigger(tx, 1, 0, None).await;
    let deferred = TaskInstanceUpdate {
        start_date: Some(at(3)),
        deferral: Some(Deferral {
            trigger_id,
            trigger_timeout: timeout.map(at),
            next_method: "done".to_owned(),
            next_kwargs: r#"{"a":1.0}"#.to_owned(),
        }),
        ..update(id, S::NoStatus, S::Deferred)
    };
    let won = tx.update_task_instances(&[deferred], at(3)).await.unwrap();
    assert_eq!(won, [id]);
    trigger_id
}

/// Task instances of one run, each of which waits for a trigger.
async fn deferred(tx: &mut Tx, count: usize) -> Vec<(TaskInstanceId, TriggerId)> {
    let version = write_etl(tx).await;
    start_run(tx, "r1", version, Some(at(0))).await;
    let names: Vec<String> = (0..count).map(|number| format!("t{number}")).collect();
    let tasks: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), S::NoStatus))
        .collect();
    let mut pairs = Vec::new();
    for id in create_tis(tx, "r1", version, &tasks).await {
        pairs.push((id, defer(tx, id, None).await));
    }
    pairs
}

fn claim(triggerer: JobId, free: usize, limit: usize) -> TriggerClaim<'static> {
    TriggerClaim {
        triggerer,
        free,
        limit,
        queues: &TriggerQueues::None,
    }
}

fn resumption((ti, trigger): (TaskInstanceId, TriggerId)) -> Resumption {
    Resumption {
        ti,
        trigger,
        next_method: Some("done".to_owned()),
        next_kwargs: r#"{"event":NaN}"#.to_owned(),
    }
}

async fn watched_asset(tx: &mut Tx) -> i64 {
    let asset = AssetDefinition {
        name: "a".to_owned(),
        uri: "file:///a".to_owned(),
        group: "asset".to_owned(),
        extra: json!({}),
    };
    let mut etl = parsed(dag("etl"), "one");
    etl.assets = DagAssets {
        scheduled_on: vec![asset],
        ..DagAssets::default()
    };
    tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
    tx.persist_parse(&file(vec![etl]), at(0)).await.unwrap();
    tx.find_asset_by_name("a").await.unwrap().unwrap().id
}

fn watcher(name: &str, kwargs: serde_json::Value) -> AssetWatcher {
    AssetWatcher {
        name: name.to_owned(),
        classpath: "m.Watch".to_owned(),
        kwargs,
    }
}

#[test]
fn the_heaviest_triggers_go_first_then_the_oldest_and_callbacks_before_all() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let job = start_triggerer(&mut tx).await;
        let asset = watched_asset(&mut tx).await;
        tx.set_asset_watchers(asset, &[watcher("w", json!({}))], at(0))
            .await
            .unwrap();
        let young = new_trigger(&mut tx, 5, 9, None).await;
        let old = new_trigger(&mut tx, 5, 1, None).await;
        let heavy = new_trigger(&mut tx, 7, 9, None).await;
        let callback = NewCallbackTrigger {
            callback_id: Uuid::now_v7(),
            kwargs: "{}",
            priority_weight: 0,
        };
        let callback = tx.create_callback_trigger(&callback, at(9)).await.unwrap();
        assert!(tx.has_free_triggers(&TriggerQueues::None).await.unwrap());

        let first = tx.claim_triggers(&claim(job, 3, 50)).await.unwrap();
        assert_eq!(first[0], callback);
        assert_eq!(sorted(&first[1..]), sorted(&[heavy, old]));
        let second = tx.claim_triggers(&claim(job, 9, 50)).await.unwrap();
        assert_eq!((second.len(), second[0]), (2, young));
        assert!(!tx.has_free_triggers(&TriggerQueues::None).await.unwrap());
    });
}

fn sorted(ids: &[TriggerId]) -> Vec<TriggerId> {
    let mut ids = ids.to_vec();
    ids.sort();
    ids
}

#[test]
fn one_claim_takes_no_more_than_its_share() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let job = start_triggerer(&mut tx).await;
        for _ in 0..5 {
            new_trigger(&mut tx, 1, 0, None).await;
        }
        let mut taken = Vec::new();
        for expected in [2, 2, 1, 0] {
            let more = tx.claim_triggers(&claim(job, 9, 2)).await.unwrap();
            assert_eq!(more.len(), expected);
            taken.extend(more);
        }
        assert_eq!(tx.claim_triggers(&claim(job, 0, 2)).await.unwrap(), []);
        assert_eq!(sorted(&taken).len(), 5);
    });
}

#[test]
fn a_trigger_with_a_queue_goes_only_to_a_triggerer_of_that_queue() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let job = start_triggerer(&mut tx).await;
        let plain = new_trigger(&mut tx, 1, 0, None).await;
        let queued = new_trigger(&mut tx, 1, 0, Some("gpu")).await;
        let gpu = TriggerQueues::Named(vec!["x".to_owned(), "gpu".to_owned()]);
        let mine = TriggerClaim {
            queues: &gpu,
            ..claim(job, 9, 9)
        };
        assert_eq!(tx.claim_triggers(&mine).await.unwrap(), [queued]);
        assert!(!tx.has_free_triggers(&gpu).await.unwrap());
        assert_eq!(tx.claim_triggers(&claim(job, 9, 9)).await.unwrap(), [plain]);
        assert!(!tx.has_free_triggers(&TriggerQueues::All).await.unwrap());
    });
}

#[test]
fn a_triggerer_of_all_queues_takes_triggers_with_a_queue_and_without() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let job = start_triggerer(&mut tx).await;
        let plain = new_trigger(&mut tx, 1, 0, None).await;
        let queued = new_trigger(&mut tx, 1, 1, Some("gpu")).await;
        let all = TriggerClaim {
            queues: &TriggerQueues::All,
            ..claim(job, 9, 9)
        };
        assert!(tx.has_free_triggers(all.queues).await.unwrap());
        assert_eq!(tx.claim_triggers(&all).await.unwrap(), [plain, queued]);
        let gone = TriggerId(queued.0 + 1);
        let kinds = tx.load_trigger_kinds(&[plain, queued, gone]).await.unwrap();
        let expected = [(plain, TriggerKind::Task), (queued, TriggerKind::Task)];
        assert_eq!(kinds, expected.into());
        assert!(tx.load_trigger_kinds(&[]).await.unwrap().is_empty());
    });
}

#[test]
fn what_one_triggerer_is_taking_the_other_leaves_to_it() {
    on_postgres_if_any(async |store| {
        let mut tx = store.write().await.unwrap();
        let (one, other) = (
            start_triggerer(&mut tx).await,
            start_triggerer(&mut tx).await,
        );
        for _ in 0..4 {
            new_trigger(&mut tx, 1, 0, None).await;
        }
        tx.commit().await.unwrap();
        let mut first = store.write().await.unwrap();
        let mut second = store.write().await.unwrap();
        let mine = first.claim_triggers(&claim(one, 9, 3)).await.unwrap();
        let yours = second.claim_triggers(&claim(other, 9, 3)).await.unwrap();
        assert_eq!((mine.len(), yours.len()), (3, 1));
        assert!(!mine.contains(&yours[0]));
    });
}

#[test]
fn triggers_of_a_triggerer_that_is_not_running_are_free_again() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let (dead, alive) = (
            start_triggerer(&mut tx).await,
            start_triggerer(&mut tx).await,
        );
        let ids = [
            new_trigger(&mut tx, 1, 0, None).await,
            new_trigger(&mut tx, 1, 0, None).await,
        ];
        tx.claim_triggers(&claim(dead, 1, 1)).await.unwrap();
        tx.claim_triggers(&claim(alive, 1, 1)).await.unwrap();
        assert_eq!(tx.release_orphaned_triggers().await.unwrap(), 0);
        tx.heartbeat_job(alive, at(60)).await.unwrap();
        let since = at(30);
        let failed = tx.fail_dead_jobs(JobType::Triggerer, since, at(61)).await;
        assert_eq!(failed.unwrap(), [dead]);
        assert_eq!(tx.release_orphaned_triggers().await.unwrap(), 1);
        let adopted = tx.claim_triggers(&claim(alive, 9, 9)).await.unwrap();
        assert_eq!(adopted, [ids[0]]);
        assert_eq!(tx.release_triggers_of(alive).await.unwrap(), 2);
        tx.end_job(alive, JobState::Success, at(70)).await.unwrap();
        assert!(tx.has_free_triggers(&TriggerQueues::None).await.unwrap());
    });
}

#[test]
fn a_trigger_is_loaded_with_its_arguments_in_the_clear_and_its_task_instance() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let pairs = deferred(&mut tx, 2).await;
        let ids: Vec<TriggerId> = pairs.iter().map(|pair| pair.1).collect();
        let orphan = new_trigger(&mut tx, 1, 0, None).await;
        let loaded = tx
            .load_runnable_triggers(&[ids[0], ids[1], orphan])
            .await
            .unwrap();
        let [RunnableTrigger { trigger, waiting }, _] = &loaded[..] else {
            panic!("{loaded:?}");
        };
        assert_eq!(trigger.kwargs.as_deref(), Some(SECRET));
        assert_eq!(trigger.kind, TriggerKind::Task);
        let Waiting::Task(ti) = waiting else {
            panic!("{waiting:?}");
        };
        assert_eq!((ti.id, ti.trigger_id), (pairs[0].0, Some(ids[0])));
        assert_eq!(ti.next_method.as_deref(), Some("done"));
        assert_eq!(ti.next_kwargs.as_deref(), Some(r#"{"a":1.0}"#));
        let shown = format!("{loaded:?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
    });
}

#[test]
fn a_lost_key_spoils_only_the_triggers_that_were_encrypted_with_it() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let url = sqlite_url(&folder);
        let store = open(&url).await;
        store.migrate().await.unwrap();
        let mut tx = store.write().await.unwrap();
        let pairs = deferred(&mut tx, 1).await;
        tx.commit().await.unwrap();
        store.close().await;

        let mut options = options(&url);
        options.keyring = Keyring::parse(&Keyring::generate_key()).unwrap();
        let store = Store::open(options).await.unwrap();
        let mut tx = store.write().await.unwrap();
        let version = tx.find_latest_version(&dag_id()).await.unwrap().unwrap().id;
        let id = create_tis(&mut tx, "r1", version, &[("u", S::NoStatus)]).await[0];
        let readable = defer(&mut tx, id, None).await;
        let loaded = tx
            .load_runnable_triggers(&[pairs[0].1, readable])
            .await
            .unwrap();
        let kwargs: Vec<_> = loaded
            .iter()
            .map(|runnable| runnable.trigger.kwargs.as_deref())
            .collect();
        assert_eq!(kwargs, [None, Some(SECRET)]);
    });
}

#[test]
fn an_event_schedules_the_task_instance_once_and_ends_its_trigger() {
    on_each_backend(async |store| {
        let mut changes = store.changes().subscribe();
        let mut tx = store.write().await.unwrap();
        let pairs = deferred(&mut tx, 3).await;
        tx.commit().await.unwrap();
        let mut tx = store.write().await.unwrap();
        let waiting = tx.lock_deferred(&[pairs[0].1, pairs[2].1]).await.unwrap();
        assert_eq!(waiting.len(), 2);
        let both = [resumption(pairs[0]), resumption(pairs[2])];
        let won = tx.resume_deferred(&both, at(20)).await.unwrap();
        assert_eq!(won.len(), 2);
        assert_eq!(tx.resume_deferred(&both, at(21)).await.unwrap(), []);
        assert_eq!(tx.lock_deferred(&[pairs[0].1]).await.unwrap(), []);
        let ti = tx.find_task_instance(pairs[0].0).await.unwrap().unwrap();
        assert_eq!((ti.state, ti.trigger_id), (S::Scheduled, None));
        assert_eq!((ti.try_number, ti.start_date), (1, Some(at(3))));
        assert_eq!(ti.scheduled_dttm, Some(at(20)));
        assert_eq!(ti.next_kwargs.as_deref(), Some(r#"{"event":NaN}"#));
        tx.commit().await.unwrap();

        let job = start_triggerer(&mut store.write().await.unwrap()).await;
        let mut tx = store.write().await.unwrap();
        assert_eq!(
            tx.claim_triggers(&claim(job, 9, 9)).await.unwrap(),
            [pairs[1].1]
        );
        drop(tx);
        let mut told = Vec::new();
        while let Ok(change) = changes.try_recv() {
            told.push(change);
        }
        assert!(told.contains(&Change::Trigger));
        assert!(told.contains(&Change::DagRun {
            dag_id: dag_id(),
            run_id: run_id("r1"),
        }));
    });
}

#[test]
fn a_late_event_of_an_earlier_deferral_changes_nothing() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let (ti, old) = deferred(&mut tx, 1).await[0];
        tx.resume_deferred(&[resumption((ti, old))], at(20))
            .await
            .unwrap();
        let again = new_trigger(&mut tx, 1, 30, None).await;
        let deferral = TaskInstanceUpdate {
            deferral: Some(Deferral {
                trigger_id: again,
                trigger_timeout: None,
                next_method: "later".to_owned(),
                next_kwargs: "{}".to_owned(),
            }),
            ..update(ti, S::Scheduled, S::Deferred)
        };
        tx.update_task_instances(&[deferral], at(30)).await.unwrap();
        let late = tx.resume_deferred(&[resumption((ti, old))], at(31)).await;
        assert_eq!(late.unwrap(), []);
        let row = tx.find_task_instance(ti).await.unwrap().unwrap();
        assert_eq!((row.state, row.trigger_id), (S::Deferred, Some(again)));
    });
}

#[test]
fn deferred_task_instances_run_out_of_time_one_by_one() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let tasks = ["a", "b", "c"].map(|name| (name, S::NoStatus));
        let ids = create_tis(&mut tx, "r1", version, &tasks).await;
        defer(&mut tx, ids[0], Some(100)).await;
        defer(&mut tx, ids[1], Some(200)).await;
        defer(&mut tx, ids[2], None).await;
        assert_eq!(tx.find_next_trigger_timeout().await.unwrap(), Some(at(100)));
        assert_eq!(tx.time_out_deferred(at(100)).await.unwrap(), 0);
        let later = at(100) + SignedDuration::from_micros(1);
        assert_eq!(tx.time_out_deferred(later).await.unwrap(), 1);
        let ti = tx.find_task_instance(ids[0]).await.unwrap().unwrap();
        assert_eq!((ti.state, ti.trigger_id), (S::Scheduled, None));
        assert_eq!(ti.next_method.as_deref(), Some(FAIL_METHOD));
        assert_eq!(
            ti.next_kwargs.as_deref(),
            Some(r#"{"error":"Trigger timeout"}"#)
        );
        assert_eq!(tx.find_next_trigger_timeout().await.unwrap(), Some(at(200)));
        assert_eq!(tx.time_out_deferred(at(900)).await.unwrap(), 1);
        assert_eq!(tx.find_next_trigger_timeout().await.unwrap(), None);
    });
}

#[test]
fn triggers_for_which_nobody_waits_are_found_and_deleted() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let job = start_triggerer(&mut tx).await;
        let pairs = deferred(&mut tx, 3).await;
        tx.claim_triggers(&claim(job, 9, 9)).await.unwrap();
        let cleared = TaskInstanceUpdate {
            scheduled_dttm: None,
            ..update(pairs[0].0, S::Deferred, S::Success)
        };
        tx.update_task_instances(&[cleared], at(30)).await.unwrap();
        let needed = tx.load_needed_triggers(job).await.unwrap();
        assert_eq!(needed, [pairs[1].1, pairs[2].1].into());
        assert_eq!(tx.delete_unneeded_triggers(100).await.unwrap(), 1);
        assert_eq!(tx.delete_unneeded_triggers(100).await.unwrap(), 0);
        let ti = tx.find_task_instance(pairs[0].0).await.unwrap().unwrap();
        assert_eq!(ti.trigger_id, None);
        let ti = tx.find_task_instance(pairs[1].0).await.unwrap().unwrap();
        assert_eq!(ti.trigger_id, Some(pairs[1].1));
    });
}

#[test]
fn equal_watchers_share_a_trigger_that_goes_with_the_last_of_them() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let job = start_triggerer(&mut tx).await;
        let asset = watched_asset(&mut tx).await;
        let spelt = [
            watcher("w", json!({"path": "/x", "every": 1.0})),
            watcher("w", json!({"every": 1.0, "path": "/x"})),
            watcher("v", json!({"path": "/y", "every": 1.0})),
        ];
        assert!(tx.set_asset_watchers(asset, &spelt, at(0)).await.unwrap());
        assert!(!tx.set_asset_watchers(asset, &spelt, at(1)).await.unwrap());
        let ids = tx.claim_triggers(&claim(job, 9, 9)).await.unwrap();
        assert_eq!(ids.len(), 2);
        assert_eq!(tx.load_assets_of_trigger(ids[0]).await.unwrap(), [asset]);
        let loaded = tx.load_runnable_triggers(&ids).await.unwrap();
        let watched = Waiting::Assets(vec![("a".to_owned(), "file:///a".to_owned())]);
        assert!(loaded.iter().all(|runnable| runnable.waiting == watched));
        assert_eq!(tx.load_needed_triggers(job).await.unwrap().len(), 2);

        assert!(tx.set_asset_watchers(asset, &[], at(2)).await.unwrap());
        assert!(tx.load_needed_triggers(job).await.unwrap().is_empty());
        assert_eq!(tx.load_runnable_triggers(&ids).await.unwrap(), []);
        assert_eq!(tx.delete_unneeded_triggers(100).await.unwrap(), 2);
    });
}

#[test]
fn a_callback_says_how_it_goes_until_it_is_finished() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let job = start_triggerer(&mut tx).await;
        let callback_id = Uuid::now_v7();
        let new = NewCallbackTrigger {
            callback_id,
            kwargs: r#"{"callback_path":"m.f","callback_kwargs":{}}"#,
            priority_weight: 1,
        };
        let trigger = tx.create_callback_trigger(&new, at(0)).await.unwrap();
        tx.claim_triggers(&claim(job, 9, 9)).await.unwrap();
        let report = |state, output: Option<&str>| CallbackReport {
            state,
            output: output.map(str::to_owned),
        };
        let running = report(CallbackState::Running, None);
        let noted = tx.note_callback(trigger, &running).await.unwrap();
        assert_eq!(noted, Some(callback_id));
        assert!(
            tx.load_needed_triggers(job)
                .await
                .unwrap()
                .contains(&trigger)
        );
        let failed = report(CallbackState::Failed, Some("why"));
        assert!(tx.note_callback(trigger, &failed).await.unwrap().is_some());
        let late = report(CallbackState::Success, Some("late"));
        assert_eq!(tx.note_callback(trigger, &late).await.unwrap(), None);
        assert_eq!(
            tx.find_callback_report(callback_id).await.unwrap(),
            Some(failed)
        );
        assert!(tx.load_needed_triggers(job).await.unwrap().is_empty());
        tx.release_triggers_of(job).await.unwrap();
        assert_eq!(tx.claim_triggers(&claim(job, 9, 9)).await.unwrap(), []);
        assert_eq!(tx.delete_unneeded_triggers(9).await.unwrap(), 0);
        assert!(tx.delete_callback_trigger(callback_id).await.unwrap());
        assert!(!tx.delete_callback_trigger(callback_id).await.unwrap());
    });
}
