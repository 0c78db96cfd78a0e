//! What waits for Dags that are scheduled on assets, and which events their runs consume.

use jiff::Timestamp;
use serde_json::json;
use updraft_model::asset::AssetKey;
use updraft_model::dag_run::NewDagRun;
use updraft_model::filter::Page;
use updraft_model::{DagId, DagRunTriggeredBy, DagRunType};
use updraft_store::listing::DagWarningFilter;
use updraft_store::{
    AssetDefinition, Change, EventWindow, NewAssetEvent, ParsedDag, RunCreation, Tx, WhichDags,
};

use crate::backends::{on_each_backend, on_postgres_if_any};
use crate::fixtures::{at, dag, file, new_run, parsed};

fn asset(name: &str) -> AssetDefinition {
    AssetDefinition {
        name: name.to_owned(),
        uri: format!("s3://bucket/{name}"),
        group: "asset".to_owned(),
        extra: json!({}),
    }
}

fn waiting(name: &str, assets: &[&str]) -> ParsedDag {
    let mut parsed = parsed(dag(name), name);
    parsed.dag.asset_expression = Some(json!({"all": []}));
    parsed.assets.scheduled_on = assets.iter().map(|name| asset(name)).collect();
    parsed
}

/// `on_a` waits for `a`, `on_both` for `a` and `b`.
async fn write_dags(tx: &mut Tx) {
    tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
    let dags = vec![waiting("on_a", &["a"]), waiting("on_both", &["a", "b"])];
    tx.persist_parse(&file(dags), at(0)).await.unwrap();
}

async fn emit(tx: &mut Tx, name: &str, now: Timestamp) -> i64 {
    let asset = tx.find_asset_by_name(name).await.unwrap().unwrap();
    let event = NewAssetEvent {
        asset_id: asset.id,
        extra: &json!({}),
        source: None,
        alias_ids: &[],
        partition_key: None,
        partition_date: None,
    };
    tx.register_asset_event(&event, now).await.unwrap()
}

async fn queued(tx: &mut Tx, which: &WhichDags) -> Vec<(String, String, Timestamp)> {
    let consumers = tx.load_queued_consumers(which).await.unwrap();
    let shown = |dag_id: &DagId, asset: &AssetKey| (dag_id.to_string(), asset.name.clone());
    consumers
        .iter()
        .map(|each| {
            let (dag_id, name) = shown(&each.dag_id, &each.asset);
            (dag_id, name, each.created_at)
        })
        .collect()
}

/// Creates an asset-triggered run; gives its row number.
async fn create_run(tx: &mut Tx, dag_id: &str, run_after: Timestamp) -> i64 {
    let version = tx
        .find_latest_version(&dag_id.into())
        .await
        .unwrap()
        .unwrap();
    let run = NewDagRun {
        dag_id: dag_id.into(),
        run_type: DagRunType::AssetTriggered,
        triggered_by: DagRunTriggeredBy::Asset,
        run_after,
        ..new_run(&format!("asset_triggered__{run_after}"), version.id, None)
    };
    match tx.create_dag_run(&run, run_after).await.unwrap() {
        RunCreation::Created(run) => run.id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_asset_that_is_queued_keeps_its_first_time() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dags(&mut tx).await;
        for second in [1, 2] {
            emit(&mut tx, "a", at(second)).await;
        }
        emit(&mut tx, "b", at(3)).await;
        let row = |dag_id: &str, name: &str, second| (dag_id.into(), name.into(), at(second));
        let all = [
            row("on_a", "a", 1),
            row("on_both", "b", 3),
            row("on_both", "a", 1),
        ];
        assert_eq!(queued(&mut tx, &WhichDags::All).await, all);
        let one = WhichDags::These(["on_a".into(), "nobody".into()].into());
        assert_eq!(queued(&mut tx, &one).await, all[..1]);
        tx.set_paused(&"on_a".into(), true).await.unwrap();
        assert_eq!(
            queued(&mut tx, &WhichDags::All).await,
            all[1..],
            "it may have no runs"
        );
    });
}

#[test]
fn only_what_was_read_is_dequeued() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dags(&mut tx).await;
        emit(&mut tx, "a", at(1)).await;
        let dag_id = DagId::new("on_both");
        assert!(tx.lock_dag_for_run(&dag_id).await.unwrap().is_some());
        let locked = tx.lock_queued_consumers(&dag_id).await.unwrap();
        emit(&mut tx, "b", at(2)).await;
        let read = locked.iter().map(|consumer| consumer.asset_id);
        assert_eq!(tx.dequeue_consumers(&dag_id, read).await.unwrap(), 1);
        let left = tx.lock_queued_consumers(&dag_id).await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].asset.name, "b");
        assert_eq!(
            tx.lock_queued_consumers(&"on_a".into())
                .await
                .unwrap()
                .len(),
            1
        );
    });
}

#[test]
fn a_run_consumes_the_events_of_its_window_once() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dags(&mut tx).await;
        let dag_id = DagId::new("on_both");
        let mut events = Vec::new();
        for (name, second) in [("a", 1), ("b", 2), ("a", 3), ("b", 4)] {
            events.push(emit(&mut tx, name, at(second)).await);
        }
        let window = tx.load_event_window(&dag_id, at(2)).await.unwrap();
        let first = EventWindow {
            previous: None,
            scheduled_since: Some(at(0)),
        };
        assert_eq!(window, first);
        let run = create_run(&mut tx, "on_both", at(2)).await;
        let count = tx
            .consume_asset_events(run, &dag_id, Some(at(1)), at(2))
            .await;
        assert_eq!(count.unwrap(), 1, "the floor itself is out, the end is in");

        let window = tx.load_event_window(&dag_id, at(4)).await.unwrap();
        assert_eq!(window.previous, Some(at(2)));
        let run = create_run(&mut tx, "on_both", at(4)).await;
        let count = tx
            .consume_asset_events(run, &dag_id, window.previous, at(4))
            .await;
        assert_eq!(count.unwrap(), 2);
        let consumed = tx.load_consumed_asset_events(run).await.unwrap();
        let consumed: Vec<i64> = consumed.iter().map(|event| event.id).collect();
        assert_eq!(consumed, events[2..]);

        let run = create_run(&mut tx, "on_a", at(9)).await;
        let all = tx
            .consume_asset_events(run, &"on_a".into(), None, at(9))
            .await;
        assert_eq!(all.unwrap(), 2, "events of `b` are none of its business");
    });
}

#[test]
fn aliases_and_references_queue_and_resolve() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dags(&mut tx).await;
        let mut by_name = waiting("by_name", &[]);
        by_name.assets.scheduled_on_names = vec!["a".to_owned()];
        let mut by_uri = waiting("by_uri", &[]);
        by_uri.assets.scheduled_on_uris = vec!["s3://bucket/b".to_owned()];
        let mut other = file(vec![by_name, by_uri]);
        other.relative_fileloc = "other.py".to_owned();
        tx.persist_parse(&other, at(0)).await.unwrap();
        emit(&mut tx, "a", at(1)).await;
        emit(&mut tx, "b", at(2)).await;
        let which = WhichDags::These(["by_name".into(), "by_uri".into()].into());
        let row = |dag_id: &str, name: &str, second| (dag_id.into(), name.into(), at(second));
        let expected = [row("by_name", "a", 1), row("by_uri", "b", 2)];
        assert_eq!(queued(&mut tx, &which).await, expected);

        let resolved = tx
            .load_resolved_assets(&["nobody"], &["a", "x"], &["s3://bucket/b"])
            .await
            .unwrap();
        let key = |name: &str| AssetKey {
            name: name.to_owned(),
            uri: format!("s3://bucket/{name}"),
        };
        assert_eq!(resolved.by_name, [("a".to_owned(), key("a"))].into());
        assert_eq!(
            resolved.by_uri,
            [("s3://bucket/b".to_owned(), key("b"))].into()
        );
        assert!(resolved.of_aliases.is_empty());
        let run = create_run(&mut tx, "by_name", at(3)).await;
        let count = tx
            .consume_asset_events(run, &"by_name".into(), None, at(3))
            .await;
        assert_eq!(
            count.unwrap(),
            0,
            "a reference makes runs and consumes nothing"
        );
    });
}

#[test]
fn room_for_a_run_and_an_update_are_hinted_at() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dags(&mut tx).await;
        tx.commit().await.unwrap();
        let mut changes = store.changes().subscribe();
        let mut tx = store.write().await.unwrap();
        emit(&mut tx, "b", at(1)).await;
        emit(&mut tx, "b", at(2)).await;
        tx.commit().await.unwrap();
        let waiting = |dag_id: &str| Change::Waiting {
            dag_id: dag_id.into(),
        };
        assert_eq!(changes.try_recv().unwrap(), waiting("on_both"));
        assert!(
            changes.try_recv().is_err(),
            "the second event queued nobody"
        );
    });
}

#[test]
fn of_two_assets_with_one_name_the_second_waits_with_a_warning() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dags(&mut tx).await;
        let rival = AssetDefinition {
            uri: "s3://elsewhere/a".to_owned(),
            ..asset("a")
        };
        let mut second = parsed(dag("rival"), "rival");
        second.assets.scheduled_on = vec![rival];
        let mut other = file(vec![second]);
        other.relative_fileloc = "rival.py".to_owned();
        other.dags[0].dag.relative_fileloc = "rival.py".to_owned();
        tx.persist_parse(&other, at(3)).await.unwrap();
        let active = tx.find_asset_by_name("a").await.unwrap().unwrap();
        assert_eq!(active.uri, "s3://bucket/a");
        let warnings = warnings(&mut tx).await;
        let message = "Cannot activate asset Asset(name=\"a\", uri=\"s3://elsewhere/a\", \
                       group=\"asset\"); name is already associated to 's3://bucket/a'";
        assert_eq!(warnings, [("rival".to_owned(), message.to_owned())]);

        // The first one goes: the second takes its name, and is warned of no more.
        let without = ["on_a", "on_both"].map(|name| parsed(dag(name), name));
        tx.persist_parse(&file(without.into()), at(4))
            .await
            .unwrap();
        let active = tx.find_asset_by_name("a").await.unwrap().unwrap();
        assert_eq!(active.uri, "s3://elsewhere/a");
        assert!(self::warnings(&mut tx).await.is_empty());
    });
}

async fn warnings(tx: &mut Tx) -> Vec<(String, String)> {
    let filter = DagWarningFilter {
        warning_type: Some("asset conflict".to_owned()),
        ..DagWarningFilter::default()
    };
    let page = Page {
        limit: 9,
        ..Page::default()
    };
    let listed = tx.list_dag_warnings(&filter, &page).await;
    let rows = listed.unwrap().rows.into_iter();
    rows.map(|warning| (warning.dag_id.to_string(), warning.message))
        .collect()
}

#[test]
fn a_file_that_is_gone_waits_for_nothing_and_writes_nothing() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dags(&mut tx).await;
        let bundle = "dags-folder".into();
        let gone = tx.forget_missing_files(&bundle, &[].into(), at(5)).await;
        assert_eq!(gone.unwrap().len(), 2);
        assert!(tx.find_asset_by_name("a").await.unwrap().is_none());
    });
}

#[test]
fn two_schedulers_do_not_create_a_run_of_one_dag_at_once() {
    on_postgres_if_any(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dags(&mut tx).await;
        emit(&mut tx, "a", at(1)).await;
        tx.commit().await.unwrap();
        let dag_id = DagId::new("on_a");
        let mut first = store.write().await.unwrap();
        assert!(first.lock_dag_for_run(&dag_id).await.unwrap().is_some());
        let mut second = store.write().await.unwrap();
        assert!(second.lock_dag_for_run(&dag_id).await.unwrap().is_none());
        assert_eq!(first.lock_queued_consumers(&dag_id).await.unwrap().len(), 1);
        assert!(
            second
                .lock_queued_consumers(&dag_id)
                .await
                .unwrap()
                .is_empty()
        );
    });
}
