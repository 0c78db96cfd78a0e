//! The store suite: one body per behaviour, run on each backend.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic like tests; clippy knows only `#[test]` functions"
)]

mod asset_runs;
mod assets;
mod backends;
mod backfills;
mod clearing;
mod connection_tests;
mod deadlines;
mod execution;
mod fixtures;
mod foundation;
mod hitl;
mod jobs_and_pools;
mod listing;
mod parsing;
mod partitions;
mod python_wanted;
mod races;
mod scheduling;
mod secrets;
mod triggers;
mod watchers;
mod xcoms;
