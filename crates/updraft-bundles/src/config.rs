//! A bundle as the settings describe it.

use std::path::PathBuf;

use serde_json::{Map, Value};
use updraft_model::{BundleName, ViewUrl};

/// A configured bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct BundleConfig {
    pub name: BundleName,
    pub source: BundleSource,
    /// With `[core] multi_team`: who owns it.
    pub team_name: Option<String>,
}

/// Where the files come from.
#[derive(Clone, Debug, PartialEq)]
pub enum BundleSource {
    /// A folder of this machine, which has no versions.
    Folder {
        /// Absolute, and the same at every start: it is part of what a Dag version is told by.
        path: PathBuf,
        view_url: Option<ViewUrl>,
    },
    /// Whatever a Python class fetches.
    Class {
        classpath: String,
        kwargs: Map<String, Value>,
    },
}

impl BundleConfig {
    /// A plain folder.
    #[must_use]
    pub fn folder(name: BundleName, path: PathBuf) -> Self {
        let view_url = None;
        Self {
            name,
            source: BundleSource::Folder { path, view_url },
            team_name: None,
        }
    }

    /// Whether its files are fetched by a class.
    #[must_use]
    pub fn is_fetched(&self) -> bool {
        matches!(self.source, BundleSource::Class { .. })
    }
}
