//! The API server: HTTP in front of the store, as Airflow 3.3's public API describes it.
//!
//! A request goes through [`routes`] (which operation, who may call it), [`call`] (one request as
//! handlers see it) and a handler in the file of its resource, which reads what was asked with the
//! types of `updraft-rest-api`, calls the store, and writes the answer. Handlers hold no SQL and no
//! scheduling rules: what a cleared task or a failed run means is planned by `updraft-planning`.
//!
//! Start with [`ApiServer`], then [`routes`], which is the table of contents.

mod access;
mod actions;
mod assets;
mod audit;
mod auth;
mod backfills;
mod bulk;
mod call;
mod config;
mod connection_tests;
mod connections;
mod cursor;
mod dag_cache;
mod dag_info;
mod dag_run_changes;
mod dag_runs;
mod dags;
mod dependencies;
mod error;
mod event_logs;
mod favorites;
mod file_token;
mod hitl;
mod links;
mod logs;
mod page_cache;
mod partitions;
mod plugins;
mod pools;
mod routes;
mod run_wait;
mod server;
mod service;
mod state;
mod state_stores;
mod table;
mod task_instance_changes;
mod task_instances;
mod variables;
mod xcoms;

pub use auth::{Role, hash_password};
pub use server::ApiServer;
pub use state::{ApiSettings, ApiState, HealthThresholds};
pub use table::Operation;
