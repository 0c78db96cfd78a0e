//! `conformance/plan.json`: which Dags run, when, and what about them cannot be compared.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::compare::Difference;
use crate::workspace;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    /// The logical date of a run that has no entry in `runs`: with it, templates render the same
    /// text on every machine and day.
    pub(super) logical_date: String,
    /// Dag id to the reason why it is not run.
    pub(super) excluded: BTreeMap<String, String>,
    /// Dag id to the Dags whose runs must have ended before: their asset events are its input.
    #[serde(default)]
    pub(super) after: BTreeMap<String, Vec<String>>,
    /// Dags that are triggered more than once, or with a `conf`.
    #[serde(default)]
    runs: BTreeMap<String, Vec<RunPlan>>,
    /// Dag id, task id, and what the simulated human answers when the task asks.
    #[serde(default)]
    pub(super) answers: BTreeMap<String, BTreeMap<String, HumanAnswer>>,
    /// Dags whose callbacks write to `callbacks/<dag_id>.txt` beside the Dags folder.
    #[serde(default)]
    pub(super) callbacks: BTreeSet<String>,
    /// Dag id, task id, XCom key, and why the value differs from run to run.
    #[serde(default)]
    unstable_xcoms: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>,
    /// Pools that must exist: name and slots.
    #[serde(default)]
    pub(super) pools: BTreeMap<String, u32>,
    /// Variables that must exist.
    #[serde(default)]
    pub(super) variables: BTreeMap<String, String>,
    /// Differences we know of: the start of their text, and the reason.
    #[serde(default)]
    known_differences: BTreeMap<String, String>,
    pub(super) random: RandomPlan,
}

/// What is said of the random Dags.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomPlan {
    /// The first and the last recorded seed.
    pub(super) seeds: (u64, u64),
    /// Seeds that are not recorded, and why.
    #[serde(default)]
    pub(super) excluded: BTreeMap<u64, String>,
}

/// One run to trigger.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunPlan {
    pub(super) run_id: String,
    pub(super) logical_date: String,
    #[serde(default)]
    pub(super) conf: Map<String, Value>,
}

/// The answer to a human-in-the-loop task: the body of the request that gives it.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HumanAnswer {
    chosen_options: Vec<String>,
    #[serde(default)]
    params_input: Map<String, Value>,
}

impl Plan {
    pub(super) fn read() -> Result<Self> {
        let path = workspace::root().join("conformance/plan.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to read `{}`", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("failed to parse `{}`", path.display()))
    }

    pub(super) fn runs_of(&self, dag_id: &str) -> Vec<RunPlan> {
        let single = || {
            vec![RunPlan {
                run_id: "conformance".to_owned(),
                logical_date: self.logical_date.clone(),
                conf: Map::new(),
            }]
        };
        self.runs.get(dag_id).cloned().unwrap_or_else(single)
    }

    pub(super) fn is_unstable(&self, dag_id: &str, task_id: &str, key: &str) -> bool {
        self.unstable_xcoms
            .get(dag_id)
            .and_then(|tasks| tasks.get(task_id))
            .is_some_and(|keys| keys.contains_key(key))
    }

    pub(super) fn explanation(&self, difference: &Difference) -> Option<&str> {
        self.explanation_of(&difference.to_string())
    }

    pub(super) fn explanation_of(&self, text: &str) -> Option<&str> {
        let mut known = self.known_differences.iter();
        known
            .find(|(start, _)| text.starts_with(*start))
            .map(|(_, reason)| reason.as_str())
    }

    /// Returns the known differences that are not among `differences` any more.
    pub(super) fn outlived<'a>(&'a self, differences: &[Difference]) -> Vec<&'a str> {
        let texts: Vec<String> = differences.iter().map(Difference::to_string).collect();
        let is_gone = |start: &&String| !texts.iter().any(|text| text.starts_with(*start));
        self.known_differences
            .keys()
            .filter(is_gone)
            .map(String::as_str)
            .collect()
    }
}
