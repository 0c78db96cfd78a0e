//! A Dag bundle as the processor sees it: a name and a folder.

use std::path::PathBuf;

use updraft_model::BundleName;

/// A folder of Dag files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    pub name: BundleName,
    /// Absolute, and the same at every start: it is part of what a Dag version is told by.
    pub path: PathBuf,
    /// `None` for bundles without versions, like a plain folder.
    pub version: Option<String>,
}
