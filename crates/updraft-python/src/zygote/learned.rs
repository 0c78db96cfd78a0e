//! The modules that children had to import, remembered for the next zygote.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use tracing::warn;

/// Enough for every provider somebody may use; a wild Dag folder must not fill the memory.
const MODULES_MAX: usize = 1_000;

/// A growing set of module names, kept in a file.
#[derive(Debug)]
pub(super) struct Learned {
    file: PathBuf,
    modules: BTreeSet<String>,
    refused: bool,
}

impl Learned {
    /// Reads what earlier zygotes have learned, if anything.
    pub(super) fn load(file: PathBuf) -> Self {
        let text = fs::read_to_string(&file).unwrap_or_default();
        Self {
            modules: text
                .lines()
                .filter(|line| is_module(line))
                .map(str::to_owned)
                .collect(),
            file,
            refused: false,
        }
    }

    /// What the next zygote should import.
    pub(super) fn modules(&self) -> Vec<String> {
        self.modules.iter().cloned().collect()
    }

    /// Adds what a child had to import.
    pub(super) fn add(&mut self, modules: Vec<String>) {
        if self.refused {
            return;
        }
        let before = self.modules.len();
        self.modules
            .extend(modules.into_iter().filter(|name| is_module(name)));
        while self.modules.len() > MODULES_MAX {
            self.modules.pop_last();
        }
        if self.modules.len() > before {
            self.save();
        }
    }

    /// Forgets everything, because a zygote that had imported it could not fork any more.
    pub(super) fn refuse(&mut self) {
        warn!("an import started a thread; the zygote goes on without learned modules");
        self.modules.clear();
        self.refused = true;
        self.save();
    }

    fn save(&self) {
        let lines: String = self
            .modules
            .iter()
            .map(|name| format!("{name}\n"))
            .collect();
        // Nothing but speed is lost without the file.
        if let Err(error) = fs::write(&self.file, lines) {
            warn!(%error, file = %self.file.display(), "failed to write the learned modules");
        }
    }
}

/// Whether a name may be a line of the file.
fn is_module(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '.')
}

#[cfg(test)]
mod tests {
    use super::Learned;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_was_learned_outlives_the_process_until_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("modules.txt");
        let mut learned = Learned::load(file.clone());
        assert!(learned.modules().is_empty());
        learned.add(names(&["airflow.b", "airflow.a", "not a module", ""]));

        let mut learned = Learned::load(file.clone());
        assert_eq!(learned.modules(), ["airflow.a", "airflow.b"]);
        learned.refuse();
        learned.add(names(&["airflow.a"]));
        assert!(learned.modules().is_empty());
        assert!(Learned::load(file).modules().is_empty());
    }
}
