use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::section::Section;

/// `[api]`.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// `base_url`: address under which users reach this installation; empty derives it from
    /// the request.
    pub base_url: Option<String>,
    /// `host`: address to listen on.
    pub host: String,
    /// `port`: port to listen on.
    pub port: u16,
    /// `ssl_cert`: certificate file; together with `ssl_key` it switches HTTPS on.
    pub ssl_cert: Option<PathBuf>,
    /// `ssl_key`: file of the certificate's key.
    pub ssl_key: Option<PathBuf>,
    /// `worker_timeout`: time one request may take.
    pub worker_timeout: Duration,
    /// `secret_key`: key that signs cookies; empty makes one at each start.
    pub secret_key: Option<SecretString>,
    /// `expose_config`: let users with the right to it read the configuration: `True`,
    /// `non-sensitive-only` (the same) or `False`.
    pub expose_config: ExposeConfig,
    /// `expose_stacktrace`: name the cause of an internal error in the response.
    pub expose_stacktrace: bool,
    /// `enable_swagger_ui`: serve the interactive API documents.
    pub enable_swagger_ui: bool,
    /// `maximum_page_limit`: most rows that one page may have.
    pub maximum_page_limit: u32,
    /// `fallback_page_limit`: rows of a page when the request does not say.
    pub fallback_page_limit: u32,
    /// `access_control_allow_headers`: CORS: headers that other sites may send.
    pub access_control_allow_headers: Vec<String>,
    /// `access_control_allow_methods`: CORS: methods that other sites may use.
    pub access_control_allow_methods: Vec<String>,
    /// `access_control_allow_origins`: CORS: sites that may call the API from a browser.
    pub access_control_allow_origins: Vec<String>,
    /// `dag_cache_size`: serialized Dags kept in memory; 0 keeps all.
    pub dag_cache_size: u32,
    /// `dag_cache_ttl`: time a serialized Dag is kept; 0 means for ever.
    pub dag_cache_ttl: Option<Duration>,
    /// `log_fetch_timeout_sec`: time to wait for a log that another machine serves.
    pub log_fetch_timeout: Duration,
    /// `log_stream_buffer_size`: log lines held back while sources are merged.
    pub log_stream_buffer_size: u32,
    /// `instance_name`: name in the UI's title.
    pub instance_name: Option<String>,
    /// `theme`: JSON document with the UI's colours.
    pub theme: Option<serde_json::Value>,
    /// `auto_refresh_interval`: pause between two refreshes of a page in the UI.
    pub auto_refresh_interval: Duration,
    /// `hide_paused_dags_by_default`: start the Dag list without paused Dags.
    pub hide_paused_dags_by_default: bool,
    /// `default_wrap`: wrap long lines in logs and code.
    pub default_wrap: bool,
    /// `require_confirmation_dag_change`: ask before a Dag is paused or triggered.
    pub require_confirmation_dag_change: bool,
    /// `grid_view_sorting_order`: order of tasks in the grid: `topological` or
    /// `hierarchical_alphabetical`.
    pub grid_view_sorting_order: GridSorting,
}

/// Whether the API shows the configuration. Secrets are hidden either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExposeConfig {
    /// Refused.
    Never,
    /// Shown, secrets hidden.
    NonSensitive,
}

/// Order of tasks in the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GridSorting {
    /// Upstream first.
    Topological,
    /// By name, groups first.
    HierarchicalAlphabetical,
}

impl ApiConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let config = Self {
            base_url: section.optional_text("base_url"),
            host: section.text("host"),
            port: section.port("port"),
            ssl_cert: section.optional_path("ssl_cert"),
            ssl_key: section.optional_path("ssl_key"),
            worker_timeout: section.seconds("worker_timeout"),
            secret_key: section.optional_secret("secret_key"),
            expose_config: section.required(
                "expose_config",
                "True, False or non-sensitive-only",
                expose_config,
            ),
            expose_stacktrace: section.flag("expose_stacktrace"),
            enable_swagger_ui: section.flag("enable_swagger_ui"),
            maximum_page_limit: section.positive("maximum_page_limit"),
            fallback_page_limit: section.positive("fallback_page_limit"),
            access_control_allow_headers: section.list("access_control_allow_headers"),
            access_control_allow_methods: section.list("access_control_allow_methods"),
            access_control_allow_origins: section.list("access_control_allow_origins"),
            dag_cache_size: section.count("dag_cache_size"),
            dag_cache_ttl: section.seconds_unless_zero("dag_cache_ttl"),
            log_fetch_timeout: section.seconds("log_fetch_timeout_sec"),
            log_stream_buffer_size: section.positive("log_stream_buffer_size"),
            instance_name: section.optional_text("instance_name"),
            theme: section.optional_json("theme", "a JSON document"),
            auto_refresh_interval: section.seconds("auto_refresh_interval"),
            hide_paused_dags_by_default: section.flag("hide_paused_dags_by_default"),
            default_wrap: section.flag("default_wrap"),
            require_confirmation_dag_change: section.flag("require_confirmation_dag_change"),
            grid_view_sorting_order: section.choice(
                "grid_view_sorting_order",
                &[
                    ("topological", GridSorting::Topological),
                    (
                        "hierarchical_alphabetical",
                        GridSorting::HierarchicalAlphabetical,
                    ),
                ],
            ),
        };
        if config.ssl_cert.is_some() != config.ssl_key.is_some() {
            let reason = "HTTPS needs both ssl_cert and ssl_key; only one is set";
            section.refuse("ssl_cert", reason.to_owned());
        }
        config
    }
}

fn expose_config(text: &str) -> Option<ExposeConfig> {
    if text.to_lowercase() == "non-sensitive-only" {
        return Some(ExposeConfig::NonSensitive);
    }
    let exposed = crate::convert::boolean(text)?;
    Some(if exposed {
        ExposeConfig::NonSensitive
    } else {
        ExposeConfig::Never
    })
}
