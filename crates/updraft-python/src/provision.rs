//! Finds a Python interpreter with Airflow in it, or makes one.
//!
//! In this order: the interpreter that a setting names, the active virtual environment, `python3`
//! and `python` on the path; and if none of them has Airflow, a virtual environment of our own
//! from the lock file in this binary. The answer is remembered, so that the second start runs no
//! process at all.
//!
//! Everything here blocks.

mod candidates;
mod remembered;
mod virtual_env;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use self::candidates::{Candidate, Search};
use self::remembered::Remembered;
use crate::interpreter::Interpreter;
use crate::shim;

/// What the search for an interpreter may use.
#[derive(Clone, Debug, Default)]
pub struct ProvisionRequest {
    /// Where the shim, our virtual environment and the remembered answer go.
    pub runtime_dir: PathBuf,
    /// `[updraft] python`: use this interpreter and no other.
    pub python: Option<PathBuf>,
    /// The variable `VIRTUAL_ENV`.
    pub virtual_env: Option<PathBuf>,
    /// The variable `PATH`.
    pub path: Option<OsString>,
}

/// An interpreter that can run tasks, and the shim it needs.
#[derive(Clone, Debug)]
pub struct PythonRuntime {
    /// The interpreter. Its `airflow` is there and of the right version.
    pub interpreter: Interpreter,
    /// The unpacked shim.
    pub shim_dir: PathBuf,
    /// Where both came from, and where a zygote keeps what it needs.
    pub runtime_dir: PathBuf,
}

/// Why there is no interpreter.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The setting names an interpreter that cannot run tasks.
    #[error("[updraft] python: expected an interpreter with apache-airflow-core 3.3, found `{}`: {reason}", path.display())]
    SettingUnfit {
        /// What the setting says.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing to make a virtual environment with.
    #[error("found no Python 3.10 to 3.13; tried{}", list(tried))]
    NoPython {
        /// Each program and what was wrong with it.
        tried: Vec<String>,
    },
    /// Debian and its kin ship Python without the module.
    #[error("`{}` cannot make a virtual environment; install the package `{package}`", python.display())]
    VenvModuleMissing {
        /// The interpreter.
        python: PathBuf,
        /// Name of the package that brings the module.
        package: String,
    },
    /// A program failed.
    #[error("failed to {doing} ({status})\n{output}")]
    StepFailed {
        /// In words that finish "failed to …".
        doing: &'static str,
        /// How the program ended.
        status: String,
        /// The last lines it printed.
        output: String,
    },
    /// The operating system said no.
    #[error("failed to {doing}")]
    Io {
        /// In words that finish "failed to …".
        doing: &'static str,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl ProvisionError {
    fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// Returns an interpreter that can run tasks, making one if there is none.
///
/// `progress` is told what happens, one line at a time; it hears nothing when the answer of an
/// earlier start still holds.
pub fn provision(
    request: &ProvisionRequest,
    progress: &mut dyn FnMut(&str),
) -> Result<PythonRuntime, ProvisionError> {
    fs::create_dir_all(&request.runtime_dir)
        .map_err(ProvisionError::io("create the runtime folder"))?;
    // Two roles that start at once must not build the same environment twice.
    let _lock = lock(&request.runtime_dir)?;
    let shim_dir =
        shim::unpack(&request.runtime_dir).map_err(ProvisionError::io("unpack the Python shim"))?;
    let remembered = Remembered::new(request);
    let interpreter = match remembered.recall() {
        Some(interpreter) => interpreter,
        None => {
            let mut search = Search::new(&shim_dir);
            let interpreter = find_or_make(request, &mut search, progress)?;
            remembered
                .remember(&interpreter, &search.looked_at)
                .map_err(ProvisionError::io("remember the interpreter"))?;
            interpreter
        }
    };
    Ok(PythonRuntime {
        interpreter,
        shim_dir,
        runtime_dir: request.runtime_dir.clone(),
    })
}

fn find_or_make(
    request: &ProvisionRequest,
    search: &mut Search<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Interpreter, ProvisionError> {
    if let Some(path) = &request.python {
        return search
            .fit(path)
            .map_err(|reason| ProvisionError::SettingUnfit {
                path: path.clone(),
                reason,
            });
    }
    let mut tried = Vec::new();
    for Candidate {
        program,
        may_have_airflow,
    } in candidates::candidates(request.virtual_env.as_deref(), request.path.as_deref())
    {
        if !may_have_airflow {
            continue;
        }
        match search.fit(&program) {
            Ok(interpreter) => {
                progress(&format!(
                    "Using {} with Airflow {}",
                    program.display(),
                    airflow(&interpreter)
                ));
                return Ok(interpreter);
            }
            Err(reason) => tried.push(format!("{}: {reason}", program.display())),
        }
    }
    virtual_env::require(request, search, tried, progress)
}

fn airflow(interpreter: &Interpreter) -> &str {
    interpreter
        .airflow
        .as_ref()
        .map_or("", |airflow| &airflow.core_version)
}

fn lock(runtime_dir: &Path) -> Result<Flock<File>, ProvisionError> {
    let doing = "lock the runtime folder";
    let file =
        File::create(runtime_dir.join("provision.lock")).map_err(ProvisionError::io(doing))?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| ProvisionError::io(doing)(errno.into()))
}

fn list(tried: &[String]) -> String {
    if tried.is_empty() {
        return ": nothing on the path is called python".to_owned();
    }
    tried.iter().map(|line| format!("\n  {line}")).collect()
}
