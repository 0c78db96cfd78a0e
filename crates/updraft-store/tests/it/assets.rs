//! Assets: references, activity, events and the queue of consumers.

use serde_json::json;
use updraft_model::TaskInstanceState as S;
use updraft_model::state_store::{StateWriter, StateWriterKind};
use updraft_store::{
    AssetAliasDefinition, AssetDefinition, AssetEventQuery, EventsOf, Finish, OutletEvent,
    ParsedDag, TaskOutlet, Tx, WhichDags,
};

use crate::backends::on_each_backend;
use crate::fixtures::{at, create_tis, dag, dag_id, file, parsed, start_run, task};

fn asset(name: &str) -> AssetDefinition {
    AssetDefinition {
        name: name.to_owned(),
        uri: format!("s3://bucket/{name}"),
        group: "asset".to_owned(),
        extra: json!({}),
    }
}

fn alias(name: &str) -> AssetAliasDefinition {
    AssetAliasDefinition {
        name: name.to_owned(),
        group: String::new(),
    }
}

fn consumer(name: &str) -> ParsedDag {
    let mut consumer = parsed(dag(name), name);
    consumer.assets.scheduled_on = vec![asset("raw")];
    consumer
}

/// `etl` writes `raw`, `reader` and `paused` wait for it, `by_alias` for the alias `any`.
pub(crate) async fn write_dags(tx: &mut Tx) {
    tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
    let mut producer = parsed(dag("etl"), "etl");
    producer.assets.outlets = vec![(task("a"), asset("raw"))];
    let mut by_alias = parsed(dag("by_alias"), "by_alias");
    by_alias.assets.scheduled_on_aliases = vec![alias("any")];
    let dags = vec![producer, consumer("reader"), consumer("paused"), by_alias];
    tx.persist_parse(&file(dags), at(0)).await.unwrap();
    tx.set_paused(&"paused".into(), true).await.unwrap();
}

pub(crate) async fn succeed(
    tx: &mut Tx,
    outlets: Vec<TaskOutlet>,
    outlet_events: Vec<OutletEvent>,
) {
    let version = tx.find_latest_version(&dag_id()).await.unwrap().unwrap().id;
    start_run(tx, "r1", version, Some(at(0))).await;
    let id = create_tis(tx, "r1", version, &[("a", S::Running)]).await[0];
    let finish = Finish {
        state: S::Success,
        end_date: at(10),
        rendered_map_index: None,
        outlets,
        outlet_events,
        clears_state_store: false,
    };
    tx.finish_try(id, &finish, at(10)).await.unwrap();
}

pub(crate) fn raw() -> TaskOutlet {
    TaskOutlet::Asset {
        name: "raw".to_owned(),
        uri: "s3://bucket/raw".to_owned(),
    }
}

#[test]
fn a_success_registers_one_event_and_queues_who_waits() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dags(&mut tx).await;
        let said = OutletEvent {
            asset_name: "raw".to_owned(),
            asset_uri: "s3://bucket/raw".to_owned(),
            source_alias: None,
            asset_extra: json!({}),
            extra: json!({"rows": 7}),
            partition_key: None,
        };
        succeed(&mut tx, vec![raw()], vec![said]).await;
        let of = EventsOf::Asset {
            name: Some("raw"),
            uri: None,
        };
        let events = tx
            .load_asset_events(&of, &AssetEventQuery::default())
            .await
            .unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].extra, json!({"rows": 7}));
        assert_eq!(events[0].source_task_id, Some(task("a")));
        assert_eq!(events[0].timestamp, at(10));
        let queued = tx.load_queued_consumers(&WhichDags::All).await.unwrap();
        let queued: Vec<_> = queued.iter().map(|each| each.dag_id.as_str()).collect();
        assert_eq!(queued, ["reader"], "the paused one waits in vain");
        let late = AssetEventQuery {
            after: Some(at(11)),
            ..AssetEventQuery::default()
        };
        assert!(tx.load_asset_events(&of, &late).await.unwrap().is_empty());
    });
}

#[test]
fn an_event_through_an_alias_makes_and_attaches_its_asset() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dags(&mut tx).await;
        let said = OutletEvent {
            asset_name: "new".to_owned(),
            asset_uri: "s3://bucket/new".to_owned(),
            source_alias: Some("any".to_owned()),
            asset_extra: json!({"from": "alias"}),
            extra: json!({}),
            partition_key: None,
        };
        let outlet = TaskOutlet::Alias {
            name: "any".to_owned(),
        };
        succeed(&mut tx, vec![outlet], vec![said]).await;
        let attached = tx.load_assets_of_alias("any").await.unwrap();
        assert_eq!(attached[0].name, "new");
        assert!(attached[0].is_active);
        let events = tx
            .load_asset_events(
                &EventsOf::Alias { name: "any" },
                &AssetEventQuery::default(),
            )
            .await
            .unwrap();
        assert_eq!(events[0].source_aliases, ["any"]);
        let queued = tx.load_queued_consumers(&WhichDags::All).await.unwrap();
        assert_eq!(queued[0].dag_id, "by_alias");
    });
}

#[test]
fn an_asset_is_active_while_something_points_at_it() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_dags(&mut tx).await;
        let raw = tx.find_asset_by_name("raw").await.unwrap().unwrap();
        assert_eq!(
            tx.find_asset_by_uri(&raw.uri).await.unwrap(),
            Some(raw.clone())
        );
        let writer = StateWriter::outside(StateWriterKind::Watcher);
        tx.set_asset_state(raw.id, "cursor", "1", &writer, at(1))
            .await
            .unwrap();
        let value = tx.find_asset_state(raw.id, "cursor").await.unwrap();
        let value = value.unwrap();
        assert_eq!(value.value, "1");
        assert_eq!(value.writer, writer);
        let named = ("raw".to_owned(), "s3://bucket/raw".to_owned());
        let unknown = ("x".to_owned(), "y".to_owned());
        let inactive = tx
            .load_inactive_assets(&[named, unknown.clone()])
            .await
            .unwrap();
        assert_eq!(inactive, [unknown]);

        let names = ["etl", "reader", "paused", "by_alias"];
        let without = names.map(|name| parsed(dag(name), name));
        tx.persist_parse(&file(without.into()), at(2))
            .await
            .unwrap();
        assert_eq!(tx.find_asset_by_name("raw").await.unwrap(), None);
        assert!(!tx.find_asset(raw.id).await.unwrap().unwrap().is_active);
        assert_eq!(tx.find_asset_state(raw.id, "cursor").await.unwrap(), None);
    });
}
