//! The folder a test's Updraft lives in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::processes::kill_all_of;

/// A home folder with a `dags` folder in it. When dropped, what still runs in it is killed and
/// the folder removed.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// An empty home.
    ///
    /// # Panics
    /// When the folder cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("updraft-home-").expect("a temporary folder");
        fs::create_dir(folder.path().join("dags")).expect("a folder in our own folder");
        Self { folder }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where its Dag files are.
    #[must_use]
    pub fn dags(&self) -> PathBuf {
        self.path().join("dags")
    }

    /// Where a fresh installation keeps its store.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path().join("updraft.db")
    }

    /// What a query finds in its store, row by row.
    ///
    /// # Panics
    /// When the query is wrong, or there is no Python for tests.
    #[must_use]
    pub fn rows(&self, query: &str) -> Vec<Vec<Value>> {
        const SCRIPT: &str = "
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30)
print(json.dumps(connection.execute(sys.argv[2]).fetchall(), default=str))
";
        let python = std::env::var_os("UPDRAFT_TEST_PYTHON").expect("a Python for tests");
        let output = Command::new(python)
            .args(["-c", SCRIPT])
            .arg(self.database())
            .arg(query)
            .output()
            .expect("Python runs");
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{query}\n{problem}");
        serde_json::from_slice(&output.stdout).expect("rows as JSON")
    }

    /// Puts a file into the Dags folder, at once and whole.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_dag(&self, name: &str, text: &str) {
        let half = self.path().join(format!("{name}.part"));
        fs::write(&half, text).expect("our own folder takes files");
        fs::rename(half, self.dags().join(name)).expect("our own folder takes files");
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        kill_all_of(self.path());
    }
}
