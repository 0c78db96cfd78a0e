//! What stands in a Dag file above its Dags.

use std::collections::{BTreeMap, BTreeSet};

use super::prelude::{NOTE, NOTED, POKED, STARTS_THERE, TAKEN, WAITS};

/// What a file imports when its text holds the first of each triple: a module, or a name of one.
const IMPORTS: [(&str, &str, &str); 33] = [
    ("os.", "os", ""),
    ("pathlib.", "pathlib", ""),
    ("sys.", "sys", ""),
    ("time.sleep(", "time", ""),
    (
        "BashOperator",
        "providers.standard.operators.bash",
        "BashOperator",
    ),
    (
        "EmptyOperator",
        "providers.standard.operators.empty",
        "EmptyOperator",
    ),
    (
        "LatestOnlyOperator",
        "providers.standard.operators.latest_only",
        "LatestOnlyOperator",
    ),
    (
        "BranchPythonOperator",
        "providers.standard.operators.python",
        "BranchPythonOperator",
    ),
    (
        " PythonOperator",
        "providers.standard.operators.python",
        "PythonOperator",
    ),
    (
        "ShortCircuitOperator",
        "providers.standard.operators.python",
        "ShortCircuitOperator",
    ),
    (
        "TriggerDagRunOperator",
        "providers.standard.operators.trigger_dagrun",
        "TriggerDagRunOperator",
    ),
    (
        "PythonSensor",
        "providers.standard.sensors.python",
        "PythonSensor",
    ),
    (
        "ExternalTaskSensor(",
        "providers.standard.sensors.external_task",
        "ExternalTaskSensor",
    ),
    ("PokeReturnValue(", "sdk", "PokeReturnValue"),
    (
        "CronDataIntervalTimetable(",
        "sdk",
        "CronDataIntervalTimetable",
    ),
    ("CronTriggerTimetable(", "sdk", "CronTriggerTimetable"),
    (
        "DeltaDataIntervalTimetable(",
        "sdk",
        "DeltaDataIntervalTimetable",
    ),
    (
        "MultipleCronTriggerTimetable(",
        "sdk",
        "MultipleCronTriggerTimetable",
    ),
    (
        "DateTimeSensorAsync(",
        "providers.standard.sensors.date_time",
        "DateTimeSensorAsync",
    ),
    (
        "TimeDeltaSensor(",
        "providers.standard.sensors.time_delta",
        "TimeDeltaSensor",
    ),
    ("BaseOperator)", "sdk", "BaseOperator"),
    ("StartTriggerArgs(", "triggers.base", "StartTriggerArgs"),
    ("Param(", "sdk", "Param"),
    ("DAG(", "sdk", "DAG"),
    ("Asset(", "sdk", "Asset"),
    ("AssetAlias(", "sdk", "AssetAlias"),
    ("TaskGroup(", "sdk", "TaskGroup"),
    ("get_current_context", "sdk", "get_current_context"),
    ("@task(", "sdk", "task"),
    ("@task.", "sdk", "task"),
    ("@task_group(", "sdk", "task_group"),
    (
        "AirflowFailException",
        "sdk.exceptions",
        "AirflowFailException",
    ),
    (
        "AirflowSkipException",
        "sdk.exceptions",
        "AirflowSkipException",
    ),
];

/// Writes a whole Dag file around its Dags.
pub(in crate::conformance::random) fn file(docstring: &str, blocks: &[String]) -> String {
    let mut body = String::new();
    let mut own = "";
    let mentions = |needle: &str| blocks.iter().any(|block| block.contains(needle));
    for (needle, name, function) in [
        ("note(\"", "CALLBACKS", NOTE),
        ("poked(\"", "SENSORS", POKED),
        ("noted(", "ORDER", NOTED),
        ("taken(", "PLACES", TAKEN),
    ] {
        if mentions(needle) {
            let folder = name.to_lowercase();
            body.push_str(&format!(
                "{name} = pathlib.Path(__file__).parent.parent / \"{folder}\"\n\n\n{function}\n"
            ));
        }
    }
    for (needle, class) in [(" Waits", WAITS), (" StartsThere", STARTS_THERE)] {
        if mentions(needle) {
            body.push_str(&format!("\n\n{class}"));
            own = "from conformance_triggers import Pulse\n\n";
        }
    }
    body.push('\n');
    body.push_str(&blocks.join("\n"));
    let imports = imports(&body);
    format!(
        "\"\"\"{docstring}\"\"\"\n\nfrom __future__ import annotations\n\n{imports}\n{own}\
         START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)\n{body}"
    )
}

fn imports(body: &str) -> String {
    let mut modules = BTreeSet::from(["datetime"]);
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (needle, module, name) in IMPORTS {
        if !body.contains(needle) {
            continue;
        }
        if name.is_empty() {
            modules.insert(module);
        } else {
            names.entry(module).or_default().insert(name);
        }
    }
    let mut text = String::new();
    for module in modules {
        text.push_str(&format!("import {module}\n"));
    }
    text.push('\n');
    for (module, names) in names {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        text.push_str(&format!("from airflow.{module} import {names}\n"));
    }
    text
}
