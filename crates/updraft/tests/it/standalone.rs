//! `updraft standalone` as its users meet it: started, fed bad input, killed, started again.

mod assets;
mod backfills;
mod bad_input;
mod bad_machine;
mod bundles;
mod explain;
mod kills;
mod log_names;
mod postgres;
mod record;
mod stopping;
mod zygote_kills;

use std::path::Path;

use updraft_testkit::{Home, Standalone};

/// A fresh installation with these Dag files.
pub(crate) fn installation(dags: &[(&str, &str)]) -> Standalone {
    let home = Home::new();
    for (name, text) in dags {
        home.write_dag(name, text);
    }
    Standalone::new(Path::new(env!("CARGO_BIN_EXE_updraft")), home)
}
