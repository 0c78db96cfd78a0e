//! Our own virtual environment, made from the lock file in this binary.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha1::{Digest as _, Sha1};

use super::candidates::{self, Search};
use super::{ProvisionError, ProvisionRequest};
use crate::interpreter::Interpreter;

/// Every package with its version and hashes, for each Python it is meant for.
const LOCK: &str = include_str!("../../../../python/requirements.lock");

/// Python versions that the lock file was resolved and tried for.
const PYTHON_MIN: (u32, u32) = (3, 10);
const PYTHON_MAX: (u32, u32) = (3, 13);

/// Lines of a failed program that are shown.
const OUTPUT_LINES_MAX: usize = 20;

/// Lines of pip that tell a user nothing.
const NOISE: &[&str] = &[
    "Ignoring ",
    "Looking in ",
    "  Downloading ",
    "  Using cached ",
];

/// Written last: an environment without it is half made.
const MARKER: &str = "updraft-lock";

/// Returns the interpreter of our environment, making it if it is missing, half made, or from
/// another lock file.
pub(super) fn require(
    request: &ProvisionRequest,
    search: &mut Search<'_>,
    tried: Vec<String>,
    progress: &mut dyn FnMut(&str),
) -> Result<Interpreter, ProvisionError> {
    let folder = request.runtime_dir.join("venv");
    let python = folder.join("bin/python");
    let is_current = fs::read_to_string(folder.join(MARKER))
        .is_ok_and(|marker| marker.trim() == lock_fingerprint());
    if is_current && let Ok(interpreter) = search.fit(&python) {
        return Ok(interpreter);
    }
    let base = find_base(request, search, tried)?;
    progress(&format!(
        "No Python with Airflow found; making one in {} from {} (Python {})",
        folder.display(),
        base.executable.display(),
        base.version,
    ));
    create(&base, &folder, progress)?;
    install(&python, &request.runtime_dir, progress)?;
    let interpreter = search
        .fit(&python)
        .map_err(|reason| ProvisionError::StepFailed {
            doing: "use the new virtual environment",
            status: reason,
            output: String::new(),
        })?;
    fs::write(folder.join(MARKER), lock_fingerprint()).map_err(ProvisionError::io(
        "mark the virtual environment as complete",
    ))?;
    progress("The Python runtime is ready");
    Ok(interpreter)
}

/// Names the lock file in this binary.
pub(super) fn lock_fingerprint() -> String {
    Sha1::digest(LOCK)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The first interpreter that the lock file is meant for.
fn find_base(
    request: &ProvisionRequest,
    search: &mut Search<'_>,
    mut tried: Vec<String>,
) -> Result<Interpreter, ProvisionError> {
    for candidate in candidates::candidates(request.virtual_env.as_deref(), request.path.as_deref())
    {
        let program = candidate.program.display();
        match search.probe(&candidate.program) {
            Ok(found) if found.series().is_some_and(is_supported) => return Ok(found),
            Ok(found) => tried.push(format!("{program}: Python {}", found.version)),
            // Those that might have Airflow have been tried, and noted, before.
            Err(_) if candidate.may_have_airflow => {}
            Err(reason) => tried.push(format!("{program}: {reason}")),
        }
    }
    Err(ProvisionError::NoPython { tried })
}

fn is_supported(series: (u32, u32)) -> bool {
    (PYTHON_MIN..=PYTHON_MAX).contains(&series)
}

fn create(
    base: &Interpreter,
    folder: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<(), ProvisionError> {
    let doing = "make a virtual environment";
    let mut command = Command::new(&base.executable);
    command.args(["-m", "venv", "--clear"]).arg(folder);
    run(doing, command, progress).map_err(|error| match error {
        ProvisionError::StepFailed { output, .. } if lacks_venv(&output) => {
            let (major, minor) = base.series().unwrap_or(PYTHON_MIN);
            ProvisionError::VenvModuleMissing {
                python: base.executable.clone(),
                package: format!("python{major}.{minor}-venv"),
            }
        }
        error => error,
    })
}

fn lacks_venv(output: &str) -> bool {
    [
        "ensurepip is not available",
        "No module named venv",
        "No module named ensurepip",
    ]
    .iter()
    .any(|sign| output.contains(sign))
}

fn install(
    python: &Path,
    runtime_dir: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<(), ProvisionError> {
    let lock: PathBuf = runtime_dir.join("requirements.lock");
    fs::write(&lock, LOCK).map_err(ProvisionError::io("write the lock file"))?;
    let mut command = Command::new(python);
    command
        .args([
            "-m",
            "pip",
            "install",
            "--require-hashes",
            "--only-binary",
            ":all:",
        ])
        .args([
            "--no-input",
            "--disable-pip-version-check",
            "--progress-bar",
            "off",
            "-r",
        ])
        .arg(&lock);
    run("install Airflow", command, progress)
}

/// Runs a program, passes its lines on, and keeps the last ones for the error.
fn run(
    doing: &'static str,
    mut command: Command,
    progress: &mut dyn FnMut(&str),
) -> Result<(), ProvisionError> {
    let (reader, writer) = io::pipe().map_err(ProvisionError::io(doing))?;
    let errors = writer.try_clone().map_err(ProvisionError::io(doing))?;
    let mut child = command
        .stdin(std::process::Stdio::null())
        .stdout(writer)
        .stderr(errors)
        .spawn()
        .map_err(ProvisionError::io(doing))?;
    // The command holds copies of the pipe, which would keep it open for ever.
    drop(command);
    let mut last = VecDeque::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(ProvisionError::io(doing))?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if !NOISE.iter().any(|start| line.starts_with(start)) {
            progress(line.split(" (from ").next().unwrap_or(&line));
        }
        if last.len() == OUTPUT_LINES_MAX {
            last.pop_front();
        }
        last.push_back(line);
    }
    let status = child.wait().map_err(ProvisionError::io(doing))?;
    if status.success() {
        return Ok(());
    }
    Err(ProvisionError::StepFailed {
        doing,
        status: status.to_string(),
        output: Vec::from(last).join("\n"),
    })
}
