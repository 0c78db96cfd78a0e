//! The store suite: one body per behaviour, run on each backend.

mod backends;
mod fixtures;
mod foundation;
mod jobs_and_pools;
mod scheduling;
mod secrets;
