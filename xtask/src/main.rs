//! Everything about the repository that is more than one `cargo` call: the gate, the rules that
//! `clippy` cannot know, and the two comparisons with real Airflow.
//!
//! It depends on no crate of the product: it drives the built binary from outside, as a user
//! would.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to a person at a terminal"
)]

mod airflow;
mod bench;
mod conformance;
mod engine;
mod gate;
mod postgres;
mod rest;
mod service;
mod sim;
mod tidy;
mod updraft;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// Checks, tests and measures Updraft.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Measure Updraft and real Airflow side by side.
    Bench(bench::Arguments),
    /// Install what the tests need and run everything a change must pass.
    Test(gate::Arguments),
    /// Check the rules of this repository that `clippy` does not know.
    Tidy,
    /// Run the example Dags and compare the outcome with real Airflow's.
    Conformance(conformance::Arguments),
    /// Simulate Updraft under every kind of trouble.
    Sim(sim::Arguments),
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Test(arguments) => gate::run(&arguments),
        Command::Tidy => tidy::run(),
        Command::Conformance(arguments) => conformance::run(&arguments),
        Command::Sim(arguments) => sim::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
