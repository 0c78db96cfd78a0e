use std::fs;
use std::path::Path;

use super::{DiscoveryRules, IgnoreSyntax, Listing, list};

const DAG: &str = "from airflow.sdk import dag\n";

fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn found(files: &[(&str, &str)], ignore_syntax: IgnoreSyntax) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), files);
    let rules = DiscoveryRules {
        ignore_syntax,
        safe_mode: true,
    };
    let listing = list(folder.path(), rules, &Listing::default()).unwrap();
    listing.dag_files.into_keys().collect()
}

#[test]
fn only_python_files_that_mention_airflow_and_a_dag_or_an_asset_count() {
    let files = [
        ("a.py", DAG),
        ("deep/er/b.py", "import AIRFLOW # Asset"),
        ("no_airflow.py", "dag"),
        ("no_dag.py", "airflow"),
        ("notes.txt", DAG),
        ("__pycache__/c.py", DAG),
    ];
    assert_eq!(found(&files, IgnoreSyntax::Glob), ["a.py", "deep/er/b.py"]);
}

#[test]
fn globs_are_inherited_and_the_nearest_opinion_counts() {
    let files = [
        (
            ".airflowignore",
            "skip_*.py  # a comment\nold/\nlib/**/*.py\n",
        ),
        ("skip_a.py", DAG),
        ("keep.py", DAG),
        ("old/a.py", DAG),
        ("lib/x/a.py", DAG),
        ("sub/.airflowignore", "!skip_b.py\nonly_here.py\n"),
        ("sub/skip_b.py", DAG),
        ("sub/only_here.py", DAG),
        ("only_here.py", DAG),
    ];
    assert_eq!(
        found(&files, IgnoreSyntax::Glob),
        ["keep.py", "only_here.py", "sub/skip_b.py"]
    );
}

#[test]
fn a_pattern_with_a_slash_is_bound_to_its_folder() {
    let files = [
        ("sub/.airflowignore", "/a.py\n"),
        ("sub/a.py", DAG),
        ("sub/deeper/a.py", DAG),
    ];
    assert_eq!(found(&files, IgnoreSyntax::Glob), ["sub/deeper/a.py"]);
}

#[test]
fn regular_expressions_are_searched_for_in_the_whole_path() {
    let files = [
        (".airflowignore", "sub/.*x\n(\n"),
        ("sub/ax.py", DAG),
        ("sub/b.py", DAG),
        ("x.py", DAG),
    ];
    assert_eq!(found(&files, IgnoreSyntax::Regexp), ["sub/b.py", "x.py"]);
}

#[test]
fn a_zip_file_counts_by_its_content_and_not_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = fs::File::create(folder.path().join("dags.zip")).unwrap();
    let mut archive = zip::ZipWriter::new(file);
    archive
        .start_file("a.py", zip::write::SimpleFileOptions::default())
        .unwrap();
    std::io::Write::write_all(&mut archive, DAG.as_bytes()).unwrap();
    archive.finish().unwrap();
    fs::write(folder.path().join("fake.zip"), "airflow dag").unwrap();
    let rules = DiscoveryRules {
        ignore_syntax: IgnoreSyntax::Glob,
        safe_mode: true,
    };
    let listing = list(folder.path(), rules, &Listing::default()).unwrap();
    assert_eq!(
        listing.dag_files.into_keys().collect::<Vec<_>>(),
        ["dags.zip"]
    );
}

#[test]
fn links_are_followed_but_not_in_circles() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("real/a.py", DAG)]);
    std::os::unix::fs::symlink(folder.path().join("real"), folder.path().join("link")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("real/loop")).unwrap();
    let rules = DiscoveryRules {
        ignore_syntax: IgnoreSyntax::Glob,
        safe_mode: true,
    };
    let listing = list(folder.path(), rules, &Listing::default()).unwrap();
    assert_eq!(
        listing.dag_files.into_keys().collect::<Vec<_>>(),
        ["link/a.py", "real/a.py"]
    );
}

#[test]
fn a_missing_bundle_is_an_error() {
    let rules = DiscoveryRules {
        ignore_syntax: IgnoreSyntax::Glob,
        safe_mode: true,
    };
    assert!(list(Path::new("/no/such/bundle"), rules, &Listing::default()).is_err());
}
