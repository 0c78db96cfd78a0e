use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::dag_hash;

fn serialized(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/serialized-dags");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// `testdata/hashes.json` holds what `SerializedDagModel.hash` of Airflow 3.3.2 gives.
#[test]
fn hashes_are_those_of_airflow() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/hashes.json");
    let expected: BTreeMap<String, String> =
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let found: BTreeMap<String, String> = expected
        .keys()
        .map(|name| (name.clone(), dag_hash(&serialized(name)).unwrap()))
        .collect();
    assert_eq!(found, expected);
}

fn dag(tasks: Value, fileloc: &str) -> String {
    json!({"__version": 3, "dag": {
        "dag_id": "d", "fileloc": fileloc, "tasks": tasks, "tags": ["x", "ä\u{7f}😀"],
    }})
    .to_string()
}

fn task(task_id: &str, downstream: &[&str]) -> Value {
    json!({"__type": "operator", "__var": {"task_id": task_id, "downstream_task_ids": downstream}})
}

#[test]
fn the_order_of_maps_tasks_and_sets_and_the_place_of_the_file_do_not_count() {
    let first = dag(
        json!([task("a", &["b", "c"]), task("b", &[]), task("c", &[])]),
        "/one/d.py",
    );
    let second = dag(
        json!([task("c", &[]), task("b", &[]), task("a", &["c", "b"])]),
        "/two/d.py",
    );
    let reversed = r#"{"dag": {"tasks": [], "dag_id": "d"}, "__version": 3}"#;
    let straight = r#"{"__version": 3, "dag": {"dag_id": "d", "tasks": []}}"#;
    assert_eq!(dag_hash(&first), dag_hash(&second));
    assert_eq!(dag_hash(reversed), dag_hash(straight));
}

#[test]
fn a_changed_task_and_the_type_of_a_number_do_count() {
    let before = dag(json!([task("a", &["b"]), task("b", &[])]), "/d.py");
    let after = dag(json!([task("a", &[]), task("b", &[])]), "/d.py");
    assert_ne!(dag_hash(&before), dag_hash(&after));
    assert_ne!(
        dag_hash(r#"{"dag": {"x": 1}}"#),
        dag_hash(r#"{"dag": {"x": 1.0}}"#)
    );
    assert!(dag_hash("no JSON").is_err());
}
