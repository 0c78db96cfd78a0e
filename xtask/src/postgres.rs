//! A throw-away PostgreSQL cluster: for real Airflow, and for the store's tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use nix::unistd::User;

use crate::service::{Service, free_port};
use crate::workspace;

/// How long a fresh cluster may take to answer.
const START_MAX: Duration = Duration::from_secs(30);

/// A cluster in its own temporary folder on a free loopback port, superuser `postgres`, no
/// password. It is stopped and removed when dropped.
pub(crate) struct Postgres {
    service: Service,
    folder: PathBuf,
    bin: PathBuf,
    port: u16,
}

impl Postgres {
    /// Creates and starts a cluster. `settings` are `name=value` lines for the server.
    pub(crate) fn start(settings: &[&str]) -> Result<Self> {
        let bin = require_server_binaries()?;
        let port = free_port()?;
        let folder =
            std::env::temp_dir().join(format!("updraft-postgres-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to create `{}`", folder.display()))?;
        let owner = unprivileged_owner()?;
        if let Some(owner) = &owner {
            chown(&folder, Some(owner.uid.as_raw()), Some(owner.gid.as_raw())).with_context(
                || format!("failed to hand `{}` to {}", folder.display(), owner.name),
            )?;
        }
        let as_owner = |program: &str| {
            let mut command = Command::new(bin.join(program));
            command.current_dir(&folder);
            if let Some(owner) = &owner {
                command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
            }
            command
        };

        let data = folder.join("data");
        workspace::output(as_owner("initdb").arg("--pgdata").arg(&data).args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-sync",
        ]))
        .context("failed to create a PostgreSQL cluster")?;
        let mut server = as_owner("postgres");
        server.arg("-D").arg(&data).arg("-p").arg(port.to_string());
        server.arg("-k").arg(&folder).args(["-h", "127.0.0.1"]);
        // The cluster is thrown away: a power cut may take it.
        for setting in ["fsync=off", "max_connections=300"].iter().chain(settings) {
            server.args(["-c", setting]);
        }
        let logs = workspace::cache("postgres")?;
        let mut service = Service::start(&format!("postgres-{port}"), &mut server, &logs)?;
        if let Err(error) = wait_until_ready(&bin, port, &mut service) {
            service.stop_with(Signal::SIGQUIT);
            return Err(error);
        }
        Ok(Self {
            service,
            folder,
            bin,
            port,
        })
    }

    /// Returns the URL of `database` for the superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn create_database(&self, name: &str) -> Result<()> {
        let mut command = Command::new(self.bin.join("createdb"));
        command.args([
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-p",
            &self.port.to_string(),
            name,
        ]);
        workspace::output(&mut command).map(drop)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
        self.service.stop_with(Signal::SIGINT);
        let _left_for_the_system_to_clean = fs::remove_dir_all(&self.folder);
    }
}

fn wait_until_ready(bin: &Path, port: u16, service: &mut Service) -> Result<()> {
    let deadline = Instant::now() + START_MAX;
    loop {
        service.require_alive()?;
        let mut probe = Command::new(bin.join("pg_isready"));
        probe.args([
            "-q",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-p",
            &port.to_string(),
        ]);
        if workspace::output(&mut probe).is_ok() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "PostgreSQL did not answer within {START_MAX:?}; its log ends:\n{}",
                service.log_tail()
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Finds the server's programs, newest major version first, and installs them when the
/// machine has `apt-get` and we may use it.
fn require_server_binaries() -> Result<PathBuf> {
    if let Some(bin) = find_server_binaries() {
        return Ok(bin);
    }
    if nix::unistd::geteuid().is_root() && workspace::has_program("apt-get") {
        println!("PostgreSQL is missing: installing the distribution's package");
        workspace::run(Command::new("apt-get").args(["update", "-q"]))?;
        workspace::run(
            Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .args(["install", "-qy", "--no-install-recommends", "postgresql"]),
        )?;
    }
    find_server_binaries().context(
        "found no PostgreSQL server in /usr/lib/postgresql/*/bin or on the PATH; \
         install it, e.g. with `sudo apt-get install postgresql`",
    )
}

fn find_server_binaries() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let major = entry.file_name().to_str()?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        })
        .filter(|(_, bin)| is_program(&bin.join("initdb")))
        .collect();
    versions.sort();
    let newest = versions.pop().map(|(_, bin)| bin);
    newest.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| is_program(&folder.join("initdb")))
    })
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// PostgreSQL refuses to run as root: picks somebody else when we are root.
fn unprivileged_owner() -> Result<Option<User>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name).context("failed to read the user database")? {
            return Ok(Some(user));
        }
    }
    bail!("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")
}
