//! `updraft standalone`: every role in one process.
//!
//! The order matters: what can be refused (settings, a home somebody else uses, a port that is
//! taken) comes first, leftovers of a killed process are ended before anything may start the same
//! task again, and the address is printed when requests are answered.

mod bundles;
mod first_start;
mod home;
pub(crate) mod options;
mod python;
mod roles;

pub(crate) use python::secrets_backend;

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use updraft_config::Settings;
use updraft_python::PythonRuntime;
use updraft_runtime::{LogFormat, Tasks};
use updraft_store::{Keyring, Store, StoreOptions};

use crate::cli::standalone::StandaloneArgs;
use crate::installation::{database_url, ensure_default_pool};
use crate::output::say;
use home::Home;

/// Runs until a signal or the end of a role that the others need.
pub(crate) async fn run(args: StandaloneArgs) -> Result<()> {
    let began = Instant::now();
    let settings = options::load_settings(&args)?;
    init_log(&settings)?;
    for warning in &settings.warnings {
        warn!("{warning}");
    }
    // Held to the end of this function.
    let _home = Home::take(&settings.values.home)?;
    let listener = listen(&settings).await?;
    let keys = first_start::keys(&settings)?;
    let tasks = Tasks::new();
    let python = find_python(&tasks, &settings).await?;
    let store = open_store(&settings, &keys).await?;
    ensure_default_pool(&store, &settings).await?;
    let password = first_start::ensure_admin(&store, &settings).await?;

    updraft_python::hide_from_children().context("failed to hide keys from child processes")?;
    let runtime_dir = python.runtime_dir.clone();
    tasks
        .blocking(move || updraft_python::kill_leftovers(&runtime_dir))
        .await
        .context("failed to end what an earlier run left behind")?;

    let address = listener.local_addr()?;
    let started = roles::start(&settings, &args, store, python, keys, listener, &tasks).await?;
    if let Some(password) = password {
        say(&format!("Password for user 'admin': {password}"));
        say("It is stored as a hash only and not shown again.");
    }
    let shown = settings
        .api
        .base_url
        .clone()
        .unwrap_or_else(|| browsable(address));
    say(&format!(
        "Updraft is ready at {shown} after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    wait_for_end(&tasks).await?;
    stop(started, &tasks, &settings).await
}

fn init_log(settings: &Settings) -> Result<()> {
    let format = if settings.logging.json_logs {
        LogFormat::Json
    } else {
        LogFormat::Text
    };
    let level = options::log_filter(settings);
    updraft_runtime::init_log(&level, format).context("failed to start the process log")
}

async fn listen(settings: &Settings) -> Result<TcpListener> {
    let (host, port) = (&settings.api.host, settings.api.port);
    TcpListener::bind((host.as_str(), port)).await.with_context(|| {
        format!("failed to listen on {host}:{port}; set another port with --port or AIRFLOW__API__PORT")
    })
}

/// The address as a person can open it: a server that listens everywhere is reached here, too.
fn browsable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

/// Finds or makes the Python runtime, telling the user what takes so long.
async fn find_python(tasks: &Tasks, settings: &Settings) -> Result<PythonRuntime> {
    let request = options::provision_request(settings);
    tasks
        .blocking(move || updraft_python::provision(&request, &mut |line| say(line)))
        .await
        .context("failed to prepare the Python runtime")
}

async fn open_store(settings: &Settings, keys: &first_start::Keys) -> Result<Store> {
    let keyring = Keyring::parse(keys.fernet.expose_secret())?;
    let options = StoreOptions {
        connections_max: settings.database.pool_size.max(1),
        ..StoreOptions::new(database_url(settings), keyring)
    };
    let store = Store::open(options).await?;
    store.migrate().await?;
    Ok(store)
}

/// Waits for the first signal, or for an essential task to end.
async fn wait_for_end(tasks: &Tasks) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => info!("stopping: interrupted"),
        _ = terminate.recv() => info!("stopping: terminated"),
        () = tasks.shutdown().cancelled_owned() => {}
    }
    Ok(())
}

/// Stops taking work, ends or hands back what is held, closes the store.
async fn stop(roles: roles::Roles, tasks: &Tasks, settings: &Settings) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let failure = tasks.failure();
    let ended = async {
        let store = roles.stop().await;
        let is_clean = tasks.drain(settings.updraft.shutdown_timeout).await;
        store.close().await;
        is_clean
    };
    tokio::select! {
        clean = ended => {
            if !clean {
                warn!("some work did not end in time; it is taken up again at the next start");
            }
        }
        _ = interrupt.recv() => bail!("interrupted again while stopping"),
    }
    match failure {
        Some(failure) => bail!(failure),
        None => Ok(()),
    }
}
