//! Plans a new Dag run: whether it may be created, under which id, with which dates and tasks.
//!
//! The one place for that, whoever asks: the REST API, the command line, a `TriggerDagRun` task or
//! the scheduler. Pure: the caller loads the Dag, gives the time and the random parts, and writes
//! the rows; that two runs do not share an id or a logical date is the store's to refuse.
//!
//! Start with [`plan_dag_run`]. [`validate_params`] checks a run's conf against the params of its
//! Dag with the JSON schemas in them.
//!
//! Source: scheduling semantics §2.3, §2.4, §2.6.

mod params;
mod plan;
mod pretty;
mod python_regex;
mod request;
mod run_id;
mod schema;

pub use params::validate_params;
pub use plan::{PlannedRun, plan_dag_run};
pub use request::{Context, InferFrom, Refusal, RunRequest, RunRules};
pub use run_id::validate_run_id;
