//! Real Apache Airflow beside us: installed from PyPI, run the way a small production
//! installation runs it (four processes, LocalExecutor, PostgreSQL).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::engine::{Engine, EngineKind, Launch, Started, USERNAME};
use crate::postgres::Postgres;
use crate::service::{Service, free_port};
use crate::workspace;

/// The version we are compatible with, and compare ourselves to.
pub(crate) const VERSION: &str = "3.3.2";

/// The servers listen on loopback and live for minutes.
const PASSWORD: &str = "not-a-secret";

/// The Python versions this release of Airflow supports, best first.
const PYTHONS: [&str; 5] = [
    "python3.12",
    "python3.11",
    "python3.10",
    "python3.13",
    "python3",
];

/// Packages beyond Airflow that tests use, whole: without what they depend on, most of which is
/// there. The first one tells whether they are installed.
const FOR_TESTS: [&str; 4] = [
    "apache-airflow-providers-git==1.0.1",
    "GitPython==3.2.1",
    "gitdb==4.0.12",
    "smmap==5.0.3",
];

/// Installs Airflow into its own virtual environment below `target/`, once.
pub(crate) fn install() -> Result<PathBuf> {
    let venv = workspace::cache("airflow")?.join("venv");
    if installed_version(&venv, "apache-airflow-core").as_deref() != Some(VERSION) {
        install_airflow(&venv)?;
    }
    let (package, version) = FOR_TESTS[0].split_once("==").context("a pinned package")?;
    if installed_version(&venv, package).as_deref() != Some(version) {
        pip_install(&venv, &[&["--no-deps"], &FOR_TESTS[..]].concat())?;
    }
    Ok(venv)
}

fn install_airflow(venv: &Path) -> Result<()> {
    println!(
        "installing apache-airflow {VERSION} into {}",
        venv.display()
    );
    make_venv(venv)?;
    // The very versions Updraft's own runtime is made of.
    let lock = workspace::root().join("python/requirements.lock");
    pip_install(
        venv,
        &[
            "--require-hashes",
            "--requirement",
            &lock.display().to_string(),
        ],
    )?;
    // Airflow wants two PostgreSQL drivers: one for its own code, one for asyncio.
    pip_install(venv, &["psycopg2-binary", "asyncpg"])?;
    match installed_version(venv, "apache-airflow-core") {
        Some(found) if found == VERSION => Ok(()),
        found => bail!("expected apache-airflow {VERSION} in the new environment, found {found:?}"),
    }
}

/// Makes a virtual environment in `folder`, emptying it first.
pub(crate) fn make_venv(folder: &Path) -> Result<()> {
    let python = find_python()?;
    workspace::run(
        Command::new(&python)
            .args(["-m", "venv", "--clear"])
            .arg(folder),
    )
}

/// Runs `pip install` in the virtual environment `folder`.
pub(crate) fn pip_install(folder: &Path, arguments: &[&str]) -> Result<()> {
    let quietly = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    workspace::run(
        Command::new(folder.join("bin/python"))
            .args(quietly)
            .args(arguments),
    )
}

fn installed_version(venv: &Path, package: &str) -> Option<String> {
    let code = format!("import importlib.metadata as m; print(m.version('{package}'))");
    let found =
        workspace::output(Command::new(venv.join("bin/python")).args(["-c", &code])).ok()?;
    Some(found.trim().to_owned())
}

fn find_python() -> Result<PathBuf> {
    let home = std::env::home_dir()
        .unwrap_or_default()
        .join(".pyenv/versions");
    let pyenv = std::fs::read_dir(home)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|version| version.file_name().to_string_lossy().starts_with("3.12."))
        .map(|version| version.path().join("bin/python"));
    let candidates: Vec<PathBuf> = PYTHONS.iter().map(PathBuf::from).collect();
    let is_usable = |python: &PathBuf| {
        let code =
            "import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))";
        workspace::output(Command::new(python).args(["-c", code])).is_ok()
    };
    pyenv.chain(candidates).find(is_usable).context(
        "found no Python 3.10 to 3.13 with `venv`; install one, e.g. `sudo apt-get install python3-venv`",
    )
}

/// Creates a database, migrates it and starts scheduler, API server, Dag processor and
/// triggerer.
pub(crate) fn start(launch: &Launch) -> Result<Engine> {
    let venv = install()?;
    let database = Postgres::start(&[])?;
    database.create_database("airflow")?;
    let port = free_port()?;
    let environment = environment(launch, &database, port)?;

    let airflow = |arguments: &[&str]| {
        let mut command = Command::new(venv.join("bin/airflow"));
        command
            .args(arguments)
            .envs(environment.iter().map(|(key, value)| (key, value)));
        command.current_dir(&launch.home);
        command
    };
    workspace::output(&mut airflow(&["db", "migrate"]))
        .context("failed to migrate Airflow's database")?;

    let at = Instant::now();
    let mut services = Vec::new();
    for role in ["api-server", "scheduler", "dag-processor", "triggerer"] {
        services.push(Service::start(role, &mut airflow(&[role]), &launch.home)?);
    }
    let started = Started {
        kind: EngineKind::Airflow,
        port,
        at,
        services,
        password: |_, _| Some(PASSWORD.to_owned()),
        database: Some(database),
    };
    Engine::when_ready(started, launch)
}

fn environment(launch: &Launch, database: &Postgres, port: u16) -> Result<Vec<(String, String)>> {
    let passwords = launch.home.join("passwords.json");
    std::fs::write(
        &passwords,
        serde_json::json!({ USERNAME: PASSWORD }).to_string(),
    )
    .context("failed to write Airflow's password file")?;
    let sqlalchemy_url = database
        .url("airflow")
        .replacen("postgresql:", "postgresql+psycopg2:", 1);
    let own = [
        ("AIRFLOW__CORE__EXECUTOR", "LocalExecutor".to_owned()),
        (
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
            format!("http://127.0.0.1:{port}/execution/"),
        ),
        (
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
            passwords.display().to_string(),
        ),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", sqlalchemy_url),
        // With its defaults of 5 and 10 the API server runs out of connections when a hundred
        // tasks start at once, and tasks fail.
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE", "40".to_owned()),
        (
            "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW",
            "20".to_owned(),
        ),
        // Two servers sign and check each other's tokens: they must share the keys.
        (
            "AIRFLOW__API__SECRET_KEY",
            "bench-and-conformance-only".to_owned(),
        ),
        (
            "AIRFLOW__API_AUTH__JWT_SECRET",
            "bench-and-conformance-only-0123456789abcdef0123456789abcdef".to_owned(),
        ),
        // The log servers would meet those of another Airflow on this machine.
        (
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT",
            free_port()?.to_string(),
        ),
        (
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT",
            free_port()?.to_string(),
        ),
    ];
    let mut environment = launch.environment(port);
    environment.extend(own.map(|(key, value)| (key.to_owned(), value)));
    Ok(environment)
}
