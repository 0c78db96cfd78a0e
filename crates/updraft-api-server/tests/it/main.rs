//! The API against a real store, and against what a real Airflow answered.

mod app;
mod contract;
mod golden;
mod roles;
mod task_instances;
