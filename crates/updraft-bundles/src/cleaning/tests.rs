use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use updraft_model::BundleName;

use super::{CleaningRules, clean};
use crate::layout::{Layout, write_whole};
use crate::versions::VersionNote;

const HOUR: Duration = Duration::from_secs(3600);

const RULES: CleaningRules = CleaningRules {
    age: Duration::from_secs(6 * 3600),
    versions_min: 1,
};

struct Storage {
    _folder: tempfile::TempDir,
    layout: Layout,
    name: BundleName,
    now: SystemTime,
}

impl Storage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            layout: Layout::new(folder.path().to_owned()),
            _folder: folder,
            name: BundleName::new("etl"),
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        }
    }

    /// A version that was used so many hours ago.
    fn ready(&self, version: &str, hours: u32) {
        let path = self.folder(version, hours);
        let note = VersionNote {
            version: version.to_owned(),
            path,
        };
        let file = self.layout.version_note(&self.name, version);
        write_whole(&file, &serde_json::to_vec(&note).unwrap()).unwrap();
        self.date(&file, hours);
    }

    fn folder(&self, version: &str, hours: u32) -> std::path::PathBuf {
        let path = self.layout.versions(&self.name).join(version);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("dag.py"), "").unwrap();
        self.date(&path, hours);
        path
    }

    fn date(&self, path: &std::path::Path, hours: u32) {
        let file = fs::File::open(path).unwrap();
        file.set_modified(self.now - HOUR * hours).unwrap();
    }

    fn clean(&self, kept: &[&str]) -> Vec<String> {
        let kept: BTreeSet<String> = kept.iter().map(|it| (*it).to_owned()).collect();
        clean(&self.layout, &self.name, &kept, RULES, self.now).unwrap()
    }

    fn left(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.layout.versions(&self.name)).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn old_versions_go_unless_a_run_needs_them() {
    let storage = Storage::new();
    storage.ready("newest", 1);
    storage.ready("fresh", 2);
    storage.ready("old", 7);
    storage.ready("pinned", 50);
    storage.ready("ancient", 99);
    assert_eq!(storage.clean(&["pinned"]), ["old", "ancient"]);
    assert_eq!(storage.left(), names(&["newest", "fresh", "pinned"]));
    assert!(storage.clean(&["pinned"]).is_empty());
}

#[test]
fn the_last_few_stay_however_old_they_are() {
    let storage = Storage::new();
    storage.ready("a", 70);
    storage.ready("b", 80);
    assert_eq!(storage.clean(&[]), ["b"]);
    assert_eq!(storage.left(), names(&["a"]));
}

#[test]
fn what_was_never_ready_goes_when_it_is_old() {
    let storage = Storage::new();
    storage.folder("half", 7);
    storage.folder("in-the-making", 0);
    storage.folder(".gone.removed", 7);
    let removed = storage.clean(&[]);
    assert_eq!(
        removed.iter().cloned().collect::<BTreeSet<_>>(),
        names(&["half", ".gone.removed"])
    );
    assert_eq!(storage.left(), names(&["in-the-making"]));
}

#[test]
fn a_bundle_that_was_never_opened_has_nothing_to_clean() {
    assert!(Storage::new().clean(&["x"]).is_empty());
}
