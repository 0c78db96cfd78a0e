//! Updraft as a user would start it: the release binary, one command.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::airflow;
use crate::engine::{Engine, EngineKind, Launch, PASSWORD};
use crate::service::{Service, free_port};
use crate::workspace;

pub(crate) fn build() -> Result<()> {
    airflow::install()?;
    workspace::run(
        Command::new(env!("CARGO"))
            .current_dir(workspace::root())
            .args(["build", "--release", "--package", "updraft"]),
    )
}

fn binary() -> PathBuf {
    workspace::root().join("target/release/updraft")
}

pub(crate) fn start(launch: &Launch) -> Result<Engine> {
    let port = free_port()?;
    let mut command = Command::new(binary());
    command
        .arg("standalone")
        .current_dir(&launch.home)
        .envs(launch.environment(port))
        // The very interpreter that real Airflow runs in: a difference is never the packages'.
        .env(
            "AIRFLOW__UPDRAFT__PYTHON",
            airflow::install()?.join("bin/python"),
        )
        .env("UPDRAFT_ADMIN_PASSWORD", PASSWORD);
    if launch.with_examples {
        command.arg("--with-examples");
    }
    let started = Instant::now();
    let service = Service::start("updraft", &mut command, &launch.home)?;
    Engine::when_ready(
        EngineKind::Updraft,
        launch,
        port,
        started,
        vec![service],
        None,
    )
}
