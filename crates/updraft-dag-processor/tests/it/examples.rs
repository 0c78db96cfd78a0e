//! The examples that come with Airflow: the widest collection of Dags there is to check against.

use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use updraft_model::filter::Page;
use updraft_store::listing::DagFilter;

use crate::scene::Scene;

/// Two hundred files on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Among them: every file of the core that defines a Dag without needing further packages.
const DAGS_MIN: usize = 80;

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_airflow_give_no_import_error() -> Result<()> {
    let scene = Scene::of_examples().await?;
    let started = Instant::now();
    let mut seen = (0, Instant::now());
    // Until nothing new has come for a while.
    while seen.0 < DAGS_MIN || seen.1.elapsed() < Duration::from_secs(5) {
        let count = dag_count(&scene).await?;
        if count != seen.0 {
            seen = (count, Instant::now());
        }
        anyhow::ensure!(started.elapsed() < PATIENCE, "found only {count} Dags");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(scene.import_errors().await?, []);
    Ok(())
}

async fn dag_count(scene: &Scene) -> Result<usize> {
    let page = Page {
        limit: 1,
        offset: 0,
        order_by: Vec::new(),
    };
    let mut reader = scene.store.read().await?;
    let listed = reader
        .list_dags(&DagFilter::default(), &page, Timestamp::UNIX_EPOCH)
        .await?;
    Ok(usize::try_from(listed.total)?)
}
