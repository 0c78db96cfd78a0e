//! The store suite: one body per behaviour, run on each backend.

mod assets;
mod backends;
mod clearing;
mod execution;
mod fixtures;
mod foundation;
mod jobs_and_pools;
mod parsing;
mod scheduling;
mod secrets;
mod xcoms;
