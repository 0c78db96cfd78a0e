//! Partitions of Dags that wait for assets, and runs found by their partition.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;
use updraft_model::asset::AssetKey;
use updraft_model::dag_run::NewDagRun;
use updraft_model::{DagId, DagRunType, RunId};
use updraft_store::{
    AssetDefinition, Change, NewAssetEvent, ParsedDag, PartitionSelection, PendingPartition,
    RunCreation, Store, Tx, UnmappedEvent, WhichDags,
};

use crate::backends::{on_each_backend, on_postgres_if_any};
use crate::fixtures::{at, dag, file, new_run, parsed};

const DAG: &str = "by_day";

fn asset(name: &str) -> AssetDefinition {
    AssetDefinition {
        name: name.to_owned(),
        uri: format!("s3://bucket/{name}"),
        group: "asset".to_owned(),
        extra: json!({}),
    }
}

fn by_day() -> ParsedDag {
    let mut parsed = parsed(dag(DAG), DAG);
    parsed.dag.asset_expression = Some(json!({"all": []}));
    parsed.dag.timetable_partitioned = true;
    parsed.assets.scheduled_on = vec![asset("a")];
    parsed
}

async fn write_dag(tx: &mut Tx) {
    tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
    tx.persist_parse(&file(vec![by_day()]), at(0))
        .await
        .unwrap();
}

async fn emit(tx: &mut Tx, key: Option<&str>, date: Option<Timestamp>, now: Timestamp) -> i64 {
    let asset = tx.find_asset_by_name("a").await.unwrap().unwrap();
    let event = NewAssetEvent {
        asset_id: asset.id,
        extra: &json!({}),
        source: None,
        alias_ids: &[],
        partition_key: key,
        partition_date: date,
    };
    tx.register_asset_event(&event, now).await.unwrap()
}

async fn unmapped(tx: &mut Tx) -> Vec<UnmappedEvent> {
    tx.load_unmapped_events(&WhichDags::All, &BTreeSet::new(), 9)
        .await
        .unwrap()
}

async fn pending(tx: &mut Tx) -> Vec<PendingPartition> {
    tx.load_unseen_partitions(&WhichDags::All, &BTreeSet::new(), 9)
        .await
        .unwrap()
}

async fn touch(tx: &mut Tx, event: &UnmappedEvent, keys: &[&str], date: Option<Timestamp>) {
    let keys: BTreeSet<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    tx.touch_partitions(event, &keys, date, &json!({"by": "day"}), at(5))
        .await
        .unwrap();
}

/// An event that came for `keys`.
async fn come(tx: &mut Tx, key: &str, keys: &[&str], date: Option<Timestamp>) -> i64 {
    let id = emit(tx, Some(key), date, at(1)).await;
    let [event] = &unmapped(tx).await[..] else {
        panic!("one event waits");
    };
    assert!(tx.take_unmapped_event(event).await.unwrap());
    touch(tx, event, keys, event.partition_date).await;
    id
}

async fn create_run(tx: &mut Tx, name: &str, key: Option<&str>, date: Option<Timestamp>) -> i64 {
    let version = tx.find_latest_version(&DAG.into()).await.unwrap().unwrap();
    let run = NewDagRun {
        dag_id: DAG.into(),
        run_type: DagRunType::AssetTriggered,
        partition_key: key.map(str::to_owned),
        partition_date: date,
        ..new_run(name, version.id, None)
    };
    match tx.create_dag_run(&run, at(6)).await.unwrap() {
        RunCreation::Created(run) => run.id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_with_a_key_waits_to_be_mapped_once() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dag(&mut tx).await;
        tx.commit().await.unwrap();
        let mut changes = store.changes().subscribe();
        let mut tx = store.write().await.unwrap();
        let id = emit(&mut tx, Some("2026-03-01"), Some(at(9)), at(1)).await;
        emit(&mut tx, None, None, at(2)).await;
        emit(&mut tx, Some(""), None, at(3)).await;
        tx.commit().await.unwrap();
        let heard = Change::Waiting { dag_id: DAG.into() };
        assert_eq!(changes.try_recv().unwrap(), heard);

        let mut tx = store.write().await.unwrap();
        let events = unmapped(&mut tx).await;
        let [event] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(
            (event.event_id, event.partition_key.as_str()),
            (id, "2026-03-01")
        );
        assert_eq!(event.partition_date, Some(at(9)));
        assert_eq!(
            (event.dag_id.as_str(), event.asset.name.as_str()),
            (DAG, "a")
        );
        assert_eq!(event.source, None);
        let others = WhichDags::These(["other".into()].into());
        assert!(
            tx.load_unmapped_events(&others, &BTreeSet::new(), 9)
                .await
                .unwrap()
                .is_empty()
        );
        let except = BTreeSet::from([DAG.into()]);
        let left = tx.load_unmapped_events(&WhichDags::All, &except, 9).await;
        assert!(left.unwrap().is_empty());
        assert!(tx.take_unmapped_event(event).await.unwrap());
        assert!(!tx.take_unmapped_event(event).await.unwrap());
        assert!(unmapped(&mut tx).await.is_empty());
    });
}

#[test]
fn a_paused_dag_hears_of_no_partition() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dag(&mut tx).await;
        tx.set_paused(&DAG.into(), true).await.unwrap();
        emit(&mut tx, Some("2026-03-01"), None, at(1)).await;
        assert!(unmapped(&mut tx).await.is_empty());
    });
}

#[test]
fn a_partition_collects_until_it_has_a_run() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dag(&mut tx).await;
        let first = come(&mut tx, "x", &["d1", "d2"], Some(at(7))).await;
        let second = come(&mut tx, "y", &["d1"], Some(at(7))).await;
        let found = pending(&mut tx).await;
        let [one, two] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(
            (one.partition_key.as_str(), two.partition_key.as_str()),
            ("d1", "d2")
        );
        assert_eq!(one.partition_date, Some(at(7)));
        assert_eq!(one.rollup_fingerprint, json!({"by": "day"}));
        let key = AssetKey {
            name: "a".to_owned(),
            uri: "s3://bucket/a".to_owned(),
        };
        assert_eq!(
            one.received[&key],
            BTreeSet::from(["x".to_owned(), "y".to_owned()])
        );
        assert_eq!(two.received[&key], BTreeSet::from(["x".to_owned()]));
        let except = BTreeSet::from([DAG.into()]);
        let left = tx.load_unseen_partitions(&WhichDags::All, &except, 9).await;
        assert!(left.unwrap().is_empty());

        // It was looked at and waits, until something comes.
        tx.note_partition_look(two).await.unwrap();
        assert_eq!(pending(&mut tx).await, std::slice::from_ref(one));
        come(&mut tx, "z", &["d2"], None).await;
        let again = pending(&mut tx).await;
        assert_eq!(again.len(), 2);
        assert_eq!(
            again[1].partition_date,
            Some(at(7)),
            "who carries none agrees"
        );
        come(&mut tx, "z", &["d2"], Some(at(8))).await;
        let again = pending(&mut tx).await;
        assert_eq!(again[1].partition_date, None, "they do not agree");
        assert!(!tx.lock_partition(two).await.unwrap(), "it is known of old");

        let run = create_run(&mut tx, "r1", Some("d1"), None).await;
        assert!(tx.lock_partition(one).await.unwrap());
        assert_eq!(tx.finish_partition(one, run, at(8)).await.unwrap(), 2);
        let consumed = tx.load_consumed_asset_events(run).await.unwrap();
        let ids: Vec<i64> = consumed.iter().map(|event| event.id).collect();
        assert_eq!(ids, [first, second]);
        assert!(!tx.lock_partition(one).await.unwrap());

        // What comes now is for the next run.
        come(&mut tx, "x", &["d1"], None).await;
        let anew = pending(&mut tx).await;
        assert_eq!(anew.len(), 2);
        assert_ne!(anew[1].id, one.id);
        assert_eq!(anew[1].partition_key, "d1");
        assert!(tx.forget_partition(&anew[1]).await.unwrap());
        assert!(!tx.forget_partition(&anew[1]).await.unwrap());
    });
}

#[test]
fn what_was_collected_under_other_mappers_does_not_count() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dag(&mut tx).await;
        come(&mut tx, "x", &["d1", "d2"], None).await;
        emit(&mut tx, Some("y"), None, at(2)).await;
        let event = unmapped(&mut tx).await.remove(0);
        let keys = ["d1".to_owned()].into();
        tx.touch_partitions(&event, &keys, None, &json!({"by": "hour"}), at(3))
            .await
            .unwrap();
        let found = pending(&mut tx).await;
        let [old, new] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(
            (old.partition_key.as_str(), new.partition_key.as_str()),
            ("d2", "d1")
        );
        assert_eq!(new.rollup_fingerprint, json!({"by": "hour"}));
        let received: Vec<&BTreeSet<String>> = new.received.values().collect();
        assert_eq!(received, [&["y".to_owned()].into()]);
    });
}

#[test]
fn a_new_definition_and_an_asset_that_is_back_are_looked_at() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dag(&mut tx).await;
        come(&mut tx, "x", &["d1"], None).await;
        let seen = pending(&mut tx).await;
        tx.note_partition_look(&seen[0]).await.unwrap();
        let mut without = by_day();
        without.assets.scheduled_on.clear();
        without.dag_hash = "without".to_owned();
        tx.persist_parse(&file(vec![without]), at(3)).await.unwrap();
        let found = pending(&mut tx).await;
        assert!(
            found[0].received.is_empty(),
            "nobody refers to the asset any more"
        );
        tx.note_partition_look(&found[0]).await.unwrap();
        tx.persist_parse(&file(vec![by_day()]), at(4))
            .await
            .unwrap();
        assert_eq!(pending(&mut tx).await[0].received, seen[0].received);
    });
}

/// The events of two schedulers and writers that work at once end in one run for each key.
#[test]
fn a_partition_has_one_run_however_many_create_it() {
    on_postgres_if_any(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dag(&mut tx).await;
        for second in 0..20 {
            emit(&mut tx, Some(&format!("k{second}")), None, at(second)).await;
        }
        tx.commit().await.unwrap();
        let work = |number| one_scheduler(store.clone(), number);
        let (one, two, three) = tokio::join!(work(1), work(2), work(3));
        assert!(one + two + three >= 3);
        let mut reader = store.read().await.unwrap();
        let mut consumed = 0;
        for key in ["d0", "d1", "d2"] {
            let runs = reader
                .load_partition_runs(&DAG.into(), PartitionSelection::Key(key))
                .await
                .unwrap();
            for run in &runs {
                let run = reader.find_dag_run(&DAG.into(), &run.run_id).await.unwrap();
                let events = reader.load_consumed_asset_events(run.unwrap().id).await;
                consumed += events.unwrap().len();
            }
        }
        assert_eq!(consumed, 20, "each event is consumed once");
    });
}

/// Maps what it finds and creates what is due, until nothing is left.
async fn one_scheduler(store: Store, number: usize) -> usize {
    let mut made = 0;
    loop {
        let mut reader = store.read().await.unwrap();
        let events = reader
            .load_unmapped_events(&WhichDags::All, &BTreeSet::new(), 3)
            .await
            .unwrap();
        let due = reader
            .load_unseen_partitions(&WhichDags::All, &BTreeSet::new(), 3)
            .await
            .unwrap();
        drop(reader);
        if events.is_empty() && due.is_empty() {
            return made;
        }
        for event in &events {
            let mut tx = store.write().await.unwrap();
            if tx.take_unmapped_event(event).await.unwrap() {
                let key = format!("d{}", event.event_id % 3);
                touch(&mut tx, event, &[&key], None).await;
                tx.commit().await.unwrap();
            }
        }
        for partition in &due {
            let mut tx = store.write().await.unwrap();
            if !tx.lock_partition(partition).await.unwrap() {
                continue;
            }
            let name = format!("{}-{number}-{made}", partition.partition_key);
            let run = create_run(&mut tx, &name, Some(&partition.partition_key), None).await;
            tx.finish_partition(partition, run, at(9)).await.unwrap();
            tx.commit().await.unwrap();
            made += 1;
        }
    }
}

#[test]
fn runs_are_found_by_their_partition_and_taken_off_it() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dag(&mut tx).await;
        for (name, key, date) in [
            ("plain", None, None),
            ("eu", Some("eu"), None),
            ("late", Some("d2"), Some(at(20))),
            ("early", Some("d1"), Some(at(10))),
            ("again", Some("d1"), Some(at(10))),
        ] {
            create_run(&mut tx, name, key, date).await;
        }
        let dag_id = DagId::new(DAG);
        let between = |start, end| PartitionSelection::Window { start, end };
        let early = RunId::new("early");
        for (selection, expected) in [
            (PartitionSelection::Run(&early), vec!["early"]),
            (PartitionSelection::Key("d1"), vec!["again", "early"]),
            (PartitionSelection::Key("eu"), vec!["eu"]),
            (between(None, None), vec!["again", "early", "late"]),
            (
                between(Some(at(10)), Some(at(20))),
                vec!["again", "early", "late"],
            ),
            (between(Some(at(11)), None), vec!["late"]),
            (between(None, Some(at(10))), vec!["again", "early"]),
        ] {
            let found = tx.load_partition_runs(&dag_id, selection).await.unwrap();
            let found: Vec<&str> = found.iter().map(|run| run.run_id.as_str()).collect();
            assert_eq!(found, expected, "{selection:?}");
        }
        assert!(tx.clear_partition(&dag_id, &early, at(30)).await.unwrap());
        assert!(!tx.clear_partition(&dag_id, &early, at(31)).await.unwrap());
        let selection = PartitionSelection::Run(&early);
        let cleared = tx.load_partition_runs(&dag_id, selection).await.unwrap();
        assert!(!cleared[0].has_partition());
        let run = tx.find_dag_run(&dag_id, &early).await.unwrap().unwrap();
        assert_eq!(run.updated_at, at(30));
    });
}
