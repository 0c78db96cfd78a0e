//! Reads what became of a scenario: lines of a subject and what is true of it.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Result;
use serde_json::Value;

use super::scenario::Scenario;
use crate::conformance::outcome::{self, InstanceOutcome};
use crate::conformance::plan::Plan;
use crate::engine::Engine;
use crate::rest::{RestClient, segment};

/// Subject and value: `1 first a[0]` and `success 1/0`. Comparable, and one line in the record.
pub(super) type Lines = BTreeMap<String, String>;

/// Every run of a Dag, in the order in which they were due.
pub(super) fn runs(rest: &RestClient, dag_id: &str) -> Result<Vec<Value>> {
    let path = format!(
        "/api/v2/dags/{}/dagRuns?order_by=run_after",
        segment(dag_id)
    );
    rest.list(&path, "dag_runs")
}

/// Where the Dags of a scenario stand.
#[derive(Default)]
pub(super) struct Standing {
    /// Everything that can change.
    pub(super) seen: Vec<String>,
    /// There are runs, and all have ended.
    pub(super) has_ended: bool,
    /// Some task instance is on its way.
    pub(super) is_busy: bool,
}

pub(super) fn standing(rest: &RestClient, scenario: &Scenario) -> Result<Standing> {
    let mut standing = Standing::default();
    let (mut count, mut ended) = (0, 0);
    for dag_id in &scenario.dag_ids {
        for run in runs(rest, dag_id)? {
            let text = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
            let (run_id, state) = (text("dag_run_id"), text("state"));
            count += 1;
            standing.seen.push(format!("{dag_id} {run_id} {state}"));
            if state == "success" || state == "failed" {
                ended += 1;
                continue;
            }
            let path = format!(
                "/api/v2/dags/{}/dagRuns/{}/taskInstances",
                segment(dag_id),
                segment(&run_id)
            );
            for row in rest.list(&path, "task_instances")? {
                let state = row["state"].as_str().unwrap_or_default();
                standing.is_busy |= BUSY.contains(&state);
                standing.seen.push(format!("{} {state}", row["id"]));
            }
        }
    }
    standing.has_ended = count > 0 && ended == count;
    if scenario.features.contains("backfill") {
        let is_complete = are_backfills_complete(rest, &scenario.dag_ids[0])?;
        standing.has_ended &= is_complete;
        standing.is_busy |= !is_complete;
    }
    Ok(standing)
}

/// An engine takes its time to notice that all runs of a backfill have ended; until then it takes
/// no other one.
fn are_backfills_complete(rest: &RestClient, dag_id: &str) -> Result<bool> {
    let path = format!("/api/v2/backfills?dag_id={}", segment(dag_id));
    let backfills = rest.list(&path, "backfills")?;
    Ok(backfills
        .iter()
        .all(|backfill| backfill["completed_at"].is_string()))
}

/// The states from which a task instance goes on by itself.
const BUSY: [&str; 7] = [
    "deferred",
    "queued",
    "restarting",
    "running",
    "scheduled",
    "up_for_reschedule",
    "up_for_retry",
];

/// Reads the state of everything after the phase with a number.
pub(super) fn read(
    engine: &Engine,
    plan: &Plan,
    scenario: &Scenario,
    phase: usize,
) -> Result<Lines> {
    let mut lines = Lines::new();
    for dag_id in &scenario.dag_ids {
        // The Dags of a seed share its id and differ in what follows it.
        let suffix = dag_id.strip_prefix(&scenario.dag_ids[0]).unwrap_or(dag_id);
        let suffix = suffix.trim_start_matches('_');
        let gap = if suffix.is_empty() { "" } else { " " };
        for (number, run) in (1..).zip(runs(&engine.rest, dag_id)?) {
            let name = match run["run_type"].as_str() {
                // Their ids end in the time and in random letters.
                Some("asset_triggered") => format!("asset_triggered_{number}"),
                _ => run["dag_run_id"].as_str().unwrap_or_default().to_owned(),
            };
            let subject = format!("{phase} {suffix}{gap}{name}");
            read_run(engine, plan, dag_id, &run, &subject, &mut lines)?;
        }
    }
    Ok(lines)
}

/// Returns the ids of the tasks below it as a Python set, whose order differs from process to
/// process.
const GIVES_A_SET: &str = "LatestOnlyOperator";

fn read_run(
    engine: &Engine,
    plan: &Plan,
    dag_id: &str,
    run: &Value,
    subject: &str,
    lines: &mut Lines,
) -> Result<()> {
    let run_id = run["dag_run_id"].as_str().unwrap_or_default();
    let outcome = outcome::read_run(engine, plan, dag_id, run_id)?;
    let text = |key: &str| run[key].as_str().unwrap_or("none").to_owned();
    let value = format!(
        "{} {} {} {}",
        outcome.state,
        text("run_type"),
        text("triggered_by"),
        text("logical_date")
    );
    lines.insert(subject.to_owned(), value);
    for instance in &outcome.task_instances {
        let mut value = describe(instance);
        if instance.try_number > 1 {
            value.push_str(&tries(&engine.rest, dag_id, run_id, instance)?);
        }
        let place = place(&instance.task_id, instance.map_index);
        lines.insert(format!("{subject} {place}"), value);
    }
    for xcom in &outcome.xcoms {
        let place = place(&xcom.task_id, xcom.map_index);
        let mut value = sorted(xcom.value.clone().unwrap_or(Value::Null));
        let mut instances = outcome.task_instances.iter();
        let is_set = instances.any(|instance| {
            instance.task_id == xcom.task_id && instance.operator.as_deref() == Some(GIVES_A_SET)
        });
        if is_set && let Value::Array(items) = &mut value {
            items.sort_by_key(Value::to_string);
        }
        lines.insert(
            format!("{subject} {place} gives {}", xcom.key),
            value.to_string(),
        );
    }
    Ok(())
}

/// Sorts the keys of objects: Airflow's database keeps them in an order of its own.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Object(entries) => {
            let entries: BTreeMap<String, Value> = entries.into_iter().collect();
            let sorted_entries = entries.into_iter().map(|(key, item)| (key, sorted(item)));
            Value::Object(sorted_entries.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

pub(super) fn place(task_id: &str, map_index: i64) -> String {
    if map_index < 0 {
        task_id.to_owned()
    } else {
        format!("{task_id}[{map_index}]")
    }
}

/// The columns of a task instance, without those that hold what they nearly always hold.
fn describe(instance: &InstanceOutcome) -> String {
    let state = instance.state.as_deref().unwrap_or("no status");
    let mut text = format!("{state} {}/{}", instance.try_number, instance.max_tries);
    if instance.priority_weight != 1 {
        text.push_str(&format!(" weight {}", instance.priority_weight));
    }
    if instance.pool != "default_pool" {
        text.push_str(&format!(" pool {}", instance.pool));
    }
    match instance.operator.as_deref() {
        Some("EmptyOperator" | "_PythonDecoratedOperator") => {}
        other => text.push_str(&format!(" {}", other.unwrap_or("no operator"))),
    }
    let index = instance.map_index.to_string();
    match &instance.rendered_map_index {
        Some(name) if *name != index => text.push_str(&format!(" named {name:?}")),
        Some(_) => {}
        None if instance.map_index >= 0 => text.push_str(" without a name"),
        None => {}
    }
    text
}

/// How the earlier tries of a task instance ended.
fn tries(
    rest: &RestClient,
    dag_id: &str,
    run_id: &str,
    instance: &InstanceOutcome,
) -> Result<String> {
    let mut path = format!(
        "/api/v2/dags/{}/dagRuns/{}/taskInstances/{}",
        segment(dag_id),
        segment(run_id),
        segment(&instance.task_id)
    );
    if instance.map_index >= 0 {
        path.push_str(&format!("/{}", instance.map_index));
    }
    let found = rest.get(&format!("{path}/tries"))?;
    let rows = found["task_instances"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut earlier: Vec<(i64, &str)> = rows
        .iter()
        .map(|row| {
            (
                row["try_number"].as_i64().unwrap_or_default(),
                row["state"].as_str().unwrap_or("no status"),
            )
        })
        .filter(|(number, _)| *number < instance.try_number)
        .collect();
    earlier.sort_unstable();
    let states: Vec<&str> = earlier.iter().map(|(_, state)| *state).collect();
    Ok(format!(" after {}", states.join(", ")))
}

pub(super) fn callbacks_of(engine: &Engine, scenario: &Scenario) -> String {
    let mut text = String::new();
    for dag_id in &scenario.dag_ids {
        let path = engine.home.join(format!("callbacks/{dag_id}.txt"));
        text.push_str(&fs::read_to_string(path).unwrap_or_default());
    }
    text
}

/// Notes the lines that callbacks wrote, and how often each.
pub(super) fn read_callbacks(engine: &Engine, scenario: &Scenario, lines: &mut Lines) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in callbacks_of(engine, scenario).lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    for (line, count) in counts {
        lines.insert(format!("callback {line}"), format!("{count} times"));
    }
}
