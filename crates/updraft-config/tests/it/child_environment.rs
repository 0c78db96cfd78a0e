//! What a Python child gets to see.

use std::collections::BTreeMap;

use crate::settings;

/// The child's environment for a file and the variables of the parent.
fn child(file: &str, variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    let inherited = variables
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    settings(file, variables)
        .unwrap()
        .child_environment(inherited)
        .into_iter()
        .collect()
}

const KEY: &str = "hunter2hunter2hunter2hunter2hunter2hunter2h=";

#[test]
fn nothing_that_opens_the_store_or_signs_a_token_gets_through() {
    let variables = [
        (
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
            "postgresql://ada:hunter2@db/airflow",
        ),
        (
            "AIRFLOW__CORE__SQL_ALCHEMY_CONN",
            "postgresql://ada:hunter2@db/airflow",
        ),
        ("AIRFLOW__CORE__FERNET_KEY", KEY),
        ("AIRFLOW__API__SECRET_KEY", "hunter2"),
        ("AIRFLOW__WEBSERVER__SECRET_KEY", "hunter2"),
        ("AIRFLOW__API_AUTH__JWT_SECRET", "hunter2"),
        ("AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH", "/hunter2.pem"),
        ("AIRFLOW__CELERY__BROKER_URL", "redis://:hunter2@broker/0"),
        ("AIRFLOW__CELERY__RESULT_BACKEND_CMD", "hunter2"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC_CMD", "hunter2"),
        (
            "AIRFLOW__RED___CELERY__BROKER_URL",
            "redis://:hunter2@red/0",
        ),
        (
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__SENTINEL_KWARGS",
            "hunter2",
        ),
    ];
    let child = child("", &variables);
    let leaked: Vec<_> = child
        .iter()
        .filter(|(_, value)| value.contains("hunter2"))
        .collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    for (name, _) in variables {
        assert!(!child.contains_key(name), "{name}");
    }
}

#[test]
fn commands_and_secret_names_of_forbidden_options_go_too() {
    let variables = [
        ("AIRFLOW__CORE__FERNET_KEY", KEY),
        ("AIRFLOW__CORE__FERNET_KEY_CMD", "cat /hunter2"),
        ("AIRFLOW__API__SECRET_KEY_SECRET", "path/hunter2"),
        ("AIRFLOW__API_AUTH__JWT_SECRET_SECRET", "path/hunter2"),
    ];
    let child = child("", &variables);
    assert!(
        child.values().all(|value| !value.contains("hunter2")),
        "{child:?}"
    );
}

#[test]
fn a_forbidden_option_of_the_file_is_covered() {
    let file = format!(
        "[core]\nfernet_key = {KEY}\n[api_auth]\njwt_secret_cmd = hunter2\n\
         [database]\nsql_alchemy_conn = postgresql://ada:hunter2@db/airflow\n"
    );
    let child = child(&file, &[]);
    assert_eq!(child["AIRFLOW__CORE__FERNET_KEY"], "");
    assert_eq!(child["AIRFLOW__API_AUTH__JWT_SECRET"], "");
    assert_eq!(
        child["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"],
        "sqlite:////dev/null"
    );
    // What the file does not say needs no cover.
    assert!(!child.contains_key("AIRFLOW__API__SECRET_KEY"));
}

#[test]
fn the_cover_stays_where_a_variable_beats_the_file() {
    let file = "[api_auth]\njwt_secret = hunter2\n\
                [core]\nsql_alchemy_conn = postgresql://ada:hunter2@db/airflow\n";
    let variables = [
        ("AIRFLOW__API_AUTH__JWT_SECRET", "hunter3"),
        (
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
            "postgresql://ada:hunter3@db/airflow",
        ),
    ];
    let child = child(file, &variables);
    assert_eq!(child["AIRFLOW__API_AUTH__JWT_SECRET"], "");
    assert_eq!(
        child["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"],
        "sqlite:////dev/null"
    );
}

#[test]
fn effective_settings_are_handed_down() {
    let file = "[core]\ndefault_task_retries = 3\n[operators]\ndefault_owner = ada\n";
    let child = child(
        file,
        &[("AIRFLOW__WEBSERVER__BASE_URL", "https://example.org")],
    );
    assert_eq!(child["AIRFLOW__CORE__DEFAULT_TASK_RETRIES"], "3");
    assert_eq!(child["AIRFLOW__OPERATORS__DEFAULT_OWNER"], "ada");
    assert_eq!(child["AIRFLOW__API__BASE_URL"], "https://example.org");
    assert_eq!(child["AIRFLOW__CORE__DAGS_FOLDER"], "/airflow-home/dags");
    // An option without a value stays without one.
    assert!(!child.contains_key("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH"));
}

#[test]
fn a_child_knows_its_home_and_loads_no_examples_of_its_own() {
    let child = child("", &[("AIRFLOW__CORE__LOAD_EXAMPLES", "True")]);
    assert_eq!(child["AIRFLOW_HOME"], "/airflow-home");
    assert_eq!(child["AIRFLOW_CONFIG"], "/airflow-home/airflow.cfg");
    assert_eq!(child["_AIRFLOW_PROCESS_CONTEXT"], "client");
    assert_eq!(child["AIRFLOW__CORE__LOAD_EXAMPLES"], "False");
}

#[test]
fn variables_of_the_user_stay() {
    let variables = [
        ("PATH", "/bin"),
        ("MY_TOKEN", "mine"),
        ("AIRFLOW_CONN_DB", "postgresql://x"),
        ("AIRFLOW_VAR_COLOUR", "blue"),
        ("AIRFLOW__MY_SECTION__KEY", "value"),
        ("AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS", "{}"),
    ];
    let child = child("", &variables);
    for (name, value) in variables {
        assert_eq!(child[name], value);
    }
}

#[test]
fn the_servers_secrets_backend_stays_with_the_server_and_what_it_gave_for_tasks_does_not() {
    let variables = [
        ("AIRFLOW__SECRETS__BACKEND", "vault.Vault"),
        ("AIRFLOW__SECRETS__BACKEND_KWARGS", "{\"token\": \"t\"}"),
        ("AIRFLOW__SECRETS__BACKEND_KWARG__TOKEN", "t"),
        ("AIRFLOW__WORKERS__SECRETS_BACKEND", "vault.OfWorkers"),
        ("AIRFLOW__WORKERS__SECRETS_BACKEND_KWARG__TOKEN", "w"),
        ("AIRFLOW__SENTRY__SENTRY_DSN_SECRET", "dsn"),
        ("AIRFLOW__API__SECRET_KEY_SECRET", "key"),
    ];
    let child = child("", &variables);
    assert_eq!(child["AIRFLOW__SECRETS__BACKEND"], "");
    for name in ["BACKEND_KWARGS", "BACKEND_KWARG__TOKEN"] {
        let name = format!("AIRFLOW__SECRETS__{name}");
        assert!(!child.contains_key(&name), "{name}");
    }
    assert_eq!(
        child["AIRFLOW__WORKERS__SECRETS_BACKEND"],
        "vault.OfWorkers"
    );
    assert_eq!(child["AIRFLOW__WORKERS__SECRETS_BACKEND_KWARG__TOKEN"], "w");
    assert_eq!(
        child["AIRFLOW__SENTRY__SENTRY_DSN"],
        "vault.Vault holds dsn"
    );
    assert!(!child.contains_key("AIRFLOW__API__SECRET_KEY"));
    let settings = settings("", &variables).unwrap();
    let arguments: Vec<_> = settings.secrets.backend_kwarg.keys().collect();
    assert_eq!(arguments, ["token"]);
}
