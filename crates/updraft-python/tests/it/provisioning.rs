//! The search for an interpreter, with programs that only pretend to be Python.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;
use updraft_python::{ProvisionError, ProvisionRequest, PythonRuntime, provision};

/// A folder on the path, and a home.
struct Machine {
    root: TempDir,
    progress: Vec<String>,
}

impl Machine {
    fn new() -> Result<Self> {
        let root = tempfile::tempdir()?;
        fs::create_dir_all(root.path().join("bin"))?;
        Ok(Self {
            root,
            progress: Vec::new(),
        })
    }

    /// Puts a program on the path that answers the probe, and does `otherwise` when it is asked
    /// for anything else. Every call is counted.
    fn add_python(
        &self,
        name: &str,
        version: &str,
        airflow: &str,
        otherwise: &str,
    ) -> Result<PathBuf> {
        let program = self.root.path().join("bin").join(name);
        let calls = self.root.path().join("calls");
        let probe = format!(
            r#"{{"executable": "{program}", "python": "{version}", "site_packages": "{root}",
                "airflow": {airflow}}}"#,
            program = program.display(),
            root = self.root.path().display(),
        );
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> {calls}\nif [ \"$2\" = probe ]; then cat <<'END'\n{probe}\nEND\nexit 0; fi\n{otherwise}\n",
            calls = calls.display(),
        );
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(program)
    }

    fn request(&self) -> ProvisionRequest {
        ProvisionRequest {
            runtime_dir: self.root.path().join("runtime"),
            path: Some(self.root.path().join("bin").into()),
            ..ProvisionRequest::default()
        }
    }

    fn provision(&mut self, request: &ProvisionRequest) -> Result<PythonRuntime, ProvisionError> {
        let progress = &mut self.progress;
        provision(request, &mut |line| progress.push(line.to_owned()))
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.root.path().join("calls")).map_or(0, |calls| calls.lines().count())
    }
}

fn airflow(core: &str) -> String {
    format!(
        r#"{{"core_version": "{core}", "task_sdk_version": "1.3.2", "package_path": "/a",
            "providers": {{}}, "example_bundles": []}}"#
    )
}

#[test]
fn the_second_start_runs_nothing_until_a_package_changes() -> Result<()> {
    let mut machine = Machine::new()?;
    let python = machine.add_python("python3", "3.12.1", &airflow("3.3.2"), "exit 1")?;
    let request = machine.request();
    let first = machine.provision(&request)?;
    assert_eq!(first.interpreter.executable, python);
    assert!(first.shim_dir.join("__main__.py").is_file());
    assert_eq!((machine.calls(), machine.progress.len()), (1, 1));

    let second = machine.provision(&request)?;
    assert_eq!(second.interpreter, first.interpreter);
    assert_eq!((machine.calls(), machine.progress.len()), (1, 1));

    // A new distribution is a new entry in site-packages.
    fs::create_dir(machine.root.path().join("new_package.dist-info"))?;
    machine.provision(&request)?;
    assert_eq!(machine.calls(), 2);
    Ok(())
}

#[test]
fn an_interpreter_with_the_wrong_airflow_is_passed_over() -> Result<()> {
    let mut machine = Machine::new()?;
    machine.add_python("python3", "3.12.1", &airflow("2.11.0"), "exit 1")?;
    let good = machine.add_python("python", "3.11.0", &airflow("3.3.0"), "exit 1")?;
    let request = machine.request();
    assert_eq!(machine.provision(&request)?.interpreter.executable, good);
    Ok(())
}

#[test]
fn a_setting_that_names_an_unfit_interpreter_is_an_error_and_no_other_is_used() -> Result<()> {
    let mut machine = Machine::new()?;
    machine.add_python("python3", "3.12.1", &airflow("3.3.2"), "exit 1")?;
    let old = machine.add_python("old", "3.9.1", "null", "exit 1")?;
    for (path, reason) in [
        (old, "Python 3.9.1 without apache-airflow-core"),
        (
            PathBuf::from("/nonexistent/python"),
            "No such file or directory",
        ),
    ] {
        let mut request = machine.request();
        request.python = Some(path.clone());
        let error = machine.provision(&request).unwrap_err().to_string();
        assert!(error.starts_with("[updraft] python: "), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert!(error.contains(reason), "{error}");
    }
    Ok(())
}

#[test]
fn without_any_usable_python_everything_that_was_tried_is_listed() -> Result<()> {
    let mut machine = Machine::new()?;
    machine.add_python("python3", "3.9.2", "null", "exit 1")?;
    machine.add_python("python3.11", "3.11.2", "null", "exit 1")?;
    fs::write(
        machine.root.path().join("bin/python3.11"),
        "#!/bin/sh\necho broken >&2; exit 3\n",
    )?;
    let request = machine.request();
    let error = machine.provision(&request).unwrap_err();
    assert!(matches!(error, ProvisionError::NoPython { .. }), "{error}");
    let error = error.to_string();
    assert!(
        error.contains("python3: Python 3.9.2 without apache-airflow-core"),
        "{error}"
    );
    assert!(
        error.contains("python3.11: exit status: 3: broken"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_missing_venv_module_names_the_package_to_install() -> Result<()> {
    let mut machine = Machine::new()?;
    let otherwise =
        "echo 'The virtual environment was not created: ensurepip is not available.'; exit 1";
    machine.add_python("python3", "3.11.2", "null", otherwise)?;
    let request = machine.request();
    let error = machine.provision(&request).unwrap_err().to_string();
    assert!(
        error.contains("install the package `python3.11-venv`"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_failed_installation_shows_its_last_lines_and_is_tried_again() -> Result<()> {
    let mut machine = Machine::new()?;
    // `-m venv --clear FOLDER` leaves a Python in FOLDER whose pip fails.
    let otherwise = "mkdir -p $4/bin; cp $0 $4/bin/python\n\
                     if [ \"$2\" = pip ]; then seq 1 100; echo 'no space left'; exit 2; fi";
    machine.add_python("python3", "3.11.2", "null", otherwise)?;
    let request = machine.request();
    for _ in 0..2 {
        let error = machine.provision(&request).unwrap_err().to_string();
        assert!(
            error.starts_with("failed to install Airflow (exit status: 2)\n82\n"),
            "{error}"
        );
        assert!(error.ends_with("\n100\nno space left"), "{error}");
    }
    let shown = |line: &str| {
        machine
            .progress
            .iter()
            .filter(|shown| *shown == line)
            .count()
    };
    assert_eq!(shown("no space left"), 2, "progress is shown line by line");
    let lock = fs::read_to_string(request.runtime_dir.join("requirements.lock"))?;
    assert!(lock.contains("apache-airflow-core==3.3.2 "), "{lock}");
    Ok(())
}

#[test]
fn the_lock_file_names_no_registry_and_hashes_everything() {
    let lock = include_str!("../../../../python/requirements.lock");
    assert!(
        !lock.contains("://"),
        "an address belongs to the machine, not to the project"
    );
    assert!(
        !lock
            .lines()
            .any(|line| line.trim_start().starts_with("--index"))
    );
    let pinned = lock.lines().filter(|line| line.contains("=="));
    for line in pinned {
        assert!(line.ends_with('\\'), "no hash follows `{line}`");
    }
    assert!(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../python/requirements.in")
            .is_file()
    );
}
