//! The settings of Updraft, resolved exactly as Airflow 3.3 resolves its own.
//!
//! An installation brings its `AIRFLOW_HOME`, its `airflow.cfg` and its `AIRFLOW__SECTION__KEY`
//! variables, and everything means what it meant. [`Settings::load`] takes a snapshot of the
//! environment, finds the winner for every option, gives types to the ones that Updraft acts
//! on, and reports *all* bad settings at once, each with its origin.
//!
//! This crate does not decide what a setting does, keeps nothing global, and never logs: secrets
//! are [`secrecy::SecretString`] in the typed sections and hidden in every `Debug`.
//!
//! Start reading at `settings` for the whole, `values` for what exists before types do,
//! `resolve` for the order of sources, and `sections` for what there is to set.

mod child;
mod convert;
mod database_url;
mod descriptions;
mod environment;
mod expand;
mod ini;
mod listing;
mod lookups;
mod moved;
mod old_values;
mod options;
mod problem;
mod resolve;
mod section;
mod sections;
mod settings;
mod shown;
mod starter_file;
mod value;
mod values;

pub use database_url::{DatabaseUrl, DatabaseUrlError, PostgresUrl};
pub use environment::Environment;
pub use listing::ListOptions;
pub use lookups::{AskSecretsBackend, Lookups};
pub use options::{OptionKind, OptionSpec, OptionTable};
pub use problem::{BadSettings, Problem, Warning};
pub use sections::*;
pub use settings::Settings;
pub use shown::ShownSection;
pub use starter_file::{InstallationKeys, starter_file};
pub use value::{Obtained, Origin, Value};
pub use values::Values;
