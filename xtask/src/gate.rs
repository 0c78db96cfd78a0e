//! `cargo xtask test`: everything a change must pass, cheapest first.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::conformance;
use crate::postgres::Postgres;
use crate::{airflow, sim, tidy, workspace};

/// Where the tests of the store find a PostgreSQL on which they may create databases.
const POSTGRES_URL_VARIABLE: &str = "UPDRAFT_TEST_POSTGRES_URL";
/// Where tests that run user code find an interpreter with Airflow's packages.
const PYTHON_VARIABLE: &str = "UPDRAFT_TEST_PYTHON";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these steps (comma separated).
    #[arg(long, value_delimiter = ',', conflicts_with = "skip")]
    only: Vec<String>,
    /// All steps but these (comma separated).
    #[arg(long, value_delimiter = ',')]
    skip: Vec<String>,
}

struct Step {
    name: &'static str,
    run: fn() -> Result<()>,
}

const STEPS: [Step; 8] = [
    Step {
        name: "fmt",
        run: fmt,
    },
    Step {
        name: "tidy",
        run: tidy::run,
    },
    Step {
        name: "clippy",
        run: clippy,
    },
    Step {
        name: "python-lint",
        run: python_lint,
    },
    Step {
        name: "install",
        run: install,
    },
    Step {
        name: "tests",
        run: tests,
    },
    Step {
        name: "simulate",
        run: sim::smoke,
    },
    Step {
        name: "conformance",
        run: conformance::run_against_record,
    },
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    for name in arguments.only.iter().chain(&arguments.skip) {
        if !STEPS.iter().any(|step| step.name == name) {
            let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            bail!(
                "expected some of the steps {}, found `{name}`",
                known.join(", ")
            );
        }
    }
    let has = |list: &[String], step: &Step| list.iter().any(|name| name == step.name);
    let wanted = |step: &&Step| {
        (arguments.only.is_empty() || has(&arguments.only, step)) && !has(&arguments.skip, step)
    };
    let mut times: Vec<(&str, Duration)> = Vec::new();
    let mut outcome = Ok(());
    for step in STEPS.iter().filter(wanted) {
        println!("==> {}", step.name);
        let started = Instant::now();
        outcome =
            (step.run)().map_err(|error| error.context(format!("the step `{}` failed", step.name)));
        times.push((step.name, started.elapsed()));
        if outcome.is_err() {
            break;
        }
    }
    println!();
    for (name, time) in &times {
        println!("{name:12} {:7.1} s", time.as_secs_f64());
    }
    outcome
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(workspace::root()).args(arguments);
    command
}

fn fmt() -> Result<()> {
    workspace::run(&mut cargo(&["fmt", "--all", "--", "--check"]))
}

fn clippy() -> Result<()> {
    workspace::run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Checks the shim with `ruff` and `mypy`, which live in an environment of their own.
fn python_lint() -> Result<()> {
    let airflow = airflow::install()?.join("bin/python");
    let bin = python_linters()?;
    let shim = workspace::root().join("python");
    workspace::run(
        Command::new(bin.join("ruff"))
            .current_dir(&shim)
            .args(["check", "--quiet", "."]),
    )?;
    workspace::run(
        Command::new(bin.join("mypy"))
            .current_dir(&shim)
            // The shim imports Airflow: mypy must see the packages of an interpreter that has it.
            .arg("--python-executable")
            .arg(airflow)
            .arg("src"),
    )
}

/// Installs the linters once and returns the folder of their programs.
fn python_linters() -> Result<PathBuf> {
    let venv = workspace::cache("python-lint")?;
    if !venv.join("bin/mypy").exists() {
        airflow::make_venv(&venv)?;
        airflow::pip_install(&venv, &["ruff==0.14.*", "mypy==1.18.*"])?;
    }
    Ok(venv.join("bin"))
}

fn install() -> Result<()> {
    airflow::install()?;
    // Starting one installs it when it is missing, and shows that it works.
    drop(Postgres::start(&[])?);
    Ok(())
}

fn tests() -> Result<()> {
    let python: PathBuf = airflow::install()?.join("bin/python");
    let postgres = Postgres::start(&[])?;
    let nextest = cargo(&["nextest", "--version"])
        .output()
        .is_ok_and(|found| found.status.success());
    let mut command = if nextest {
        cargo(&["nextest", "run", "--workspace", "--no-fail-fast"])
    } else {
        println!("cargo-nextest is not installed: using `cargo test`");
        cargo(&["test", "--workspace", "--no-fail-fast", "--all-targets"])
    };
    workspace::run(
        command
            .env(POSTGRES_URL_VARIABLE, postgres.url("postgres"))
            .env(PYTHON_VARIABLE, python),
    )
}
