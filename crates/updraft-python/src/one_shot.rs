//! One part of the shim, run to its end: for the time before there is a zygote.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use crate::child::ChildStatus;
use crate::provision::PythonRuntime;

/// What a process printed, and how it ended.
#[derive(Debug)]
pub struct Printed {
    pub status: ChildStatus,
    pub stdout: Vec<u8>,
}

/// Runs a part of the shim with `input` to read. What it says beside its answer goes where this
/// process says it. Blocks until it ends.
///
/// # Errors
/// Why it did not run.
pub fn run_part(
    python: &PythonRuntime,
    part: &str,
    environment: Vec<(String, String)>,
    input: &[u8],
) -> std::io::Result<Printed> {
    let mut child = Command::new(&python.interpreter.executable)
        .arg(&python.shim_dir)
        .arg(part)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take()
        && let Err(error) = stdin.write_all(input)
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        return Err(error);
    }
    let output = child.wait_with_output()?;
    let status = match (output.status.code(), output.status.signal()) {
        (Some(code), _) => ChildStatus::Exited(code),
        (None, Some(signal)) => ChildStatus::Signaled(signal),
        (None, None) => ChildStatus::Unknown,
    };
    Ok(Printed {
        status,
        stdout: output.stdout,
    })
}
