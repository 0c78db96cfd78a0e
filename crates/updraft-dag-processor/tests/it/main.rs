//! The Dag processor with real files, a real store and real Python children.

mod bundles;
mod callbacks;
mod examples;
mod fetched;
mod life;
mod misbehaviour;
mod scene;
