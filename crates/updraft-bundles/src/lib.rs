//! Where the files of a Dag bundle are, in which version, and who fetches them.
//!
//! A bundle of Airflow's local class is a folder and nothing else. Every other class (Git, object
//! stores, a user's own) is Python: a short-lived **bundle child** initializes or refreshes it and
//! says where its files are. All other children see each bundle as a plain folder, so that no task
//! clones anything or needs the credentials for it.
//!
//! On disk everything is where Airflow's classes put it, below `[dag_processor]
//! dag_bundle_storage_path`. What we know beyond that lies beside it, in `_updraft`: which content
//! is whole, which versions are ready and who uses them.
//!
//! This crate does not look into the files (the Dag processor does) and does not decide when a
//! bundle is due.
//!
//! Start with [`Bundles`]; [`layout`] is the storage, [`refresh`] and [`versions`] are the two ways
//! to open a bundle, [`cleaning`] removes what nobody needs.

mod ask;
mod bundles;
mod cleaning;
mod config;
mod environment;
mod error;
mod layout;
mod refresh;
mod versions;

pub use bundles::{Bundles, BundlesOptions, Content, Opened};
pub use cleaning::{CleaningRules, Pinned};
pub use config::{BundleConfig, BundleSource};
pub use error::Error;
