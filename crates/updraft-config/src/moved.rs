//! Options that Airflow 3 gave a new name and still reads under the old one.

type Name = (&'static str, &'static str);

/// Old name, new name. A name can be old for one option and new for another.
const MOVED: [(Name, Name); 36] = [
    (
        ("core", "dag_file_processor_timeout"),
        ("dag_processor", "dag_file_processor_timeout"),
    ),
    (
        ("scheduler", "dag_dir_list_interval"),
        ("dag_processor", "refresh_interval"),
    ),
    (("webserver", "base_url"), ("api", "base_url")),
    (("webserver", "web_server_host"), ("api", "host")),
    (("webserver", "web_server_port"), ("api", "port")),
    (("webserver", "workers"), ("api", "workers")),
    (
        ("webserver", "web_server_worker_timeout"),
        ("api", "worker_timeout"),
    ),
    (("webserver", "web_server_ssl_cert"), ("api", "ssl_cert")),
    (("webserver", "web_server_ssl_key"), ("api", "ssl_key")),
    (("webserver", "access_logfile"), ("api", "access_logfile")),
    (("triggerer", "default_capacity"), ("triggerer", "capacity")),
    (("webserver", "expose_config"), ("api", "expose_config")),
    (
        ("webserver", "access_denied_message"),
        ("fab", "access_denied_message"),
    ),
    (("webserver", "expose_hostname"), ("fab", "expose_hostname")),
    (("webserver", "navbar_color"), ("fab", "navbar_color")),
    (
        ("webserver", "navbar_text_color"),
        ("fab", "navbar_text_color"),
    ),
    (
        ("webserver", "navbar_hover_color"),
        ("fab", "navbar_hover_color"),
    ),
    (
        ("webserver", "navbar_text_hover_color"),
        ("fab", "navbar_text_hover_color"),
    ),
    (("webserver", "secret_key"), ("api", "secret_key")),
    (
        ("webserver", "enable_swagger_ui"),
        ("api", "enable_swagger_ui"),
    ),
    (
        ("scheduler", "parsing_pre_import_modules"),
        ("dag_processor", "parsing_pre_import_modules"),
    ),
    (
        ("webserver", "grid_view_sorting_order"),
        ("api", "grid_view_sorting_order"),
    ),
    (
        ("webserver", "log_fetch_timeout_sec"),
        ("api", "log_fetch_timeout_sec"),
    ),
    (
        ("webserver", "hide_paused_dags_by_default"),
        ("api", "hide_paused_dags_by_default"),
    ),
    (
        ("core", "max_num_rendered_ti_fields_per_task"),
        ("core", "num_dag_runs_to_retain_rendered_fields"),
    ),
    (("webserver", "page_size"), ("api", "page_size")),
    (("webserver", "default_wrap"), ("api", "default_wrap")),
    (
        ("webserver", "auto_refresh_interval"),
        ("api", "auto_refresh_interval"),
    ),
    (
        ("webserver", "require_confirmation_dag_change"),
        ("api", "require_confirmation_dag_change"),
    ),
    (("webserver", "instance_name"), ("api", "instance_name")),
    (("api", "access_logfile"), ("api", "log_config")),
    (
        ("scheduler", "running_metrics_interval"),
        ("scheduler", "ti_metrics_interval"),
    ),
    (("api", "page_size"), ("api", "fallback_page_limit")),
    (
        ("workers", "missing_dag_retires"),
        ("workers", "missing_dag_retries"),
    ),
    (
        ("workers", "execution_api_server_url"),
        ("core", "execution_api_server_url"),
    ),
    (
        ("core", "sql_alchemy_conn"),
        ("database", "sql_alchemy_conn"),
    ),
];

/// The name under which the option was known before.
pub(crate) fn old_name(section: &str, key: &str) -> Option<Name> {
    MOVED
        .iter()
        .find(|(_, new)| *new == (section, key))
        .map(|(old, _)| *old)
}

/// The name that replaces this one. Where two options claim it, the later entry counts.
pub(crate) fn new_name(section: &str, key: &str) -> Option<Name> {
    MOVED
        .iter()
        .rev()
        .find(|(old, _)| *old == (section, key))
        .map(|(_, new)| *new)
}
