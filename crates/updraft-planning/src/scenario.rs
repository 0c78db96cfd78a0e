//! Small Dags and runs from text, for the tests of this crate.
//!
//! A Dag is a list of lines: `a >> b, c >> d` draws edges, `a: empty retries=2` sets attributes
//! (flags `setup`, `teardown`, `empty`, `branch`, `past`, `fail_dagrun`; `rule=…`, `map=3`,
//! `map=task`, and any number or text key). Rows are `a success`, `m[0]`, `b failed try=2`; a word
//! that is no state leaves none.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_model::serialized::SerializedDag;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagRunState, DagRunType, MapIndex, TaskId, TaskInstanceId, TaskInstanceState};
use uuid::Uuid;

use crate::run::view::MAX_TASK_RETRY_DELAY_DEFAULT;
use crate::run::{PastFacts, RunFacts, RunPlan, RunView, TaskInstanceView, XComFacts};

/// The moment of every test.
pub(crate) const NOW: &str = "2026-03-01T12:00:00Z";

pub(crate) fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Builds a Dag from its text.
pub(crate) fn dag(text: &str) -> SerializedDag {
    let mut tasks: BTreeMap<String, Value> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let mut touch = |tasks: &mut BTreeMap<String, Value>, id: &str| {
        if !tasks.contains_key(id) {
            order.push(id.to_owned());
            let own = json!({"task_id": id, "downstream_task_ids": []});
            tasks.insert(id.to_owned(), own);
        }
    };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some((id, attributes)) = line.split_once(':') {
            touch(&mut tasks, id.trim());
            for word in attributes.split_whitespace() {
                set_attribute(tasks.get_mut(id.trim()).unwrap(), word);
            }
            continue;
        }
        let levels: Vec<Vec<&str>> = line
            .split(">>")
            .map(|level| level.split(',').map(str::trim).collect())
            .collect();
        for id in levels.iter().flatten() {
            touch(&mut tasks, id);
        }
        for pair in levels.windows(2) {
            for up in &pair[0] {
                let down = tasks.get_mut(*up).unwrap()["downstream_task_ids"].as_array_mut();
                down.unwrap().extend(pair[1].iter().map(|id| json!(id)));
            }
        }
    }
    let tasks: Vec<Value> = order
        .iter()
        .map(|id| json!({"__type": "operator", "__var": tasks[id]}))
        .collect();
    let timetable = json!({"__type": "airflow.timetables.simple.NullTimetable", "__var": {}});
    let dag = json!({
        "dag_id": "d", "timetable": timetable, "tasks": tasks,
        "has_on_failure_callback": true, "has_on_success_callback": true,
    });
    SerializedDag::parse(json!({"__version": 3, "dag": dag})).unwrap()
}

fn set_attribute(task: &mut Value, word: &str) {
    match word.split_once('=') {
        Some(("rule", rule)) => task["trigger_rule"] = json!(rule),
        Some(("map", input)) => {
            let argument = match input.parse::<usize>() {
                Ok(length) => json!(vec![0; length]),
                Err(_) => json!({
                    "__type": "xcomref",
                    "__var": {"task_id": input, "key": "return_value"},
                }),
            };
            task["_is_mapped"] = json!(true);
            task["_expand_input_attr"] = json!("expand_input");
            task["expand_input"] = json!({"type": "dict-of-lists", "value": {"v": argument}});
        }
        Some((key, value)) => {
            let number: Option<i64> = value.parse().ok();
            task[key] = number.map_or_else(|| json!(value), |number| json!(number));
        }
        None => {
            let key = match word {
                "setup" => "is_setup",
                "teardown" => {
                    task["trigger_rule"] = json!("all_done_setup_success");
                    "is_teardown"
                }
                "empty" => "_is_empty",
                "branch" => "_can_skip_downstream",
                "past" => "depends_on_past",
                "fail_dagrun" => "on_failure_fail_dagrun",
                other => other,
            };
            task[key] = json!(true);
        }
    }
}

/// Builds rows from their text; ids are 1, 2, 3 …
pub(crate) fn rows(text: &str) -> Vec<TaskInstanceView> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .zip(1..)
        .map(|(line, number)| {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap();
            let (task_id, map_index) = match name.strip_suffix(']').and_then(|n| n.split_once('['))
            {
                Some((task_id, index)) => (task_id, index.parse().unwrap()),
                None => (name, -1),
            };
            let mut row = row(number, task_id, map_index, TaskInstanceState::NoStatus);
            for word in words {
                match word.strip_prefix("try=") {
                    Some(try_number) => row.try_number = try_number.parse().unwrap(),
                    None => row.state = word.parse().unwrap_or(row.state),
                }
            }
            if row.state.is_finished() {
                row.end_date = Some(instant(NOW));
            }
            row
        })
        .collect()
}

/// One row.
pub(crate) fn row(
    id: u128,
    task_id: &str,
    map_index: i32,
    state: TaskInstanceState,
) -> TaskInstanceView {
    TaskInstanceView {
        id: TaskInstanceId(Uuid::from_u128(id)),
        task_id: TaskId::new(task_id),
        map_index: MapIndex(map_index),
        state,
        try_number: 0,
        start_date: None,
        end_date: None,
        retry_delay_override_secs: None,
        reschedule_date: None,
        dag_version_id: None,
    }
}

/// The whole row of an instance in run `r`, in pool `etl`.
pub(crate) fn task_instance(seen: &TaskInstanceView) -> TaskInstance {
    TaskInstance {
        id: seen.id,
        dag_id: "d".into(),
        run_id: "r".into(),
        task_id: seen.task_id.clone(),
        map_index: seen.map_index,
        state: seen.state,
        try_number: seen.try_number,
        max_tries: 0,
        start_date: seen.start_date,
        end_date: seen.end_date,
        duration_secs: None,
        scheduled_dttm: None,
        queued_dttm: None,
        queued_by_job_id: None,
        last_heartbeat_at: None,
        hostname: String::new(),
        unixname: String::new(),
        pid: None,
        external_executor_id: None,
        pool: "etl".into(),
        pool_slots: 1,
        queue: "default".to_owned(),
        priority_weight: 1,
        operator: "BashOperator".to_owned(),
        custom_operator_name: None,
        executor: None,
        executor_config: json!({}),
        trigger_id: None,
        trigger_timeout: None,
        next_method: None,
        next_kwargs: None,
        dag_version_id: None,
        retry_delay_override_secs: None,
        retry_reason: None,
        rendered_map_index: None,
        note: None,
        updated_at: instant(NOW),
    }
}

/// One row without a state for each task that is not mapped.
pub(crate) fn fresh_rows(dag: &SerializedDag) -> Vec<TaskInstanceView> {
    let tasks = dag.tasks().iter().zip(1..);
    tasks
        .map(|(task, id)| row(id, task.task_id.as_str(), -1, TaskInstanceState::NoStatus))
        .collect()
}

/// A view of a running, scheduled run.
pub(crate) fn view(dag: &SerializedDag, task_instances: Vec<TaskInstanceView>) -> RunView<'_> {
    RunView {
        dag,
        run: RunFacts {
            state: DagRunState::Running,
            run_type: DagRunType::Scheduled,
            logical_date: Some(instant("2026-01-01T00:00:00Z")),
            queued_at: None,
            start_date: Some(instant("2026-03-01T00:00:00Z")),
            end_date: None,
            backfill_sort_ordinal: None,
        },
        task_instances,
        xcoms: XComFacts::default(),
        past: PastFacts::default(),
        max_task_retry_delay: MAX_TASK_RETRY_DELAY_DEFAULT,
    }
}

/// Stores a plan, as a shell would.
pub(crate) fn apply(plan: &RunPlan, rows: &mut Vec<TaskInstanceView>) {
    rows.retain(|row| !plan.deleted.contains(&row.id));
    for change in &plan.changes {
        let row = rows.iter_mut().find(|row| row.id == change.id).unwrap();
        assert_eq!(row.state, change.from);
        row.map_index = change.map_index;
        row.state = change.to.state;
        row.try_number = change.to.try_number;
        row.start_date = change.to.start_date;
        row.end_date = change.to.end_date;
    }
    for new in &plan.created {
        let id = rows.iter().map(|row| row.id.0.as_u128()).max().unwrap_or(0) + 1;
        let mut added = row(id, new.task_id.as_str(), new.map_index.0, new.fields.state);
        added.try_number = new.fields.try_number;
        added.start_date = new.fields.start_date;
        added.end_date = new.fields.end_date;
        rows.push(added);
    }
    rows.sort_by(|a, b| (&a.task_id, a.map_index).cmp(&(&b.task_id, b.map_index)));
}

/// The name of an instance: `task` or `task[3]`.
pub(crate) fn name(task_id: &TaskId, map_index: MapIndex) -> String {
    if map_index.is_mapped() {
        format!("{task_id}[{map_index}]")
    } else {
        task_id.to_string()
    }
}

/// A plan as text.
pub(crate) fn describe(plan: &RunPlan) -> String {
    let mut lines = Vec::new();
    for change in &plan.changes {
        let name = name(&change.task_id, change.map_index);
        lines.push(format!(
            "{name}: {} -> {}, try {} ({})",
            change.from, change.to.state, change.to.try_number, change.because
        ));
    }
    for new in &plan.created {
        let name = name(&new.task_id, new.map_index);
        let fields = &new.fields;
        lines.push(format!(
            "{name}: new -> {}, try {}",
            fields.state, fields.try_number
        ));
    }
    lines.extend(
        plan.deleted
            .iter()
            .map(|id| format!("row {} deleted", id.0.as_u128())),
    );
    for waiting in &plan.waiting {
        let name = name(&waiting.task_id, waiting.map_index);
        lines.push(format!("{name} waits: {}", waiting.because));
    }
    if let Some(end) = &plan.end {
        let last = end
            .callback
            .as_ref()
            .and_then(|callback| callback.last_ti.as_ref());
        let last = last.map_or("none".to_owned(), |(task, index)| name(task, *index));
        lines.push(format!(
            "run: {} ({}), last {last}",
            end.state,
            end.reason.as_str()
        ));
    }
    lines.join("\n")
}
