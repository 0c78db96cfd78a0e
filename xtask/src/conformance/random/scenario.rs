//! One seed: a Dag file, what is asked of the engine, and what stands in the record about it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use ureq::http::Method;

use super::numbers::Numbers;
use super::stories::{self, Phase, Story};
use super::{features, python};

/// The id of the run that most scenarios are about.
pub(super) const RUN_ID: &str = "first";

/// What a seed comes to.
pub(super) struct Scenario {
    pub(super) seed: u64,
    /// The first has the name of the file; the others begin with it.
    pub(super) dag_ids: Vec<String>,
    /// The Dag file.
    pub(super) text: String,
    pub(super) features: BTreeSet<&'static str>,
    pub(super) phases: Vec<Phase>,
    /// The states that the generator expects, by subject.
    pub(super) foreseen: BTreeMap<String, &'static str>,
}

/// One request of the public API.
pub(super) struct Act {
    pub(super) says: String,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Value,
}

pub(super) fn dag_id(seed: u64) -> String {
    format!("random_{seed:04}")
}

/// Makes the scenario of a seed: always the same.
pub(super) fn of_seed(seed: u64) -> Scenario {
    let mut numbers = Numbers::new(seed, u64::MAX);
    let Story {
        title,
        dags,
        phases,
        foreseen,
    } = stories::tell(seed, &mut numbers);
    let acts = phases.iter().flat_map(|phase| &phase.acts);
    let says: Vec<&str> = acts.map(|act| act.says.as_str()).collect();
    let then = match says.as_slice() {
        [] => String::new(),
        _ => format!(" The comparison {}.", says.join(", then ")),
    };
    let docstring = format!("{title}{then}");
    let blocks: Vec<String> = dags.iter().map(python::dag_block).collect();
    let text = python::file(&docstring, &blocks);
    Scenario {
        seed,
        dag_ids: dags.into_iter().map(|dag| dag.dag_id).collect(),
        features: features::of(&text),
        text,
        phases,
        foreseen,
    }
}

#[cfg(test)]
mod tests;
