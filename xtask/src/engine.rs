//! What conformance and bench know of an engine: a REST client and a Dags folder.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::postgres::Postgres;
use crate::rest::RestClient;
use crate::service::Service;
use crate::updraft::Profile;
use crate::{airflow, updraft};

/// The user both engines are given.
pub(crate) const USERNAME: &str = "admin";

/// The roles that must be healthy before anything is asked of an engine.
const ROLES: [&str; 4] = ["metadatabase", "scheduler", "dag_processor", "triggerer"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EngineKind {
    Updraft,
    Airflow,
}

impl EngineKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Updraft => "Updraft",
            Self::Airflow => "Airflow",
        }
    }

    /// Installs or builds what the engine needs, so that starting it takes no part of a
    /// measurement.
    pub(crate) fn prepare(self, profile: Profile) -> Result<()> {
        match self {
            Self::Updraft => updraft::build(profile),
            Self::Airflow => airflow::install().map(drop),
        }
    }

    pub(crate) fn start(self, launch: &Launch) -> Result<Engine> {
        match self {
            Self::Updraft => updraft::start(launch),
            Self::Airflow => airflow::start(launch),
        }
    }
}

/// How an engine is to be started.
pub(crate) struct Launch {
    /// A fresh folder: becomes `AIRFLOW_HOME`; Dags are read from `dags/` in it.
    pub(crate) home: PathBuf,
    pub(crate) with_examples: bool,
    /// Which build of Updraft; Airflow has one only.
    pub(crate) profile: Profile,
    /// `AIRFLOW__SECTION__KEY` settings on top of the engine's defaults.
    pub(crate) settings: Vec<(String, String)>,
}

impl Launch {
    pub(crate) fn dags_folder(&self) -> PathBuf {
        self.home.join("dags")
    }

    /// The environment both engines get: Airflow's own words for Airflow's own settings.
    pub(crate) fn environment(&self, port: u16) -> Vec<(String, String)> {
        let flag = |on: bool| if on { "True" } else { "False" }.to_owned();
        let mut environment = vec![
            ("AIRFLOW_HOME".to_owned(), self.home.display().to_string()),
            (
                "AIRFLOW__CORE__DAGS_FOLDER".to_owned(),
                self.dags_folder().display().to_string(),
            ),
            (
                "AIRFLOW__CORE__LOAD_EXAMPLES".to_owned(),
                flag(self.with_examples),
            ),
            ("AIRFLOW__API__HOST".to_owned(), "127.0.0.1".to_owned()),
            ("AIRFLOW__API__PORT".to_owned(), port.to_string()),
        ];
        environment.extend(self.settings.iter().cloned());
        environment
    }
}

/// The processes of an engine that is not ready yet.
pub(crate) struct Started {
    pub(crate) kind: EngineKind,
    pub(crate) port: u16,
    pub(crate) at: Instant,
    pub(crate) services: Vec<Service>,
    /// Finds the password of [`USERNAME`]; `None` as long as it is not known.
    pub(crate) password: fn(&[Service], &Launch) -> Option<String>,
    pub(crate) database: Option<Postgres>,
}

/// A running engine. Dropping it stops all its processes.
pub(crate) struct Engine {
    pub(crate) kind: EngineKind,
    pub(crate) rest: RestClient,
    pub(crate) port: u16,
    pub(crate) home: PathBuf,
    /// From the start of the first process to a healthy answer and a token.
    pub(crate) ready_after: Duration,
    services: Vec<Service>,
    /// Held until the services have stopped: fields are dropped in this order.
    _database: Option<Postgres>,
}

impl Engine {
    /// Waits until what was started answers as one healthy Airflow, and logs in.
    pub(crate) fn when_ready(started: Started, launch: &Launch) -> Result<Self> {
        let Started {
            kind,
            port,
            at,
            mut services,
            password,
            database,
        } = started;
        let mut rest = RestClient::new(port);
        loop {
            for service in &mut services {
                service.require_alive()?;
            }
            let known = password(&services, launch);
            if is_healthy(&rest)
                && known.is_some_and(|password| rest.log_in(USERNAME, &password).is_ok())
            {
                break;
            }
            if at.elapsed() > READY_MAX {
                let tails: Vec<String> = services.iter().map(Service::log_tail).collect();
                bail!(
                    "{} is not healthy after {READY_MAX:?}, or nobody can log in; its logs end:\n{}",
                    kind.name(),
                    tails.join("\n---\n")
                );
            }
            std::thread::sleep(READY_POLL);
        }
        let (home, ready_after) = (launch.home.clone(), at.elapsed());
        Ok(Self {
            kind,
            rest,
            port,
            home,
            ready_after,
            services,
            _database: database,
        })
    }

    pub(crate) fn dags_folder(&self) -> PathBuf {
        self.home.join("dags")
    }

    /// The engine's own processes, as they were started; not the database server.
    pub(crate) fn root_pids(&self) -> Vec<u32> {
        self.services.iter().map(Service::pid).collect()
    }
}

const READY_MAX: Duration = Duration::from_secs(180);
const READY_POLL: Duration = Duration::from_millis(20);

/// Every role reports a fresh heartbeat.
fn is_healthy(rest: &RestClient) -> bool {
    let Ok(health) = rest.get("/api/v2/monitor/health") else {
        return false;
    };
    ROLES.iter().all(|role| health[role]["status"] == "healthy")
}

/// Makes an empty home with an empty Dags folder for one start of an engine.
pub(crate) fn fresh_home(cache: &Path, name: &str) -> Result<PathBuf> {
    let home = cache.join(name);
    if home.exists() {
        std::fs::remove_dir_all(&home)
            .with_context(|| format!("failed to empty `{}`", home.display()))?;
    }
    std::fs::create_dir_all(home.join("dags"))
        .with_context(|| format!("failed to create `{}`", home.display()))?;
    Ok(home)
}
