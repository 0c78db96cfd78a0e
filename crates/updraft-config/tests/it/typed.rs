//! Values become what the components work with.

use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;
use updraft_config::{
    Environment, IgnoreFileSyntax, InstallationKeys, LogLevel, Lookups, OptionKind, OptionTable,
    Settings, SimpleUser, WorkerAutoscale, starter_file,
};

use crate::settings;

#[test]
fn an_empty_installation_has_good_settings() {
    let settings = settings("", &[]).unwrap();
    assert_eq!(settings.core.dags_folder, Path::new("/airflow-home/dags"));
    assert_eq!(settings.core.parallelism, 32);
    assert_eq!(settings.core.executors, ["LocalExecutor"]);
    assert_eq!(settings.core.dag_ignore_file_syntax, IgnoreFileSyntax::Glob);
    assert_eq!(settings.core.default_pool_task_slot_count, Some(128));
    assert_eq!(settings.scheduler.heartbeat, Duration::from_secs(5));
    assert_eq!(
        settings.database.url.to_string(),
        "sqlite:////airflow-home/updraft.db"
    );
    assert_eq!(settings.dag_processor.bundles[0].name, "dags-folder");
    assert_eq!(settings.logging.new_file_permissions, 0o664);
    assert_eq!(settings.api.base_url, None);
    assert!(settings.core.fernet_keys.is_empty());
    assert!(settings.warnings.is_empty());
}

#[test]
fn every_kind_of_value_is_read() {
    let file = "[core]\nexecutor = LocalExecutor, CeleryExecutor\n\
                simple_auth_manager_users = ada:Admin, bob:viewer\n\
                default_pool_task_slot_count = -1\n\
                rerun_with_latest_version = t\n\
                default_timezone = Europe/Amsterdam\n\
                [logging]\nnamespace_levels = sqlalchemy=INFO botocore=WARN\n\
                [celery]\nworker_autoscale = 16, 4\n\
                [callbacks]\ncallback_execution_timeout = 1.5\n";
    let settings = settings(file, &[]).unwrap();
    assert_eq!(settings.core.executors, ["LocalExecutor", "CeleryExecutor"]);
    let ada = SimpleUser {
        name: "ada".into(),
        role: "admin".into(),
        teams: vec![],
    };
    assert_eq!(settings.core.simple_auth_manager_users[0], ada);
    assert_eq!(settings.core.default_pool_task_slot_count, None);
    assert_eq!(settings.core.rerun_with_latest_version, Some(true));
    assert_eq!(
        settings.core.default_timezone.iana_name(),
        Some("Europe/Amsterdam")
    );
    assert_eq!(
        settings.logging.namespace_levels[1],
        ("botocore".into(), LogLevel::Warning)
    );
    let autoscale = settings.celery.worker_autoscale;
    assert_eq!(autoscale, Some(WorkerAutoscale { most: 16, least: 4 }));
    let timeout = settings.callbacks.callback_execution_timeout;
    assert_eq!(timeout, Some(Duration::from_millis(1500)));
}

#[test]
fn a_secret_may_come_from_a_command_or_a_backend() {
    let file = "[secrets]\nbackend = my.Vault\n[api]\nsecret_key_secret = cookie\n\
                [api_auth]\njwt_secret_secret = nowhere\n";
    let variables = [("AIRFLOW__CELERY__RESULT_BACKEND_CMD", "redis://cmd\n")];
    let settings = settings(file, &variables).unwrap();
    let secret_key = settings.api.secret_key.unwrap();
    assert_eq!(secret_key.expose_secret(), "my.Vault holds cookie");
    assert!(settings.api_auth.jwt_secret.is_none());
    let result_backend = settings.celery.result_backend.unwrap();
    assert_eq!(result_backend.expose_secret(), "REDIS://CMD");
}

#[test]
fn debug_shows_no_secret() {
    let key = "hunter2hunter2hunter2hunter2hunter2hunter2h=";
    let file = format!("[core]\nfernet_key = {key}\n");
    let variables = [
        (
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
            "postgresql://ada:hunter2@db/airflow",
        ),
        ("AIRFLOW__API_AUTH__JWT_SECRET", "hunter2"),
        ("AIRFLOW__CELERY__BROKER_URL", "redis://:hunter2@broker/0"),
        (
            "AIRFLOW__SECRETS__BACKEND_KWARGS",
            "{\"password\": \"hunter2\"}",
        ),
        ("AIRFLOW__WEBSERVER__SECRET_KEY", "hunter2"),
    ];
    let shown = format!("{:#?}", settings(&file, &variables).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    let shown = format!("{:?}", crate::environment(&variables));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_file_that_airflow_writes_at_its_first_start_is_good() {
    // `testdata/stock.cfg` is such a file without its comments.
    let settings = settings(include_str!("../../testdata/stock.cfg"), &[]).unwrap();
    assert_eq!(settings.core.fernet_keys.len(), 1);
    assert_eq!(settings.dag_processor.bundles[0].name, "dags-folder");
    assert_eq!(
        settings.database.url.to_string(),
        "sqlite:////airflow-home/updraft.db"
    );
    let warnings: Vec<String> = settings.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings.len(),
        1,
        "only Airflow's own database file: {warnings:?}"
    );
}

#[test]
fn the_file_that_we_write_at_the_first_start_is_good() {
    let fernet_key = "hunter2hunter2hunter2hunter2hunter2hunter2h=";
    let keys = InstallationKeys {
        fernet_key,
        secret_key: "100%",
        jwt_secret: "b",
    };
    let settings = settings(&starter_file(&keys), &[]).unwrap();
    assert_eq!(settings.core.fernet_keys[0].expose_secret(), fernet_key);
    assert_eq!(settings.api.secret_key.unwrap().expose_secret(), "100%");
    assert_eq!(settings.api_auth.jwt_secret.unwrap().expose_secret(), "b");
    assert!(settings.warnings.is_empty());
}

#[test]
fn the_file_on_disk_is_read_and_a_missing_one_is_empty() {
    let home = std::env::temp_dir().join(format!("updraft-config-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let environment: Environment = [("AIRFLOW_HOME".to_owned(), home.display().to_string())]
        .into_iter()
        .collect();
    let load = || {
        Settings::load(&environment, &Lookups::of_machine())
            .unwrap()
            .core
            .parallelism
    };
    assert_eq!(load(), 32);
    std::fs::write(home.join("airflow.cfg"), "[core]\nparallelism = 5\n").unwrap();
    assert_eq!(load(), 5);
    std::fs::remove_dir_all(&home).unwrap();
}

#[test]
fn every_default_of_the_table_fits_its_type() {
    let table = OptionTable::built_in();
    let mut count = 0;
    for section in table.sections() {
        for (key, option) in table.options(section) {
            count += 1;
            // Empty means unset, for options of any type.
            let default = option.default_in(Path::new("/home")).unwrap_or_default();
            let fits = match option.kind {
                OptionKind::Boolean => ["true", "false", ""].contains(&&*default.to_lowercase()),
                OptionKind::Float => default.is_empty() || default.parse::<f64>().is_ok(),
                OptionKind::Integer => default.is_empty() || default.parse::<i64>().is_ok(),
                OptionKind::String => !default.contains("{AIRFLOW_HOME}"),
            };
            assert!(fits, "[{section}] {key}: {default}");
        }
    }
    assert!(count > 400);
}
