//! Which programs may be a usable Python, and what they turn out to be.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::interpreter::Interpreter;

/// Names under which an interpreter may have Airflow in it.
const PLAIN_NAMES: &[&str] = &["python3", "python"];

/// Names that are only good for making a virtual environment, newest tested version first.
const VERSIONED_NAMES: &[&str] = &["python3.13", "python3.12", "python3.11", "python3.10"];

/// One program to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) program: PathBuf,
    /// Whether it is one a user would install Airflow into.
    pub(super) may_have_airflow: bool,
}

/// Asks programs what they are, and keeps note of whom it asked.
#[derive(Debug)]
pub(super) struct Search<'a> {
    shim: &'a Path,
    /// Folders and files whose change may change the answer.
    pub(super) looked_at: Vec<PathBuf>,
}

impl<'a> Search<'a> {
    pub(super) fn new(shim: &'a Path) -> Self {
        Self {
            shim,
            looked_at: Vec::new(),
        }
    }

    /// Asks a program what it is.
    pub(super) fn probe(&mut self, program: &Path) -> Result<Interpreter, String> {
        self.looked_at.push(program.to_owned());
        let interpreter = Interpreter::probe(program, self.shim)?;
        // Installing or removing a package changes the time of this folder.
        self.looked_at.push(interpreter.site_packages.clone());
        Ok(interpreter)
    }

    /// The interpreter behind a program if tasks can run in it, else why not.
    pub(super) fn fit(&mut self, program: &Path) -> Result<Interpreter, String> {
        let interpreter = self.probe(program)?;
        match interpreter.unfit() {
            None => Ok(interpreter),
            Some(reason) => Err(reason),
        }
    }
}

/// Lists existing programs in the order to try them, each once.
pub(super) fn candidates(virtual_env: Option<&Path>, path: Option<&OsStr>) -> Vec<Candidate> {
    let active = virtual_env.map(|folder| folder.join("bin/python"));
    let folders: Vec<PathBuf> = path
        .map(|path| std::env::split_paths(path).collect())
        .unwrap_or_default();
    let on_path = |name: &&str| {
        let name = *name;
        folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|program| program.is_file())
    };
    let plain = active
        .filter(|program| program.is_file())
        .into_iter()
        .chain(PLAIN_NAMES.iter().filter_map(on_path))
        .map(|program| (program, true));
    let versioned = VERSIONED_NAMES
        .iter()
        .filter_map(on_path)
        .map(|program| (program, false));
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for (program, may_have_airflow) in plain.chain(versioned) {
        // A virtual environment's `python` is a link to the same file as another's, so only
        // links within one folder are the same interpreter.
        let identity = (
            program.parent().map(Path::to_owned),
            fs::canonicalize(&program).ok(),
        );
        if !seen.contains(&identity) {
            seen.push(identity);
            found.push(Candidate {
                program,
                may_have_airflow,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::candidates;

    #[test]
    fn the_active_environment_comes_first_and_links_to_one_program_count_once() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["venv/bin", "one", "two"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for program in [
            "venv/bin/python",
            "one/python3.12",
            "two/python3",
            "two/python3.10",
        ] {
            fs::write(root.path().join(program), "").unwrap();
        }
        symlink("python3.12", root.path().join("one/python3")).unwrap();
        let path = std::env::join_paths([root.path().join("one"), root.path().join("two")]);

        let found = candidates(Some(&root.path().join("venv")), Some(&path.unwrap()));
        let shown: Vec<_> = found
            .iter()
            .map(|one| {
                (
                    one.program.strip_prefix(root.path()).unwrap(),
                    one.may_have_airflow,
                )
            })
            .map(|(program, may)| (program.to_str().unwrap(), may))
            .collect();
        assert_eq!(
            shown,
            [
                ("venv/bin/python", true),
                ("one/python3", true),
                ("two/python3.10", false)
            ]
        );
    }
}
