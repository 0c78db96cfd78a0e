//! Rules of this repository that `rustfmt` and `clippy` cannot know.

mod edges;
mod files;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// Checks every rule and prints each violation on its own line.
pub(crate) fn run() -> Result<()> {
    let mut violations = edges::violations(&metadata()?)?;
    let root = workspace::root();
    for file in tracked_files(&root)? {
        // Binary files (captures, archives) have no lines to look at.
        let Ok(text) = std::fs::read_to_string(root.join(&file)) else {
            continue;
        };
        violations.extend(files::violations(Path::new(&file), &text));
    }
    for violation in &violations {
        println!("tidy: {violation}");
    }
    if !violations.is_empty() {
        bail!("{} violations of the repository's rules", violations.len());
    }
    Ok(())
}

fn metadata() -> Result<edges::Metadata> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(workspace::root());
    command.args([
        "metadata",
        "--format-version=1",
        "--no-deps",
        "--locked",
        "--offline",
    ]);
    serde_json::from_str(&workspace::output(&mut command)?)
        .context("failed to read cargo's metadata")
}

/// Lists what is in the repository, or would be after `git add`.
fn tracked_files(root: &Path) -> Result<Vec<String>> {
    let mut command = Command::new("git");
    command.current_dir(root);
    command.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let list = workspace::output(&mut command)?;
    Ok(list.split_terminator('\0').map(str::to_owned).collect())
}
