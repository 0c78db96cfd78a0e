//! The answer of the last search, and whether it still holds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{ProvisionRequest, virtual_env};
use crate::interpreter::Interpreter;
use crate::shim;

const FILE: &str = "interpreter.json";

/// Where the answer is, and to which question.
#[derive(Debug)]
pub(super) struct Remembered {
    file: PathBuf,
    question: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    question: String,
    /// Everything that was looked at, with its time of change in nanoseconds.
    stamps: Vec<(PathBuf, Option<u128>)>,
    interpreter: Interpreter,
}

impl Remembered {
    pub(super) fn new(request: &ProvisionRequest) -> Self {
        let question = format!(
            "{:?} {:?} {:?} {} {}",
            request.python,
            request.virtual_env,
            request.path,
            shim::fingerprint(),
            virtual_env::lock_fingerprint(),
        );
        Self {
            file: request.runtime_dir.join(FILE),
            question,
        }
    }

    /// The remembered interpreter, if the question is the same and nothing looked at has changed.
    pub(super) fn recall(&self) -> Option<Interpreter> {
        // An unreadable note is as good as none: the search is repeated.
        let note: Note = serde_json::from_slice(&fs::read(&self.file).ok()?).ok()?;
        let holds = note.question == self.question
            && note
                .stamps
                .iter()
                .all(|(path, stamp)| changed_at(path) == *stamp);
        holds.then_some(note.interpreter)
    }

    pub(super) fn remember(
        &self,
        interpreter: &Interpreter,
        looked_at: &[PathBuf],
    ) -> io::Result<()> {
        let note = Note {
            question: self.question.clone(),
            stamps: looked_at
                .iter()
                .map(|path| (path.clone(), changed_at(path)))
                .collect(),
            interpreter: interpreter.clone(),
        };
        fs::write(&self.file, serde_json::to_vec_pretty(&note)?)
    }
}

fn changed_at(path: &Path) -> Option<u128> {
    let modified: SystemTime = fs::metadata(path).ok()?.modified().ok()?;
    Some(modified.duration_since(UNIX_EPOCH).ok()?.as_nanos())
}
