//! `updraft`: every role and every command in one binary.
//!
//! Arguments are read in [`cli`], one file per group of commands; `standalone` runs all roles in
//! one process. No logic of the control plane lives here: commands ask the store and the crates
//! that plan, and show the answers through [`output`].

mod cli;
mod installation;
mod output;
mod secret_settings;
mod standalone;

fn main() -> std::process::ExitCode {
    cli::main()
}
