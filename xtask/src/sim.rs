//! `cargo xtask sim`: builds the simulator and runs it.

use std::process::Command;

use anyhow::Result;

use crate::workspace;

/// Real hours that the gate simulates: 45 seconds.
const GATE_HOURS: &str = "0.0125";

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Handed to the simulator as they are; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs worlds in a build that is made for speed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    simulator("sim", &arguments.arguments)
}

/// A look at the first seeds, with the build that the tests have made anyway.
pub(crate) fn smoke() -> Result<()> {
    let arguments = ["--hours", GATE_HOURS, "--worlds", "1000"];
    simulator("dev", &arguments.map(str::to_owned))
}

fn simulator(profile: &str, arguments: &[String]) -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(workspace::root())
        .args(["run", "--quiet", "--profile", profile])
        .args(["--package", "updraft-sim", "--"])
        .args(arguments);
    workspace::run(&mut command)
}
