//! The files of one try: what its worker wrote, and beside it what its triggers wrote.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A file is read this much at a time.
pub(super) const CHUNK_BYTES: u64 = 256 * 1024;

/// Where each file's next part begins, by the name of the file.
pub(super) type Offsets = BTreeMap<String, u64>;

/// The part of a file that is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The parts of all files of a try, from where the last answer ended, by name. Does I/O.
///
/// While more may come, only whole lines are answered.
pub(super) fn find_parts(main: &Path, offsets: &Offsets, is_over: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    for path in files_of(main) {
        let start = offsets.get(&name_of(&path)).copied().unwrap_or(0);
        // A file that vanished meanwhile has nothing to say.
        if let Ok(end) = find_end(&path, start, is_over) {
            parts.push(Part { path, start, end });
        }
    }
    parts
}

/// What stands for a file in a token.
pub(super) fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The worker's file and everything whose name begins with its name: `….log.trigger.7.log`.
fn files_of(main: &Path) -> Vec<PathBuf> {
    let prefix = name_of(main);
    let Some(entries) = main.parent().and_then(|folder| folder.read_dir().ok()) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        // A link might lead anywhere.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

/// The end of what can be answered.
fn find_end(path: &Path, start: u64, is_over: bool) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len().max(start);
    if is_over {
        return Ok(end);
    }
    let tail = end.saturating_sub(CHUNK_BYTES).max(start);
    let bytes = read_part(&mut file, tail, end)?;
    let newline = bytes.iter().rposition(|byte| *byte == b'\n');
    Ok(match newline {
        Some(at) => tail + u64::try_from(at).unwrap_or(0) + 1,
        // A line longer than a chunk is given in pieces rather than never.
        None if end - start >= CHUNK_BYTES => end,
        None => start,
    })
}

pub(super) fn read_part(file: &mut File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(end - start).read_to_end(&mut bytes)?;
    Ok(bytes)
}
