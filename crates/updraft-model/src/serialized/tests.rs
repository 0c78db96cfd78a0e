use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{ExpandArgument, ExpandInput, GroupChild, GroupIndex, SerializedDag, WeightRule};
use crate::TriggerRule;

fn capture(name: &str) -> SerializedDag {
    let path = format!("testdata/serialized-dags/{name}.json");
    let text = std::fs::read_to_string(path).unwrap();
    SerializedDag::parse(serde_json::from_str(&text).unwrap()).unwrap()
}

/// A Dag from tasks as (task id, further keys).
fn dag(tasks: &[(&str, Value)]) -> Value {
    let tasks: Vec<Value> = tasks
        .iter()
        .map(|(task_id, keys)| {
            let mut own = keys.clone();
            own["task_id"] = json!(task_id);
            json!({"__type": "operator", "__var": own})
        })
        .collect();
    let timetable = json!({"__type": "airflow.timetables.simple.NullTimetable", "__var": {}});
    json!({"__version": 3, "dag": {"dag_id": "d", "timetable": timetable, "tasks": tasks}})
}

fn parse(tasks: &[(&str, Value)]) -> SerializedDag {
    SerializedDag::parse(dag(tasks)).unwrap()
}

fn problem(document: Value) -> String {
    SerializedDag::parse(document).unwrap_err().to_string()
}

fn names(dag: &SerializedDag, indexes: &[super::TaskIndex]) -> String {
    let names: Vec<&str> = indexes
        .iter()
        .map(|index| dag.task(*index).task_id.as_str())
        .collect();
    names.join(" ")
}

#[test]
fn every_captured_dag_is_read_and_kept_whole() {
    let mut read = 0;
    for entry in std::fs::read_dir("testdata/serialized-dags").unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let raw: Value = serde_json::from_str(&text).unwrap();
        let dag = SerializedDag::parse(raw.clone()).unwrap();
        assert_eq!(dag.raw(), &raw);
        assert_eq!(dag.topological().len(), dag.tasks().len());
        for task in dag.tasks() {
            assert_eq!(dag.raw_task(task.index)["task_id"], task.task_id.as_str());
        }
        read += 1;
    }
    assert!(read >= 19, "only {read} captures");
}

#[test]
fn a_setup_reaches_every_task_that_its_teardown_is_still_below_of() {
    let dag = capture("example_setup_teardown");
    let inner = dag.find_task("section_1.normal").unwrap();
    assert_eq!(names(&dag, &inner.relations.indirect_setups), "");
    assert_eq!(names(&dag, &inner.upstream), "section_1.taskgroup_setup");

    let dag = parse(&[
        (
            "s",
            json!({"is_setup": true, "downstream_task_ids": ["a", "t"]}),
        ),
        ("a", json!({"downstream_task_ids": ["b"]})),
        ("b", json!({"downstream_task_ids": ["t"]})),
        (
            "t",
            json!({"is_teardown": true, "downstream_task_ids": ["after"]}),
        ),
        ("after", json!({})),
    ]);
    let setups = |task_id: &str| {
        let task = dag.find_task(task_id).unwrap();
        names(&dag, &task.relations.indirect_setups)
    };
    assert_eq!(setups("a"), "", "a direct upstream is no indirect setup");
    assert_eq!(setups("b"), "s");
    assert_eq!(setups("after"), "", "the teardown is not below it");
    let teardown = dag.find_task("t").unwrap();
    assert_eq!(names(&dag, &teardown.relations.teardown_scope), "a");
    assert_eq!(
        names(&dag, dag.leaves()),
        "b after",
        "a teardown hides no leaf"
    );
}

#[test]
fn a_value_comes_from_the_task_then_partial_then_the_client_then_the_schema() {
    let mut document = dag(&[
        ("own", json!({"retries": 1})),
        (
            "mapped",
            json!({
                "_is_mapped": true,
                "_expand_input_attr": "expand_input",
                "expand_input": {"type": "dict-of-lists", "value": {"x": [1, 2]}},
                "partial_kwargs": {
                    "retries": 2,
                    "retry_delay": {"__type": "timedelta", "__var": 60.5},
                },
            }),
        ),
        ("client", json!({})),
    ]);
    document["client_defaults"] = json!({"tasks": {"retries": 3, "owner": "ops"}});
    let dag = SerializedDag::parse(document).unwrap();
    let retries = |task_id: &str| dag.find_task(task_id).unwrap().retries;
    assert_eq!(retries("own").count, 1);
    assert_eq!(retries("mapped").count, 2);
    assert_eq!(retries("mapped").delay, SignedDuration::from_millis(60_500));
    assert_eq!(retries("client").count, 3);
    assert_eq!(retries("client").delay, SignedDuration::from_secs(300));
    let client = dag.find_task("client").unwrap();
    assert_eq!(client.owner, "ops");
    assert_eq!(client.queue, "default");
    assert_eq!(client.trigger_rule, TriggerRule::AllSuccess);
}

#[test]
fn lengths_of_combined_xcoms_follow_their_parts() {
    let plain = |task_id: &str| json!({"task_id": task_id, "key": "return_value"});
    let reference = |value: Value| json!({"__type": "xcomref", "__var": value});
    let wrapped = |task_id: &str| reference(plain(task_id));
    let mapped = |argument: Value| {
        json!({
            "_is_mapped": true,
            "_expand_input_attr": "expand_input",
            "expand_input": {"type": "dict-of-lists", "value": {"v": argument, "w": ["p", "q"]}},
        })
    };
    let dag = parse(&[
        ("a", json!({})),
        ("b", json!({})),
        (
            "zip",
            mapped(reference(
                json!({"type": "zip", "args": [wrapped("a"), wrapped("b")]}),
            )),
        ),
        (
            "fill",
            mapped(reference(
                json!({"type": "zip", "args": [wrapped("a"), wrapped("b")], "fillvalue": 0}),
            )),
        ),
        (
            "concat",
            mapped(reference(
                json!({"type": "concat", "args": [plain("a"), plain("b")]}),
            )),
        ),
        (
            "map",
            mapped(reference(
                json!({"type": "map", "arg": wrapped("a"), "callables": ["f"]}),
            )),
        ),
    ]);
    let a = dag.index_of("a").unwrap();
    let length = |task_id: &str, b: Option<u32>| {
        let input = dag.find_task(task_id).unwrap().expand_input.as_ref();
        input
            .unwrap()
            .length(&mut |arg| arg.length(&mut |task, _| if task == a { Some(3) } else { b }))
    };
    assert_eq!(length("zip", Some(2)), Some(4));
    assert_eq!(length("fill", Some(2)), Some(6));
    assert_eq!(length("concat", Some(2)), Some(10));
    assert_eq!(length("map", None), Some(6));
    assert_eq!(length("concat", None), None);
    let zip = dag.find_task("zip").unwrap();
    assert_eq!(names(&dag, &zip.relations.mapped_dependencies), "a b");
    let b = dag.find_task("b").unwrap();
    assert_eq!(names(&dag, &b.relations.watchers), "zip fill concat");
}

#[test]
fn tasks_of_a_mapped_group_know_what_the_group_expands_over() {
    let dag = capture("example_task_group_mapping");
    let task = dag.find_task("op.add_1").unwrap();
    assert!(task.needs_expansion && !task.is_mapped);
    let groups: Vec<GroupIndex> = dag.mapped_groups_of(task).collect();
    let group = dag.group(groups[0]);
    assert_eq!(group.group_id.as_deref(), Some("op"));
    assert_eq!(
        group.expand_input.as_ref().unwrap().literal_length(),
        Some(3)
    );
    assert_eq!(group.children.first(), Some(&GroupChild::Task(task.index)));

    let dag = capture("example_dynamic_task_mapping");
    let task = dag.find_task("add_one").unwrap();
    let literal = ExpandInput::DictOfLists(vec![("x".to_owned(), ExpandArgument::Literal(3))]);
    assert_eq!(task.expand_input, Some(literal));
}

#[test]
fn weights_count_each_relative_once_also_across_many_tasks() {
    let wide: Vec<String> = (0..200).map(|number| format!("m{number}")).collect();
    let mut tasks = vec![(
        "top",
        json!({"downstream_task_ids": wide, "priority_weight": 1000}),
    )];
    tasks.extend(wide.iter().map(|task_id| {
        (
            task_id.as_str(),
            json!({"downstream_task_ids": ["end"], "priority_weight": 2}),
        )
    }));
    tasks.push((
        "end",
        json!({"priority_weight": 7, "weight_rule": "upstream"}),
    ));
    tasks.push((
        "own",
        json!({"priority_weight": 4, "weight_rule": "absolute"}),
    ));
    let custom = json!({"__type": "plugin.Strategy", "__var": {}});
    tasks.push(("custom", json!({"weight_rule": custom})));
    let dag = parse(&tasks);
    let weight = |task_id: &str| dag.find_task(task_id).unwrap().total_weight;
    assert_eq!(weight("top"), Some(1000 + 200 * 2 + 7));
    assert_eq!(weight("m150"), Some(9));
    assert_eq!(weight("end"), Some(7 + 200 * 2 + 1000));
    assert_eq!(weight("own"), Some(4));
    assert_eq!(weight("custom"), None);
    assert_eq!(
        dag.find_task("custom").unwrap().weight_rule,
        WeightRule::Custom(custom)
    );
}

#[test]
fn an_error_names_the_dag_the_task_and_the_key() {
    assert_eq!(
        problem(dag(&[("t", json!({"retries": "many"}))])),
        "Dag `d`, task `t`, key `retries`: expected a whole number of 32 bits, found \"many\""
    );
    assert_eq!(
        problem(dag(&[("t", json!({"trigger_rule": "dummy"}))])),
        "Dag `d`, task `t`, key `trigger_rule`: unknown trigger rule `dummy`"
    );
    assert_eq!(
        problem(dag(&[("t", json!({"downstream_task_ids": ["gone"]}))])),
        "Dag `d`, task `t`, key `downstream_task_ids`: names task `gone`, which the Dag does not \
         have"
    );
    assert_eq!(
        problem(dag(&[
            ("a", json!({"downstream_task_ids": ["b"]})),
            ("b", json!({"downstream_task_ids": ["a"]})),
        ])),
        "Dag `d`, task `a`, key `downstream_task_ids`: the task is part of a cycle"
    );
    assert_eq!(
        problem(dag(&[("t", json!({})), ("t", json!({}))])),
        "Dag `d`, task `t`, key `task_id`: another task has the same id"
    );
    assert_eq!(
        problem(json!({"__version": 2, "dag": {}})),
        "serialized Dag, key `__version`: expected version 3; parse the Dag file again, found 2"
    );
    let mut no_timetable = dag(&[]);
    no_timetable["dag"]["timetable"] = Value::Null;
    assert_eq!(
        problem(no_timetable),
        "Dag `d`, key `timetable`: expected a timetable, found none"
    );
}

#[test]
fn a_group_in_a_group_is_found_by_its_whole_id() {
    let dag = capture("example_task_group");
    let inner = dag.find_group("section_2.inner_section_2").unwrap();
    assert_eq!(dag.find_group("inner_section_2"), None);
    let tasks: Vec<&str> = dag
        .tasks_in_group(inner)
        .map(|task| task.task_id.as_str())
        .collect();
    assert!(!tasks.is_empty());
    assert!(
        tasks
            .iter()
            .all(|id| id.starts_with("section_2.inner_section_2.")),
        "{tasks:?}"
    );
    let outer = dag.find_group("section_2").unwrap();
    assert!(dag.tasks_in_group(outer).count() > tasks.len());
}
