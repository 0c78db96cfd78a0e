//! The command line, driven as a user drives it: the real program on a home folder of its own.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may panic and print, too"
)]

mod assets;
mod backfill;
mod config_and_info;
mod dags;
mod database;
mod home;
mod listings;
mod people;
mod plugins;
mod standalone;
mod triggerer;
mod usage;
