//! Deadlines of runs, from the Dag file to the callback, with real Python.

use std::fs;

use serde_json::{Value, json};
use updraft_testkit::{Home, RestClient, SECOND, Standalone, wait_until};

use crate::standalone::installation;

const DAGS: &str = include_str!("../../dags/people/late.py");
const OWN_DAGS: &str = include_str!("../../dags/people/own.py");
const OWN_REFERENCES: &str = include_str!("../../dags/people/own_references.py");

fn prepared() -> Standalone {
    installation(&[("late.py", DAGS)]).with("AIRFLOW__CALLBACKS__CALLBACK_EXECUTION_TIMEOUT", "3")
}

fn started(updraft: &mut Standalone) -> RestClient {
    let client = updraft.start();
    client.wait_for_dag("slow", 60 * SECOND);
    client
}

/// What the callbacks wrote to a file, once there are `count` lines.
#[track_caller]
fn notes(home: &Home, name: &str, count: usize) -> Vec<Value> {
    let path = home.path().join(name);
    wait_until(&format!("{count} lines in {name}"), 60 * SECOND, || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let notes: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        if notes.len() >= count {
            Ok(notes)
        } else {
            Err(notes)
        }
    })
}

/// State, output and attempts of the callbacks of a Dag, once all of them are over.
#[track_caller]
fn outcomes(home: &Home, dag_id: &str) -> Vec<(String, Option<String>, i64)> {
    let query = format!(
        "SELECT c.state, c.output, c.attempts
           FROM callback AS c
           JOIN deadline AS d ON d.id = c.deadline_id
           JOIN dag_run AS r ON r.id = d.dag_run_id
          WHERE r.dag_id = '{dag_id}' AND d.missed
          ORDER BY c.output"
    );
    wait_until("all callbacks are over", 60 * SECOND, || {
        let rows = home.rows(&query);
        let is_over = |row: &Vec<Value>| row[0] == "success" || row[0] == "failed";
        if rows.is_empty() || !rows.iter().all(is_over) {
            return Err(rows);
        }
        Ok(rows
            .into_iter()
            .map(|row| {
                let text = |value: &Value| value.as_str().map(str::to_owned);
                let attempts = row[2].as_i64().unwrap_or(-1);
                (text(&row[0]).unwrap_or_default(), text(&row[1]), attempts)
            })
            .collect())
    })
}

fn callback_log(home: &Home, dag_id: &str, run_id: &str, needle: &str) -> String {
    let folder = home.path().join("logs/executor_callbacks").join(dag_id);
    let files = fs::read_dir(folder.join(run_id)).unwrap();
    let texts: Vec<String> = files
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let found = texts.iter().find(|text| text.contains(needle));
    found
        .unwrap_or_else(|| panic!("no log has `{needle}`: {texts:#?}"))
        .clone()
}

#[test]
fn a_missed_deadline_calls_what_the_dag_says() {
    let mut updraft = prepared();
    let client = started(&mut updraft);
    let variable = json!({"key": "colour", "value": "green"});
    let created = client.call("POST", "/api/v2/variables", Some(&variable));
    assert_eq!(created.status, 201, "{}", created.body);
    let run = client.trigger("noted");
    let noted = &notes(updraft.home(), "noted", 1)[0];
    assert_eq!(
        noted["kwargs"],
        json!({"when": "2026-01-05 00:00:00+00:00", "n": [1, 2.5]})
    );
    assert_eq!(noted["dag_run"]["dag_run_id"], json!(run));
    assert_eq!(noted["dag_run"]["dag_id"], "noted");
    let shown = client.get(&format!(
        "/api/v2/dags/noted/dagRuns/{}",
        run.replace('+', "%2B")
    ));
    assert_eq!(noted["dag_run"]["queued_at"], shown["queued_at"]);
    assert_eq!(noted["dag_run"]["dag_versions"], shown["dag_versions"]);
    let log = callback_log(updraft.home(), "noted", &run, "noting noted");
    assert!(log.contains("Callback executed successfully"), "{log}");
    assert_eq!(
        outcomes(updraft.home(), "noted"),
        [("success".to_owned(), None, 1)]
    );

    let _ = client.trigger("noticed");
    let year = noted["deadline_time"].as_str().unwrap()[..4].to_owned();
    assert_eq!(
        notes(updraft.home(), "notice", 1)[0]["message"],
        json!(format!("noticed is late: {year}"))
    );

    let run = client.trigger("stored");
    assert_eq!(notes(updraft.home(), "store", 1)[0]["secret"], "green");
    outcomes(updraft.home(), "stored");
    callback_log(updraft.home(), "stored", &run, "the colour is");

    // The triggerer runs it, where the folder of the Dags is importable.
    let run = client.trigger("asynchronous");
    let told = &notes(updraft.home(), "async", 1)[0];
    assert_eq!(told["dag_run"], json!(run));
    let (state, _, _) = &outcomes(updraft.home(), "asynchronous")[0];
    assert_eq!(state, "success");
    assert!(updraft.home().rows("SELECT id FROM trigger").is_empty());
}

#[test]
fn each_reference_and_interval_makes_its_deadline() {
    let mut updraft = prepared().with("AIRFLOW_VAR_PATIENCE", "-5");
    let client = started(&mut updraft);
    let at = |count| -> Vec<String> {
        let notes = notes(updraft.home(), "referenced", count);
        let mut at: Vec<String> = notes
            .iter()
            .map(|note| note["kwargs"]["at"].as_str().unwrap().to_owned())
            .collect();
        at.sort();
        at
    };
    let trigger = |logical_date: Value| {
        let body = json!({ "logical_date": logical_date });
        let answer = client.call("POST", "/api/v2/dags/referenced/dagRuns", Some(&body));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let run = answer.body["dag_run_id"].as_str().unwrap().to_owned();
        let end = client.wait_for_run("referenced", &run, 60 * SECOND);
        assert_eq!(end, "success");
    };
    trigger(json!("2026-01-01T00:00:00Z"));
    // Without a finished run there is no average.
    assert_eq!(at(4), ["fixed", "logical_date", "queued_at", "variable"]);
    trigger(Value::Null);
    let all = "average fixed fixed logical_date queued_at queued_at variable variable";
    assert_eq!(at(8).join(" "), all);
    assert!(updraft.output().contains("there is no variable `missing`"));
    // Those that were met are gone.
    let rows = updraft
        .home()
        .rows("SELECT COUNT(*) FROM deadline WHERE NOT missed");
    assert_eq!(rows, [[json!(0)]]);
}

/// Callbacks that raise, die, hang, are nowhere or want an executor that is not there.
#[test]
fn a_callback_that_fails_is_contained_and_nothing_else_is_late() {
    let mut updraft = prepared();
    let client = started(&mut updraft);
    let run = client.trigger("troubled");
    // The run itself, and those of others, are done while one callback still hangs.
    assert_eq!(
        client.wait_for_run("troubled", &run, 60 * SECOND),
        "success"
    );
    let other = client.trigger("noted");
    assert_eq!(client.wait_for_run("noted", &other, 60 * SECOND), "success");
    notes(updraft.home(), "noted", 1);
    let mut found = outcomes(updraft.home(), "troubled");
    found.sort_by(|one, other| one.1.cmp(&other.1));
    assert!(found.iter().all(|each| each.0 == "failed"), "{found:#?}");
    let why: Vec<&str> = found.iter().filter_map(|each| each.1.as_deref()).collect();
    assert_eq!(why.len(), 7, "{why:#?}");
    for expected in [
        "Callback execution failed: ValueError: because of reasons",
        "its process ended: Signaled",
        "its process ended: Exited(7)",
        "it took longer than [callbacks] callback_execution_timeout: 3 s",
        "there is no executor `OddExecutor`",
        "Callback execution failed: ModuleNotFoundError: No module named 'nowhere'",
        "Callback execution failed: AirflowRuntimeError",
    ] {
        assert!(
            why.iter().any(|why| why.starts_with(expected)),
            "{expected}: {why:#?}"
        );
    }
    let home = updraft.home();
    let log = callback_log(home, "troubled", &run, "about to die");
    assert!(log.contains("its process ended"), "{log}");
    callback_log(home, "troubled", &run, "callback_execution_timeout");
    let log = callback_log(home, "troubled", &run, "because of reasons");
    assert!(log.contains("raise_error"), "a traceback: {log}");
    let output = updraft.output();
    assert!(output.contains("a callback failed"), "{output}");
    assert!(!output.contains("a scheduling step failed"), "{output}");
}

#[test]
fn a_callback_whose_process_is_killed_with_us_starts_over() {
    let mut updraft = prepared();
    // It takes as long as it takes here.
    updraft = updraft.with("AIRFLOW__CALLBACKS__CALLBACK_EXECUTION_TIMEOUT", "0");
    let client = started(&mut updraft);
    let _ = client.trigger("slow");
    notes(updraft.home(), "long", 1);
    updraft.kill();
    updraft.start();
    notes(updraft.home(), "long", 2);
    // An orderly stop puts it back, too, and that counts as no attempt.
    let ended = updraft.stop(30 * SECOND);
    assert!(ended.status.success(), "{}", ended.output);
    let waiting = updraft.home().rows("SELECT state, attempts FROM callback");
    assert_eq!(waiting, [[json!("pending"), json!(1)]]);
    updraft.start();
    notes(updraft.home(), "long", 3);
    fs::write(updraft.home().path().join("go"), "").unwrap();
    assert_eq!(
        outcomes(updraft.home(), "slow"),
        [("success".to_owned(), None, 2)]
    );
}

/// An installation with the Dags and the plugin of `own.py`.
fn with_plugin() -> Standalone {
    let updraft = installation(&[("own.py", OWN_DAGS)]);
    let plugins = updraft.home().path().join("plugins");
    fs::create_dir_all(&plugins).unwrap();
    fs::write(plugins.join("own_references.py"), OWN_REFERENCES).unwrap();
    updraft
}

#[test]
fn the_triggerer_runs_asynchronous_callbacks_and_hears_why_one_fails() {
    let mut updraft = with_plugin();
    let client = updraft.start();
    client.wait_for_dag("awaited", 60 * SECOND);
    let variable = json!({"key": "colour", "value": "green"});
    let created = client.call("POST", "/api/v2/variables", Some(&variable));
    assert_eq!(created.status, 201, "{}", created.body);
    let run = client.trigger("awaited");
    assert_eq!(client.wait_for_run("awaited", &run, 60 * SECOND), "success");
    let told = &notes(updraft.home(), "told", 1)[0];
    assert_eq!(told["dag_run"]["dag_run_id"], json!(run));
    assert_eq!(told["when"], "2026-01-05 00:00:00+00:00");
    assert_eq!(told["secret"], "green");
    let found = outcomes(updraft.home(), "awaited");
    let has = |state: &str, output: &str| {
        found.iter().any(|each| {
            let said = each.1.as_deref().unwrap_or_default();
            each.0 == state && said.contains(output)
        })
    };
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(has("success", "told"), "{found:#?}");
    assert!(has("failed", "the line is dead"), "{found:#?}");
    assert!(
        has("failed", "Failed to import the callable on the triggerer"),
        "a Dag file's own name for itself says nothing there, as in Airflow: {found:#?}"
    );
    let triggers = updraft.home().rows("SELECT COUNT(*) FROM trigger");
    assert_eq!(triggers, [[json!(0)]], "they have served");
}

#[test]
fn a_class_of_a_plugin_says_from_when_a_deadline_counts() {
    let mut updraft = with_plugin();
    let client = updraft.start();
    client.wait_for_dag("own", 60 * SECOND);
    let run = client.trigger("own");
    assert_eq!(client.wait_for_run("own", &run, 60 * SECOND), "success");
    let notes = notes(updraft.home(), "own", 1);
    assert_eq!(notes[0]["text"], "late");
    wait_until("nothing is open any more", 60 * SECOND, || {
        let rows = updraft
            .home()
            .rows("SELECT COUNT(*) FROM deadline WHERE NOT missed");
        if rows == [[json!(0)]] {
            Ok(())
        } else {
            Err(rows)
        }
    });
    let output = updraft.output();
    assert!(output.contains("the sundial is in the shade"), "{output}");
}
