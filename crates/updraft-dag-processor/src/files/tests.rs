use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use updraft_model::BundleName;

use super::{FileKey, Files, Intervals};
use crate::discovery::{DiscoveryRules, IgnoreSyntax, Listing, list};

const OUTSIDE: Duration = Duration::from_secs(30);
const PLAIN: Duration = Duration::from_secs(300);

/// A bundle in a temporary folder and the queue that watches it.
struct Scene {
    folder: tempfile::TempDir,
    files: Files,
    bundle: BundleName,
    now: Instant,
}

impl Scene {
    fn new(names: &[&str]) -> Self {
        let mut scene = Self {
            folder: tempfile::tempdir().unwrap(),
            files: Files::new(Intervals {
                outside: OUTSIDE,
                plain: PLAIN,
            }),
            bundle: "b".into(),
            now: Instant::now(),
        };
        for name in names {
            scene.write(name, "airflow dag");
        }
        scene.list();
        scene
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    fn list(&mut self) -> bool {
        let rules = DiscoveryRules {
            ignore_syntax: IgnoreSyntax::Glob,
            safe_mode: true,
        };
        let known = Listing::default();
        let listing = list(self.folder.path(), rules, &known).unwrap();
        self.files.on_listing(&self.bundle, listing)
    }

    fn next(&mut self) -> Option<String> {
        self.files.take_next(self.now).map(|key| key.path)
    }

    fn parsed(&mut self, name: &str, depends_on_outside: bool) {
        let key = FileKey {
            bundle: self.bundle.clone(),
            path: name.to_owned(),
        };
        self.files.on_parsed(&key, depends_on_outside, self.now);
    }
}

#[test]
fn a_new_file_is_parsed_once() {
    let mut scene = Scene::new(&["a.py"]);
    assert_eq!(scene.next().as_deref(), Some("a.py"));
    assert_eq!(scene.next(), None);
    scene.parsed("a.py", false);
    assert_eq!(scene.next(), None);
}

#[test]
fn a_file_that_changes_while_it_is_parsed_is_parsed_again_afterwards() {
    let mut scene = Scene::new(&["a.py"]);
    scene.next();
    scene.write("a.py", "airflow dag changed");
    scene.list();
    assert_eq!(scene.next(), None, "not twice at once");
    scene.parsed("a.py", false);
    assert_eq!(scene.next().as_deref(), Some("a.py"));
}

#[test]
fn a_changed_module_has_all_dag_files_beside_it_parsed() {
    let mut scene = Scene::new(&["a.py", "b.py"]);
    scene.write("common.txt", "1");
    scene.list();
    for _ in 0..2 {
        let name = scene.next().unwrap();
        scene.parsed(&name, false);
    }
    scene.write("common.txt", "22");
    scene.list();
    let mut again = [scene.next().unwrap(), scene.next().unwrap()];
    again.sort();
    assert_eq!(again, ["a.py", "b.py"]);
}

#[test]
fn a_request_goes_first_and_an_unknown_file_is_refused() {
    let mut scene = Scene::new(&["a.py", "b.py"]);
    let key = |path: &str| FileKey {
        bundle: "b".into(),
        path: path.to_owned(),
    };
    assert!(scene.files.request(&key("b.py")));
    assert!(!scene.files.request(&key("c.py")));
    assert_eq!(scene.next().as_deref(), Some("b.py"));
}

#[test]
fn files_that_depend_on_the_outside_are_parsed_more_often() {
    let mut scene = Scene::new(&["a.py", "b.py"]);
    scene.next();
    scene.next();
    scene.parsed("a.py", true);
    scene.parsed("b.py", false);
    scene.now += OUTSIDE;
    assert_eq!(scene.next().as_deref(), Some("a.py"));
    assert_eq!(scene.next(), None);
    scene.now += PLAIN;
    assert_eq!(scene.next().as_deref(), Some("b.py"));
}

#[test]
fn a_deleted_file_is_forgotten_and_reported() {
    let mut scene = Scene::new(&["a.py", "b.py"]);
    fs::remove_file(scene.path("a.py")).unwrap();
    assert!(scene.list());
    assert_eq!(scene.next().as_deref(), Some("b.py"));
    assert_eq!(scene.next(), None);
    assert!(!scene.list());
}
