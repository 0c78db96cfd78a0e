//! What the Python children get to see of the settings.
//!
//! A child reads the same `airflow.cfg` and the same variables with Airflow's own code, so it
//! would come to the same answers; what it acts on is handed down all the same, because the
//! answers of the parent are the ones that count. What could open the store or sign a token is
//! taken away: variables are removed, and a secret that stands in the file is covered by a
//! variable that says nothing. Variables of the user's own stay: Dags rely on them.

use std::collections::BTreeMap;

use crate::moved;
use crate::resolve::{BACKEND_ARGUMENT, VARIABLE_PREFIX, variable_name};
use crate::settings::Settings;
use crate::value::{Obtained, Origin, Value};

/// Sections that are taken away whole.
const FORBIDDEN_SECTIONS: [&str; 5] = [
    "api_auth",
    "celery",
    "celery_broker_transport_options",
    "celery_result_backend_transport_options",
    "database",
];

/// Single options that are taken away, also under the names they had in Airflow 2.
const FORBIDDEN_OPTIONS: [(&str, &str); 5] = [
    ("api", "secret_key"),
    ("core", "fernet_key"),
    ("core", "sql_alchemy_conn"),
    ("secrets", "backend_kwargs"),
    ("webserver", "secret_key"),
];

/// Options that Dag code acts on, by section.
const HANDED_DOWN: [(&str, &[&str]); 6] = [
    (
        "core",
        &[
            "allowed_deserialization_classes",
            "allowed_deserialization_classes_regexp",
            "dag_discovery_safe_mode",
            "dag_ignore_file_syntax",
            "dagbag_import_error_traceback_depth",
            "dagbag_import_error_tracebacks",
            "dagbag_import_timeout",
            "dags_folder",
            "default_impersonation",
            "default_task_execution_timeout",
            "default_task_retries",
            "default_task_retry_delay",
            "default_task_weight_rule",
            "default_timezone",
            "executor",
            "hostname_callable",
            "max_active_runs_per_dag",
            "max_active_tasks_per_dag",
            "max_consecutive_failed_dag_runs_per_dag",
            "max_map_length",
            "max_task_retry_delay",
            "max_templated_field_length",
            "multi_team",
            "plugins_folder",
            "sensitive_var_conn_names",
            "task_success_overtime",
            "xcom_backend",
        ],
    ),
    (
        "scheduler",
        &[
            "catchup_by_default",
            "create_cron_data_intervals",
            "create_delta_data_intervals",
        ],
    ),
    (
        "dag_processor",
        &[
            "dag_bundle_config_list",
            "dag_bundle_storage_path",
            "dag_version_inflation_check_level",
        ],
    ),
    (
        "workers",
        &[
            "missing_dag_retries",
            "missing_dag_retry_delay",
            "secrets_backend",
            "secrets_backend_kwargs",
        ],
    ),
    (
        "logging",
        &[
            "base_log_folder",
            "logging_level",
            "min_length_masked_secret",
            "namespace_levels",
        ],
    ),
    ("api", &["base_url"]),
];

/// Sections that are handed down whole.
const HANDED_DOWN_SECTIONS: [&str; 8] = [
    "email",
    "metrics",
    "operators",
    "sensors",
    "sentry",
    "smtp",
    "traces",
    "triggerer",
];

/// Stands for the metadata database where `airflow.cfg` names the real one: a valid URL, since
/// an import of Airflow parses it, with nothing behind it.
const NO_DATABASE: &str = "sqlite:////dev/null";

impl Settings {
    /// The environment of a Python child, given the one that this process got.
    pub fn child_environment<I>(&self, inherited: I) -> Vec<(String, String)>
    where
        I: IntoIterator<Item = (String, String)>,
    {
        let allowed = inherited
            .into_iter()
            .filter(|(name, _)| !is_forbidden_variable(name));
        let mut child: BTreeMap<String, String> = allowed.collect();
        for (section, key, value) in self.values.iter() {
            let is_known_elsewhere = !value.is_sensitive() || is_of_backend(value);
            if is_handed_down(section, key) && is_known_elsewhere {
                child.insert(variable_name(section, key), value.text().to_owned());
            }
        }
        for (section, key) in self.forbidden_secrets_in_file() {
            let cover = if key == "sql_alchemy_conn" {
                NO_DATABASE
            } else {
                ""
            };
            child.insert(variable_name(section, key), cover.to_owned());
        }
        let fixed = [
            (
                "AIRFLOW_HOME",
                self.values.home.to_string_lossy().into_owned(),
            ),
            (
                "AIRFLOW_CONFIG",
                self.values.file.to_string_lossy().into_owned(),
            ),
            // Children ask their parent for what is in the store, and in the backend of the
            // server, whose arguments they do not get. (Without one of the workers they would
            // load it themselves.)
            ("AIRFLOW__SECRETS__BACKEND", String::new()),
            ("_AIRFLOW_PROCESS_CONTEXT", "client".to_owned()),
            // The parent decides which bundles there are.
            ("AIRFLOW__CORE__LOAD_EXAMPLES", "False".to_owned()),
            // A log file wants no colour.
            ("AIRFLOW__LOGGING__COLORED_CONSOLE_LOG", "False".to_owned()),
        ];
        child.extend(fixed.map(|(name, value)| (name.to_owned(), value)));
        child.into_iter().collect()
    }

    /// Forbidden secrets that stand in the file in any form, also where a variable beats them:
    /// the child does not get that variable.
    fn forbidden_secrets_in_file(&self) -> impl Iterator<Item = (&str, &str)> {
        let in_file = |section: &str, key: &str| {
            let forms = [
                key.to_owned(),
                format!("{key}_cmd"),
                format!("{key}_secret"),
            ];
            forms
                .iter()
                .any(|key| self.values.written().get(section, key).is_some())
        };
        let table = self.values.table();
        let secrets = table.sections().flat_map(move |section| {
            let options = table
                .options(section)
                .filter(|(_, option)| option.sensitive);
            options.map(move |(key, _)| (section, key))
        });
        secrets.filter(move |(section, key)| {
            is_forbidden(section, key)
                && (in_file(section, key)
                    || moved::old_name(section, key).is_some_and(|(old, key)| in_file(old, key)))
        })
    }
}

fn is_handed_down(section: &str, key: &str) -> bool {
    HANDED_DOWN_SECTIONS.contains(&section)
        || HANDED_DOWN
            .iter()
            .any(|(name, keys)| *name == section && keys.contains(&key))
}

/// Whether the parent got it from a secrets backend, where the child cannot look.
fn is_of_backend(value: &Value) -> bool {
    let (Origin::Environment { obtained, .. } | Origin::File { obtained, .. }) = &value.origin
    else {
        return false;
    };
    *obtained == Obtained::FromSecretsBackend
}

fn is_forbidden(section: &str, key: &str) -> bool {
    FORBIDDEN_SECTIONS.contains(&section)
        || FORBIDDEN_OPTIONS.contains(&(section, key))
        || (section == "secrets" && key.starts_with(BACKEND_ARGUMENT))
}

/// Whether the variable sets a forbidden option, directly, by command or by secret, for
/// everybody or, as `AIRFLOW__TEAM___SECTION__KEY`, for one team.
fn is_forbidden_variable(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else {
        return false;
    };
    let rest = rest.to_lowercase();
    let scoped = rest
        .rsplit_once("___")
        .map_or(rest.as_str(), |(_team, option)| option);
    [rest.as_str(), scoped].iter().any(|option| {
        let Some((section, key)) = option.split_once("__") else {
            return false;
        };
        let key = key
            .strip_suffix("_cmd")
            .or_else(|| key.strip_suffix("_secret"))
            .unwrap_or(key);
        // `jwt_secret` and the like lose their own ending above, so both spellings count.
        is_forbidden(section, key) || is_forbidden(section, &option[section.len() + 2..])
    })
}
