//! Which files of a bundle are Dag files.
//!
//! Source: runtime protocols §3.3.

mod ignore_rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tracing::warn;

use ignore_rules::IgnoreRules;

/// The name of the files that say what to leave out.
const IGNORE_FILE: &str = ".airflowignore";

/// Folders are entered so deep; beyond it is a loop or a mistake.
const DEPTH_MAX: usize = 64;

/// How the lines of `.airflowignore` are read: `[core] dag_ignore_file_syntax`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IgnoreSyntax {
    /// As in `.gitignore`.
    #[default]
    Glob,
    /// Regular expressions, searched for in the path below the bundle.
    Regexp,
}

/// What makes a file a Dag file.
#[derive(Clone, Copy, Debug)]
pub struct DiscoveryRules {
    pub ignore_syntax: IgnoreSyntax,
    /// `[core] dag_discovery_safe_mode`: only files that mention Airflow and a Dag or an asset.
    pub safe_mode: bool,
}

/// Tells whether a file is still what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    modified_ns: i128,
    length: u64,
    inode: u64,
}

impl Fingerprint {
    fn of(metadata: &Metadata) -> Self {
        Self {
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
            length: metadata.len(),
            inode: metadata.ino(),
        }
    }

    /// When the file was last written, in seconds since the epoch.
    pub(crate) fn modified_secs(&self) -> i64 {
        i64::try_from(self.modified_ns / 1_000_000_000).unwrap_or(i64::MAX)
    }
}

/// The content of a bundle, by path relative to it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Files to parse.
    pub(crate) dag_files: BTreeMap<String, Fingerprint>,
    /// Everything else that a Dag file might import or read.
    pub(crate) others: BTreeMap<String, Fingerprint>,
}

/// Lists a bundle.
///
/// A folder that cannot be read is left out, with a warning; a missing bundle is an error.
pub(crate) fn list(root: &Path, rules: DiscoveryRules, known: &Listing) -> io::Result<Listing> {
    let mut walk = Walk {
        root,
        rules,
        known,
        listing: Listing::default(),
        above: BTreeSet::new(),
    };
    let entries = fs::read_dir(root)?;
    walk.above.insert(fs::canonicalize(root)?);
    walk.folder(root, entries, &IgnoreRules::default(), 0);
    Ok(walk.listing)
}

struct Walk<'a> {
    root: &'a Path,
    rules: DiscoveryRules,
    /// The listing before, so that only changed files are read again.
    known: &'a Listing,
    listing: Listing,
    /// Real paths of the folders from the root to here: a link to one of them is a loop.
    above: BTreeSet<PathBuf>,
}

impl Walk<'_> {
    fn folder(
        &mut self,
        folder: &Path,
        entries: fs::ReadDir,
        inherited: &IgnoreRules,
        depth: usize,
    ) {
        let ignore = inherited.with_file(self.root, folder, IGNORE_FILE, self.rules.ignore_syntax);
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        paths.sort();
        for path in paths {
            // Follows links, as Airflow does.
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            let Some(relative) = self.relative(&path) else {
                continue;
            };
            if ignore.matches(&relative, metadata.is_dir()) {
                continue;
            }
            if metadata.is_dir() {
                self.enter(&path, &ignore, depth + 1);
            } else if metadata.is_file() {
                self.file(&path, relative, Fingerprint::of(&metadata));
            }
        }
    }

    fn enter(&mut self, folder: &Path, ignore: &IgnoreRules, depth: usize) {
        if folder
            .file_name()
            .is_some_and(|name| name == "__pycache__" || name == ".git")
        {
            return;
        }
        let real = fs::canonicalize(folder);
        let entries = fs::read_dir(folder);
        match (real, entries) {
            (Ok(real), Ok(entries)) => {
                if depth > DEPTH_MAX || !self.above.insert(real.clone()) {
                    warn!(path = %folder.display(), "left out a folder that contains itself");
                    return;
                }
                self.folder(folder, entries, ignore, depth);
                self.above.remove(&real);
            }
            (Err(error), _) | (_, Err(error)) => {
                warn!(path = %folder.display(), %error, "left out a folder that cannot be read");
            }
        }
    }

    fn file(&mut self, path: &Path, relative: String, fingerprint: Fingerprint) {
        if path.extension().is_some_and(|extension| extension == "pyc") {
            return;
        }
        let is_dag_file = if self.known.dag_files.get(&relative) == Some(&fingerprint) {
            true
        } else if self.known.others.get(&relative) == Some(&fingerprint) {
            false
        } else {
            is_dag_file(path, self.rules.safe_mode)
        };
        let kind = if is_dag_file {
            &mut self.listing.dag_files
        } else {
            &mut self.listing.others
        };
        kind.insert(relative, fingerprint);
    }

    fn relative(&self, path: &Path) -> Option<String> {
        // Dag ids and paths are text everywhere else; a name that is none cannot be a Dag file.
        path.strip_prefix(self.root)
            .ok()?
            .to_str()
            .map(str::to_owned)
    }
}

fn is_dag_file(path: &Path, safe_mode: bool) -> bool {
    if path.extension().is_some_and(|extension| extension == "py") {
        return !safe_mode || mentions_a_dag(path);
    }
    is_zip(path)
}

/// The child looks into a zip file member by member, so any will do here.
fn is_zip(path: &Path) -> bool {
    fs::File::open(path).is_ok_and(|file| zip::ZipArchive::new(io::BufReader::new(file)).is_ok())
}

/// Whether the text holds `airflow` and one of `dag` and `asset`, in any case.
fn mentions_a_dag(path: &Path) -> bool {
    /// A Dag file larger than this is data that somebody called `.py`; it is parsed.
    const READ_BYTES_MAX: u64 = 16 * 1024 * 1024;
    let mut content = Vec::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(READ_BYTES_MAX).read_to_end(&mut content));
    if read.is_err() {
        // The child will say what is wrong with it.
        return true;
    }
    content.make_ascii_lowercase();
    let holds = |word: &[u8]| content.windows(word.len()).any(|window| window == word);
    holds(b"airflow") && (holds(b"dag") || holds(b"asset"))
}
