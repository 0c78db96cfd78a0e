//! Dag bundles: what a bundle child is told and what it answers. These messages are ours.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use updraft_model::ViewUrl;

use super::decode::{self, DecodeError};
use crate::json::JsonText;

/// The first frame to a bundle child. It answers with one [`BundleAnswer`] and ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub struct OpenBundle {
    pub name: String,
    /// The Python class, by its full name.
    pub classpath: String,
    /// Arguments of the class, an object.
    pub kwargs: JsonText,
    /// The version whose files are wanted; without one the newest are fetched.
    pub version: Option<String>,
}

/// What becomes of an [`OpenBundle`].
#[derive(Debug, Clone, PartialEq)]
pub enum BundleAnswer {
    /// The files are there.
    Opened(BundleOpened),
    /// The class raised: the exception with its causes, on one line.
    Refused(String),
}

/// An open bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BundleOpened {
    /// Where the files are; absolute.
    pub path: String,
    /// Of the files; `None` for bundles without versions.
    pub version: Option<String>,
    pub supports_versioning: bool,
    /// Seconds between two refreshes, as the class has it.
    pub refresh_interval: f64,
    pub view_url: Option<ViewUrl>,
}

impl BundleAnswer {
    /// The type of the message.
    pub const TYPE: &str = "BundleAnswer";

    /// Reads the body of a frame.
    pub fn decode(body: &Bytes) -> Result<Self, DecodeError> {
        #[derive(Deserialize)]
        struct Fields {
            opened: Option<BundleOpened>,
            #[serde(default)]
            error: String,
        }
        let fields: Fields = decode::fields(Self::TYPE, body)?;
        Ok(match fields.opened {
            Some(opened) => Self::Opened(opened),
            None => Self::Refused(fields.error),
        })
    }
}
