//! What several roles do to rows, against a store of its own for each test.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic like tests; clippy knows only `#[test]` functions"
)]

mod backfills;
mod clearing;
mod failures;
mod scene;
mod trigger_events;
