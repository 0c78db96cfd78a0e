//! Versions of a bundle, for runs that are pinned to one.
//!
//! A version is ready when its note exists, which is written last. Whoever uses it holds a shared
//! lock on the note; whoever removes the version holds an exclusive one. A folder without a note
//! is what somebody who died has left: it goes before the class is asked again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};
use updraft_model::BundleName;
use updraft_runtime::Clock;
use updraft_task_comms::message::BundleOpened;

use crate::ask::Class;
use crate::bundles::Failed;
use crate::layout::{Layout, remove, try_lock, write_whole};
use crate::{Bundles, Error};

/// Failures that are remembered; beyond that all are forgotten, and tried again.
const FAILURES_MAX: usize = 1000;

/// Keeps a version from being removed while it is held.
#[derive(Debug)]
pub(crate) struct Lease {
    _note: File,
}

/// What is known of a version that is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct VersionNote {
    pub(crate) version: String,
    pub(crate) path: PathBuf,
}

impl Bundles {
    /// The folder of a version, which is made ready if it is not. One child at a time does that;
    /// all others wait for it.
    pub(crate) async fn open_version(
        &self,
        class: &Class<'_>,
        version: &str,
    ) -> Result<(PathBuf, Lease), Error> {
        let name = class.name;
        if let Some(ready) = self.lease(name, version).await? {
            return Ok(ready);
        }
        let began = Clock::machine().monotonic();
        let lock = self.shared.layout.version_lock(name, version);
        let _lock = self
            .lock(name, lock, &format!("version `{version}`"))
            .await?;
        if let Some(ready) = self.lease(name, version).await? {
            return Ok(ready);
        }
        // A hundred tasks that wait for one class that hangs must not have it hang a hundred times.
        if let Some(how) = self.failed_since(name, version, began) {
            let name = name.clone();
            return Err(Error::Interrupted { name, how });
        }
        let made = self.make_ready(class, version).await;
        self.remember(name, version, &made);
        made?;
        let ready = self.lease(name, version).await?;
        ready.ok_or_else(|| Error::Interrupted {
            name: name.clone(),
            how: format!("said that version `{version}` is ready, and its folder is not there"),
        })
    }

    fn failed_since(&self, name: &BundleName, version: &str, began: Instant) -> Option<String> {
        let failures = self.failures();
        let failed = failures.get(&(name.clone(), version.to_owned()))?;
        (failed.at >= began).then(|| failed.how.clone())
    }

    fn remember(&self, name: &BundleName, version: &str, made: &Result<(), Error>) {
        let mut failures = self.failures();
        if failures.len() >= FAILURES_MAX {
            failures.clear();
        }
        let key = (name.clone(), version.to_owned());
        match made {
            Err(Error::Interrupted { how, .. }) => {
                let (at, how) = (Clock::machine().monotonic(), how.clone());
                failures.insert(key, Failed { at, how });
            }
            _ => drop(failures.remove(&key)),
        }
    }

    fn failures(&self) -> MutexGuard<'_, BTreeMap<(BundleName, String), Failed>> {
        let failures = &self.shared.failures;
        failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn make_ready(&self, class: &Class<'_>, version: &str) -> Result<(), Error> {
        let (name, owned) = (class.name, version.to_owned());
        let was_interrupted = self
            .on_disk(name, "prepare a version", move |layout, name| {
                begin(layout, name, &owned)
            })
            .await?;
        let made = match self.fetch_version(class, version).await {
            Err(Error::Refused { reason, .. }) if was_interrupted => {
                warn!(bundle = %name, version, error = reason, "a bundle that was left half fetched is looked after");
                self.fetch_newest(class).await?;
                self.fetch_version(class, version).await
            }
            made => made,
        };
        let note = match &made {
            Ok(opened) => {
                info!(bundle = %name, version, path = opened.path, "opened a version of a bundle");
                Some(VersionNote {
                    version: version.to_owned(),
                    path: opened.path.clone().into(),
                })
            }
            // It may have left something half done, in its version or beyond.
            Err(Error::Interrupted { .. } | Error::Stopping) => return made.map(drop),
            Err(_) => None,
        };
        let owned = version.to_owned();
        self.on_disk(name, "note a version", move |layout, name| {
            end(layout, name, &owned, note.as_ref())
        })
        .await?;
        made.map(drop)
    }

    async fn fetch_version(&self, class: &Class<'_>, version: &str) -> Result<BundleOpened, Error> {
        let (runner, options) = (&self.shared.runner, &self.shared.options);
        class.open(Some(version), runner, options).await
    }

    async fn lease(
        &self,
        name: &BundleName,
        version: &str,
    ) -> Result<Option<(PathBuf, Lease)>, Error> {
        let note = self.shared.layout.version_note(name, version);
        let now: SystemTime = Clock::machine().now().into();
        let leased = self.blocking(move || try_lease(&note, now)).await;
        leased.map_err(Error::storage("open a version", name))
    }
}

/// Whether whoever began before was interrupted, with this version or another.
fn begin(layout: &Layout, name: &BundleName, version: &str) -> io::Result<bool> {
    if let Some(left) = layout.version(name, version) {
        remove_at_once(&left)?;
    }
    let note = layout.version_unfinished(name, version);
    // Somebody who is alive and fetching the newest files holds the lock.
    let mut was_interrupted = note.exists()
        || layout.unfinished(name).exists() && try_lock(&layout.refresh_lock(name))?.is_some();
    was_interrupted |= layout.take_unfinished_versions(name)?;
    if was_interrupted {
        // For the next fetch of the newest files.
        write_whole(&layout.unfinished(name), b"")?;
    }
    write_whole(&note, b"")?;
    Ok(was_interrupted)
}

fn end(
    layout: &Layout,
    name: &BundleName,
    version: &str,
    note: Option<&VersionNote>,
) -> io::Result<()> {
    if let Some(note) = note {
        let text = serde_json::to_vec(note)?;
        write_whole(&layout.version_note(name, version), &text)?;
    }
    remove(&layout.version_unfinished(name, version))
}

/// The folder of a version that is ready, and stays so.
fn try_lease(note: &Path, now: SystemTime) -> io::Result<Option<(PathBuf, Lease)>> {
    let file = match File::options().read(true).append(true).open(note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    match file.try_lock_shared() {
        Ok(()) => {}
        // It is being removed.
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    // It may have been removed just before.
    let is_current = fs::metadata(note)
        .is_ok_and(|found| Some(found.ino()) == file.metadata().map(|it| it.ino()).ok());
    if !is_current {
        return Ok(None);
    }
    let Some(known) = read_note(note) else {
        return Ok(None);
    };
    if !known.path.is_dir() {
        debug!(path = %known.path.display(), "a version was removed behind our back");
        return Ok(None);
    }
    file.set_modified(now)?;
    Ok(Some((known.path, Lease { _note: file })))
}

/// What a note says; `None` when it is gone or was never written whole.
pub(crate) fn read_note(path: &Path) -> Option<VersionNote> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Removes a folder so that nobody ever sees half of it under its name.
pub(crate) fn remove_at_once(folder: &Path) -> io::Result<()> {
    let doomed = folder.with_file_name(format!(
        ".{}.removed",
        folder.file_name().unwrap_or_default().to_string_lossy()
    ));
    remove(&doomed)?;
    match fs::rename(folder, &doomed) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    remove(&doomed)
}

/// Removes a version that nobody uses. `false`: somebody does.
pub(crate) fn remove_version(
    layout: &Layout,
    name: &BundleName,
    known: &VersionNote,
) -> io::Result<bool> {
    let note = layout.version_note(name, &known.version);
    let file = match File::options().append(true).open(&note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        file => file?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(false),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    // First the note: whoever comes now makes the version anew.
    remove(&note)?;
    let folder = layout.version(name, &known.version);
    // A class that keeps its versions elsewhere has to clean up itself.
    if let Some(folder) = folder.filter(|folder| known.path.starts_with(folder)) {
        remove_at_once(&folder)?;
    }
    match layout.tracking(name, &known.version) {
        Some(tracking) => remove(&tracking).map(|()| true),
        None => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use updraft_model::BundleName;

    use super::{Layout, VersionNote, remove_version, try_lease};
    use crate::layout::write_whole;

    fn ready_version() -> (tempfile::TempDir, Layout, BundleName, VersionNote) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        let name = BundleName::new("etl");
        let path = layout.version(&name, "abc").unwrap().join("dags");
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("dag.py"), "").unwrap();
        let version = "abc".to_owned();
        let note = VersionNote { version, path };
        let file = layout.version_note(&name, "abc");
        write_whole(&file, &serde_json::to_vec(&note).unwrap()).unwrap();
        (folder, layout, name, note)
    }

    #[test]
    fn a_version_that_is_used_is_not_removed() {
        let (_folder, layout, name, note) = ready_version();
        let file = layout.version_note(&name, "abc");
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(3_000_000_000);
        let (path, lease) = try_lease(&file, later).unwrap().unwrap();
        assert_eq!(path, note.path);
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), later);
        // Several may use it.
        let (_, other) = try_lease(&file, later).unwrap().unwrap();
        assert!(!remove_version(&layout, &name, &note).unwrap());
        drop((lease, other));
        assert!(remove_version(&layout, &name, &note).unwrap());
        assert!(!layout.version(&name, "abc").unwrap().exists());
        assert!(try_lease(&file, later).unwrap().is_none());
        // Who comes late finds it done.
        assert!(remove_version(&layout, &name, &note).unwrap());
    }

    #[test]
    fn a_version_whose_folder_is_gone_is_not_ready() {
        let (_folder, layout, name, note) = ready_version();
        fs::remove_dir_all(&note.path).unwrap();
        let file = layout.version_note(&name, "abc");
        assert!(try_lease(&file, SystemTime::UNIX_EPOCH).unwrap().is_none());
    }

    #[test]
    fn a_class_that_keeps_versions_elsewhere_cleans_up_itself() {
        let (folder, layout, name, mut note) = ready_version();
        note.path = folder.path().join("elsewhere");
        fs::create_dir_all(&note.path).unwrap();
        assert!(remove_version(&layout, &name, &note).unwrap());
        assert!(note.path.exists());
    }
}
