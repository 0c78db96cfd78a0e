//! The small file by which a child says, up to its last moment, which trigger has the processor.
//!
//! The child maps it into its memory, so a note costs it nothing and outlives it.

use std::io;
use std::path::{Path, PathBuf};

use updraft_model::TriggerId;

/// The variable by which the child finds the file.
const VARIABLE: &str = "UPDRAFT_TRIGGER_TRACE";

/// A file with one 64-bit number in it: a trigger, or 0 for none.
#[derive(Debug)]
pub(crate) struct Trace {
    path: PathBuf,
}

impl Trace {
    /// A fresh file in `folder`. There is one for each process, as there is one child.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("trigger-trace-{}", std::process::id()));
        std::fs::write(&path, 0_i64.to_ne_bytes())?;
        Ok(Self { path })
    }

    /// For the environment of the child.
    pub(crate) fn variable(&self) -> (String, String) {
        let path = self.path.to_string_lossy().into_owned();
        (VARIABLE.to_owned(), path)
    }

    /// The trigger that had the processor last, if one had it.
    pub(crate) fn read(&self) -> Option<TriggerId> {
        let bytes = std::fs::read(&self.path).ok()?;
        let number = i64::from_ne_bytes(*bytes.first_chunk()?);
        (number > 0).then_some(TriggerId(number))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // Whatever is left is overwritten by the next one.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::TriggerId;

    use super::Trace;

    #[test]
    fn what_the_child_noted_last_is_read_and_garbage_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let trace = Trace::create(folder.path()).unwrap();
        let (_, path) = trace.variable();
        assert_eq!(trace.read(), None);
        std::fs::write(&path, 7_i64.to_ne_bytes()).unwrap();
        assert_eq!(trace.read(), Some(TriggerId(7)));
        for garbage in [&b""[..], b"abc", &(-1_i64).to_ne_bytes()] {
            std::fs::write(&path, garbage).unwrap();
            assert_eq!(trace.read(), None);
        }
        drop(trace);
        assert!(!std::path::Path::new(&path).exists());
    }
}
