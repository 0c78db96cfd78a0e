//! Dag files, requests and children that do not keep to the rules.

use serde_json::{Value, json};
use updraft_testkit::{SECOND, wait_until};

/// A Dag that always works: whatever happens beside it must not matter to it.
const BYSTANDER: &str = include_str!("../../dags/bystander.py");

/// Files that are bad in one way each, and what their import error says.
const BAD_FILES: &[(&str, &str, &str)] = &[
    ("syntax.py", "def (", "SyntaxError"),
    (
        "raises.py",
        "raise RuntimeError('the reason')",
        "the reason",
    ),
    ("loops.py", "while True: pass", "imeout"),
    (
        "loops_stubbornly.py",
        "import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
        "longer than 12 s",
    ),
    ("exits.py", "import os; os._exit(3)", "3"),
    (
        "dies.py",
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "SIGSEGV",
    ),
];

#[test]
fn each_broken_file_gets_an_import_error_and_disturbs_nothing() {
    let mut updraft = super::installation(&[("bystander.py", BYSTANDER)])
        .with("AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT", "5")
        .with("AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT", "12")
        .with("AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE", "False");
    for (name, code, _) in BAD_FILES {
        updraft.home().write_dag(name, &format!("{code}\n"));
    }
    updraft.home().write_dag(
        "prints.py",
        "for _ in range(100):\n    print('x' * 1_000_000)\n",
    );
    let client = updraft.start();
    client.wait_for_dag("bystander", 60 * SECOND);
    let run_id = client.trigger("bystander");
    let errors = wait_until("every bad file has its import error", 60 * SECOND, || {
        let errors = client.list("/api/v2/importErrors", "import_errors");
        if errors.len() == BAD_FILES.len() {
            Ok(errors)
        } else {
            Err(errors)
        }
    });
    for (name, _, expected) in BAD_FILES {
        let is_about = |error: &&Value| error["filename"].as_str().unwrap().ends_with(name);
        let error = errors
            .iter()
            .find(is_about)
            .unwrap_or_else(|| panic!("{name}: {errors:#?}"));
        let text = error["stack_trace"].as_str().unwrap();
        assert!(
            text.contains(expected),
            "{name}: expected `{expected}` in: {text}"
        );
    }
    assert_eq!(
        client.wait_for_run("bystander", &run_id, 60 * SECOND),
        "success"
    );

    updraft.home().write_dag("syntax.py", "pass\n");
    wait_until(
        "the import error of a mended file is gone",
        60 * SECOND,
        || {
            let errors = client.list("/api/v2/importErrors", "import_errors");
            if errors.len() == BAD_FILES.len() - 1 {
                Ok(())
            } else {
                Err(errors)
            }
        },
    );
}

#[test]
fn bad_requests_are_answered_with_what_is_wrong() {
    let mut updraft = super::installation(&[("bystander.py", BYSTANDER)]);
    let client = updraft.start();
    client.wait_for_dag("with_params", 60 * SECOND);
    let trigger = |dag_id: &str, body: Value| {
        client.call(
            "POST",
            &format!("/api/v2/dags/{dag_id}/dagRuns"),
            Some(&body),
        )
    };
    let detail = |answer: &updraft_testkit::Answer| answer.body["detail"].to_string();

    let unknown = client.call("GET", "/api/v2/dags/no_such_dag", None);
    assert_eq!(unknown.status, 404, "{}", unknown.body);
    assert!(detail(&unknown).contains("no_such_dag"), "{}", unknown.body);
    let unknown = trigger("no_such_dag", json!({ "logical_date": null }));
    assert_eq!(unknown.status, 404, "{}", unknown.body);
    assert!(detail(&unknown).contains("no_such_dag"), "{}", unknown.body);

    let bad_conf = json!({ "logical_date": null, "conf": { "number": "not a number" } });
    let refused = trigger("with_params", bad_conf);
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(detail(&refused).contains("number"), "{}", refused.body);

    let bodies = [
        (json!({ "logical_date": null, "colour": "red" }), "colour"),
        (json!({ "logical_date": "yesterday" }), "logical_date"),
        (json!({}), "logical_date"),
        (json!({ "logical_date": null, "conf": 7 }), "conf"),
        (json!([]), "body"),
    ];
    for (body, named) in bodies {
        let refused = trigger("with_params", body.clone());
        assert_eq!(refused.status, 422, "{body}: {}", refused.body);
        assert!(detail(&refused).contains(named), "{body}: {}", refused.body);
    }
    let runs = client.list("/api/v2/dags/with_params/dagRuns", "dag_runs");
    assert_eq!(runs, Vec::<Value>::new(), "a refused request left a run");
}

#[test]
fn garbage_from_a_child_fails_its_task_and_nothing_else() {
    let files = [
        ("bystander.py", BYSTANDER),
        ("garbage.py", include_str!("../../dags/garbage.py")),
    ];
    let mut updraft = super::installation(&files);
    let client = updraft.start();
    client.wait_for_dag("bystander", 60 * SECOND);
    client.wait_for_dag("garbage", 60 * SECOND);
    let garbage = client.trigger("garbage");
    let bystander = client.trigger("bystander");
    assert_eq!(
        client.wait_for_run("garbage", &garbage, 60 * SECOND),
        "failed"
    );
    assert_eq!(
        client.wait_for_run("bystander", &bystander, 60 * SECOND),
        "success"
    );
    let expected = [
        "endless_frame[-1]: failed, try 1",
        "half_a_frame[-1]: failed, try 1",
        "mended_by_retry[-1]: success, try 2",
        "not_msgpack[-1]: failed, try 1",
        // It is well formed: it gets an error for an answer, as any unknown request.
        "unknown_message[-1]: success, try 1",
    ];
    assert_eq!(client.states("garbage", &garbage), expected);
    let reasons = [
        ("endless_frame", "unusable frame: it has 4294967295 bytes"),
        ("not_msgpack", "unusable frame"),
        ("mended_by_retry", "it sent data that is no request"),
        ("half_a_frame", "without reporting an outcome"),
    ];
    for (task_id, expected) in reasons {
        let log = client.log("garbage", &garbage, task_id, 1);
        assert!(
            log.contains(expected),
            "{task_id}: expected `{expected}` in: {log}"
        );
    }
}
