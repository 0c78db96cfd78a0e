//! What a bundle may hold.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;

use crate::scene::{Scene, dag_file};

#[tokio::test(flavor = "multi_thread")]
async fn folders_zip_files_and_ignore_files_are_understood() -> Result<()> {
    let secretive = "from airflow.sdk import Variable\nVariable.get('x', default=None)\n";
    let files = [
        ("team/etl.py", dag_file("etl", &["a"])),
        (".airflowignore", "ignored*\n".to_owned()),
        ("ignored.py", dag_file("ignored", &["a"])),
        ("asks.py", secretive.to_owned() + &dag_file("asks", &["a"])),
    ];
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    let scene = Scene::new(&files).await?;
    scene.wait_for_dag("asks", |_| true).await?;
    scene
        .wait_for_dag("etl", |dag| dag.relative_fileloc == "team/etl.py")
        .await?;

    let path = scene.bundle().join("pack.zip");
    let mut archive = zip::ZipWriter::new(fs::File::create(&path)?);
    archive.start_file("zipped.py", zip::write::SimpleFileOptions::default())?;
    archive.write_all(dag_file("zipped", &["a"]).as_bytes())?;
    archive.finish()?;
    let zipped = scene.wait_for_dag("zipped", |_| true).await?;
    assert_eq!(zipped.fileloc, path.join("zipped.py").display().to_string());
    let version = scene.version("zipped").await?;
    let code = scene
        .store
        .read()
        .await?
        .find_source_code(version.id)
        .await?;
    assert_eq!(code, Some(dag_file("zipped", &["a"])));

    // Long after everything else was parsed.
    assert_eq!(scene.dag("ignored").await?, None);
    assert!(scene.import_errors().await?.is_empty());
    scene.remove("pack.zip")?;
    scene.wait_for_dag("zipped", |dag| dag.is_stale).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_assets_of_a_schedule_are_shown_with_their_numbers() -> Result<()> {
    let file = "from airflow.sdk import DAG, Asset\n\
        with DAG('waits', schedule=Asset('a', uri='s3://a') | Asset('b', uri='s3://b')):\n    pass\n";
    let scene = Scene::new(&[("waits.py", file)]).await?;
    let dag = scene.wait_for_dag("waits", |_| true).await?;
    let expression = dag.asset_expression.unwrap_or_default();
    for (index, name) in ["a", "b"].into_iter().enumerate() {
        let asset = &expression["any"][index]["asset"];
        assert_eq!(asset["name"], name, "{expression}");
        assert!(asset["id"].is_i64(), "{expression}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_comes_back_is_watched_again() -> Result<()> {
    let scene = Scene::with(&[("d.py", &dag_file("d", &["a"]))], |options| {
        options.bundle_refresh_check_interval = Duration::from_millis(200);
    })
    .await?;
    scene.wait_for_dag("d", |_| true).await?;
    fs::rename(scene.bundle(), scene.bundle().with_extension("away"))?;
    scene
        .remains_for(Duration::from_millis(600), "d", |dag| !dag.is_stale)
        .await?;
    scene.write("other.py", &dag_file("other", &["a"]))?;
    scene.wait_for_dag("other", |_| true).await?;
    scene.wait_for_dag("d", |dag| dag.is_stale).await?;
    Ok(())
}
