//! A home folder, and commands run in it.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A home folder that goes away with the value.
pub(crate) struct Home {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The output of a command that must be fine.
    pub(crate) fn fine(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// The reason of a command that must fail, with this exit code.
    pub(crate) fn refused(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.out, "", "a refusal has no output");
        self.err
    }
}

impl Home {
    /// A folder with nothing in it.
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    /// A folder with a store.
    pub(crate) fn migrated() -> Self {
        let home = Self::empty();
        home.run(&["db", "migrate"]).fine();
        home
    }

    /// Sets a variable for all commands to come.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a file in the folder, as text for an argument.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_updraft"))
            .args(arguments)
            .env_clear()
            .env("AIRFLOW_HOME", self.path())
            .env("HOME", self.path())
            .envs(self.variables.iter().cloned())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command line without quotes.
    pub(crate) fn line(&self, line: &str) -> Ran {
        let arguments: Vec<&str> = line.split(' ').collect();
        self.run(&arguments)
    }
}
