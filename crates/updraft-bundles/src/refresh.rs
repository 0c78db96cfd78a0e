//! Fetching the newest files of a bundle.
//!
//! Classes keep their clone or download in place and change it, so whoever dies meanwhile may leave
//! something that the class cannot go on with (a lock file of Git, half a download). A note says
//! that somebody is at it; if it is still there the next time and the class then fails, the class
//! gets an empty folder, and what was there comes back unless that succeeds. Whoever died while
//! making a version ready counts as well: classes make versions of the same clone.

use std::fs;
use std::io;

use tracing::{info, warn};
use updraft_model::BundleName;
use updraft_task_comms::message::BundleOpened;

use crate::ask::Class;
use crate::layout::{Layout, remove, write_whole};
use crate::{Bundles, Error};

impl Bundles {
    /// Has the class fetch its newest files, alone among all processes.
    pub(crate) async fn fetch_newest(&self, class: &Class<'_>) -> Result<BundleOpened, Error> {
        let name = class.name;
        let lock = self.shared.layout.refresh_lock(name);
        let _lock = self.lock(name, lock, "its newest files").await?;
        let was_interrupted = self.on_disk(name, "prepare the storage", begin).await?;
        let outcome = match self.ask(class).await {
            Err(Error::Refused { reason, .. }) if was_interrupted => {
                warn!(bundle = %name, error = reason, "a bundle that was left half fetched is fetched anew");
                self.fetch_afresh(class).await
            }
            outcome => outcome,
        };
        match &outcome {
            Ok(opened) => {
                let opened = opened.clone();
                let end = move |layout: &Layout, name: &BundleName| end(layout, name, &opened);
                self.on_disk(name, "note the newest files", end).await?;
            }
            // The class has ended by itself, so it left nothing half done that was not so before.
            Err(Error::Refused { .. } | Error::NoChild { .. }) if !was_interrupted => {
                self.on_disk(name, "note the end of a fetch", |layout, name| {
                    remove(&layout.unfinished(name))
                })
                .await?;
            }
            Err(_) => {}
        }
        outcome
    }

    async fn ask(&self, class: &Class<'_>) -> Result<BundleOpened, Error> {
        class
            .open(None, &self.shared.runner, &self.shared.options)
            .await
    }

    async fn fetch_afresh(&self, class: &Class<'_>) -> Result<BundleOpened, Error> {
        let name = class.name;
        self.on_disk(name, "put files aside", put_aside).await?;
        let outcome = self.ask(class).await;
        match &outcome {
            Ok(_) => {
                info!(bundle = %name, "repaired a bundle that was left half fetched");
                self.on_disk(name, "remove old files", |layout, name| {
                    remove(&layout.aside(name))
                })
                .await?;
            }
            Err(_) => self.on_disk(name, "put files back", put_back).await?,
        }
        outcome
    }

    pub(crate) async fn on_disk<T: Send + 'static>(
        &self,
        name: &BundleName,
        doing: &'static str,
        work: impl FnOnce(&Layout, &BundleName) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (layout, owned) = (self.shared.layout.clone(), name.clone());
        let done = self.blocking(move || work(&layout, &owned)).await;
        done.map_err(Error::storage(doing, name))
    }
}

/// Whether the last fetch was interrupted. From here on this one may be.
fn begin(layout: &Layout, name: &BundleName) -> io::Result<bool> {
    if layout.aside(name).exists() {
        put_back(layout, name)?;
    }
    let note = layout.unfinished(name);
    let was_interrupted = note.exists();
    if !was_interrupted {
        write_whole(&note, b"")?;
    }
    Ok(layout.take_unfinished_versions(name)? || was_interrupted)
}

fn end(layout: &Layout, name: &BundleName, opened: &BundleOpened) -> io::Result<()> {
    let note = serde_json::to_vec(opened)?;
    write_whole(&layout.content_note(name), &note)?;
    remove(&layout.unfinished(name))
}

fn put_aside(layout: &Layout, name: &BundleName) -> io::Result<()> {
    let aside = layout.aside(name);
    fs::create_dir_all(&aside)?;
    for path in layout.tracked(name)? {
        if let Some(entry) = path.file_name() {
            fs::rename(&path, aside.join(entry))?;
        }
    }
    Ok(())
}

/// Also finishes what a fresh attempt that was interrupted itself has left.
fn put_back(layout: &Layout, name: &BundleName) -> io::Result<()> {
    let aside = layout.aside(name);
    let folder = layout.bundle(name);
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(&aside)? {
        let entry = entry?;
        let place = folder.join(entry.file_name());
        remove(&place)?;
        fs::rename(entry.path(), place)?;
    }
    remove(&aside)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use updraft_model::BundleName;

    use super::{Layout, begin, put_aside, put_back};
    use crate::layout::try_lock;

    fn storage() -> (tempfile::TempDir, Layout, BundleName) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        (folder, layout, BundleName::new("etl"))
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn files_are_put_aside_and_come_back_but_versions_stay() {
        let (_folder, layout, name) = storage();
        let clone = layout.bundle(&name).join("tracking_repo/dag.py");
        let version = layout.versions(&name).join("abc/dag.py");
        write(&clone, "old");
        write(&version, "pinned");
        put_aside(&layout, &name).unwrap();
        assert!(!clone.exists());
        assert!(version.exists());
        write(&clone, "half of the new");
        put_back(&layout, &name).unwrap();
        assert_eq!(fs::read_to_string(&clone).unwrap(), "old");
        assert!(version.exists());
        assert!(!layout.aside(&name).exists());
    }

    #[test]
    fn a_fetch_that_did_not_end_is_noticed_by_the_next() {
        let (_folder, layout, name) = storage();
        assert!(!begin(&layout, &name).unwrap());
        // Whoever began was killed while files were aside.
        let file = layout.bundle(&name).join("bare/config");
        write(&file, "old");
        put_aside(&layout, &name).unwrap();
        write(&file, "half of the new");
        assert!(begin(&layout, &name).unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    }

    #[test]
    fn a_version_that_was_never_finished_is_noticed_once_unless_somebody_is_at_it() {
        let (_folder, layout, name) = storage();
        let note = layout.version_unfinished(&name, "abc");
        write(&note, "");
        let lock = try_lock(&layout.version_lock(&name, "abc"))
            .unwrap()
            .unwrap();
        assert!(!layout.take_unfinished_versions(&name).unwrap());
        drop(lock);
        assert!(layout.take_unfinished_versions(&name).unwrap());
        assert!(!layout.take_unfinished_versions(&name).unwrap());
    }

    #[test]
    fn a_bundle_that_was_never_there_has_nothing_to_put_aside() {
        let (_folder, layout, name) = storage();
        put_aside(&layout, &name).unwrap();
        put_back(&layout, &name).unwrap();
        assert!(layout.tracked(&name).unwrap().is_empty());
    }
}
