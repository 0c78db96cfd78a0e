//! The serialized form of a random Dag.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use updraft_runtime::Dice;

use super::{Habits, PoolModel, TaskModel, VersionModel};

/// When a world begins, in seconds since the epoch: 2026-03-01.
pub(crate) const WORLD_BEGINS: u64 = 1_772_323_200;

/// Retries beyond what a script needs, so that our own crashes never decide how a run ends.
const SPARE_RETRIES: i32 = 60;

const TASKS_MAX: usize = 9;

/// Rules whose outcome does not depend on the order in which tasks end.
const PATIENT_RULES: [&str; 8] = [
    "all_success",
    "all_success",
    "all_done",
    "none_failed",
    "none_skipped",
    "none_failed_min_one_success",
    "all_failed",
    "all_done_min_one_success",
];

/// Rules that may decide before everything above has ended.
const HASTY_RULES: [&str; 5] = [
    "one_success",
    "one_failed",
    "one_done",
    "all_skipped",
    "always",
];

/// A task while it is drawn.
struct Draft {
    id: String,
    group: Option<usize>,
    fields: Map<String, Value>,
    model: TaskModel,
    downstream: BTreeSet<usize>,
}

/// The attributes of a Dag that its versions share.
///
/// What is not scheduled by time may be by an asset of the Dag `above` it, so that no Dag triggers
/// itself.
pub(crate) fn draw_schedule(
    dice: &mut Dice,
    is_scheduled: bool,
    above: Option<String>,
    habits: Habits,
) -> Value {
    let expression = *dice.choose(&["*/10 * * * *", "*/30 * * * *", "0 * * * *"]);
    // Without it a scheduler that is down for long leaves runs out.
    let catchup = dice.chance(0.5) || habits.comparable;
    let seconds_back = u64::from(catchup) * 3_600;
    // When such a run begins depends on what has happened by then.
    let consumed = above.filter(|_| dice.chance(0.5) && !habits.comparable);
    let timetable = if is_scheduled {
        json!({"__type": "airflow.timetables.trigger.CronTriggerTimetable", "__var": {
            "expression": expression, "timezone": "UTC", "interval": 0.0,
            "run_immediately": false}})
    } else if let Some(asset) = consumed {
        let condition = json!({"__type": "asset", "name": asset, "uri": uri_of(&asset),
            "group": "asset", "extra": {}});
        json!({"__type": "airflow.timetables.simple.AssetTriggeredTimetable",
            "__var": {"asset_condition": condition}})
    } else {
        json!({"__type": "airflow.timetables.simple.NullTimetable", "__var": {}})
    };
    json!({
        "timetable": timetable,
        "catchup": catchup,
        "start_date": WORLD_BEGINS - seconds_back,
        "end_date": WORLD_BEGINS + habits.active_secs,
    })
}

/// Draws one version.
pub(crate) fn draw_version(
    number: usize,
    schedule: &Value,
    pools: &[PoolModel],
    habits: Habits,
    dice: &mut Dice,
) -> VersionModel {
    let dag_id = format!("dag{number}");
    let mut drafts = draw_tasks(pools, habits, dice);
    draw_outlets(&mut drafts, &asset_of(number), habits, dice);
    draw_edges(&mut drafts, dice);
    let group_lengths = draw_groups(&mut drafts, dice);
    let has_branch = draw_branches(&mut drafts, dice);
    draw_rules(&mut drafts, has_branch && habits.comparable, dice);
    if habits.comparable {
        part_skips_from_failures(&mut drafts, has_branch, dice);
    }
    draw_mapping(&mut drafts, dice);
    draw_setups(&mut drafts, dice);
    let max_active_runs = *dice.choose(&[1, 2, 16]);
    let max_active_tasks = *dice.choose(&[1, 3, 16]);
    let mut dag = json!({
        "dag_id": dag_id, "fileloc": "/dags/sim.py", "relative_fileloc": file_of(&dag_id),
        "timezone": "UTC", "max_active_runs": max_active_runs,
        "max_active_tasks": max_active_tasks, "is_paused_upon_creation": false,
        "has_on_failure_callback": dice.chance(0.3),
    });
    for (key, value) in schedule.as_object().into_iter().flatten() {
        dag[key] = value.clone();
    }
    if !habits.comparable {
        dag["fail_fast"] = json!(dice.chance(0.1));
        if dice.chance(0.1) {
            dag["dagrun_timeout"] = json!(1_800.0);
        }
    }
    dag["task_group"] = root_group(&drafts, &group_lengths);
    let tasks: Vec<Value> = drafts
        .iter()
        .map(|draft| {
            let mut fields = draft.fields.clone();
            let downstream: Vec<&str> = draft
                .downstream
                .iter()
                .map(|at| drafts[*at].id.as_str())
                .collect();
            fields.insert("downstream_task_ids".to_owned(), json!(downstream));
            json!({"__type": "operator", "__var": fields})
        })
        .collect();
    dag["tasks"] = json!(tasks);
    let tasks: BTreeMap<String, TaskModel> = drafts
        .iter()
        .map(|draft| {
            let downstream = draft.downstream.iter().map(|at| drafts[*at].id.clone());
            let model = TaskModel {
                downstream: downstream.collect(),
                ..draft.model.clone()
            };
            (draft.id.clone(), model)
        })
        .collect();
    VersionModel {
        data: json!({"__version": 3, "dag": dag}),
        tasks,
    }
}

/// Each Dag has a file of its own.
pub(crate) fn file_of(dag_id: &str) -> String {
    format!("{dag_id}.py")
}

/// The asset that tasks of a Dag update.
pub(crate) fn asset_of(number: usize) -> String {
    format!("asset{number}")
}

/// The address of an asset.
pub(crate) fn uri_of(asset: &str) -> String {
    format!("x-sim://{asset}")
}

fn draw_outlets(drafts: &mut [Draft], asset: &str, habits: Habits, dice: &mut Dice) {
    for draft in drafts {
        if dice.chance(0.15) && !habits.comparable {
            let outlet = json!({"__type": "asset", "__var": {
                "name": asset, "uri": uri_of(asset), "group": "asset", "extra": {}}});
            draft.fields.insert("outlets".to_owned(), json!([outlet]));
            draft.model.outlet = Some(asset.to_owned());
        }
    }
}

fn draw_tasks(pools: &[PoolModel], habits: Habits, dice: &mut Dice) -> Vec<Draft> {
    let count = 1 + dice.below(TASKS_MAX);
    (0..count)
        .map(|number| {
            let failures_max = *dice.choose(&[0, 0, 1, 2]);
            let retries = match habits.comparable {
                true => i32::try_from(failures_max).unwrap_or(0) + SPARE_RETRIES,
                false => *dice.choose(&[0, 1, 2, 3]),
            };
            let mut model = TaskModel {
                failures_max,
                is_sensor: dice.chance(0.1),
                may_skip_itself: dice.chance(0.1),
                may_fail_for_good: dice.chance(0.15),
                deferrals_max: *dice.choose(&[0, 0, 0, 1, 2]),
                ..TaskModel::default()
            };
            let id = format!("t{number}");
            let pool = dice.choose(pools);
            let mut fields = json!({
                "task_id": id, "task_type": "PythonOperator",
                "_task_module": "airflow.providers.standard.operators.python",
                "retries": retries, "retry_delay": *dice.choose(&[5.0, 60.0, 300.0]),
                "pool": pool.name, "priority_weight": 1 + dice.below(5),
                "pool_slots": 1 + dice.below(usize::try_from(pool.slots).unwrap_or(1).min(2)),
                "weight_rule": *dice.choose(&["downstream", "absolute", "upstream"]),
                "has_on_failure_callback": dice.chance(0.3),
            });
            if model.is_sensor {
                fields["_is_sensor"] = json!(true);
                fields["reschedule"] = json!(true);
            } else if dice.chance(0.1) {
                fields["_is_empty"] = json!(true);
            }
            if dice.chance(0.1) {
                let limit = 1 + i32::from(dice.chance(0.5));
                model.limits.max_active_tis_per_dag = Some(limit);
                fields["max_active_tis_per_dag"] = json!(limit);
            }
            if dice.chance(0.1) {
                let limit = 1 + i32::from(dice.chance(0.5));
                model.limits.max_active_tis_per_dagrun = Some(limit);
                fields["max_active_tis_per_dagrun"] = json!(limit);
            }
            if dice.chance(0.07) {
                fields["depends_on_past"] = json!(true);
            }
            if dice.chance(0.04) {
                fields["wait_for_downstream"] = json!(true);
                fields["depends_on_past"] = json!(true);
            }
            let Value::Object(fields) = fields else {
                unreachable!("a literal map is a map")
            };
            Draft {
                id,
                group: None,
                fields,
                model,
                downstream: BTreeSet::new(),
            }
        })
        .collect()
}

/// Edges lead from earlier tasks to later ones, so there is no cycle.
fn draw_edges(drafts: &mut [Draft], dice: &mut Dice) {
    let density = *dice.choose(&[0.15, 0.3, 0.5]);
    for from in 0..drafts.len() {
        for to in from + 1..drafts.len() {
            if dice.chance(density) {
                drafts[from].downstream.insert(to);
            }
        }
    }
}

/// Puts a stretch of tasks into a group, which may be mapped. Gives the lengths of mapped groups.
fn draw_groups(drafts: &mut [Draft], dice: &mut Dice) -> Vec<Option<usize>> {
    let mut lengths = Vec::new();
    if drafts.len() < 3 || !dice.chance(0.35) {
        return lengths;
    }
    let start = dice.below(drafts.len() - 1);
    let end = (start + 2 + dice.below(2)).min(drafts.len());
    let is_mapped = dice.chance(0.6);
    lengths.push(is_mapped.then(|| dice.below(4)));
    for draft in &mut drafts[start..end] {
        draft.group = Some(0);
        draft.id = format!("g0.{}", draft.id);
        draft.fields.insert("task_id".to_owned(), json!(draft.id));
        if is_mapped {
            draft
                .fields
                .insert("_needs_expansion".to_owned(), json!(true));
            // What the runtime does with these within a mapped group is Airflow's own riddle.
            draft.fields.remove("depends_on_past");
            draft.fields.remove("wait_for_downstream");
        }
    }
    lengths
}

fn draw_branches(drafts: &mut [Draft], dice: &mut Dice) -> bool {
    let mut any = false;
    for draft in drafts.iter_mut() {
        let fits = !draft.model.is_sensor
            && !draft.fields.contains_key("_is_empty")
            && !draft.downstream.is_empty();
        if fits && dice.chance(0.15) {
            draft.model.is_branch = true;
            draft
                .fields
                .insert("_can_skip_downstream".to_owned(), json!(true));
            any = true;
        }
    }
    any
}

fn draw_rules(drafts: &mut [Draft], patient: bool, dice: &mut Dice) {
    for draft in drafts {
        if !dice.chance(0.4) {
            continue;
        }
        let rule = match dice.chance(0.5) && !patient {
            true => *dice.choose(&HASTY_RULES),
            false => *dice.choose(&PATIENT_RULES),
        };
        draft.fields.insert("trigger_rule".to_owned(), json!(rule));
    }
}

/// Sees to it that no outcome depends on whether a skip or a failure comes first.
///
/// `all_success` decides on the first of them. So it stays only where nothing can be skipped.
fn part_skips_from_failures(drafts: &mut [Draft], has_branch: bool, dice: &mut Dice) {
    let never_skips = !has_branch && dice.chance(0.4);
    for draft in drafts {
        if never_skips {
            draft.model.may_skip_itself = false;
            draft.model.deferrals_max = 0;
            draft.fields.remove("trigger_rule");
        } else if draft
            .fields
            .get("trigger_rule")
            .is_none_or(|rule| rule == "all_success")
        {
            let patient = json!("none_failed_min_one_success");
            draft.fields.insert("trigger_rule".to_owned(), patient);
        }
    }
}

/// Maps some tasks, over a list or over what a task above returns.
fn draw_mapping(drafts: &mut [Draft], dice: &mut Dice) {
    for at in 0..drafts.len() {
        if drafts[at].group.is_some() || !dice.chance(0.15) {
            continue;
        }
        let above: Vec<usize> = (0..at)
            .filter(|up| drafts[*up].downstream.contains(&at))
            .filter(|up| {
                let up = &drafts[*up];
                !up.fields.contains_key("_is_empty")
                    && !up.fields.contains_key("_is_mapped")
                    && up.group.is_none()
                    && !up.model.is_branch
            })
            .collect();
        let argument = if above.is_empty() {
            json!(vec![0; 1 + dice.below(4)])
        } else {
            let up = *dice.choose(&above);
            drafts[up].model.is_mapped_over = true;
            json!({"__type": "xcomref",
                "__var": {"task_id": drafts[up].id, "key": "return_value"}})
        };
        let fields = &mut drafts[at].fields;
        fields.remove("_is_empty");
        fields.remove("_is_sensor");
        fields.remove("reschedule");
        fields.insert("_is_mapped".to_owned(), json!(true));
        fields.insert("_expand_input_attr".to_owned(), json!("expand_input"));
        let input = json!({"type": "dict-of-lists", "value": {"v": argument}});
        fields.insert("expand_input".to_owned(), input);
        drafts[at].model.is_sensor = false;
    }
}

/// A setup at the start and a teardown at the end of everything below it.
fn draw_setups(drafts: &mut [Draft], dice: &mut Dice) {
    if drafts.len() < 3 || !dice.chance(0.2) {
        return;
    }
    let last = drafts.len() - 1;
    let is_plain = |draft: &Draft| {
        draft.group.is_none() && !draft.fields.contains_key("_is_mapped") && !draft.model.is_branch
    };
    if !is_plain(&drafts[0]) || !is_plain(&drafts[last]) {
        return;
    }
    for at in 0..last {
        drafts[at].downstream.insert(last);
        if at > 0 {
            drafts[0].downstream.insert(at);
        }
    }
    let setup = &mut drafts[0].fields;
    setup.insert("is_setup".to_owned(), json!(true));
    setup.remove("trigger_rule");
    let teardown = &mut drafts[last].fields;
    teardown.insert("is_teardown".to_owned(), json!(true));
    let rule = json!("all_done_setup_success");
    teardown.insert("trigger_rule".to_owned(), rule);
}

fn root_group(drafts: &[Draft], group_lengths: &[Option<usize>]) -> Value {
    let mut root = Map::new();
    let mut groups: Vec<Map<String, Value>> = vec![Map::new(); group_lengths.len()];
    for draft in drafts {
        let children = match draft.group {
            Some(group) => &mut groups[group],
            None => &mut root,
        };
        children.insert(draft.id.clone(), json!(["operator", draft.id]));
    }
    for (number, (children, length)) in groups.into_iter().zip(group_lengths).enumerate() {
        let id = format!("g{number}");
        let mut group = group(json!(id), children);
        if let Some(length) = length {
            group["is_mapped"] = json!(true);
            group["expand_input"] =
                json!({"type": "dict-of-lists", "value": {"v": vec![0; *length]}});
        }
        root.insert(id, json!(["taskgroup", group]));
    }
    group(Value::Null, root)
}

fn group(id: Value, children: Map<String, Value>) -> Value {
    json!({
        "_group_id": id, "children": children, "upstream_group_ids": [],
        "downstream_group_ids": [], "upstream_task_ids": [], "downstream_task_ids": [],
    })
}
