//! Who watches which asset, as Dags come, pause, change and go.

use serde_json::json;
use updraft_model::asset::AssetKey;
use updraft_store::{AssetDefinition, AssetWatcher, Change, ParsedDag, Tx};

use crate::backends::on_each_backend;
use crate::fixtures::{at, dag, file, parsed};

fn watcher(name: &str, path: &str) -> AssetWatcher {
    AssetWatcher {
        name: name.to_owned(),
        classpath: "my.FileTrigger".to_owned(),
        kwargs: json!({"path": path}),
    }
}

/// A Dag scheduled on the asset `inbox`, which it lets be watched.
fn watching(name: &str, watchers: &[AssetWatcher]) -> ParsedDag {
    let inbox = AssetDefinition {
        name: "inbox".to_owned(),
        uri: "file:///inbox".to_owned(),
        group: "asset".to_owned(),
        extra: json!({}),
    };
    let key = AssetKey {
        name: inbox.name.clone(),
        uri: inbox.uri.clone(),
    };
    let mut parsed = parsed(dag(name), &format!("{watchers:?}"));
    parsed.assets.scheduled_on = vec![inbox];
    parsed.assets.watchers.insert(key, watchers.to_vec());
    parsed
}

/// The names and paths of those who watch it.
async fn watched(tx: &mut Tx) -> Vec<String> {
    let details = tx.find_asset_details(1).await.unwrap().unwrap();
    let mut names: Vec<String> = details.watchers.into_iter().map(|each| each.name).collect();
    names.sort();
    names
}

#[test]
fn an_asset_is_watched_while_an_unpaused_dag_waits_for_it() {
    on_each_backend(async |store| {
        let (a, b) = (watcher("a", "/a"), watcher("b", "/b"));
        let mut tx = store.write().await.unwrap();
        tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
        let one = watching("one", std::slice::from_ref(&a));
        let two = watching("two", &[a.clone(), b]);
        tx.persist_parse(&file(vec![one.clone(), two]), at(1))
            .await
            .unwrap();
        assert_eq!(watched(&mut tx).await, ["a", "b"]);
        tx.commit().await.unwrap();

        let mut changes = store.changes().subscribe();
        let mut tx = store.write().await.unwrap();
        tx.set_paused(&"two".into(), true).await.unwrap();
        tx.refresh_asset_watchers(at(2)).await.unwrap();
        assert_eq!(watched(&mut tx).await, ["a"]);
        tx.commit().await.unwrap();
        let heard = std::iter::from_fn(|| changes.try_recv().ok());
        assert!(heard.into_iter().any(|change| change == Change::Trigger));

        let mut tx = store.write().await.unwrap();
        tx.set_paused(&"two".into(), false).await.unwrap();
        tx.refresh_asset_watchers(at(3)).await.unwrap();
        assert_eq!(watched(&mut tx).await, ["a", "b"]);

        // Another definition, and a Dag that vanishes from its file.
        let renamed = watching("two", &[watcher("renamed", "/b")]);
        tx.persist_parse(&file(vec![renamed]), at(4)).await.unwrap();
        assert_eq!(watched(&mut tx).await, ["renamed"]);
        tx.persist_parse(&file(vec![one]), at(5)).await.unwrap();
        assert_eq!(watched(&mut tx).await, ["a"]);
        let bundle = "dags-folder".into();
        tx.forget_missing_files(&bundle, &[].into(), at(6))
            .await
            .unwrap();
        assert!(watched(&mut tx).await.is_empty());
    });
}

#[test]
fn what_stays_as_it_is_tells_nobody() {
    on_each_backend(async |store| {
        let dags = || vec![watching("one", &[watcher("a", "/a")])];
        let mut tx = store.write().await.unwrap();
        tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
        tx.persist_parse(&file(dags()), at(1)).await.unwrap();
        tx.commit().await.unwrap();
        let mut changes = store.changes().subscribe();
        let mut tx = store.write().await.unwrap();
        tx.persist_parse(&file(dags()), at(2)).await.unwrap();
        tx.refresh_active_assets(at(3)).await.unwrap();
        tx.commit().await.unwrap();
        let mut heard = std::iter::from_fn(|| changes.try_recv().ok());
        assert!(!heard.any(|change| change == Change::Trigger));
    });
}
