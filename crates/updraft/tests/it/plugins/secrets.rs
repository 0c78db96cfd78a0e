//! Secrets backends of workers and of the server, each asked in its place.

use serde_json::{Value, json};
use updraft_testkit::{SECOND, Standalone};

use super::{with_plugins, write};

const VAULT: &str = include_str!("../../plugins/vault.py");
const DAGS: &str = include_str!("../../plugins/secrets_dags.py");

/// A Fernet key like any other.
const FERNET_KEY: &str = "c2l4dGVlbiBieXRlcywgYW5kIHNpeHRlZW4gbW9yZSE=";

const KEY_SETTING: &str = "AIRFLOW__CORE__FERNET_KEY_SECRET";

/// An installation whose vaults are files, one of the workers and one of the server.
fn installed() -> Standalone {
    let updraft = with_plugins(&[("secrets_dags.py", DAGS)], &[]);
    write(updraft.home(), "config/vault.py", VAULT);
    let of_workers = json!({
        "variables": {"of_worker": "worker", "of_both": "worker first"},
        "connections": {},
        "config": {},
    });
    let of_server = json!({
        "variables": {"of_server": "GREETING server", "of_both": "server"},
        "connections": {"far": "postgres://me:far-away-and-secret@far.example/db"},
        "config": {"key": FERNET_KEY},
    });
    write(updraft.home(), "of_workers.json", &of_workers.to_string());
    write(updraft.home(), "of_server.json", &of_server.to_string());
    updraft
        .with("AIRFLOW__SECRETS__BACKEND", "vault.Vault")
        .with(
            "AIRFLOW__SECRETS__BACKEND_KWARGS",
            r#"{"file": "of_server.json", "greeting": "a"}"#,
        )
        // Goes before what the map says.
        .with("AIRFLOW__SECRETS__BACKEND_KWARG__TOKEN", "opens")
        .with("AIRFLOW_VAR_OF_ENVIRONMENT", "environment")
}

/// The same, where workers have a backend of their own.
fn with_backend_of_workers() -> Standalone {
    installed()
        .with("AIRFLOW__WORKERS__SECRETS_BACKEND", "vault.Vault")
        .with(
            "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS",
            r#"{"file": "of_workers.json", "token": "opens"}"#,
        )
}

/// What a task finds, the log of its try, and what the server said.
fn ask(mut updraft: Standalone) -> (Value, String, String) {
    let client = updraft.start();
    for key in ["of_store", "broken", "of_both"] {
        let body = json!({ "key": key, "value": "store" });
        let made = client.call("POST", "/api/v2/variables", Some(&body));
        assert_eq!(made.status, 201, "{}", made.body);
    }
    client.wait_for_dag("secrets", 90 * SECOND);
    let dag = client.get("/api/v2/dags/secrets");
    assert_eq!(dag["tags"][0]["name"], json!("a server"));
    let run = client.trigger("secrets");
    let state = client.wait_for_run("secrets", &run, 90 * SECOND);
    let log = client.log("secrets", &run, "ask", 1);
    assert_eq!(state, "success", "{log}");
    let path = format!(
        "/api/v2/dags/secrets/dagRuns/{}/taskInstances/ask/xcomEntries/return_value",
        run.replace('+', "%2B")
    );
    let found = client.get(&path)["value"].clone();
    (found, log, updraft.output())
}

#[test]
fn tasks_and_files_find_secrets_in_the_workers_backend_the_servers_and_the_store() {
    let (found, log, said) = ask(with_backend_of_workers());
    assert_eq!(
        found,
        json!({
            "of_worker": "worker",
            "of_server": "a server",
            "of_both": "worker first",
            "of_store": "store",
            // A backend that raises is passed by.
            "broken": "store",
            "of_environment": "environment",
            "host": "far.example",
        })
    );
    assert!(log.contains("the password is ***"), "{log}");
    assert!(!log.contains("far-away-and-secret"), "{log}");
    assert!(said.contains("the vault is sealed"), "{said}");
    assert!(!said.contains("far-away-and-secret"), "{said}");
}

#[test]
fn without_a_backend_of_workers_tasks_find_what_the_servers_has() {
    let (found, log, said) = ask(installed());
    assert_eq!(
        found,
        json!({
            "of_worker": "nobody",
            "of_server": "a server",
            "of_both": "server",
            "of_store": "store",
            "broken": "store",
            "of_environment": "environment",
            "host": "far.example",
        })
    );
    assert!(log.contains("the password is ***"), "{log}");
    assert!(!said.contains("far-away-and-secret"), "{said}");
}

#[test]
fn settings_may_be_kept_in_the_servers_backend() {
    let mut updraft = installed().with(KEY_SETTING, "key");
    updraft.start();
    // Without a key that is set, one is made and kept.
    assert!(!updraft.home().path().join("fernet.key").exists());
    updraft.stop(60 * SECOND);

    let ended = updraft.with(KEY_SETTING, "broken").run_to_end();
    assert!(!ended.status.success());
    let said = ended.output;
    for word in [
        "fernet_key",
        "vault.Vault",
        "get_config",
        "the vault is sealed",
    ] {
        assert!(said.contains(word), "`{word}` is not in {said}");
    }
    assert!(!said.contains(FERNET_KEY), "{said}");
}
