//! From the first sight of a file to its end.

use std::time::{Duration, Instant};

use anyhow::Result;
use updraft_model::BundleName;
use updraft_model::job::JobType;
use updraft_store::ParseRequest;

use crate::scene::{BUNDLE, LONG, Scene, dag_file, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_followed_through_its_life() -> Result<()> {
    let scene = Scene::new(&[("first.py", &dag_file("first", &["a"]))]).await?;
    let first = scene.wait_for_dag("first", |_| true).await?;
    assert_eq!(first.relative_fileloc, "first.py");
    assert!(first.is_paused);
    wait_until("the log is linked", || scene.log("first.py").is_ok()).await?;

    let started = Instant::now();
    scene.write("second.py", &dag_file("second", &["a"]))?;
    scene.wait_for_dag("second", |_| true).await?;
    // Generous, for a debug build on a busy machine; the pause between two listings is longer.
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    let before = scene.version("second").await?;

    // A comment changes the code and not the structure.
    scene.write("second.py", &(dag_file("second", &["a"]) + "# more\n"))?;
    let parsed_at = scene
        .wait_for_dag("second", |_| true)
        .await?
        .last_parsed_time;
    scene
        .wait_for_dag("second", |dag| dag.last_parsed_time > parsed_at)
        .await?;
    wait_for_code(&scene, "second", "# more").await?;
    assert_eq!(scene.version("second").await?.dag_hash, before.dag_hash);

    scene.write("second.py", &dag_file("second", &["a", "b"]))?;
    wait_for_code(&scene, "second", "\"b\"").await?;
    let after = scene.version("second").await?;
    assert_ne!(after.dag_hash, before.dag_hash);
    assert_eq!(
        after.version_number, 1,
        "nobody ran the first, so it is overwritten"
    );

    scene.write("second.py", "# airflow dag\ndef (")?;
    let broken = scene
        .wait_for_dag("second", |dag| dag.has_import_errors)
        .await?;
    assert!(
        broken.is_stale,
        "as in Airflow, it runs no more until the file is mended"
    );
    scene.write("second.py", &dag_file("second", &["a"]))?;
    scene
        .wait_for_dag("second", |dag| !dag.has_import_errors && !dag.is_stale)
        .await?;
    assert_eq!(scene.import_errors().await?, []);

    scene.remove("second.py")?;
    scene.wait_for_dag("second", |dag| dag.is_stale).await?;
    scene.write("second.py", &dag_file("second", &["a"]))?;
    scene.wait_for_dag("second", |dag| !dag.is_stale).await?;
    assert!(!scene.dag("first").await?.unwrap().is_stale);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_an_unchanged_file_parsed_and_the_job_is_registered() -> Result<()> {
    let scene = Scene::new(&[("d.py", &dag_file("d", &["a"]))]).await?;
    let before = scene.wait_for_dag("d", |_| true).await?.last_parsed_time;
    let mut tx = scene.store.write().await?;
    let request = ParseRequest {
        bundle_name: BundleName::new(BUNDLE),
        relative_fileloc: "d.py".to_owned(),
    };
    tx.request_parse(&request).await?;
    tx.commit().await?;
    scene
        .wait_for_dag("d", |dag| dag.last_parsed_time > before)
        .await?;
    let job = scene
        .store
        .read()
        .await?
        .find_latest_job(JobType::DagProcessor)
        .await?;
    assert!(job.is_some());
    Ok(())
}

async fn wait_for_code(scene: &Scene, dag_id: &str, wanted: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        let version = scene.version(dag_id).await?;
        let code = scene
            .store
            .read()
            .await?
            .find_source_code(version.id)
            .await?;
        if code.as_ref().is_some_and(|code| code.contains(wanted)) {
            return Ok(());
        }
        anyhow::ensure!(started.elapsed() < LONG, "expected `{wanted}` in {code:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
