//! `.airflowignore`.

use std::fs;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use regex::Regex;
use tracing::warn;

use super::IgnoreSyntax;

/// The rules that hold in one folder: its own and those of the folders above it.
#[derive(Clone, Debug, Default)]
pub(super) struct IgnoreRules {
    /// From the bundle's root downwards; the last one that has an opinion counts.
    globs: Vec<Gitignore>,
    patterns: Vec<Regex>,
}

impl IgnoreRules {
    /// The rules in `folder`, with those of its own file if it has one.
    pub(super) fn with_file(
        &self,
        root: &Path,
        folder: &Path,
        name: &str,
        syntax: IgnoreSyntax,
    ) -> Self {
        let mut rules = self.clone();
        let path = folder.join(name);
        let Ok(text) = fs::read_to_string(&path) else {
            return rules;
        };
        let lines = text
            .lines()
            .map(without_comment)
            .filter(|line| !line.is_empty());
        match syntax {
            IgnoreSyntax::Glob => rules.globs.extend(globs(root, folder, &path, lines)),
            IgnoreSyntax::Regexp => rules
                .patterns
                .extend(lines.filter_map(|line| pattern(&path, line))),
        }
        rules
    }

    /// Whether a path below the root is left out.
    pub(super) fn matches(&self, relative: &str, is_folder: bool) -> bool {
        if self
            .patterns
            .iter()
            .any(|pattern| pattern.is_match(relative))
        {
            return true;
        }
        for glob in self.globs.iter().rev() {
            match glob.matched(relative, is_folder) {
                ignore::Match::Ignore(_) => return true,
                ignore::Match::Whitelist(_) => return false,
                ignore::Match::None => {}
            }
        }
        false
    }
}

/// A comment starts anywhere in the line and takes the white space before it along.
fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim_end()
}

fn globs<'a>(
    root: &Path,
    folder: &Path,
    path: &Path,
    lines: impl Iterator<Item = &'a str>,
) -> Option<Gitignore> {
    // Paths are given relative to the bundle, so the folder of the rules has to be, too.
    let base = folder.strip_prefix(root).unwrap_or(folder);
    let mut builder = GitignoreBuilder::new(base);
    for line in lines {
        if let Err(error) = builder.add_line(None, line) {
            warn!(path = %path.display(), line, %error, "skipped a line of an ignore file");
        }
    }
    builder.build().ok()
}

fn pattern(path: &Path, line: &str) -> Option<Regex> {
    match Regex::new(line) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            warn!(path = %path.display(), line, %error, "skipped a line of an ignore file");
            None
        }
    }
}
