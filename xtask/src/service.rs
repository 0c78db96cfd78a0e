//! A server process that `xtask` starts, watches and stops.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a server may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(20);

/// How many last lines of a log an error quotes.
const LOG_LINES_MAX: usize = 30;

/// A running server. Dropping it kills the process and everything it started.
pub(crate) struct Service {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts `command` with stdout and stderr in `<log_folder>/<name>.log`.
    pub(crate) fn start(name: &str, command: &mut Command, log_folder: &Path) -> Result<Self> {
        let log = log_folder.join(format!("{name}.log"));
        let file = File::create(&log)
            .with_context(|| format!("failed to create the log `{}`", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("failed to share a log file")?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("failed to start {command:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails with the end of the log when the process is no longer there.
    pub(crate) fn require_alive(&mut self) -> Result<()> {
        let status = self
            .child
            .try_wait()
            .context("failed to look after a process")?;
        if let Some(status) = status {
            bail!(
                "`{}` ended early with {status}; its log ends:\n{}",
                self.name,
                self.log_tail()
            );
        }
        Ok(())
    }

    /// Returns everything the process has printed so far.
    pub(crate) fn log_text(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    pub(crate) fn log_tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join("\n")
    }

    /// Asks the process to end with `signal`, and kills what is left after the grace period.
    pub(crate) fn stop_with(&mut self, signal: Signal) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // The tree is read first: orphans of a killed parent could not be found afterwards.
        let tree = process_tree(self.pid());
        send(self.pid(), signal);
        let deadline = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        for pid in tree {
            send(pid, Signal::SIGKILL);
        }
        let _exit_status = self.child.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop_with(Signal::SIGTERM);
    }
}

fn send(pid: u32, signal: Signal) {
    let Ok(pid) = i32::try_from(pid) else { return };
    // A process that has gone by itself is what we want.
    let _gone = kill(Pid::from_raw(pid), signal);
}

/// Returns `root` and all its descendants.
pub(crate) fn process_tree(root: u32) -> BTreeSet<u32> {
    let mut tree = BTreeSet::from([root]);
    let parents: Vec<(u32, u32)> = all_pids()
        .filter_map(|pid| Some((pid, parent_of(pid)?)))
        .collect();
    loop {
        let before = tree.len();
        for (pid, parent) in &parents {
            if tree.contains(parent) {
                tree.insert(*pid);
            }
        }
        if tree.len() == before {
            return tree;
        }
    }
}

fn all_pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent_of(pid: u32) -> Option<u32> {
    stat_field(pid, 1)
}

/// Returns the numeric field that stands `index` places after the command name in
/// `/proc/<pid>/stat` (0 would be the state letter).
pub(crate) fn stat_field<T: std::str::FromStr>(pid: u32, index: usize) -> Option<T> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name may hold spaces and parentheses; the fields start after the last one.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split_ascii_whitespace().nth(index)?.parse().ok()
}

/// Returns a loopback port that nothing listens on right now.
pub(crate) fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a free port")?;
    Ok(listener
        .local_addr()
        .context("failed to read the port of a socket")?
        .port())
}
