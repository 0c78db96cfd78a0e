use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use updraft_runtime::Ids;
use updraft_store::ParsedDag;
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::{DagFileParsingResult, LazyDeserializedDAG};

use super::{Content, Parsing};
use crate::bundle::Bundle;
use crate::files::FileKey;

fn parsing() -> Parsing {
    Parsing {
        bundle: Bundle {
            name: "dags-folder".into(),
            path: PathBuf::from("/bundle"),
            version: None,
        },
        key: FileKey {
            bundle: "dags-folder".into(),
            path: "file.py".to_owned(),
        },
        paused_at_creation: true,
    }
}

fn read(dags: &[Value]) -> Content {
    let result = DagFileParsingResult {
        fileloc: "/bundle/file.py".to_owned(),
        serialized_dags: dags
            .iter()
            .map(|dag| LazyDeserializedDAG {
                data: JsonText::from(dag),
                last_loaded: None,
            })
            .collect(),
        warnings: None,
        import_errors: None,
    };
    parsing().read(&result, Duration::from_millis(250), &Ids::random())
}

/// A captured Dag.
fn captured(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/serialized-dags");
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn one(dag: Value) -> ParsedDag {
    let content = read(&[dag]);
    assert_eq!(content.import_errors(), []);
    content.file.dags.into_iter().next().unwrap()
}

/// The least of a Dag, with more attributes.
fn small(attributes: Value) -> Value {
    let mut dag = json!({
        "dag_id": "small", "fileloc": "/bundle/file.py", "relative_fileloc": "file.py",
        "timezone": "UTC", "timetable": {"__type": "airflow.timetables.simple.NullTimetable", "__var": {}},
        "tasks": [],
        "task_group": {"_group_id": null, "children": {}, "upstream_group_ids": [],
            "downstream_group_ids": [], "upstream_task_ids": [], "downstream_task_ids": []},
    });
    for (key, value) in attributes.as_object().unwrap() {
        dag[key] = value.clone();
    }
    json!({"__version": 3, "dag": dag})
}

#[test]
fn every_captured_dag_becomes_a_row() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/serialized-dags");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().path();
        let name = name.file_stem().unwrap().to_str().unwrap().to_owned();
        let parsed = one(captured(&name));
        assert_eq!(parsed.dag.dag_id, *name.as_str());
        assert!(!parsed.dag.owners.is_empty(), "{name}");
    }
}

#[test]
fn the_row_says_what_the_dag_list_shows() {
    let dag = one(captured("tutorial")).dag;
    assert_eq!(dag.timetable_type, "DeltaTriggerTimetable");
    assert_eq!(dag.timetable_summary.as_deref(), Some("1 day, 0:00:00"));
    assert_eq!(dag.tags, ["example"]);
    assert_eq!(dag.max_active_runs, 16);
    assert_eq!(dag.relative_fileloc, "tutorial.py");
    assert_eq!(dag.last_parse_duration_secs, Some(0.25));
    assert!(dag.is_paused, "as `dags_are_paused_at_creation` says");
    assert_eq!(dag.asset_expression, None);
}

#[test]
fn what_a_dag_says_of_itself_beats_the_configuration() {
    let dag = one(small(json!({
        "is_paused_upon_creation": false,
        "allowed_run_types": ["scheduled", "manual"],
        "owner_links": {"me": "https://example.com"},
        "max_active_runs": 3,
    })));
    assert!(!dag.dag.is_paused);
    assert_eq!(dag.dag.allowed_run_types.unwrap(), ["manual", "scheduled"]);
    assert_eq!(dag.dag.max_active_runs, 3);
    assert_eq!(
        dag.owner_links,
        [("me".to_owned(), "https://example.com".to_owned())]
    );
}

#[test]
fn assets_of_schedules_outlets_and_inlets_are_found() {
    let parsed = one(captured("conditional_asset_and_time_based_timetable"));
    let names: Vec<_> = parsed
        .assets
        .scheduled_on
        .iter()
        .map(|asset| asset.name.as_str())
        .collect();
    assert_eq!(names, ["s3://dag1/output_1.txt", "s3://dag2/output_1.txt"]);
    assert_eq!(parsed.assets.scheduled_on[0].extra, json!({"hi": "bye"}));
    let (task_id, outlet) = &parsed.assets.outlets[0];
    assert_eq!(*task_id, "conditional_asset_and_time_based_timetable");
    assert_eq!(outlet.uri, "s3://asset_time_based/asset_other_unknown.txt");
    let asset = |number: u8| {
        let name = format!("s3://dag{number}/output_1.txt");
        json!({"asset": {"uri": name, "name": name, "group": "asset"}})
    };
    assert_eq!(
        parsed.dag.asset_expression,
        Some(json!({"all": [asset(1), asset(2)]}))
    );
}

#[test]
fn aliases_are_no_assets() {
    let parsed = one(captured("asset_alias_example_alias_consumer"));
    assert_eq!(parsed.assets.scheduled_on, []);
    assert_eq!(parsed.assets.scheduled_on_aliases.len(), 1);
    let expression = parsed.dag.asset_expression.unwrap();
    let alias = json!({"alias": {"name": "example-alias", "group": "asset"}});
    assert_eq!(expression, json!({"all": [alias]}));
}

#[test]
fn a_dag_that_cannot_be_read_is_an_import_error_and_spares_the_others() {
    let mut broken = small(json!({"dag_id": "broken", "max_active_runs": "many"}));
    let content = read(&[broken.clone(), small(json!({}))]);
    assert_eq!(content.file.dags.len(), 1);
    let error = &content.import_errors()[0];
    assert_eq!(error.filename, "file.py");
    assert!(
        error.stacktrace.contains("`broken`"),
        "{}",
        error.stacktrace
    );
    assert!(
        error.stacktrace.contains("max_active_runs"),
        "{}",
        error.stacktrace
    );

    broken["dag"]["dag_id"] = "broken_too".into();
    let content = read(&[
        broken,
        small(json!({"dag_id": "again", "max_active_runs": "none"})),
    ]);
    assert_eq!(
        content.import_errors().len(),
        1,
        "a file has one row for its errors"
    );
    assert!(content.import_errors()[0].stacktrace.contains("`again`"));
}

#[test]
fn a_schedule_that_makes_no_sense_is_an_import_error_but_a_class_of_the_user_is_none() {
    let cron = json!({"__type": "airflow.timetables.trigger.CronTriggerTimetable",
        "__var": {"expression": "61 * * * *", "timezone": "UTC"}});
    let content = read(&[small(json!({"timetable": cron}))]);
    assert!(content.import_errors()[0].stacktrace.contains("61 * * * *"));
    let custom = json!({"__type": "workday.AfterWorkdayTimetable", "__var": {}});
    let dag = one(small(json!({"timetable": custom}))).dag;
    assert_eq!(dag.timetable_type, "workday.AfterWorkdayTimetable");
}

#[test]
fn owners_are_those_that_tasks_name_and_else_the_default() {
    let task = |task_id: &str, owner: &str| {
        json!({"__type": "operator", "__var": {"task_id": task_id, "owner": owner,
            "task_type": "T", "_task_module": "m"}})
    };
    let children = json!({"a": ["operator", "a"], "b": ["operator", "b"], "c": ["operator", "c"]});
    let dag = small(json!({
        "tasks": [task("a", "zoe"), task("b", "amy"), task("c", "zoe")],
        "task_group": {"_group_id": null, "children": children},
    }));
    assert_eq!(one(dag).dag.owners, "amy, zoe");
    assert_eq!(one(small(json!({}))).dag.owners, "airflow");
}
