//! Bundles that Python classes fetch.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::scene::{Scene, dag_file, wait_until};

const CLASSES: &str = include_str!("classes.py");

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    Ok(fs::write(path, text)?)
}

/// A version of a source, which is the newest from now on.
fn publish(source: &Path, version: &str, files: &[(&str, &str)]) -> Result<()> {
    let folder = source.join(version);
    write(&folder.join("VERSION"), version)?;
    for (path, text) in files {
        write(&folder.join(path), text)?;
    }
    let part = source.join("newest.part");
    fs::write(&part, version)?;
    Ok(fs::rename(part, source.join("newest"))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn dags_follow_the_versions_of_their_bundle_also_where_their_file_stays() -> Result<()> {
    let source = tempfile::tempdir()?;
    let (stays, goes) = (dag_file("stays", &["a"]), dag_file("goes", &["a"]));
    let files = [("stays.py", stays.as_str()), ("goes.py", goes.as_str())];
    publish(source.path(), "v1", &files)?;
    let kwargs = json!({"source": source.path(), "refresh_interval": 0});
    let scene = Scene::of_classes(CLASSES, &[("etl", "VersionedBundle", kwargs)]).await?;
    for dag_id in ["stays", "goes"] {
        let dag = scene.wait_for_dag(dag_id, |_| true).await?;
        assert_eq!(dag.bundle_name.as_str(), "etl");
        assert_eq!(dag.bundle_version.as_deref(), Some("v1"));
    }

    publish(source.path(), "v2", &files[..1])?;
    let is_newer = |version: &Option<String>| version.as_deref() == Some("v2");
    scene
        .wait_for_dag("stays", |dag| is_newer(&dag.bundle_version))
        .await?;
    scene.wait_for_dag("goes", |dag| dag.is_stale).await?;
    let bundles = scene.store.read().await?.load_bundles().await?;
    assert!(is_newer(&bundles[0].version), "{bundles:?}");
    // Its content is the same, so it is no other version of the Dag.
    assert_eq!(scene.version("stays").await?.version_number, 1);
    assert!(is_newer(&scene.version("stays").await?.bundle_version));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_raises_hangs_or_is_none_disturbs_no_other_bundle() -> Result<()> {
    let source = tempfile::tempdir()?;
    let (good, late) = (source.path().join("good"), source.path().join("late"));
    write(&good.join("good.py"), &dag_file("good", &["a"]))?;
    let kwargs = |source: &Path| json!({"source": source, "refresh_interval": 0});
    let scene = Scene::of_classes(
        CLASSES,
        &[
            ("a-hangs", "HangingBundle", kwargs(&good)),
            ("b-raises", "RaisingBundle", kwargs(&late)),
            ("c-is-none", "NoBundle", json!({})),
            ("d-is-not-there", "Missing", json!({})),
            ("good", "FolderBundle", kwargs(&good)),
        ],
    )
    .await?;
    let dag = scene.wait_for_dag("good", |_| true).await?;
    assert_eq!(
        (dag.bundle_name.as_str(), dag.bundle_version),
        ("good", None)
    );

    // It is tried again, and its Dags stay when it fails again.
    write(&late.join("late.py"), &dag_file("late", &["a"]))?;
    scene.wait_for_dag("late", |_| true).await?;
    fs::remove_dir_all(&late)?;
    write(&good.join("more.py"), &dag_file("more", &["a"]))?;
    scene.wait_for_dag("more", |_| true).await?;
    assert!(scene.dag("late").await?.is_some_and(|dag| !dag.is_stale));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_parse_a_file_fetches_its_bundle_first() -> Result<()> {
    let source = tempfile::tempdir()?;
    publish(source.path(), "v1", &[("d.py", &dag_file("d", &["a"]))])?;
    let kwargs = json!({"source": source.path(), "refresh_interval": 86400});
    let scene = Scene::of_classes(CLASSES, &[("etl", "VersionedBundle", kwargs)]).await?;
    scene.wait_for_dag("d", |_| true).await?;
    publish(
        source.path(),
        "v2",
        &[("d.py", &dag_file("d", &["a", "b"]))],
    )?;
    let request = updraft_store::ParseRequest {
        bundle_name: "etl".into(),
        relative_fileloc: "d.py".to_owned(),
    };
    let mut tx = scene.store.write().await?;
    tx.request_parse(&request).await?;
    tx.commit().await?;
    scene
        .wait_for_dag("d", |dag| dag.bundle_version.as_deref() == Some("v2"))
        .await?;
    wait_until("the newest files are on disk", || {
        fs::read_to_string(scene.path("bundles/etl/newest/VERSION")).is_ok_and(|it| it == "v2")
    })
    .await
}
