//! One plain struct per section of the configuration.
//!
//! A struct holds what the control plane itself acts on. Options that only Dag code sees, such
//! as `[core] default_task_retries`, have no field: they are handed to the Python children as
//! they are. The doc comments are the reference page, so each begins with its key in backticks.

mod api;
mod api_auth;
mod callbacks;
mod celery;
mod connection_test;
mod core;
mod dag_processor;
mod database;
mod execution_api;
mod logging;
mod metrics;
mod operators;
mod scheduler;
mod secrets;
mod smtp;
mod state_store;
mod triggerer;
mod updraft;
mod workers;

pub use api::{ApiConfig, ExposeConfig, GridSorting};
pub use api_auth::ApiAuthConfig;
pub use callbacks::CallbacksConfig;
pub use celery::{CeleryConfig, WorkerAutoscale};
pub use connection_test::ConnectionTestConfig;
pub use core::{ConnectionTest, CoreConfig, IgnoreFileSyntax, SimpleUser};
pub use dag_processor::{
    DagBundleConfig, DagProcessorConfig, DagVersionInflationCheck, FileParsingSortMode,
};
pub use database::DatabaseConfig;
pub use execution_api::ExecutionApiConfig;
pub use logging::{LogLevel, LoggingConfig};
pub use metrics::MetricsConfig;
pub use operators::OperatorsConfig;
pub use scheduler::SchedulerConfig;
pub use secrets::SecretsConfig;
pub use smtp::SmtpConfig;
pub use state_store::StateStoreConfig;
pub use triggerer::TriggererConfig;
pub use updraft::UpdraftConfig;
pub use workers::WorkersConfig;
