//! A real `updraft standalone`, started, killed and started again.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::home::Home;
use crate::rest::RestClient;
use crate::wait::wait_until;

/// How the line begins that says that requests are answered.
const READY_LINE: &str = "Updraft is ready at ";

/// How the line begins that a first start prints once.
const PASSWORD_LINE: &str = "Password for user 'admin': ";

/// Most starts take a third of a second; a busy machine needs longer.
const READY_MAX: Duration = Duration::from_secs(60);

/// How often a start is tried on another port: somebody may take a free one before we do.
const PORTS_MAX: u32 = 5;

/// One installation: a home, how its process is started, and the process if it runs.
#[derive(Debug)]
pub struct Standalone {
    home: Home,
    binary: PathBuf,
    environment: Vec<(String, String)>,
    port: u16,
    starts: u32,
    password: Option<String>,
    process: Option<Child>,
}

/// A process that has ended, and everything it printed.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub output: String,
}

impl Standalone {
    /// An installation on `home`, not started yet.
    ///
    /// # Panics
    /// When `UPDRAFT_TEST_PYTHON` does not name an interpreter with Airflow in it.
    #[must_use]
    pub fn new(binary: &Path, home: Home) -> Self {
        let python = std::env::var_os("UPDRAFT_TEST_PYTHON").unwrap_or_else(|| {
            panic!("set UPDRAFT_TEST_PYTHON to a Python with apache-airflow-core 3.3 in it")
        });
        Self {
            home,
            binary: binary.to_owned(),
            environment: Vec::new(),
            port: free_port(),
            starts: 0,
            password: None,
            process: None,
        }
        .with("AIRFLOW__UPDRAFT__PYTHON", &python.to_string_lossy())
        .with("AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION", "False")
        .with("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    }

    /// Sets a variable of the environment of the process.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts the process, waits until it answers, and logs in.
    ///
    /// # Panics
    /// When it does not become ready.
    #[track_caller]
    pub fn start(&mut self) -> RestClient {
        let mut attempt = 1;
        loop {
            self.spawn();
            if self.is_ready() {
                break;
            }
            let output = self.output();
            assert!(
                output.contains("failed to listen") && attempt < PORTS_MAX,
                "updraft ended before it was ready:\n{output}"
            );
            attempt += 1;
            self.port = free_port();
        }
        let output = self.output();
        let password = output
            .lines()
            .find_map(|line| line.strip_prefix(PASSWORD_LINE));
        if let Some(password) = password {
            self.password = Some(password.to_owned());
        }
        let password = self
            .password
            .as_deref()
            .unwrap_or_else(|| panic!("no password in:\n{output}"));
        RestClient::log_in(self.port, password)
    }

    /// Starts the process and does not wait.
    ///
    /// # Panics
    /// When one is running already.
    pub fn spawn(&mut self) {
        assert!(self.process.is_none(), "updraft is running already");
        self.starts += 1;
        self.process = Some(
            self.command()
                .spawn()
                .unwrap_or_else(|error| panic!("failed to start {:?}: {error}", self.binary)),
        );
    }

    /// Runs another `standalone` with the same home and port to its end.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    #[track_caller]
    pub fn run_to_end(&mut self) -> Ended {
        self.starts += 1;
        let mut child = self.command().spawn().expect("the binary starts");
        let status = wait_for(&mut child, READY_MAX);
        Ended {
            status,
            output: self.output(),
        }
    }

    /// Everything that the last process printed.
    #[must_use]
    pub fn output(&self) -> String {
        let bytes = fs::read(self.output_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The number of the running process.
    ///
    /// # Panics
    /// When none runs.
    #[must_use]
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.process
            .as_ref()
            .expect("updraft is running")
            .id()
            .cast_signed()
    }

    /// `kill -9`: the process gets no chance to say anything, its children live on.
    ///
    /// # Panics
    /// When none runs, or it has ended by itself.
    #[track_caller]
    pub fn kill(&mut self) {
        let mut child = self.process.take().expect("updraft is running");
        if let Ok(Some(status)) = child.try_wait() {
            panic!("updraft ended by itself with {status}:\n{}", self.output());
        }
        child.kill().expect("our own process");
        child.wait().expect("our own process");
    }

    /// Asks the process to stop and waits for its end.
    ///
    /// # Panics
    /// When it does not end within `timeout`.
    #[track_caller]
    pub fn stop(&mut self, timeout: Duration) -> Ended {
        kill(Pid::from_raw(self.pid()), Signal::SIGTERM).expect("our own process");
        self.wait_for_end(timeout)
    }

    /// Waits for the end of the process.
    ///
    /// # Panics
    /// When it does not end within `timeout`.
    #[track_caller]
    pub fn wait_for_end(&mut self, timeout: Duration) -> Ended {
        let mut child = self.process.take().expect("updraft is running");
        let status = wait_for(&mut child, timeout);
        Ended {
            status,
            output: self.output(),
        }
    }

    /// Whether the process became ready; `false` when it ended instead.
    fn is_ready(&mut self) -> bool {
        let path = self.output_path();
        let mut child = self.process.take().expect("updraft was started");
        let is_ready = wait_until("updraft is ready", READY_MAX, || {
            let output = fs::read_to_string(&path).unwrap_or_default();
            if output.lines().any(|line| line.starts_with(READY_LINE)) {
                return Ok(true);
            }
            match child.try_wait() {
                Ok(Some(_)) => Ok(false),
                _ => Err(output),
            }
        });
        self.process = is_ready.then_some(child);
        is_ready
    }

    fn command(&self) -> Command {
        let output = File::create(self.output_path()).expect("our own folder takes files");
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AIRFLOW") {
                command.env_remove(name);
            }
        }
        command
            .args([
                "standalone",
                "--host",
                "127.0.0.1",
                "--port",
                &self.port.to_string(),
            ])
            .current_dir(self.home.path())
            .env("AIRFLOW_HOME", self.home.path())
            // A shell whose input is a socket, as that of a task is, reads `~/.bashrc`: what stands
            // there may hold a lock that outlives a kill.
            .env("HOME", self.home.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file can be shared"))
            .stderr(output);
        command
    }

    fn output_path(&self) -> PathBuf {
        self.home.path().join(format!("output-{}.txt", self.starts))
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            // The home ends what the process leaves behind.
            let _ended_by_itself = child.kill();
            let _status = child.wait();
        }
        if std::thread::panicking() {
            self.show_output();
        }
    }
}

impl Standalone {
    /// The end of what the last process printed, next to the message of the failed test.
    #[expect(clippy::print_stderr, reason = "a failed test is understood from this")]
    fn show_output(&self) {
        const LINES_MAX: usize = 60;
        let output = self.output();
        let lines: Vec<_> = output.lines().collect();
        eprintln!(
            "--- the last of {} starts printed, at its end:",
            self.starts
        );
        for line in &lines[lines.len().saturating_sub(LINES_MAX)..] {
            eprintln!("{line}");
        }
    }
}

#[track_caller]
fn wait_for(child: &mut Child, timeout: Duration) -> ExitStatus {
    wait_until("the process ended", timeout, || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        other => Err(other),
    })
}

/// A loopback port that nothing listens on right now.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}
