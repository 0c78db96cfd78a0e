//! What is timed: Dag runs from request to end, and Dag files from write to visible.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use ureq::http::Method;

use crate::engine::Engine;

/// Every Dag of `conformance/bench-dags/` must be loaded by then.
const LOAD_MAX: Duration = Duration::from_secs(180);
const DAG_COUNT: usize = 66;
/// The slowest run takes Airflow a hundred seconds.
const RUN_MAX: Duration = Duration::from_secs(400);
/// Airflow lists the Dags folder every five minutes.
const VISIBLE_MAX: Duration = Duration::from_secs(420);
/// Rare enough that polling does not slow the engine down.
const RUN_POLL: Duration = Duration::from_millis(100);
const FILE_POLL: Duration = Duration::from_millis(10);

pub(super) fn wait_until_loaded(engine: &Engine) -> Result<()> {
    let deadline = Instant::now() + LOAD_MAX;
    while list_all_dags(engine)? < DAG_COUNT {
        if Instant::now() > deadline {
            let found = list_all_dags(engine)?;
            bail!(
                "{} has loaded {found} of {DAG_COUNT} Dags after {LOAD_MAX:?}",
                engine.kind.name()
            );
        }
        std::thread::sleep(RUN_POLL);
    }
    Ok(())
}

pub(super) fn list_all_dags(engine: &Engine) -> Result<usize> {
    Ok(engine.rest.list("/api/v2/dags", "dags")?.len())
}

/// Triggers `dag_id` and returns the time from sending the request to the end of the run.
///
/// The end is the run's own `end_date` (both clocks are this machine's), so that the pause
/// between two polls is not part of the result.
pub(super) fn run_once(engine: &Engine, dag_id: &str) -> Result<Duration> {
    let rest = &engine.rest;
    rest.patch(
        &format!("/api/v2/dags/{dag_id}"),
        &json!({ "is_paused": false }),
    )?;
    let (sent, deadline) = (SystemTime::now(), Instant::now() + RUN_MAX);
    let run = rest.post(
        &format!("/api/v2/dags/{dag_id}/dagRuns"),
        &json!({ "logical_date": null }),
    )?;
    let run_id = run["dag_run_id"]
        .as_str()
        .context("a run without `dag_run_id`")?;
    let path = format!(
        "/api/v2/dags/{dag_id}/dagRuns/{}",
        crate::rest::segment(run_id)
    );
    loop {
        std::thread::sleep(RUN_POLL);
        // An answer that is no run is asked for again: with all its database connections in use,
        // Airflow answers a poll with an error and goes on running tasks.
        let run = rest.send(Method::GET, &path, None)?.body;
        match run["state"].as_str() {
            Some("success") => {
                let end = run["end_date"]
                    .as_str()
                    .context("an ended run without `end_date`")?;
                let end: jiff::Timestamp = end.parse().context("`end_date` of a run")?;
                let took = SystemTime::from(end).duration_since(sent);
                return took.context("a run ended before it began");
            }
            Some("failed") => bail!("a run of `{dag_id}` failed on {}", engine.kind.name()),
            _ if Instant::now() > deadline => bail!(
                "a run of `{dag_id}` has not ended on {} after {RUN_MAX:?}: {run}",
                engine.kind.name()
            ),
            _ => {}
        }
    }
}

/// Writes a new Dag file and returns how long it takes until the API knows the Dag.
pub(super) fn new_file_visible(engine: &Engine, round: usize) -> Result<Duration> {
    let dag_id = format!("bench_new_{round}");
    write_dag_file(engine, &dag_id, "as new")?;
    wait_for_description(engine, &dag_id, "as new")
}

/// Changes a Dag file that is known and returns how long it takes until the API shows it.
pub(super) fn changed_file_visible(engine: &Engine, round: usize) -> Result<Duration> {
    let dag_id = format!("bench_changed_{round}");
    write_dag_file(engine, &dag_id, "before the change")?;
    wait_for_description(engine, &dag_id, "before the change")?;
    write_dag_file(engine, &dag_id, "after the change")?;
    wait_for_description(engine, &dag_id, "after the change")
}

fn write_dag_file(engine: &Engine, dag_id: &str, description: &str) -> Result<()> {
    let path = engine.dags_folder().join(format!("{dag_id}.py"));
    let source = format!(
        "from airflow.sdk import DAG\n\n\
         dag = DAG(dag_id=\"{dag_id}\", description=\"{description}\", schedule=None)\n"
    );
    // Written aside and renamed, as an editor or a deployment does it.
    let aside = engine.home.join(format!("{dag_id}.tmp"));
    fs::write(&aside, source).context("failed to write a Dag file")?;
    fs::rename(&aside, &path).context("failed to put a Dag file in place")
}

fn wait_for_description(engine: &Engine, dag_id: &str, description: &str) -> Result<Duration> {
    let started = Instant::now();
    let path = format!("/api/v2/dags/{dag_id}");
    loop {
        let answer = engine.rest.send(Method::GET, &path, None)?;
        if answer.status == 200 && answer.body["description"] == description {
            return Ok(started.elapsed());
        }
        if started.elapsed() > VISIBLE_MAX {
            bail!(
                "`{dag_id}` is not visible on {} after {VISIBLE_MAX:?}",
                engine.kind.name()
            );
        }
        std::thread::sleep(FILE_POLL);
    }
}
