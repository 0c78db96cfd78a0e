//! The public API's wire types: what requests must look like and what answers look like.
//!
//! Pure data, in Airflow's words. This crate knows neither HTTP nor SQL: `updraft-api-server` reads
//! requests and loads rows, then asks this crate what is wrong with the one and how the other is
//! written.
//!
//! Start with [`fields`] and [`query`], which read input and find all of its problems at once in
//! the words of [`issue`]; then any resource, such as [`dag_run`].

pub mod admin;
pub mod asset;
pub mod backfill;
pub mod bulk;
pub mod config;
pub mod contract;
pub mod dag;
pub mod dag_run;
pub mod fields;
pub mod hitl;
pub mod issue;
pub mod log;
pub mod mask;
pub mod partition;
pub mod query;
pub mod service;
pub mod state_store;
pub mod task;
pub mod task_instance;
pub mod time;
pub mod value;
pub mod xcom;
