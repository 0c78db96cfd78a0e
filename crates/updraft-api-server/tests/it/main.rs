//! The API against a real store, and against what a real Airflow answered.

#![expect(clippy::unwrap_used, reason = "a test may fail wherever it likes")]

mod app;
mod assets;
mod bad_input;
mod clearing;
mod config;
mod connection_tests;
mod contract;
mod dag_list;
mod explanations;
mod favorites;
mod golden;
mod hitl;
mod logs;
mod roles;
mod socket;
mod task_instances;
mod waits;
