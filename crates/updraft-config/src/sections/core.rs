use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use secrecy::SecretString;

use crate::section::Section;

/// `[core]`.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// `dags_folder`: folder that is searched for Dag files.
    pub dags_folder: PathBuf,
    /// `plugins_folder`: folder whose Python files every child loads as plugins.
    pub plugins_folder: PathBuf,
    /// `load_examples`: also load the example Dags that come with the Airflow package.
    pub load_examples: bool,
    /// `default_timezone`: time zone of dates without one: `utc`, `system` or an IANA name.
    pub default_timezone: TimeZone,
    /// `executor`: executors between commas; the first runs tasks that name none.
    pub executors: Vec<String>,
    /// `parallelism`: task instances that one scheduler lets run at a time; 0 means no limit.
    pub parallelism: u32,
    /// `max_active_tasks_per_dag`: running task instances per Dag run, unless the Dag says.
    pub max_active_tasks_per_dag: u32,
    /// `max_active_runs_per_dag`: running Dag runs per Dag, unless the Dag says.
    pub max_active_runs_per_dag: u32,
    /// `max_consecutive_failed_dag_runs_per_dag`: failed runs in a row after which a Dag is
    /// paused, unless the Dag says; 0 means never.
    pub max_consecutive_failed_dag_runs_per_dag: u32,
    /// `dags_are_paused_at_creation`: a Dag that is seen for the first time starts paused.
    pub dags_are_paused_at_creation: bool,
    /// `default_pool_task_slot_count`: slots of `default_pool` when it is created; -1 means no
    /// limit.
    pub default_pool_task_slot_count: Option<u32>,
    /// `max_task_retry_delay`: longest pause that exponential backoff may reach.
    pub max_task_retry_delay: Duration,
    /// `max_map_length`: most task instances that one mapped task may expand to.
    pub max_map_length: u32,
    /// `killed_task_cleanup_time`: time between SIGTERM and SIGKILL when a task is stopped.
    pub killed_task_cleanup_time: Duration,
    /// `task_success_overtime`: time a task process may take to end after it reported success.
    pub task_success_overtime: Duration,
    /// `dag_run_conf_overrides_params`: the conf of a Dag run replaces the Dag's params.
    pub dag_run_conf_overrides_params: bool,
    /// `rerun_with_latest_version`: a cleared run uses the newest Dag version, unless asked
    /// otherwise; empty leaves the choice to each place that asks.
    pub rerun_with_latest_version: Option<bool>,
    /// `allow_double_dot_in_ids`: accept `..` in the ids of Dags, runs and tasks.
    pub allow_double_dot_in_ids: bool,
    /// `dagbag_import_timeout`: time one Dag file may take to import; 0 means no limit.
    pub dagbag_import_timeout: Option<Duration>,
    /// `dag_discovery_safe_mode`: only import files that mention both `dag` and `airflow`.
    pub dag_discovery_safe_mode: bool,
    /// `dag_ignore_file_syntax`: how `.airflowignore` is written: `glob` or `regexp`.
    pub dag_ignore_file_syntax: IgnoreFileSyntax,
    /// `min_serialized_dag_update_interval`: shortest time between two writes of one Dag.
    pub min_serialized_dag_update_interval: Duration,
    /// `num_dag_runs_to_retain_rendered_fields`: Dag runs per task whose rendered fields are
    /// kept; 0 keeps all.
    pub num_dag_runs_to_retain_rendered_fields: u32,
    /// `max_templated_field_length`: characters of a rendered field that are kept.
    pub max_templated_field_length: u32,
    /// `fernet_key`: keys that encrypt connections and variables at rest, between commas; the
    /// first encrypts, all decrypt.
    pub fernet_keys: Vec<SecretString>,
    /// `hide_sensitive_var_conn_fields`: hide passwords and the like in the UI and in logs.
    pub hide_sensitive_var_conn_fields: bool,
    /// `sensitive_var_conn_names`: more names, between commas, that mark a value as secret.
    pub sensitive_var_conn_names: Vec<String>,
    /// `test_connection`: whether the UI and the API may test connections: `Enabled`,
    /// `Disabled` or `Hidden`.
    pub test_connection: ConnectionTest,
    /// `hostname_callable`: Python function that names this machine in rows and log URLs.
    pub hostname_callable: String,
    /// `default_impersonation`: user that tasks run as when they name none.
    pub default_impersonation: Option<String>,
    /// `execution_api_server_url`: where remote workers find the Task Execution API; empty
    /// derives it from `[api] base_url`.
    pub execution_api_server_url: Option<String>,
    /// `auth_manager`: Python class of the auth manager; only Airflow's simple one is built in.
    pub auth_manager: String,
    /// `simple_auth_manager_users`: `name:role` pairs between commas; `name:role:team|team` with
    /// `multi_team`.
    pub simple_auth_manager_users: Vec<SimpleUser>,
    /// `simple_auth_manager_all_admins`: nobody logs in and everybody is admin.
    pub simple_auth_manager_all_admins: bool,
    /// `simple_auth_manager_passwords_file`: file that holds the generated passwords.
    pub simple_auth_manager_passwords_file: Option<PathBuf>,
    /// `multi_team`: separate teams by bundle, pool, connection and variable.
    pub multi_team: bool,
    /// `daemon_umask`: umask of a process that was started with `--daemon`.
    pub daemon_umask: u32,
}

/// How `.airflowignore` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoreFileSyntax {
    /// As `.gitignore`.
    Glob,
    /// One regular expression a line.
    Regexp,
}

/// Whether connections may be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionTest {
    /// They may.
    Enabled,
    /// The button is there and the API refuses.
    Disabled,
    /// The UI does not show the button either.
    Hidden,
}

/// One user of the simple auth manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimpleUser {
    /// Log-in name.
    pub name: String,
    /// `viewer`, `user`, `op` or `admin`.
    pub role: String,
    /// Teams the user belongs to, with `multi_team`.
    pub teams: Vec<String>,
}

const ROLES: [&str; 4] = ["viewer", "user", "op", "admin"];

impl CoreConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            dags_folder: section.path("dags_folder"),
            plugins_folder: section.path("plugins_folder"),
            load_examples: section.flag("load_examples"),
            default_timezone: section.required(
                "default_timezone",
                "utc, system or a time zone such as Europe/Amsterdam",
                time_zone,
            ),
            executors: section.required("executor", "the name of an executor", executors),
            parallelism: section.count("parallelism"),
            max_active_tasks_per_dag: section.count("max_active_tasks_per_dag"),
            max_active_runs_per_dag: section.count("max_active_runs_per_dag"),
            max_consecutive_failed_dag_runs_per_dag: section
                .count("max_consecutive_failed_dag_runs_per_dag"),
            dags_are_paused_at_creation: section.flag("dags_are_paused_at_creation"),
            default_pool_task_slot_count: section.bound("default_pool_task_slot_count"),
            max_task_retry_delay: section.seconds("max_task_retry_delay"),
            max_map_length: section.count("max_map_length"),
            killed_task_cleanup_time: section.seconds("killed_task_cleanup_time"),
            task_success_overtime: section.seconds("task_success_overtime"),
            dag_run_conf_overrides_params: section.flag("dag_run_conf_overrides_params"),
            rerun_with_latest_version: section.optional_flag("rerun_with_latest_version"),
            allow_double_dot_in_ids: section.flag("allow_double_dot_in_ids"),
            dagbag_import_timeout: section.seconds_unless_zero("dagbag_import_timeout"),
            dag_discovery_safe_mode: section.flag("dag_discovery_safe_mode"),
            dag_ignore_file_syntax: section.choice(
                "dag_ignore_file_syntax",
                &[
                    ("regexp", IgnoreFileSyntax::Regexp),
                    ("glob", IgnoreFileSyntax::Glob),
                ],
            ),
            min_serialized_dag_update_interval: section
                .seconds("min_serialized_dag_update_interval"),
            num_dag_runs_to_retain_rendered_fields: section
                .count("num_dag_runs_to_retain_rendered_fields"),
            max_templated_field_length: section.count("max_templated_field_length"),
            fernet_keys: section.required("fernet_key", "Fernet keys between commas", fernet_keys),
            hide_sensitive_var_conn_fields: section.flag("hide_sensitive_var_conn_fields"),
            sensitive_var_conn_names: section.list("sensitive_var_conn_names"),
            test_connection: section.required(
                "test_connection",
                "one of Disabled, Enabled, Hidden",
                connection_test,
            ),
            hostname_callable: section.text("hostname_callable"),
            default_impersonation: section.optional_text("default_impersonation"),
            execution_api_server_url: section.optional_text("execution_api_server_url"),
            auth_manager: section.text("auth_manager"),
            simple_auth_manager_users: section
                .optional(
                    "simple_auth_manager_users",
                    "name:role pairs between commas",
                    users,
                )
                .unwrap_or_default(),
            simple_auth_manager_all_admins: section.flag("simple_auth_manager_all_admins"),
            simple_auth_manager_passwords_file: section
                .optional_path("simple_auth_manager_passwords_file"),
            multi_team: section.flag("multi_team"),
            daemon_umask: section.mode("daemon_umask"),
        }
    }
}

fn time_zone(text: &str) -> Option<TimeZone> {
    match text {
        "utc" | "UTC" => Some(TimeZone::UTC),
        "system" => Some(TimeZone::system()),
        name => TimeZone::get(name).ok(),
    }
}

fn executors(text: &str) -> Option<Vec<String>> {
    let names: Vec<String> = crate::convert::list(text);
    (!names.is_empty() && names.iter().all(|name| !name.is_empty())).then_some(names)
}

/// A Fernet key is 32 bytes in URL-safe base64: 44 characters with the padding.
fn fernet_keys(text: &str) -> Option<Vec<SecretString>> {
    const KEY_CHARS: usize = 44;
    let is_key = |key: &str| {
        key.len() == KEY_CHARS
            && key.ends_with('=')
            && key[..KEY_CHARS - 1]
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
    keys.map(|key| is_key(key).then(|| SecretString::from(key)))
        .collect()
}

fn connection_test(text: &str) -> Option<ConnectionTest> {
    match text.to_lowercase().as_str() {
        "enabled" => Some(ConnectionTest::Enabled),
        "disabled" => Some(ConnectionTest::Disabled),
        "hidden" => Some(ConnectionTest::Hidden),
        _ => None,
    }
}

fn users(text: &str) -> Option<Vec<SimpleUser>> {
    crate::convert::list(text)
        .iter()
        .map(|entry| user(entry))
        .collect()
}

fn user(entry: &str) -> Option<SimpleUser> {
    let (name, rest) = entry.split_once(':')?;
    let (role, teams) = rest.split_once(':').unwrap_or((rest, ""));
    let role = role.to_lowercase();
    if name.is_empty() || !ROLES.contains(&role.as_str()) {
        return None;
    }
    let teams = teams
        .split('|')
        .filter(|team| !team.is_empty())
        .map(str::to_owned)
        .collect();
    Some(SimpleUser {
        name: name.to_owned(),
        role,
        teams,
    })
}
