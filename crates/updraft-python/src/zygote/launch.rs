//! Starts one zygote process and waits until it is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tracing::debug;

use super::control::{Control, Event};
use super::{Error, Versions, ZygoteConfig};
use crate::fds;
use crate::interpreter::{TASK_SDK_SERIES, is_in_series};
use crate::leftovers::INSTANCE_VARIABLE;

/// Where the zygote finds its settings.
const SETTINGS_VARIABLE: &str = "UPDRAFT_ZYGOTE";

/// Enough of what the zygote prints to hold a traceback.
const OUTPUT_BYTES_MAX: usize = 8 * 1024;

/// How long a zygote may take to end after its control socket closed.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// A zygote that is ready to fork.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) control: Control,
    pub(super) process: Process,
    pub(super) versions: Versions,
    /// Whether it had to begin again without the modules it was given.
    pub(super) preload_refused: bool,
}

#[derive(Debug)]
struct Ready {
    versions: Versions,
    preload_refused: bool,
}

/// The process, and the last of what it printed.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) pid: u32,
    output: pipe::Receiver,
    tail: Vec<u8>,
}

/// Starts a zygote that imports `preload` beside Airflow, and waits for its `ready`.
pub(super) async fn launch(
    config: &ZygoteConfig,
    instance: &Path,
    preload: &[String],
) -> Result<Launched, Error> {
    let (ours, theirs) = fds::packet_pair().map_err(Error::io("make the control socket"))?;
    let mut control = Control::new(ours).map_err(Error::io("watch the control socket"))?;
    let mut process = Process::start(config, instance, preload, theirs)?;
    let waited = wait_until_ready(&mut control, &mut process);
    let ready = match tokio::time::timeout(config.start_timeout, waited).await {
        Ok(Ok(ready)) => ready,
        Ok(Err(reason)) => return Err(process.into_start_error(&reason).await),
        Err(_) => {
            let reason = format!("it was not ready after {:?}", config.start_timeout);
            return Err(process.into_start_error(&reason).await);
        }
    };
    let Ready {
        versions,
        preload_refused,
    } = ready;
    if !is_in_series(&versions.task_sdk, TASK_SDK_SERIES) {
        return Err(Error::UnsupportedVersion {
            expected: TASK_SDK_SERIES,
            found: versions.task_sdk,
        });
    }
    Ok(Launched {
        control,
        process,
        versions,
        preload_refused,
    })
}

async fn wait_until_ready(control: &mut Control, process: &mut Process) -> Result<Ready, String> {
    let mut preload_refused = false;
    loop {
        let packet = tokio::select! {
            packet = control.receive() => packet.map_err(|error| error.to_string())?,
            () = process.collect_output() => continue,
        };
        match packet {
            Some((Event::Ready { versions }, _)) => {
                return Ok(Ready {
                    versions,
                    preload_refused,
                });
            }
            Some((Event::PreloadRefused, _)) => preload_refused = true,
            Some((event, _)) => return Err(format!("expected `ready`, found {event:?}")),
            None => return Err("it ended before it was ready".to_owned()),
        }
    }
}

impl Process {
    fn start(
        config: &ZygoteConfig,
        instance: &Path,
        preload: &[String],
        control: OwnedFd,
    ) -> Result<Self, Error> {
        let (reader, writer) = io::pipe().map_err(Error::io("make a pipe"))?;
        let second = writer.try_clone().map_err(Error::io("copy a pipe"))?;
        let settings = serde_json::json!({
            "idle_children": config.idle_children,
            "example_plugins": config.example_plugins,
            "preload": preload,
        })
        .to_string();
        let child = Command::new(&config.interpreter)
            .arg(&config.shim_dir)
            .arg("zygote")
            .env_clear()
            .envs(crate::environment::for_children(config.environment.clone()))
            .env(SETTINGS_VARIABLE, settings)
            .env(INSTANCE_VARIABLE, instance)
            .stdin(control)
            .stdout(writer)
            .stderr(Stdio::from(second))
            // A Ctrl-C in our terminal is for us. We decide what it means for the children.
            .process_group(0)
            .spawn()
            .map_err(|error| Error::StartFailed {
                reason: format!("`{}`: {error}", config.interpreter.display()),
                output: String::new(),
            })?;
        let output = pipe::Receiver::from_owned_fd(reader.into())
            .map_err(Error::io("watch the output of the zygote"))?;
        Ok(Self {
            pid: child.id().unwrap_or_default(),
            child,
            output,
            tail: Vec::new(),
        })
    }

    /// Waits for output and keeps the end of it; at the end of the output waits for ever.
    /// Cancel-safe.
    pub(super) async fn collect_output(&mut self) {
        let mut chunk = [0; 4096];
        match self.output.read(&mut chunk).await {
            Ok(length) if length > 0 => {
                debug!(zygote = self.pid, output = %chunk[..length].escape_ascii(), "zygote printed");
                self.tail.extend_from_slice(&chunk[..length]);
                let excess = self.tail.len().saturating_sub(OUTPUT_BYTES_MAX);
                self.tail.drain(..excess);
            }
            Ok(_) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits for the process after its control socket closed, and says how it ended. A process
    /// that does not end is killed: nobody can speak to it any more.
    pub(super) async fn end(&mut self) -> String {
        let status = match tokio::time::timeout(END_TIMEOUT, self.child.wait()).await {
            Ok(status) => status,
            Err(_) => match self.child.kill().await {
                Ok(()) => self.child.wait().await,
                Err(error) => Err(error),
            },
        };
        // What it printed last is still in the pipe. Its children hold the pipe open, so its end
        // may not come.
        let mut rest = [0; OUTPUT_BYTES_MAX];
        while let Ok(length @ 1..) = self.output.try_read(&mut rest) {
            self.tail.extend_from_slice(&rest[..length]);
        }
        match status {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// The last of what the process printed.
    pub(super) fn output(&self) -> String {
        let from = self.tail.len().saturating_sub(OUTPUT_BYTES_MAX);
        String::from_utf8_lossy(&self.tail[from..]).into_owned()
    }

    async fn into_start_error(mut self, reason: &str) -> Error {
        // It may well be alive, busy or stuck; without a control socket it is of no use.
        drop(self.child.start_kill());
        let status = self.end().await;
        Error::StartFailed {
            reason: format!("{reason} ({status})"),
            output: self.output(),
        }
    }
}
