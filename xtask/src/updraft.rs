//! Updraft as a user would start it: the release binary, one command.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::engine::{Engine, EngineKind, Launch, Started};
use crate::service::{Service, free_port};
use crate::{airflow, workspace};

/// How the line begins that a first start prints once.
const PASSWORD_LINE: &str = "Password for user 'admin': ";

/// How the binary is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// What the tests have compiled anyway.
    Dev,
    /// What users run.
    Release,
}

pub(crate) fn build(profile: Profile) -> Result<()> {
    airflow::install()?;
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(workspace::root())
        .args(["build", "--package", "updraft"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    workspace::run(&mut command)
}

fn binary(profile: Profile) -> PathBuf {
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    };
    workspace::root()
        .join("target")
        .join(folder)
        .join("updraft")
}

pub(crate) fn start(launch: &Launch) -> Result<Engine> {
    let port = free_port()?;
    let mut command = Command::new(binary(launch.profile));
    command
        .arg("standalone")
        .current_dir(&launch.home)
        .envs(launch.environment(port))
        // The very interpreter that real Airflow runs in: a difference is never the packages'.
        .env(
            "AIRFLOW__UPDRAFT__PYTHON",
            airflow::install()?.join("bin/python"),
        );
    if launch.with_examples {
        command.arg("--with-examples");
    }
    let at = Instant::now();
    let service = Service::start("updraft", &mut command, &launch.home)?;
    let kind = EngineKind::Updraft;
    let services = vec![service];
    Engine::when_ready(
        Started {
            kind,
            port,
            at,
            services,
            password,
            database: None,
        },
        launch,
    )
}

/// Reads the password from what the first start printed, and keeps it for the next starts.
fn password(services: &[Service], launch: &Launch) -> Option<String> {
    let kept = launch.home.join("password.txt");
    if let Ok(password) = std::fs::read_to_string(&kept) {
        return Some(password);
    }
    let text = services.first()?.log_text();
    let password = text
        .lines()
        .find_map(|line| line.strip_prefix(PASSWORD_LINE))?;
    // Without the file, the next start in this home cannot log in and says so.
    let _kept = std::fs::write(&kept, password);
    Some(password.to_owned())
}
