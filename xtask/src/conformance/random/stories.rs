//! What the Dags of a seed are about, and what is done with them.

mod assets;
mod graph;
mod history;
mod limits;
mod scheduled;
mod small;
mod triggering;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use ureq::http::Method;

use super::dag::Dag;
use super::numbers::Numbers;
use super::scenario::Act;

/// The Dags of a seed and what happens to them.
pub(super) struct Story {
    pub(super) title: &'static str,
    pub(super) dags: Vec<Dag>,
    pub(super) phases: Vec<Phase>,
    /// The states that the generator expects, by subject.
    pub(super) foreseen: BTreeMap<String, &'static str>,
}

/// Requests, after which everything comes to rest and is read.
pub(super) struct Phase {
    pub(super) acts: Vec<Act>,
    pub(super) rest: Rest,
}

/// When a phase is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// When all runs have ended that the requests made.
    Ended,
    /// When nothing changes any more: the engine may make more runs, and some may wait for ever.
    Settled,
}

/// Tells the story of a seed.
pub(super) fn tell(seed: u64, numbers: &mut Numbers) -> Story {
    let tell = numbers.weighted(&[
        (80, graph::tell as fn(u64, &mut Numbers) -> Story),
        (7, history::tell),
        (6, scheduled::catch_up),
        (5, scheduled::backfill),
        (7, triggering::tell),
        (12, limits::tell),
        (9, assets::tell),
    ]);
    tell(seed, numbers)
}

/// A Dag without a schedule, name and tasks.
fn unscheduled_dag() -> Dag {
    Dag {
        schedule: "None".to_owned(),
        start: "START".to_owned(),
        defaults: vec!["\"retry_delay\": datetime.timedelta(0)".to_owned()],
        ..Dag::default()
    }
}

/// Asks for a run on a day.
fn trigger(dag_id: &str, run_id: &str, day: &str, conf: &Value) -> Act {
    let midnight = format!("{day}T00:00:00Z");
    Act {
        says: format!("triggers `{run_id}`"),
        method: Method::POST,
        path: format!("/api/v2/dags/{dag_id}/dagRuns"),
        body: json!({
            "dag_run_id": run_id,
            "logical_date": midnight,
            "run_after": midnight,
            "conf": conf,
        }),
    }
}
