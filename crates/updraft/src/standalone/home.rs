//! The home folder and who holds it.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};

/// A home folder that no other `standalone` uses.
pub(crate) struct Home {
    /// Held until the process ends, however it ends.
    _lock: Flock<File>,
}

impl Home {
    /// Creates the folder if need be and takes it.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)
            .with_context(|| format!("failed to create the home folder `{}`", path.display()))?;
        let lock_path = path.join("updraft.lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .with_context(|| format!("failed to open `{}`", lock_path.display()))?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).ok();
                bail!(
                    "another updraft (process {}) uses the home folder `{}`; stop it, or set \
                     AIRFLOW_HOME to another folder",
                    holder.trim(),
                    path.display()
                );
            }
            Err((_, errno)) => {
                return Err(errno)
                    .with_context(|| format!("failed to lock `{}`", lock_path.display()));
            }
        };
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .with_context(|| format!("failed to write `{}`", lock_path.display()))?;
        Ok(Self { _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::Home;

    #[test]
    fn a_home_belongs_to_one_process_and_the_second_hears_which() {
        let folder = tempfile::tempdir().unwrap();
        let first = Home::take(folder.path()).unwrap();
        let error = Home::take(folder.path())
            .err()
            .expect("the home is taken")
            .to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        assert!(Home::take(folder.path()).is_ok());
    }
}
