//! What a single file must not be or contain.

use std::path::Path;

use crate::workspace;

/// Longer source files have more than one topic.
const LINES_MAX: usize = 800;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 5] = ["helpers", "misc", "stuff", "util", "utils"];

/// Settings of a package index: which one is used is the user's business.
const INDEX_OPTIONS: [&str; 3] = ["--index-url", "--extra-index-url", "--find-links"];

pub(super) fn violations(path: &Path, text: &str) -> Vec<String> {
    let shown = path.display();
    let mut violations = Vec::new();
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let is_source = matches!(extension(path), Some("rs" | "py" | "ts" | "tsx"));
    if is_source {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            violations.push(format!(
                "{shown}: {lines} lines, at most {LINES_MAX} are allowed"
            ));
        }
        if EMPTY_NAMES.contains(&stem) {
            violations.push(format!("{shown}: name the file after what is in it"));
        }
        if path.ends_with("mod.rs") {
            violations.push(format!(
                "{shown}: put the module into a file beside its folder"
            ));
        }
    }
    for (index, line) in text.lines().enumerate() {
        if let Some(reason) = objection(path, line) {
            violations.push(format!("{shown}:{}: {reason}", index + 1));
        }
    }
    violations
}

fn objection(path: &Path, line: &str) -> Option<String> {
    if let Some(place) = machine_paths()
        .into_iter()
        .find(|place| line.contains(place.as_str()))
    {
        return Some(format!("`{place}` is a place on somebody's machine"));
    }
    if is_python_lock(path)
        && let Some(option) = INDEX_OPTIONS.iter().find(|option| line.contains(*option))
    {
        return Some(format!(
            "`{option}` ties the lock file to one package index"
        ));
    }
    if is_rust(path)
        && line.contains("TODO")
        && !line.contains("TODO(#")
        && !line.contains("\"TODO")
    {
        return Some("a TODO names its issue: `TODO(#12)`".to_owned());
    }
    None
}

/// Where this checkout and its user's home are: nothing in the repository may know.
fn machine_paths() -> Vec<String> {
    let checkout = workspace::root();
    let mut places = vec![checkout.display().to_string()];
    if let Some(home) = std::env::home_dir() {
        places.push(format!("{}/", home.display()));
    }
    // A root-level checkout or home would match everything.
    places.retain(|place| place.len() > 3);
    places
}

fn extension(path: &Path) -> Option<&str> {
    path.extension()?.to_str()
}

fn is_rust(path: &Path) -> bool {
    extension(path) == Some("rs")
}

fn is_python_lock(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    name.contains("requirements") || name.contains("constraints") || name.ends_with(".lock")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{LINES_MAX, violations};

    fn count(path: &str, text: &str) -> usize {
        violations(Path::new(path), text).len()
    }

    #[test]
    fn long_files_and_empty_names_are_refused() {
        assert_eq!(count("src/plan.rs", &"\n".repeat(LINES_MAX)), 0);
        assert_eq!(count("src/plan.rs", &"\n".repeat(LINES_MAX + 1)), 1);
        assert_eq!(count("data/plan.json", &"\n".repeat(LINES_MAX + 1)), 0);
        assert_eq!(count("src/utils.rs", ""), 1);
        assert_eq!(count("src/plan/mod.rs", ""), 1);
    }

    #[test]
    fn a_place_on_this_machine_is_found_with_its_line() {
        let text = format!("fine\nsee {}/x", crate::workspace::root().display());
        let found = violations(Path::new("docs/a.md"), &text);
        assert!(
            found.first().unwrap().starts_with("docs/a.md:2: "),
            "{found:?}"
        );
    }

    #[test]
    fn a_lock_file_names_no_index() {
        assert_eq!(
            count("python/requirements.txt", "--index-url https://example.com"),
            1
        );
        assert_eq!(
            count("docs/install.md", "--index-url https://example.com"),
            0
        );
    }

    #[test]
    fn an_unfinished_place_names_its_issue() {
        assert_eq!(count("src/a.rs", concat!("// TO", "DO: later")), 1);
        assert_eq!(count("src/a.rs", concat!("// TO", "DO(#3): later")), 0);
    }
}
