//! Marks of what waits for the user's Python, and what listeners are to be told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use updraft_model::dag::NextDagRun;
use updraft_model::{MapIndex, TaskInstanceId, TaskInstanceState as S};
use updraft_store::{
    AskedDag, Change, FileError, MutationHook, PluginInventory, RunKey, StartedTaskInstance, Store,
    TaskInstanceClear, TaskInstanceSettlement, TaskInstanceUpdate,
};

use crate::assets::{raw, succeed, write_dags};
use crate::backends::on_each_backend;
use crate::fixtures::{
    at, dag, dag_id, file, new_ti, parsed, run_id, start_run, ti_id, write_dag, write_etl,
};

async fn set_inventory(store: &Store, hook: MutationHook, hooks: &[&str]) {
    let listeners = hooks
        .iter()
        .map(|hook| ((*hook).to_owned(), vec!["a.Listener".to_owned()]));
    let inventory = PluginInventory {
        mutation_hook: hook,
        listeners: listeners.collect::<BTreeMap<_, _>>(),
    };
    let mut tx = store.write().await.unwrap();
    tx.set_plugin_inventory(&inventory, at(0)).await.unwrap();
    tx.commit().await.unwrap();
}

fn key() -> RunKey {
    RunKey {
        dag_id: dag_id(),
        run_id: run_id("r1"),
    }
}

/// A running run with scheduled instances; the tasks in `custom` have weight rules of the user.
async fn write_run(store: &Store, tasks: &[&str], custom: &[&str]) -> Vec<TaskInstanceId> {
    let mut tx = store.write().await.unwrap();
    let version = write_etl(&mut tx).await;
    start_run(&mut tx, "r1", version, Some(at(0))).await;
    let rows: Vec<StartedTaskInstance> = tasks
        .iter()
        .map(|task| {
            let mut new = new_ti("r1", task, version);
            new.has_custom_weight = custom.contains(task);
            new.state = S::Scheduled;
            new.into()
        })
        .collect();
    tx.create_task_instances(&rows, at(0)).await.unwrap();
    tx.commit().await.unwrap();
    rows.iter().map(|row| row.new.id).collect()
}

async fn candidates(store: &Store) -> Vec<TaskInstanceId> {
    let mut reader = store.read().await.unwrap();
    let found = reader.load_queue_candidates(100).await.unwrap();
    let mut ids: Vec<_> = found.into_iter().map(|candidate| candidate.id).collect();
    ids.sort_unstable();
    ids
}

fn settlement(id: TaskInstanceId) -> TaskInstanceSettlement {
    TaskInstanceSettlement {
        id,
        pool: "default_pool".to_owned(),
        pool_slots: 2,
        queue: "routed".to_owned(),
        priority_weight: 42,
        executor: Some("LocalExecutor".to_owned()),
        executor_config: Some(json!({"a": [1.0]})),
        max_tries: 7,
    }
}

#[test]
fn without_hook_and_custom_weights_nothing_waits() {
    on_each_backend(async |store| {
        let mut ids = write_run(&store, &["a", "b"], &[]).await;
        ids.sort_unstable();
        assert_eq!(candidates(&store).await, ids);
        let mut reader = store.read().await.unwrap();
        assert!(reader.load_unsettled_runs(9).await.unwrap().is_empty());
    });
}

#[test]
fn a_custom_weight_keeps_its_task_from_the_queue_until_it_is_settled() {
    on_each_backend(async |store| {
        let mut changes = store.changes().subscribe();
        let ids = write_run(&store, &["a", "b"], &["b"]).await;
        assert_eq!(candidates(&store).await, [ids[0]]);
        let mut told = Vec::new();
        while let Ok(change) = changes.try_recv() {
            told.push(change);
        }
        assert!(told.contains(&Change::PythonWanted), "{told:?}");

        let mut reader = store.read().await.unwrap();
        assert_eq!(reader.load_unsettled_runs(9).await.unwrap(), [key()]);
        let waiting = reader
            .load_unsettled(&dag_id(), &run_id("r1"), 9)
            .await
            .unwrap();
        assert_eq!(waiting.len(), 1);
        assert!(waiting[0].needs_weight);
        assert_eq!(waiting[0].task_instance.id, ids[1]);

        let mut tx = store.write().await.unwrap();
        let given = [settlement(ids[1]), settlement(ti_id())];
        let settled = tx.settle_task_instances(&key(), &given, at(5)).await;
        assert_eq!(settled.unwrap(), 1);
        let again = tx.settle_task_instances(&key(), &given, at(6)).await;
        assert_eq!(again.unwrap(), 0, "it is settled once");
        tx.commit().await.unwrap();
        let mut reader = store.read().await.unwrap();
        let row = reader.find_task_instance(ids[1]).await.unwrap().unwrap();
        assert_eq!(row.priority_weight, 42);
        assert_eq!((row.pool_slots, row.max_tries), (2, 7));
        assert_eq!(row.queue, "routed");
        assert_eq!(row.executor.as_deref(), Some("LocalExecutor"));
        assert_eq!(row.executor_config, json!({"a": [1.0]}));
        assert_eq!(candidates(&store).await.len(), 2);
    });
}

#[test]
fn with_a_hook_everything_new_cleared_or_expanded_waits_for_it() {
    on_each_backend(async |store| {
        set_inventory(&store, MutationHook::Defined, &[]).await;
        let ids = write_run(&store, &["a", "b"], &[]).await;
        assert!(candidates(&store).await.is_empty());
        let mut tx = store.write().await.unwrap();
        tx.settle_as_they_are(&key(), &ids).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(candidates(&store).await.len(), 2);

        // Cleared: its fields are taken from the task again.
        let mut tx = store.write().await.unwrap();
        let clear = TaskInstanceClear {
            id: ids[0],
            from: S::Scheduled,
            new_id: ti_id(),
            state: S::NoStatus,
            max_tries: 1,
            reset: Some(crate::clearing::reset()),
        };
        tx.clear_task_instances(&[clear], at(7)).await.unwrap();
        // Expanded in place.
        let update = TaskInstanceUpdate {
            map_index: MapIndex(0),
            ..crate::fixtures::update(ids[1], S::Scheduled, S::Scheduled)
        };
        tx.update_task_instances(&[update], at(7)).await.unwrap();
        tx.commit().await.unwrap();
        let mut reader = store.read().await.unwrap();
        let waiting = reader
            .load_unsettled(&dag_id(), &run_id("r1"), 9)
            .await
            .unwrap();
        let tasks: Vec<_> = waiting
            .iter()
            .map(|each| each.task_instance.task_id.as_str())
            .collect();
        assert_eq!(tasks, ["a", "b"]);
    });
}

#[test]
fn what_waits_for_a_hook_that_does_not_exist_goes_on_when_python_has_said_so() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        tx.forget_mutation_hook(at(0)).await.unwrap();
        tx.commit().await.unwrap();
        let ids = write_run(&store, &["a", "b"], &["b"]).await;
        assert!(candidates(&store).await.is_empty());
        set_inventory(&store, MutationHook::None, &[]).await;
        assert_eq!(
            candidates(&store).await,
            [ids[0]],
            "`b` waits for its weight"
        );
    });
}

#[test]
fn a_dag_whose_next_run_is_asked_is_not_due_and_only_the_last_wish_counts() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dag(&mut tx, dag("etl")).await;
        assert_eq!(tx.lock_due_dags(at(9), 9).await.unwrap().len(), 1);
        tx.ask_next_dagrun(&dag_id(), at(1)).await.unwrap();
        assert!(tx.lock_due_dags(at(9), 9).await.unwrap().is_empty());
        assert_eq!(tx.find_next_due().await.unwrap(), None);
        let first = tx.load_asked_dags(9).await.unwrap();
        tx.ask_next_dagrun(&dag_id(), at(1)).await.unwrap();
        let second = tx.load_asked_dags(9).await.unwrap();
        assert_ne!(first, second, "a wish at the same moment is another one");

        let next = NextDagRun {
            logical_date: Some(at(3)),
            run_after: Some(at(4)),
            run_id: Some("mine".to_owned()),
            ..NextDagRun::default()
        };
        let late = tx.settle_next_dagrun(&first[0], &next).await.unwrap();
        assert!(!late, "it was wished for anew");
        assert!(tx.settle_next_dagrun(&second[0], &next).await.unwrap());
        let due = tx.lock_due_dags(at(9), 9).await.unwrap();
        assert_eq!(due[0].next_dagrun, next);
        assert!(tx.load_asked_dags(9).await.unwrap().is_empty());
        let unknown = AskedDag {
            dag_id: "nobody".into(),
            wish: 1,
        };
        assert!(!tx.settle_next_dagrun(&unknown, &next).await.unwrap());
    });
}

#[test]
fn other_classes_ask_for_every_next_run_of_a_custom_timetable() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dag(&mut tx, dag("etl")).await;
        let mut custom = dag("custom");
        custom.timetable_type = "my.Timetable".to_owned();
        write_dag(&mut tx, custom).await;
        assert_eq!(tx.ask_every_next_dagrun(at(1)).await.unwrap(), 1);
        let asked = tx.load_asked_dags(9).await.unwrap();
        assert_eq!(asked[0].dag_id.as_str(), "custom");
    });
}

#[test]
fn listeners_are_told_only_of_what_they_listen_to_and_in_order() {
    on_each_backend(async |store| {
        set_inventory(&store, MutationHook::None, &["on_dag_run_success"]).await;
        let mut tx = store.write().await.unwrap();
        for (hook, number) in [
            ("on_dag_run_success", 1),
            ("on_dag_run_failed", 2),
            ("on_dag_run_success", 3),
        ] {
            tx.tell_listeners(hook, || json!({"n": number}), at(0))
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        let mut tx = store.write().await.unwrap();
        let events = tx.load_listener_events(9).await.unwrap();
        let numbers: Vec<_> = events.iter().map(|event| event.body["n"].clone()).collect();
        assert_eq!(numbers, [1, 3]);
        tx.delete_listener_events(&[events[0].id]).await.unwrap();
        assert_eq!(tx.load_listener_events(9).await.unwrap(), events[1..]);
    });
}

#[test]
fn listeners_that_are_too_slow_miss_the_oldest() {
    on_each_backend(async |store| {
        set_inventory(&store, MutationHook::None, &["on_asset_changed"]).await;
        let mut tx = store.write().await.unwrap();
        for number in 0..10 {
            tx.tell_listeners("on_asset_changed", || json!(number), at(0))
                .await
                .unwrap();
        }
        assert_eq!(tx.drop_old_listener_events(20).await.unwrap(), 0);
        assert_eq!(tx.drop_old_listener_events(3).await.unwrap(), 7);
        let kept = tx.load_listener_events(20).await.unwrap();
        let kept: Vec<_> = kept.into_iter().map(|event| event.body).collect();
        assert_eq!(kept, [json!(7), json!(8), json!(9)]);
    });
}

#[test]
fn one_process_calls_listeners_until_its_lease_is_over() {
    on_each_backend(async |store| {
        set_inventory(&store, MutationHook::None, &[]).await;
        let lease = Duration::from_secs(60);
        let mut tx = store.write().await.unwrap();
        let mut ask =
            async |me: &str, now| tx.become_listener_caller(me, now, lease).await.unwrap();
        assert!(ask("one", at(0)).await);
        assert!(!ask("two", at(30)).await);
        assert!(ask("one", at(50)).await);
        assert!(!ask("two", at(100)).await);
        assert!(ask("two", at(111)).await);
        assert!(!ask("one", at(112)).await);
    });
}

#[test]
fn listeners_hear_of_new_assets_once_and_of_events_with_their_source() {
    on_each_backend(async |store| {
        let hooks = [
            "on_asset_alias_created",
            "on_asset_changed",
            "on_asset_created",
            "on_asset_event_emitted",
        ];
        set_inventory(&store, MutationHook::None, &hooks).await;
        let mut tx = store.write().await.unwrap();
        write_dags(&mut tx).await;
        write_dags(&mut tx).await;
        succeed(&mut tx, vec![raw()], Vec::new()).await;
        let events = tx.load_listener_events(99).await.unwrap();
        let told: Vec<_> = events.iter().map(|event| event.hook.as_str()).collect();
        assert_eq!(
            told,
            [
                "on_asset_created",
                "on_asset_alias_created",
                "on_asset_changed",
                "on_asset_event_emitted"
            ]
        );
        assert_eq!(events[0].body["asset"]["name"], "raw");
        assert_eq!(events[1].body["asset_alias"]["name"], "any");
        let emitted = &events[3].body["asset_event"];
        assert_eq!(emitted["asset"]["uri"], "s3://bucket/raw");
        assert_eq!(emitted["source_task_id"], "a");
        assert_eq!(emitted["source_run_id"], "r1");
    });
}

#[test]
fn a_parse_says_which_import_errors_are_known() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
        let mut parse = file(vec![parsed(dag("etl"), "one")]);
        parse.import_errors.push(FileError {
            filename: "etl.py".to_owned(),
            stacktrace: "boom".to_owned(),
        });
        let first = tx.persist_parse(&parse, at(0)).await.unwrap();
        assert!(first.known_errors.is_empty());
        let again = tx.persist_parse(&parse, at(1)).await.unwrap();
        assert_eq!(again.known_errors, ["etl.py"]);
    });
}
