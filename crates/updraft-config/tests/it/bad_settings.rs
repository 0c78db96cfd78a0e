//! Every bad setting is reported, at once, with its origin, and without secrets.

use insta::assert_snapshot;

use crate::settings;

fn complaint(file: &str, variables: &[(&str, &str)]) -> String {
    settings(file, variables)
        .expect_err("the settings are bad")
        .to_string()
}

#[test]
fn all_bad_settings_are_reported_at_once_with_their_origin() {
    let file = "[core]\nparallelism = many\ndefault_timezone = Middle/Earth\n\
                [api]\nport = 99999\nssl_cert = /etc/cert.pem\n\
                [logging]\nlogging_level = LOUD\nnamespace_levels = sqlalchemy=QUIET\n";
    let variables = [
        ("AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC", "-1"),
        ("AIRFLOW__CORE__LOAD_EXAMPLES", "yes"),
        ("AIRFLOW__WEBSERVER__WORKERS", "2"),
        ("AIRFLOW__CELERY__WORKER_AUTOSCALE", "4,16"),
    ];
    assert_snapshot!(complaint(file, &variables), @r#"
    9 settings are wrong:
      [api] port: expected a port (0 to 65535), found "99999" (from /airflow-home/airflow.cfg, line 5)
      [api] ssl_cert: HTTPS needs both ssl_cert and ssl_key; only one is set
      [celery] worker_autoscale: expected two counts such as 16,4, found "4,16" (from environment variable AIRFLOW__CELERY__WORKER_AUTOSCALE)
      [core] load_examples: expected True or False, found "yes" (from environment variable AIRFLOW__CORE__LOAD_EXAMPLES)
      [core] default_timezone: expected utc, system or a time zone such as Europe/Amsterdam, found "Middle/Earth" (from /airflow-home/airflow.cfg, line 3)
      [core] parallelism: expected a count, found "many" (from /airflow-home/airflow.cfg, line 2)
      [logging] logging_level: expected one of CRITICAL, FATAL, ERROR, WARN, WARNING, INFO, DEBUG, found "LOUD" (from /airflow-home/airflow.cfg, line 8)
      [logging] namespace_levels: expected logger=LEVEL pairs, found "sqlalchemy=QUIET" (from /airflow-home/airflow.cfg, line 9)
      [scheduler] scheduler_heartbeat_sec: expected a number of seconds, found "-1" (from environment variable AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC)
    "#);
}

#[test]
fn a_secret_is_never_quoted() {
    let variables = [
        ("AIRFLOW__CORE__FERNET_KEY", "hunter2"),
        (
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
            "mysql://ada:hunter2@db/airflow",
        ),
        ("AIRFLOW__CELERY__BROKER_URL", "hunter2"),
    ];
    let complaint = complaint("", &variables);
    assert!(!complaint.contains("hunter2"), "{complaint}");
    assert_snapshot!(complaint, @r#"
    3 settings are wrong:
      [celery] broker_url: expected the URL of a broker, found a hidden value (from environment variable AIRFLOW__CELERY__BROKER_URL)
      [core] fernet_key: expected Fernet keys between commas, found a hidden value (from environment variable AIRFLOW__CORE__FERNET_KEY)
      [database] sql_alchemy_conn: expected a sqlite:// or postgresql:// URL (MySQL is not supported), found a hidden value (from environment variable AIRFLOW__DATABASE__SQL_ALCHEMY_CONN)
    "#);
}

#[test]
fn what_cannot_be_obtained_is_reported_with_the_place_that_asks_for_it() {
    let file = "[core]\nfernet_key_cmd = false\n[api]\nsecret_key_secret = broken\n\
                [secrets]\nbackend = my.Vault\n[logging]\nlog_format = %(nothing)s\n";
    let variables = [
        ("AIRFLOW__API_AUTH__JWT_SECRET_CMD", "false"),
        ("AIRFLOW__CORE__DAGS_FOLDER", "$LOOP/dags"),
        ("LOOP", "$LOOP/more"),
    ];
    assert_snapshot!(complaint(file, &variables), @r#"
    5 settings are wrong:
      [api] secret_key: my.Vault does not answer (from the secrets backend, named by /airflow-home/airflow.cfg, line 4)
      [api_auth] jwt_secret: "false" ended with exit status: 1 (from the command in environment variable AIRFLOW__API_AUTH__JWT_SECRET_CMD)
      [core] dags_folder: the value refers to itself through environment variables (from environment variable AIRFLOW__CORE__DAGS_FOLDER)
      [core] fernet_key: "false" ended with exit status: 1 (from the command in /airflow-home/airflow.cfg, line 2)
      [logging] log_format: %(nothing)s names no option of [logging] (from /airflow-home/airflow.cfg, line 8)
    "#);
}

#[test]
fn every_bad_line_of_the_file_is_reported() {
    let file = "early = 1\n[core]\nparallelism\nparallelism = 1\nparallelism = 2\n= 3\n[core]\n";
    assert_snapshot!(complaint(file, &[]), @r#"
    5 settings are wrong:
      /airflow-home/airflow.cfg, line 1: an option before the first [section] header
      /airflow-home/airflow.cfg, line 3: expected `option = value`; a continuation line is indented
      /airflow-home/airflow.cfg, line 5: option "parallelism" is there twice in [core]
      /airflow-home/airflow.cfg, line 6: the name of the option is missing
      /airflow-home/airflow.cfg, line 7: section [core] is there twice; merge the two
    "#);
}

#[test]
fn good_values_that_do_not_go_together_are_reported() {
    let bundles = r#"[{"name": "a", "classpath": "x.Y", "kwargs": {}, "team_name": "red"},
        {"name": "a", "classpath": "x.Y", "kwargs": {}},
        {"name": "example_dags", "classpath": "x.Y", "kwargs": {}}]"#;
    let variables = [
        ("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", bundles),
        (
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS",
            "ada:admin,bob:viewer:red|blue",
        ),
    ];
    assert_snapshot!(complaint("", &variables), @r#"
    4 settings are wrong:
      [dag_processor] dag_bundle_config_list: two bundles are named "a"
      [dag_processor] dag_bundle_config_list: the name "example_dags" is Airflow's own; use [core] load_examples instead
      [dag_processor] dag_bundle_config_list: "a" belongs to a team, and [core] multi_team is off
      [core] simple_auth_manager_users: "bob" belongs to a team, and [core] multi_team is off
    "#);
}

#[test]
fn what_should_be_changed_is_a_warning_and_no_error() {
    let file = "[core]\nexecutor = SequentialExecutor\nparalelism = 4\n\
                [database]\nsql_alchemy_conn = sqlite:////airflow-home/airflow.db\n";
    let variables = [
        ("AIRFLOW__WEBSERVER__WEB_SERVER_PORT", "8888"),
        ("AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES", "5"),
        ("AIRFLOW__SECRETS__BACKEND_KWARG__ROLE_ID", "x"),
    ];
    let settings = settings(file, &variables).unwrap();
    let warnings: Vec<String> = settings.warnings.iter().map(ToString::to_string).collect();
    assert_snapshot!(warnings.join("\n"), @r#"
    [webserver] web_server_port is now [api] port; the old name was used (from environment variable AIRFLOW__WEBSERVER__WEB_SERVER_PORT)
    [core] paralelism is not an option that Updraft knows (from /airflow-home/airflow.cfg, line 3)
    [core] executor: its old value counts as "LocalExecutor" (from /airflow-home/airflow.cfg, line 2)
    [database] sql_alchemy_conn: airflow.db holds Airflow's own schema; updraft.db beside it is used
    "#);
    assert_eq!(settings.api.port, 8888);
    assert_eq!(
        settings.database.url.to_string(),
        "sqlite:////airflow-home/updraft.db"
    );
}
