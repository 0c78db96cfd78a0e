//! The storage of bundles: what lies where.
//!
//! ```text
//! <storage>/<name>/…                     the class's own: clones, downloads
//! <storage>/<name>/versions/<version>/   one version, as Airflow lays it out
//! <storage>/_tracking/<name>/<version>   Airflow's note of a task that used the version
//! <storage>/_updraft/<name>/content.json the newest files that were whole
//! <storage>/_updraft/<name>/unfinished   somebody fetches, or died while fetching
//! <storage>/_updraft/<name>/aside/       what a fresh attempt replaces, until it has succeeded
//! <storage>/_updraft/<name>/versions/    a note for each version that is ready, its lock, and a
//!                                        note while somebody makes it ready, or died doing so
//! ```

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use md5::{Digest as _, Md5};
use updraft_model::BundleName;

/// The folder of versions within the folder of a bundle.
const VERSIONS: &str = "versions";

/// Longest name of a file that is made of a name or a version; beyond that it is a hash.
const FILE_NAME_MAX: usize = 120;

/// Knows every path below the storage.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder that a class uses for a bundle.
    pub(crate) fn bundle(&self, name: &BundleName) -> PathBuf {
        self.root.join(name.as_str())
    }

    pub(crate) fn versions(&self, name: &BundleName) -> PathBuf {
        self.bundle(name).join(VERSIONS)
    }

    /// The folder that a class uses for a version, if the version can be the name of a folder.
    pub(crate) fn version(&self, name: &BundleName, version: &str) -> Option<PathBuf> {
        is_plain(version).then(|| self.versions(name).join(version))
    }

    /// Where Airflow notes who used a version.
    pub(crate) fn tracking(&self, name: &BundleName, version: &str) -> Option<PathBuf> {
        let folder = self.root.join("_tracking").join(name.as_str());
        is_plain(version).then(|| folder.join(version))
    }

    pub(crate) fn content_note(&self, name: &BundleName) -> PathBuf {
        self.ours(name).join("content.json")
    }

    pub(crate) fn unfinished(&self, name: &BundleName) -> PathBuf {
        self.ours(name).join("unfinished")
    }

    pub(crate) fn refresh_lock(&self, name: &BundleName) -> PathBuf {
        self.ours(name).join("refresh.lock")
    }

    pub(crate) fn aside(&self, name: &BundleName) -> PathBuf {
        self.ours(name).join("aside")
    }

    /// The notes of the versions that are ready.
    pub(crate) fn version_notes(&self, name: &BundleName) -> PathBuf {
        self.ours(name).join(VERSIONS)
    }

    pub(crate) fn version_note(&self, name: &BundleName, version: &str) -> PathBuf {
        self.version_notes(name)
            .join(format!("{}.json", file_name(version)))
    }

    pub(crate) fn version_lock(&self, name: &BundleName, version: &str) -> PathBuf {
        self.version_notes(name)
            .join(format!("{}.lock", file_name(version)))
    }

    pub(crate) fn version_unfinished(&self, name: &BundleName, version: &str) -> PathBuf {
        self.version_notes(name)
            .join(format!("{}.unfinished", file_name(version)))
    }

    /// Whether somebody died while making a version ready. Those who did are forgotten.
    pub(crate) fn take_unfinished_versions(&self, name: &BundleName) -> io::Result<bool> {
        let mut found = false;
        for note in entries(&self.version_notes(name))? {
            if note.extension().is_some_and(|extension| extension == "unfinished")
                // Whoever is alive holds the lock.
                && try_lock(&note.with_extension("lock"))?.is_some()
            {
                remove(&note)?;
                found = true;
            }
        }
        Ok(found)
    }

    /// What a class keeps for a bundle besides its versions.
    pub(crate) fn tracked(&self, name: &BundleName) -> io::Result<Vec<PathBuf>> {
        let mut paths = entries(&self.bundle(name))?;
        paths.retain(|path| path.file_name().is_some_and(|name| name != VERSIONS));
        Ok(paths)
    }

    fn ours(&self, name: &BundleName) -> PathBuf {
        self.root.join("_updraft").join(file_name(name.as_str()))
    }
}

/// Whether a text is the name of something in a folder, and of nothing beyond it.
fn is_plain(text: &str) -> bool {
    let mut components = Path::new(text).components();
    let is_normal = matches!(components.next(), Some(Component::Normal(first)) if first == text);
    is_normal && components.next().is_none()
}

/// A file name for any text, another one for each.
fn file_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            b'.' if at > 0 => name.push('.'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.len() <= FILE_NAME_MAX {
        return name;
    }
    let digest = Md5::digest(text.as_bytes());
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("%%{hash}")
}

/// What is in a folder; nothing when there is none.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// An exclusive lock, or `None` when somebody else holds it.
pub(crate) fn try_lock(path: &Path) -> io::Result<Option<fs::File>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Writes a file whole or not at all, and makes the folders above it.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let part = path.with_extension("part");
    fs::write(&part, content)?;
    fs::rename(&part, path)
}

/// Removes a file or a folder with everything in it; what is not there is no error.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let is_folder = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_dir(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let removed = if is_folder {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::{file_name, is_plain};

    #[test]
    fn any_text_has_a_file_name_of_its_own() {
        assert_eq!(file_name("a1b2c3"), "a1b2c3");
        assert_eq!(file_name("v1.2_x-3"), "v1.2_x-3");
        assert_eq!(file_name("../etc"), "%2E.%2Fetc");
        assert_eq!(file_name("päck"), "p%C3%A4ck");
        let (one, other) = ("x".repeat(300), "x".repeat(301));
        assert_ne!(file_name(&one), file_name(&other));
        assert!(file_name(&one).len() < 120);
    }

    #[test]
    fn a_version_that_leads_elsewhere_is_no_folder_name() {
        for plain in ["9f8e7d", "v1.0", "a b"] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in ["", ".", "..", "a/b", "/etc", "a/", "./a"] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
