//! What an engine made of a Dag, read through the REST API.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::Plan;
use crate::engine::Engine;
use crate::rest::segment;

/// Longer XCom values are recorded as their size and a checksum.
const VALUE_CHARS_MAX: usize = 4_000;

/// The XCom in which branches and short circuits leave what they chose or skipped: Python sets,
/// whose order differs from process to process.
const SKIPS_KEY: &str = "skipmixin_key";

/// Everything one session saw.
#[derive(Default)]
pub(super) struct Outcomes {
    pub(super) dags: BTreeMap<String, DagOutcome>,
    /// Files that could not be imported, relative to their bundle.
    pub(super) import_errors: BTreeSet<String>,
}

impl Outcomes {
    /// Counts Dags, task instances and XComs.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        let runs = || self.dags.values().flat_map(|dag| &dag.runs);
        let instances = runs().map(|run| run.task_instances.len()).sum();
        let xcoms = runs().map(|run| run.xcoms.len()).sum();
        (self.dags.len(), instances, xcoms)
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DagOutcome {
    pub(super) dag_id: String,
    /// What the list of Dags says of it.
    pub(super) listed: BTreeMap<String, Value>,
    pub(super) runs: Vec<RunOutcome>,
    /// What the Dag's callbacks wrote, sorted: they run in no particular order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) callbacks: Vec<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunOutcome {
    pub(super) run_id: String,
    pub(super) state: String,
    pub(super) task_instances: Vec<InstanceOutcome>,
    pub(super) xcoms: Vec<XcomOutcome>,
}

impl RunOutcome {
    /// The engine did not take the request for this run.
    pub(super) fn refused(run_id: String, status: u16) -> Self {
        let state = format!("refused with status {status}");
        Self {
            run_id,
            state,
            task_instances: Vec::new(),
            xcoms: Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InstanceOutcome {
    pub(super) task_id: String,
    pub(super) map_index: i64,
    pub(super) state: Option<String>,
    pub(super) try_number: i64,
    pub(super) max_tries: i64,
    pub(super) priority_weight: i64,
    pub(super) pool: String,
    pub(super) operator: Option<String>,
    pub(super) rendered_map_index: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct XcomOutcome {
    pub(super) task_id: String,
    pub(super) map_index: i64,
    pub(super) key: String,
    /// Absent when the plan lists the value as unstable.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) value: Option<Value>,
}

/// Reads a `null` as a value: an absent value is something else than a recorded `null`.
fn present<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(source).map(Some)
}

/// The columns of the Dag list that do not depend on when and where the file was read.
const LISTED: [&str; 14] = [
    "allowed_run_types",
    "dag_display_name",
    "description",
    "has_import_errors",
    "has_task_concurrency_limits",
    "max_active_runs",
    "max_active_tasks",
    "max_consecutive_failed_dag_runs",
    "owners",
    "relative_fileloc",
    "timetable_description",
    "timetable_partitioned",
    "timetable_periodic",
    "timetable_summary",
];

/// Picks what is compared from a row of the Dag list.
pub(super) fn listed(row: &Value) -> BTreeMap<String, Value> {
    let mut listed: BTreeMap<String, Value> = LISTED
        .iter()
        .map(|key| ((*key).to_owned(), row[*key].clone()))
        .collect();
    let tags = row["tags"].as_array().into_iter().flatten();
    let names: BTreeSet<&str> = tags.filter_map(|tag| tag["name"].as_str()).collect();
    listed.insert("tags".to_owned(), names.into_iter().collect());
    listed
}

/// Reads the state, task instances and XComs of one ended run.
pub(super) fn read_run(
    engine: &Engine,
    plan: &Plan,
    dag_id: &str,
    run_id: &str,
) -> Result<RunOutcome> {
    let rest = &engine.rest;
    let path = format!(
        "/api/v2/dags/{}/dagRuns/{}",
        segment(dag_id),
        segment(run_id)
    );
    let run = rest.get(&path)?;
    let state = run["state"].as_str().unwrap_or_default().to_owned();

    let mut task_instances = Vec::new();
    for row in rest.list(&format!("{path}/taskInstances"), "task_instances")? {
        let named = || format!("a task instance of `{dag_id}` has an unexpected shape: {row}");
        task_instances.push(read_instance(&row).with_context(named)?);
    }
    task_instances.sort_by(|a, b| (&a.task_id, a.map_index).cmp(&(&b.task_id, b.map_index)));

    let mut xcoms = Vec::new();
    for row in rest.list(
        &format!("{path}/taskInstances/~/xcomEntries"),
        "xcom_entries",
    )? {
        xcoms.push(read_xcom(engine, plan, dag_id, &path, &row)?);
    }
    xcoms.sort_by(|a, b| (&a.task_id, a.map_index, &a.key).cmp(&(&b.task_id, b.map_index, &b.key)));
    Ok(RunOutcome {
        run_id: run_id.to_owned(),
        state,
        task_instances,
        xcoms,
    })
}

fn read_instance(row: &Value) -> Result<InstanceOutcome> {
    let text = |key: &str| row[key].as_str().map(str::to_owned);
    let number = |key: &str| {
        row[key]
            .as_i64()
            .with_context(|| format!("`{key}` is no number"))
    };
    Ok(InstanceOutcome {
        task_id: text("task_id").context("no `task_id`")?,
        map_index: number("map_index")?,
        state: text("state"),
        try_number: number("try_number")?,
        max_tries: number("max_tries")?,
        priority_weight: number("priority_weight")?,
        pool: text("pool").context("no `pool`")?,
        operator: text("operator"),
        rendered_map_index: text("rendered_map_index"),
    })
}

fn read_xcom(
    engine: &Engine,
    plan: &Plan,
    dag_id: &str,
    run: &str,
    row: &Value,
) -> Result<XcomOutcome> {
    let text = |name: &str| {
        row[name]
            .as_str()
            .with_context(|| format!("an XCom of `{dag_id}` has no `{name}`: {row}"))
    };
    let (task_id, key) = (text("task_id")?, text("key")?);
    let map_index = row["map_index"].as_i64().unwrap_or(-1);
    let home = engine.home.display().to_string();
    let value = if plan.is_unstable(dag_id, task_id, key) {
        None
    } else {
        let path = format!(
            "{run}/taskInstances/{}/xcomEntries/{}?map_index={map_index}",
            segment(task_id),
            segment(key)
        );
        let value = portable(engine.rest.get(&path)?["value"].take(), &home);
        let value = if key == SKIPS_KEY {
            unordered(value)
        } else {
            value
        };
        Some(shortened(value))
    };
    Ok(XcomOutcome {
        task_id: task_id.to_owned(),
        map_index,
        key: key.to_owned(),
        value,
    })
}

/// Replaces the engine's home by the name of the setting: it is another folder every time.
fn portable(value: Value, home: &str) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace(home, "$AIRFLOW_HOME")),
        Value::Array(items) => items.into_iter().map(|item| portable(item, home)).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, item)| (key, portable(item, home)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// Sorts the lists in an object of lists.
fn unordered(mut value: Value) -> Value {
    for list in value
        .as_object_mut()
        .into_iter()
        .flat_map(|object| object.values_mut())
    {
        if let Value::Array(items) = list {
            items.sort_by_key(Value::to_string);
        }
    }
    value
}

fn shortened(value: Value) -> Value {
    let text = value.to_string();
    if text.len() <= VALUE_CHARS_MAX {
        return value;
    }
    // FNV-1a: this guards against accidents, not against enemies.
    let checksum = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    serde_json::json!({ "json_bytes": text.len(), "fnv1a": format!("{checksum:016x}") })
}
