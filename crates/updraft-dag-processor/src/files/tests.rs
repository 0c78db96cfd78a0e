use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use updraft_model::BundleName;

use super::{AFTERMATH, FileKey, Files, Found, Held, Intervals};
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
        self.files.on_listing(&self.bundle, listing, self.now)
    }

    fn next(&mut self) -> Option<String> {
        self.files.take_next(self.now, |_| true).map(|key| key.path)
    }

    fn parsed(&mut self, name: &str, depends_on_outside: bool) {
        self.parsed_with(name, depends_on_outside, Held::Dags);
    }

    fn parsed_with(&mut self, name: &str, depends_on_outside: bool, held: Held) {
        let key = FileKey::new(&self.bundle, name);
        let found = Found {
            depends_on_outside,
            held,
        };
        self.files.on_parsed(&key, found, self.now);
    }

    /// Parses whatever is wanted now, and gives the names.
    fn parse_all(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(name) = self.next() {
            self.parsed(&name, false);
            names.push(name);
        }
        names.sort();
        names
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
    scene.parse_all();
    scene.now += 2 * AFTERMATH;
    scene.write("common.txt", "22");
    scene.list();
    assert_eq!(scene.parse_all(), ["a.py", "b.py"]);
}

#[test]
fn a_file_without_dags_counts_as_a_module() {
    let mut scene = Scene::new(&["a.py", "factory.py"]);
    scene.next();
    scene.next();
    scene.parsed("a.py", false);
    scene.parsed_with("factory.py", false, Held::Nothing);
    scene.now += 2 * AFTERMATH;
    scene.write("factory.py", "airflow dag changed");
    scene.list();
    assert_eq!(scene.parse_all(), ["a.py", "factory.py"]);
}

#[test]
fn a_changed_dag_file_has_the_others_parsed_soon_but_not_now() {
    let mut scene = Scene::new(&["a.py", "b.py"]);
    scene.parse_all();
    scene.now += 2 * AFTERMATH;
    scene.write("a.py", "airflow dag changed");
    scene.list();
    assert_eq!(scene.parse_all(), ["a.py"]);
    scene.now += OUTSIDE - 2 * AFTERMATH;
    assert_eq!(scene.parse_all(), ["b.py"]);
}

#[test]
fn a_broken_file_is_parsed_again_as_soon_as_another_changes() {
    let mut scene = Scene::new(&["a.py", "broken.py", "fine.py"]);
    scene.parse_all();
    scene.parsed_with("broken.py", false, Held::Errors);
    scene.now += 2 * AFTERMATH;
    scene.write("a.py", "airflow dag changed");
    scene.list();
    assert_eq!(scene.parse_all(), ["a.py", "broken.py"]);
}

#[test]
fn a_file_that_writes_into_its_bundle_is_not_parsed_for_ever() {
    let mut scene = Scene::new(&["a.py"]);
    scene.next();
    scene.write("cache.txt", "1");
    scene.list();
    scene.parsed("a.py", false);
    scene.write("cache.txt", "22");
    scene.list();
    assert_eq!(scene.next(), None);
    scene.now += OUTSIDE;
    assert_eq!(scene.next().as_deref(), Some("a.py"));
}

#[test]
fn a_request_goes_first_and_an_unknown_file_is_refused() {
    let mut scene = Scene::new(&["a.py", "b.py"]);
    let key = |path: &str| FileKey::new(&"b".into(), path);
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
